//! Walks over one file, directory or symbolic link below a held directory, and gives out, in the
//! order of a NAR, its metadata and every byte of it.
//!
//! In: a directory held open, one name in it, [`Limits`]. Out: [`Event`]s, pulled one at a time, so
//! that one thread can drive several walks in lockstep. No recursion; one descriptor per level.
//!
//! What is given out was there, unaltered, from the first question about each file and directory to
//! the last: metadata is asked of the open descriptor before and after, and must be equal. Only
//! `Ok(None)` at the end says that all of it held, so an event proves nothing before that. Not seen
//! are writes whose time stamps do not move: within one clock tick of an earlier write, or through
//! a page that a process had mapped and dirtied before (mmap(2), `MAP_SHARED`).
//!
//! openat2(2), statx(2), getdents64(2), readlink(2), flistxattr(2).
//!
//! ```
//! use narwarden_linux::tree::{Attributes, Event, Limits, StoreDirectory, Walk};
//!
//! let directory = tempfile::tempdir()?;
//! std::fs::create_dir(directory.path().join("hello"))?;
//! std::fs::write(directory.path().join("hello/greeting"), "hi")?;
//!
//! let store = StoreDirectory::open(directory.path())?;
//! let mut walk = Walk::open(&store, b"hello", Limits::default(), Attributes::Skip)?;
//! let mut buffer = vec![0; 65_536];
//! let mut contents = Vec::new();
//! while let Some(event) = walk.next(&mut buffer)? {
//!     if let Event::Contents(length) = event {
//!         contents.extend_from_slice(&buffer[..length]);
//!     }
//! }
//! assert_eq!(contents, b"hi");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ahead;
mod attributes;
mod error;
mod names;
mod open;
mod survey;
mod walk;

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;

pub use self::ahead::BEGINNING;
pub use self::attributes::{AttributeNames, Attributes};
pub use self::error::WalkError;
pub use self::survey::{Root, Survey};
pub use self::walk::Walk;

use crate::boot::FileSystem;
use crate::metadata::Metadata;

/// Bounds against trees made to exhaust descriptors or memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Number of levels, the root being the first.
    pub depth: usize,
    /// Number of names in one directory. Those of all directories on the path are bounded beside that.
    pub directory_entries: usize,
}

impl Limits {
    /// Nix refuses more than 64 levels since 2.35; older releases could write deeper trees.
    pub const DEPTH: usize = 512;
    /// 2 Mi names, more than any package has.
    pub const DIRECTORY_ENTRIES: usize = 2 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: Self::DEPTH, directory_entries: Self::DIRECTORY_ENTRIES }
    }
}

/// The directory whose entries are walked, held open: later mounts over its path, or a move of it,
/// do not change where walks start.
#[derive(Clone, Debug)]
pub struct StoreDirectory {
    directory: Arc<OwnedFd>,
}

impl StoreDirectory {
    /// Holds the directory at `path`, following links to it.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?;
        Ok(Self { directory: Arc::new(directory) })
    }

    /// The metadata of the directory itself, as it is now.
    ///
    /// # Errors
    /// Those of statx(2).
    pub fn metadata(&self) -> io::Result<Metadata> {
        Ok(Metadata::of(&self.directory)?)
    }

    /// The file system that it lies on.
    ///
    /// # Errors
    /// Those of statfs(2).
    pub fn file_system(&self) -> io::Result<FileSystem> {
        FileSystem::of(&self.directory)
    }
}

impl AsFd for StoreDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// One step of a walk. The grammar is that of a NAR:
///
/// ```text
/// object := Directory (Entry object EntryEnd)* DirectoryEnd
///         | File Contents* FileEnd
///         | Symlink
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are what the variants say")]
pub enum Event<'w> {
    /// A directory begins. Its entries follow, strictly sorted by raw bytes.
    Directory { metadata: Metadata, attributes: AttributeNames<'w> },
    /// An entry begins; the object it names follows.
    Entry { name: &'w [u8] },
    /// The object of the last open entry is complete.
    EntryEnd,
    /// The directory is complete and did not change.
    DirectoryEnd,
    /// A regular file begins; exactly `metadata.size` bytes follow.
    File { metadata: Metadata, attributes: AttributeNames<'w> },
    /// The next bytes of the file, so many and at least one: they begin the buffer that was lent.
    Contents(usize),
    /// The file is complete and did not change.
    FileEnd,
    /// A symbolic link, complete.
    Symlink { metadata: Metadata, target: &'w [u8] },
}
