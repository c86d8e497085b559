//! Which file: the identity that a bind mount, a hard link, another mount namespace or a path made to
//! look right cannot change.
//!
//! In: a descriptor or a path. Out: device and inode number, inode(7). The question is asked with
//! `AT_STATX_DONT_SYNC` (statx(2)): the identity of an open file does not depend on a server, so one
//! that does not answer (NFS, FUSE) must not be able to stop who asks.
//!
//! ```
//! use narwarden_linux::file_id::FileId;
//!
//! let directory = tempfile::tempdir()?;
//! let (file, other) = (directory.path().join("file"), directory.path().join("other"));
//! std::fs::write(&file, "")?;
//! std::fs::hard_link(&file, &other)?;
//! assert_eq!(FileId::at(&file)?, FileId::of(std::fs::File::open(&other)?)?);
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fmt;
use std::io;
use std::path::Path;

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
use rustix::io::{Errno, retry_on_intr};
use rustix::path::Arg;

/// Device and inode number of a file. Holds as long as the file exists: after that the number may be
/// another file's, so keep a descriptor or look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// Device number of the file system, as `st_dev`.
    pub device: u64,
    /// Inode number, as `st_ino`.
    pub inode: u64,
}

impl FileId {
    /// Of an open file; `O_PATH` is enough.
    ///
    /// # Errors
    /// What the system says, or `ENOTSUP` if the file system has no inode numbers.
    pub fn of(file: impl AsFd) -> io::Result<Self> {
        Self::ask(file, c"", AtFlags::EMPTY_PATH)
    }

    /// Of the file that a path leads to, through symbolic links.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn at(path: &Path) -> io::Result<Self> {
        Self::ask(CWD, path, AtFlags::empty())
    }

    /// Of what a path names: if that is a symbolic link, of the link itself.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn of_link(path: &Path) -> io::Result<Self> {
        Self::ask(CWD, path, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Of a path below a directory, through symbolic links.
    pub(crate) fn below(directory: impl AsFd, path: impl Arg + Copy) -> io::Result<Self> {
        Self::ask(directory, path, AtFlags::empty())
    }

    fn ask(at: impl AsFd, path: impl Arg + Copy, flags: AtFlags) -> io::Result<Self> {
        let flags = flags | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
        let answer = retry_on_intr(|| statx(&at, path, flags, StatxFlags::INO))?;
        if answer.stx_mask & StatxFlags::INO.bits() == 0 {
            return Err(Errno::NOTSUP.into());
        }
        let device = makedev(answer.stx_dev_major, answer.stx_dev_minor);
        Ok(Self { device, inode: answer.stx_ino })
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inode {} on device {:#x}", self.inode, self.device)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{MetadataExt, symlink};

    use rustix::fs::{Mode, OFlags, open};

    use super::*;

    #[test]
    fn agrees_with_std() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "").unwrap();
        symlink("file", &link).unwrap();
        let id = |metadata: fs::Metadata| FileId { device: metadata.dev(), inode: metadata.ino() };

        let of_file = id(fs::metadata(&file).unwrap());
        let of_link = id(fs::symlink_metadata(&link).unwrap());
        assert_ne!(of_file, of_link);
        assert_eq!(FileId::at(&file).unwrap(), of_file);
        assert_eq!(FileId::at(&link).unwrap(), of_file);
        assert_eq!(FileId::of_link(&link).unwrap(), of_link);
        assert_eq!(FileId::of(File::open(&link).unwrap()).unwrap(), of_file);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        assert_eq!(FileId::of(open(&link, flags, Mode::empty()).unwrap()).unwrap(), of_link);
        assert!(FileId::at(&directory.path().join("none")).is_err());
    }
}
