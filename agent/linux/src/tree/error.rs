//! Why a walk ended early. Each variant is a meaning and names the place below the root.

use std::fmt;

use rustix::io::Errno;

use crate::metadata::FileKind;

/// Why a walk ended early. `path` is relative to the root of the walk, empty for the root itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum WalkError {
    /// The name asked for is not one name: empty, `.`, `..`, or with a slash or NUL in it.
    #[error("\"{}\" is not the name of a directory entry", .path.escape_ascii())]
    InvalidName { path: Vec<u8> },
    /// Nothing has the name asked for.
    #[error("{} does not exist", Place(.path))]
    Missing { path: Vec<u8> },
    /// The system refused; nothing is known about the contents.
    #[error("{operation} failed on {}: {errno}", Place(.path))]
    Io { operation: &'static str, path: Vec<u8>, errno: Errno },
    /// A FIFO, socket or device. It was not opened.
    #[error("{} is {kind}, not a regular file, directory or symbolic link", Place(.path))]
    UnsupportedKind { path: Vec<u8>, kind: FileKind },
    /// Something is mounted here, so the name leads into another file system.
    #[error("{} is a mount point", Place(.path))]
    ForeignMount { path: Vec<u8> },
    /// What was read is not what is there now.
    #[error("{} changed while it was read", Place(.path))]
    Changed { path: Vec<u8> },
    /// More levels than [`Limits::depth`](super::Limits).
    #[error("{} is nested too deeply (limit: {limit} levels)", Place(.path))]
    TooDeep { path: Vec<u8>, limit: usize },
    /// More names in one directory than [`Limits::directory_entries`](super::Limits).
    #[error("{} has too many entries (limit: {limit})", Place(.path))]
    TooManyEntries { path: Vec<u8>, limit: usize },
    /// A link target longer than any path may be.
    #[error("{} has a target longer than 4095 bytes", Place(.path))]
    SymlinkTooLong { path: Vec<u8> },
}

impl WalkError {
    /// The place, relative to the root of the walk: raw bytes, empty for the root itself.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        match self {
            Self::InvalidName { path }
            | Self::Missing { path }
            | Self::Io { path, .. }
            | Self::UnsupportedKind { path, .. }
            | Self::ForeignMount { path }
            | Self::Changed { path }
            | Self::TooDeep { path, .. }
            | Self::TooManyEntries { path, .. }
            | Self::SymlinkTooLong { path } => path,
        }
    }
}

/// A [`WalkError`] before its path is put together.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Missing,
    Io { operation: &'static str, errno: Errno },
    UnsupportedKind { kind: FileKind },
    ForeignMount,
    Changed,
    TooDeep { limit: usize },
    TooManyEntries { limit: usize },
    SymlinkTooLong,
}

impl Fault {
    /// What was listed or opened before and is missing now has changed.
    pub(super) fn once_begun(self) -> Self {
        if matches!(self, Self::Missing) { Self::Changed } else { self }
    }

    pub(super) fn at(self, path: Vec<u8>) -> WalkError {
        match self {
            Self::Missing => WalkError::Missing { path },
            Self::Io { operation, errno } => WalkError::Io { operation, path, errno },
            Self::UnsupportedKind { kind } => WalkError::UnsupportedKind { path, kind },
            Self::ForeignMount => WalkError::ForeignMount { path },
            Self::Changed => WalkError::Changed { path },
            Self::TooDeep { limit } => WalkError::TooDeep { path, limit },
            Self::TooManyEntries { limit } => WalkError::TooManyEntries { path, limit },
            Self::SymlinkTooLong => WalkError::SymlinkTooLong { path },
        }
    }
}

/// How much is shown of each end of a path that is too long for a message.
const END: usize = 60;

/// Paths hold any bytes; escaped, they can neither break a line nor drive a terminal.
struct Place<'a>(&'a [u8]);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.0.first_chunk::<END>(), self.0.last_chunk::<END>()) {
            ([], _, _) => f.write_str("the root"),
            (long, Some(first), Some(last)) if long.len() > 3 * END => {
                write!(f, "\"{}\" … \"{}\"", first.escape_ascii(), last.escape_ascii())
            }
            (path, _, _) => write!(f, "\"{}\"", path.escape_ascii()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_printable_line() {
        let path = b"a\nb\x1b[2J\xff\"".to_vec();
        let error = WalkError::Changed { path: path.clone() };
        assert_eq!(error.to_string(), r#""a\nb\x1b[2J\xff\"" changed while it was read"#);
        assert_eq!(error.path(), path);
        let deep = WalkError::TooDeep { path: b"d/".repeat(1000), limit: 512 };
        assert!(deep.to_string().len() < 200, "{deep}");
        let root = WalkError::UnsupportedKind { path: vec![], kind: FileKind::Fifo };
        let text = "the root is a FIFO, not a regular file, directory or symbolic link";
        assert_eq!(root.to_string(), text);
    }
}
