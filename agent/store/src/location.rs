//! Where a store lies on this machine: `/nix`, or `/nix` below another root.
//!
//! Store paths are always logical, `/nix/store/…`, as they were hashed and signed (NixOS knows no other store
//! directory); only where their bytes are read from moves with the root, as with `nix --store DIR`.

use std::path::{Path, PathBuf};

/// A root directory with `/nix` below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    root: PathBuf,
}

impl Location {
    /// The store below `root`; `/` is this machine's own.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the logical absolute `path` lies.
    #[must_use]
    pub fn physical(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The directory that holds the store paths.
    #[must_use]
    pub fn store_directory(&self) -> PathBuf {
        self.physical(Path::new(narwarden_core::store_path::STORE_DIR))
    }

    /// The directory that holds the database.
    #[must_use]
    pub fn database_directory(&self) -> PathBuf {
        self.physical(Path::new("/nix/var/nix/db"))
    }
}
