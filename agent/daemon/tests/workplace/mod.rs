//! A root directory with a store, profiles and state, for tests that need no kernel but this one.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use narwarden_core::store_path::StorePath;
use narwardend::places::Places;
use tempfile::TempDir;

/// 2026-10-01T12:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_790_856_000, 0);

pub(crate) struct Workplace {
    pub(crate) root: TempDir,
    pub(crate) places: Places,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let places = Places::below(root.path());
        for directory in ["nix/store", "nix/var/nix/profiles", "nix/var/nix/gcroots", "run", "etc"]
        {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        narwardend::state::prepare(&places).unwrap();
        Self { root, places }
    }

    /// A store path that is there, empty.
    pub(crate) fn path(&self, name: &str) -> StorePath {
        let path = self.absent(name);
        fs::create_dir_all(self.physical(&path)).unwrap();
        path
    }

    /// A store path that is not there.
    pub(crate) fn absent(&self, name: &str) -> StorePath {
        let hash = narwarden_core::hash::sha256(name.as_bytes());
        StorePath::make("output:out", &hash, name).unwrap()
    }

    pub(crate) fn physical(&self, path: &StorePath) -> PathBuf {
        self.places.location.store_directory().join(path.base_name())
    }

    pub(crate) fn profile(&self, name: &str) -> PathBuf {
        self.places.profiles.join(name)
    }

    /// Makes, or remakes, a link in the profile directory.
    pub(crate) fn link(&self, name: &str, target: impl AsRef<Path>) {
        let at = self.profile(name);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&at);
        symlink(target, at).unwrap();
    }

    /// A generation of the system profile, which leads to it.
    pub(crate) fn generation(&self, number: u64, name: &str) -> StorePath {
        let path = self.path(name);
        self.link(&format!("system-{number}-link"), path.to_string());
        self.link("system", format!("system-{number}-link"));
        path
    }

    pub(crate) fn reads(&self, name: &str) -> Option<String> {
        let target = fs::read_link(self.profile(name)).ok()?;
        Some(target.to_str().unwrap().to_owned())
    }
}

/// Everything below a directory, by name, with contents and targets of links.
pub(crate) fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(directory) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        let kind = path.symlink_metadata().unwrap();
        if kind.is_dir() {
            found.extend(contents(&path));
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            found.push((path, target.into_os_string().into_encoded_bytes()));
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}
