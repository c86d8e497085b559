//! What statx(2) tells of an open file: the values a walk reports and compares to detect change.
//!
//! Asked of a descriptor, so the answer cannot belong to another file of the same name; of names only to compare
//! a tree with what it was.

use std::fmt;

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, makedev, statx};
use rustix::io::{Errno, retry_on_intr};
use rustix::path::Arg;

/// What every answer must contain. Without the access time: file systems mounted `noatime` leave
/// it out.
const NEEDED: StatxFlags = StatxFlags::TYPE
    .union(StatxFlags::MODE)
    .union(StatxFlags::NLINK)
    .union(StatxFlags::UID)
    .union(StatxFlags::GID)
    .union(StatxFlags::MTIME)
    .union(StatxFlags::CTIME)
    .union(StatxFlags::INO)
    .union(StatxFlags::SIZE);

/// Permission bits with setuid, setgid and sticky.
const MODE_BITS: u32 = 0o7777;

/// The metadata of one file. Two equal values of one inode mean: not written in between, as far as
/// the change time can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Device number of the file system.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Permission bits including setuid, setgid and sticky: at most `0o7777`.
    pub mode: u32,
    /// Kind of file.
    pub kind: FileKind,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of hard links.
    pub links: u64,
    /// Size in bytes; of a symbolic link, the length of its target.
    pub size: u64,
    /// Last modification of the contents. Settable by the owner.
    pub mtime: Time,
    /// Last change of contents or metadata. Not settable, but follows the system clock.
    pub ctime: Time,
    /// Mount the file was reached through, or 0 if the kernel does not tell (before Linux 5.8).
    pub mount: u64,
}

/// A file time stamp: seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Whole seconds, negative before 1970.
    pub seconds: i64,
    /// Nanoseconds, below 1,000,000,000.
    pub nanoseconds: u32,
}

/// The kinds of file, inode(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of inode(7)")]
pub enum FileKind {
    Regular,
    Directory,
    Symlink,
    Fifo,
    Socket,
    BlockDevice,
    CharacterDevice,
    Unknown,
}

impl Metadata {
    /// Asks the kernel about an open file; `O_PATH` is enough.
    ///
    /// A file system that leaves a needed value out gives `ENOTSUP`: a made-up value would compare
    /// equal for ever.
    pub(crate) fn of(file: impl AsFd) -> Result<Self, Errno> {
        let wanted = NEEDED | StatxFlags::MNT_ID;
        let answer = retry_on_intr(|| statx(&file, c"", AtFlags::EMPTY_PATH, wanted))?;
        Self::from_answer(&answer).ok_or(Errno::NOTSUP)
    }

    /// Asks about what a path names, a link itself and not what it leads to.
    ///
    /// For comparing alone: between this answer and whatever is done next the name may come to mean another file.
    pub(crate) fn at(directory: impl AsFd, path: impl Arg + Copy) -> Result<Self, Errno> {
        let wanted = NEEDED | StatxFlags::MNT_ID;
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let answer = retry_on_intr(|| statx(&directory, path, flags, wanted))?;
        Self::from_answer(&answer).ok_or(Errno::NOTSUP)
    }

    fn from_answer(answer: &Statx) -> Option<Self> {
        let given = StatxFlags::from_bits_retain(answer.stx_mask);
        let mode = u32::from(answer.stx_mode);
        given.contains(NEEDED).then(|| Self {
            device: makedev(answer.stx_dev_major, answer.stx_dev_minor),
            inode: answer.stx_ino,
            mode: mode & MODE_BITS,
            kind: FileType::from_raw_mode(mode).into(),
            uid: answer.stx_uid,
            gid: answer.stx_gid,
            links: u64::from(answer.stx_nlink),
            size: answer.stx_size,
            mtime: Time { seconds: answer.stx_mtime.tv_sec, nanoseconds: answer.stx_mtime.tv_nsec },
            ctime: Time { seconds: answer.stx_ctime.tv_sec, nanoseconds: answer.stx_ctime.tv_nsec },
            mount: if given.contains(StatxFlags::MNT_ID) { answer.stx_mnt_id } else { 0 },
        })
    }
}

impl From<FileType> for FileKind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::Regular,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::BlockDevice => Self::BlockDevice,
            FileType::CharacterDevice => Self::CharacterDevice,
            FileType::Unknown => Self::Unknown,
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regular => "a regular file",
            Self::Directory => "a directory",
            Self::Symlink => "a symbolic link",
            Self::Fifo => "a FIFO",
            Self::Socket => "a socket",
            Self::BlockDevice => "a block device",
            Self::CharacterDevice => "a character device",
            Self::Unknown => "a file of unknown kind",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn agrees_with_std() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(12_345).unwrap();
        file.set_permissions(std::fs::Permissions::from_mode(0o4751)).unwrap();
        let ours = Metadata::of(&file).unwrap();
        let std = file.metadata().unwrap();
        assert_eq!((ours.device, ours.inode, ours.links), (std.dev(), std.ino(), std.nlink()));
        assert_eq!((ours.uid, ours.gid, ours.size), (std.uid(), std.gid(), std.size()));
        assert_eq!((ours.mode, ours.kind), (0o4751, FileKind::Regular));
        assert_eq!((ours.mtime.seconds, ours.ctime.seconds), (std.mtime(), std.ctime()));
        assert_eq!(i64::from(ours.ctime.nanoseconds), std.ctime_nsec());
    }

    #[test]
    fn a_value_left_out_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        let mut answer = statx(&file, c"", AtFlags::EMPTY_PATH, NEEDED).unwrap();
        assert!(Metadata::from_answer(&answer).is_some());
        answer.stx_mask &= !StatxFlags::CTIME.bits();
        assert_eq!(Metadata::from_answer(&answer), None);
    }
}
