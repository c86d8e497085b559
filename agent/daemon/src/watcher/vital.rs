//! Files that the running system consists of, and which therefore are nobody's entry points.
//!
//! Whoever can add a path to the store can give a toplevel an `activate` that leads to the shell, or is a copy of it
//! and, with `auto-optimise-store`, shares its inode. To the kernel that *is* the shell: asking for it, or holding it,
//! would make every process wait. What runs already activates nothing by being called otherwise.

use crate::entry_points::{essential, is_entry_point};
use crate::places::Places;
use narwarden_core::store_path::StorePath;
use narwarden_linux::file_id::FileId;
use narwarden_store::{Database, DatabaseError, Target};
use rustix::fd::AsFd;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How many files are looked at; a system has some hundred thousand.
const MOST: usize = 1 << 22;

/// What may have become wrong of what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The files that are few, and that nothing goes on without.
    Essential,
    /// All of them.
    Everything,
}

/// The files of the closures of the system that runs and the one that was booted.
#[derive(Debug, Default)]
pub struct Vital {
    /// Of which systems the rest is known.
    systems: Vec<StorePath>,
    essential: BTreeSet<FileId>,
    /// The paths of all of their closures, as far as the database says; asked once, when somebody first wants to know.
    roots: Option<Vec<PathBuf>>,
    /// The files of these.
    files: Option<BTreeSet<FileId>>,
    /// When that began.
    walked: Option<Instant>,
}

/// So long a walk through whole closures is good enough: anybody can have one asked for.
const WALK_AGAIN: Duration = Duration::from_secs(10);

impl Vital {
    /// Whether the file is one of them. That is as good as the database, so it says only that others need the file.
    ///
    /// # Errors
    /// When the closures cannot be told; the next one who asks looks again.
    pub(super) fn contains(
        &mut self,
        file: FileId,
        places: &Places,
        store: impl AsFd,
    ) -> Result<bool, DatabaseError> {
        self.keep_up(places, store);
        if self.files.is_none() {
            let (begin, mut files) = (Instant::now(), Files(BTreeSet::new()));
            let roots = match self.roots.take() {
                Some(roots) => roots,
                None => closures(&self.systems, places)?,
            };
            let mut looked_at = 0;
            roots.iter().for_each(|root| files.walk(root, &mut looked_at));
            self.roots = Some(roots);
            self.files = Some(files.0);
            self.walked = Some(begin);
        }
        let is_known = self.files.as_ref().is_some_and(|files| files.contains(&file));
        Ok(is_known || self.essential.contains(&file))
    }

    /// Whether the running system could not go on without it.
    pub(super) fn is_essential(&mut self, file: FileId, places: &Places, store: impl AsFd) -> bool {
        self.keep_up(places, store);
        self.essential.contains(&file)
    }

    /// The paths of a system never change, but their files do: `nix store optimise` puts others of the same contents in
    /// their place.
    pub(super) fn doubt(&mut self, doubt: Doubt) {
        self.essential.clear();
        match doubt {
            Doubt::Essential => {}
            Doubt::Everything if self.walked.is_some_and(|it| it.elapsed() < WALK_AGAIN) => {}
            Doubt::Everything => self.files = None,
        }
    }

    /// Begins anew when another system runs.
    fn keep_up(&mut self, places: &Places, store: impl AsFd) {
        let systems: Vec<StorePath> = places
            .running()
            .iter()
            .filter_map(|link| Target::parse(&link_target(link)?).resolve(&places.location).ok())
            .collect();
        if systems != self.systems {
            *self = Self { systems, ..Self::default() };
        }
        if self.essential.is_empty() {
            self.essential = essential(places, store);
        }
    }
}

fn closures(systems: &[StorePath], places: &Places) -> Result<Vec<PathBuf>, DatabaseError> {
    let store = places.location.store_directory();
    let mut roots = BTreeSet::new();
    for system in systems {
        let closure = Database::at(&places.location).closure(system)?;
        roots.extend(closure.value.claims().map(|(_, claim)| store.join(claim.path.base_name())));
    }
    Ok(roots.into_iter().collect())
}

struct Files(BTreeSet<FileId>);

impl Files {
    fn walk(&mut self, root: &Path, looked_at: &mut usize) {
        let mut ahead = vec![root.to_owned()];
        while let Some(path) = ahead.pop() {
            *looked_at += 1;
            if *looked_at > MOST {
                return;
            }
            let Ok(found) = path.symlink_metadata() else { continue };
            if found.is_dir() {
                let entries = std::fs::read_dir(&path).into_iter().flatten();
                ahead.extend(entries.filter_map(Result::ok).map(|entry| entry.path()));
            } else if found.is_file() && !activates(root, &path) {
                self.0.insert(FileId { device: found.dev(), inode: found.ino() });
            }
        }
    }
}

/// Its own entry points are asked for like those of any other system.
fn activates(root: &Path, file: &Path) -> bool {
    let name = file.strip_prefix(root).ok().and_then(Path::to_str);
    name.is_some_and(is_entry_point)
}

fn link_target(link: &Path) -> Option<String> {
    std::fs::read_link(link).ok()?.into_os_string().into_string().ok()
}
