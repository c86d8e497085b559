//! A directory of one's own, gone when it is no longer needed.

use crate::disk::unlock;
use crate::error::ForgeError;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A new directory in the system's temporary one, removed on drop with the read-only trees in it.
#[derive(Debug)]
pub struct Workshop {
    root: PathBuf,
}

impl Workshop {
    /// Makes one.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn new() -> Result<Self, ForgeError> {
        let parent = std::env::temp_dir();
        // mkdir(2) takes no name that exists, not even that of a link: whoever guesses it gains nothing.
        let names = (0_u32..)
            .map(|count| parent.join(format!("narwarden-forge-{}-{count}", std::process::id())));
        for root in names {
            match DirBuilder::new().mode(0o755).create(&root) {
                Ok(()) => return Ok(Self { root }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(ForgeError::io(&root)(error)),
            }
        }
        Err(ForgeError::io(&parent)(ErrorKind::AlreadyExists.into()))
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the temporary directory.
        let _ = unlock(&self.root);
        let _ = std::fs::remove_dir_all(&self.root);
    }
}
