//! A host with a profile, enrolled, with a generation that will be rejected.

use crate::generations::{Bootable, Link, scan};
use crate::places::Places;
use crate::quarantine::{Held, LeftBecause, Moved, Quarantine, Rejection, Restorable};
use crate::state::pinned::{Grandfathered, Pinned};
use jiff::Timestamp;
use narwarden_core::store_path::StorePath;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

pub(super) const NOW: Timestamp = Timestamp::constant(1_790_856_000, 0);
pub(super) const WAIT: Duration = Duration::from_millis(300);

/// A host with an old generation 1, enrolled, then a good generation 2 and an evil generation 3.
pub(super) struct Host {
    pub(super) root: tempfile::TempDir,
    pub(super) places: Places,
    pub(super) grandfathered: Grandfathered,
    pub(super) old: StorePath,
    pub(super) good: StorePath,
    pub(super) evil: StorePath,
}

impl Host {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let places = Places::below(root.path());
        for directory in [&places.profiles, &places.quarantine, &places.running()[0]] {
            fs::create_dir_all(directory.parent().unwrap()).unwrap();
        }
        fs::create_dir(&places.profiles).unwrap();
        let path = |name: &str| {
            let hash = narwarden_core::hash::sha256(name.as_bytes());
            let path = StorePath::make("output:out", &hash, name).unwrap();
            let at = places.location.store_directory().join(path.base_name());
            fs::create_dir_all(at).unwrap();
            path
        };
        let [old, good, evil] =
            ["old", "good", "evil"].map(|it| path(&format!("nixos-system-{it}")));
        let mut host =
            Self { places, root, grandfathered: Grandfathered::default(), old, good, evil };
        host.link("system-1-link", &host.old.to_string());
        host.link("system", "system-1-link");
        let narwarden_forge::Rules { trust, policy } = narwarden_forge::Rules::good();
        let pinned = Pinned::pin(&host.places, &trust, &policy, NOW).unwrap();
        host.grandfathered = pinned.grandfathered().clone();
        host.link("system-2-link", &host.good.to_string());
        host.link("system-3-link", &host.evil.to_string());
        host.link("system", "system-3-link");
        host
    }

    pub(super) fn link(&self, name: &str, target: &str) {
        let at = self.places.profiles.join(name);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&at);
        symlink(target, at).unwrap();
    }

    pub(super) fn quarantine(&self) -> Quarantine<'_> {
        Quarantine::new(&self.places, &self.grandfathered, WAIT)
    }

    /// Rejects whatever is neither good nor old.
    pub(super) fn rejections(&self) -> Vec<Rejection> {
        let found = scan(&self.places);
        let known = [Some(&self.good), Some(&self.old)];
        let links = found.links.into_iter().filter(|link| !known.contains(&link.store_path()));
        links.map(|link| Rejection { link, reason: "unsigned".to_owned() }).collect()
    }

    /// The good one is admitted.
    pub(super) fn restorable(&self) -> Restorable {
        Restorable { admitted: [self.good.clone()].into(), ..Restorable::default() }
    }

    /// Makes a store path that is there.
    pub(super) fn path(&self, name: &str) -> StorePath {
        let hash = narwarden_core::hash::sha256(name.as_bytes());
        let path = StorePath::make("output:out", &hash, name).unwrap();
        let at = self.places.location.store_directory().join(path.base_name());
        fs::create_dir_all(at).unwrap();
        path
    }

    pub(super) fn reject(&self) -> Moved {
        self.quarantine().reject(&self.rejections(), &self.restorable(), NOW).unwrap()
    }

    pub(super) fn reads(&self, name: &str) -> Option<String> {
        let target = fs::read_link(self.places.profiles.join(name)).ok()?;
        Some(target.to_str().unwrap().to_owned())
    }

    pub(super) fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(&self.places.profiles).unwrap();
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Every store path that a garbage collector would find a root for.
    pub(super) fn roots(&self) -> BTreeSet<String> {
        let mut roots = BTreeSet::new();
        let directories = [&self.places.profiles, &self.places.quarantine];
        for entry in directories.into_iter().filter_map(|it| fs::read_dir(it).ok()).flatten() {
            if let Ok(target) = fs::read_link(entry.unwrap().path()) {
                roots.extend(
                    target.to_str().filter(|it| it.starts_with("/nix/store")).map(str::to_owned),
                );
            }
        }
        roots
    }

    pub(super) fn held(&self) -> Vec<Held> {
        let (held, damages) = self.quarantine().list().unwrap();
        assert_eq!(damages, []);
        held
    }

    /// That nothing is bootable but what may be.
    pub(super) fn is_clean(&self) -> bool {
        let fine = |link: &Link| {
            link.target.as_ref() == Ok(&self.good) || self.grandfathered.contains(link)
        };
        scan(&self.places).bootable(fine) == Bootable::AdmittedOnly
    }
}

pub(super) fn because(moved: &Moved) -> Vec<LeftBecause> {
    moved.left.iter().map(|left| left.because).collect()
}
