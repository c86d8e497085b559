//! Why there is no successor: what was expected of which file, what was found, and what to do.

use std::io;
use std::path::PathBuf;

use crate::metadata::FileKind;

/// Why the program at a path cannot be the next version of this one. This one goes on.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum SuccessorError {
    /// Nothing is there.
    #[error(
        "{path:?} is needed to go on with, but does not exist; this program goes on: install what is \
         missing and reload again"
    )]
    Missing { path: PathBuf },
    /// The system refused.
    #[error("cannot {operation} {path:?}: {error}; this program goes on")]
    Io { operation: &'static str, path: PathBuf, error: io::Error },
    /// Not a regular file.
    #[error(
        "{path:?} must be a regular file to go on with, but is {kind}; this program goes on: install \
         the program there and reload again"
    )]
    NotRegular { path: PathBuf, kind: FileKind },
    /// No execute permission.
    #[error(
        "{path:?} must be executable, but has mode {mode:04o}; this program goes on. If its contents \
         are right: chmod +x {path:?}"
    )]
    NotExecutable { path: PathBuf, mode: u32 },
    /// A script, or no program.
    #[error(
        "{path:?} must be an ELF program, but does not begin like one: what a script needs cannot be \
         known here; this program goes on: let the path lead to the program itself"
    )]
    NotElf { path: PathBuf },
    /// Not all of it is there, or its headers make no sense.
    #[error(
        "{path:?} must hold all that its program headers load, but ends after {bytes} bytes; this \
         program goes on: install it once more and reload again"
    )]
    CutOff { path: PathBuf, bytes: u64 },
    /// The program, its interpreter, or a directory on the way, is somebody else's.
    #[error(
        "{path:?} must belong to root, but belongs to user {uid}; this program goes on. If its \
         contents are right: chown root {path:?}"
    )]
    WrongOwner { path: PathBuf, uid: u32 },
    /// Group or others may write the program, its interpreter, or a directory on the way.
    #[error(
        "{path:?} must be writable by its owner alone, but has mode {mode:04o}; this program goes \
         on. If its contents are right: chmod go-w {path:?}"
    )]
    WritableByOthers { path: PathBuf, mode: u32 },
}
