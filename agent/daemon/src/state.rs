//! What must survive a reboot, in `/var/lib/narwarden`.
//!
//! Every file is replaced as a whole, or only ever appended to. Whatever is read back carries a checksum over
//! its name and contents: a file that was torn, altered or swapped is moved aside, reported as a [`Damage`] and
//! then counts as absent, and what is absent admits nothing. A checksum finds accidents; against root there is
//! no secret to be kept here.
//!
//! - [`atomic`]: one file, replaced whole or not at all
//! - [`pinned`]: the trust set and policy that hold
//! - [`admissions`]: what was decided, for those who ask later
//! - [`receipts`]: one line a verdict, each naming the one before

pub mod admissions;
pub mod atomic;
mod difference;
pub mod pinned;
pub mod raw_name;
pub mod receipts;

use crate::places::Places;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, statat};
use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Write permission for group and others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Why state could not be read or written. Nothing is known then, and nothing is admitted.
#[derive(Debug, Error)]
pub enum StateError {
    /// The system refused.
    #[error("cannot {operation} {path:?}: {error}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The directory is not one that only this process's user can write to.
    #[error("{path:?} must be a directory that only its owner can write to, but {found}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// More than such a file may hold.
    #[error("{path:?} would have {size} bytes, and at most {limit} are read back")]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// How many bytes it would have.
        size: u64,
        /// How many it may have.
        limit: u64,
    },
}

impl StateError {
    /// What the system said when `operation` was tried on `path`.
    pub(crate) fn io<E: Into<io::Error>>(
        operation: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self + use<E> {
        let path = path.to_owned();
        move |error| Self::Io { operation, path, error: error.into() }
    }
}

/// A piece of state that was not as it had been written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// What was wrong with it, as a lower-case sentence.
    pub found: String,
    /// Where what was found is now.
    pub kept: Kept,
}

/// What became of a damaged file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It was moved, or copied, to here.
    Aside(PathBuf),
    /// There was nothing that could have been moved, or it could not be: why.
    InPlace(String),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} was damaged: {}; ", self.path, self.found)?;
        match &self.kept {
            Kept::Aside(aside) => write!(f, "it is kept as {aside:?}"),
            Kept::InPlace(why) => write!(f, "nothing was moved: {}", why.escape_debug()),
        }
    }
}

/// Makes the state directory and what it holds, for this process's user alone.
///
/// # Errors
/// When that cannot be, or when others could write there.
pub fn prepare(places: &Places) -> Result<(), StateError> {
    for directory in [places.state.clone(), records(places)] {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(StateError::io("create", &directory))?;
        require_own_directory(&directory)?;
    }
    Ok(())
}

/// Makes the directory of what need not survive a reboot.
///
/// # Errors
/// When it cannot be made.
pub fn prepare_run(places: &Places) -> Result<(), StateError> {
    std::fs::create_dir_all(&places.run).map_err(StateError::io("create", &places.run))
}

/// Where the records of quarantined generations lie.
pub(crate) fn records(places: &Places) -> PathBuf {
    places.state.join("quarantine")
}

/// Succeeds where `path` is a directory, no link, in which nobody else can create names.
pub(crate) fn require_own_directory(path: &Path) -> Result<(), StateError> {
    let refused = |found: String| StateError::Directory { path: path.to_owned(), found };
    let found =
        statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).map_err(StateError::io("look at", path))?;
    if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
        return Err(refused("is something else, or a link".to_owned()));
    }
    if !trusted_owner(found.st_uid) {
        return Err(refused(format!("belongs to user {}", found.st_uid)));
    }
    if found.st_mode & WRITABLE_BY_OTHERS != 0 {
        return Err(refused(format!("has mode {:04o}", found.st_mode & 0o7777)));
    }
    Ok(())
}

/// Whether a file of `uid` can only have been written by those who may.
fn trusted_owner(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Makes names in `path` last through a loss of power.
pub(crate) fn sync_directory(path: &Path) -> Result<(), StateError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory =
        rustix::fs::open(path, flags, Mode::empty()).map_err(StateError::io("open", path))?;
    rustix::fs::fsync(directory).map_err(StateError::io("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn only_a_directory_of_ones_own_will_do() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::below(root.path());
        prepare(&places).unwrap();
        prepare(&places).unwrap();
        let mode = |mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&places.state, permissions).unwrap();
        };
        mode(0o770);
        let error = prepare(&places).unwrap_err().to_string();
        assert!(error.contains("has mode 0770"), "{error}");
        mode(0o700);

        let moved = root.path().join("moved");
        std::fs::rename(&places.state, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, &places.state).unwrap();
        let error = prepare(&places).unwrap_err().to_string();
        assert!(error.contains("something else, or a link"), "{error}");
    }
}
