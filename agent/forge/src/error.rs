//! Why a store could not be made.

use narwarden_core::content_address::ContentAddressError;
use narwarden_core::git_object::GitError;
use narwarden_core::hash::HashError;
use narwarden_core::nar::NarError;
use narwarden_core::store_path::{StorePath, StorePathError};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a store could not be made or changed.
#[derive(Debug, Error)]
pub enum ForgeError {
    /// The system refused.
    #[error("cannot write {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// SQLite refused.
    #[error("cannot write the database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// No NAR can hold the tree.
    #[error(transparent)]
    Nar(#[from] NarError),
    /// Git cannot hold the tree.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The name can be in no store path.
    #[error(transparent)]
    Name(#[from] StorePathError),
    /// There is no such content address.
    #[error(transparent)]
    ContentAddress(#[from] ContentAddressError),
    /// The row holds no hash.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The tree does not suit the way in which it is to be addressed.
    #[error("{name} cannot be addressed like this")]
    Addressing {
        /// The name of the path that was to be.
        name: String,
    },
    /// The path was never added.
    #[error("{0} is not registered")]
    NotRegistered(StorePath),
    /// The row claims no size, and nothing of unknown size can be signed.
    #[error("the size of {0} is not known")]
    NoSize(StorePath),
}

impl ForgeError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        |error| Self::Io { path: path.to_owned(), error }
    }
}
