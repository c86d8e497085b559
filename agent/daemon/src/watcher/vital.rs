//! Files that the running system consists of, and which therefore are nobody's entry points.
//!
//! Whoever can add a path to the store can give a toplevel an `activate` that leads to the shell, or is a copy of it
//! and, with `auto-optimise-store`, shares its inode. To the kernel that *is* the shell: asking for it, or holding it,
//! would make every process wait. What runs already activates nothing by being called otherwise.

use crate::entry_points::{essential, is_entry_point};
use crate::places::Places;
use narwarden_core::store_path::StorePath;
use narwarden_linux::file_id::FileId;
use narwarden_store::{Database, Target};
use rustix::fd::AsFd;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// How many files are looked at; a system has some hundred thousand.
const MOST: usize = 1 << 22;
/// An executable file: any of the bits of chmod(2).
const EXECUTABLE: u32 = 0o111;

/// The executable files of the closures of the system that runs and the one that was booted.
#[derive(Debug, Default)]
pub struct Vital {
    systems: Vec<StorePath>,
    files: BTreeSet<FileId>,
}

impl Vital {
    /// Whether the file is one of them. They are looked for when somebody first asks, and again when another system
    /// runs.
    pub(super) fn contains(&mut self, file: FileId, places: &Places, store: impl AsFd) -> bool {
        let systems: Vec<StorePath> = places
            .running()
            .iter()
            .filter_map(|link| Target::parse(&link_target(link)?).resolve(&places.location).ok())
            .collect();
        if systems != self.systems || self.files.is_empty() {
            // Should the database be of no use, these are the files without which nothing goes on.
            self.files = essential(places, store);
            for system in &systems {
                self.add(system, places);
            }
            self.systems = systems;
        }
        self.files.contains(&file)
    }

    fn add(&mut self, system: &StorePath, places: &Places) {
        let Ok(closure) = Database::at(&places.location).closure(system) else { return };
        let store = places.location.store_directory();
        let roots = closure.value.claims().map(|(_, claim)| store.join(claim.path.base_name()));
        let mut looked_at = 0;
        for root in roots {
            self.walk(&root, &mut looked_at);
        }
    }

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
            } else if found.is_file() && found.mode() & EXECUTABLE != 0 && !activates(root, &path) {
                self.files.insert(FileId { device: found.dev(), inode: found.ino() });
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
