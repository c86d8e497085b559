//! What a group is asked about.
//!
//! fanotify_mark(2). A mark sits on the inode or the file system, so it does not matter by which path,
//! hard link, bind mount or mount namespace the file is reached. Marks on mounts are not offered: they
//! see nobody in another mount namespace, and a service with a private /tmp is in one.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

use nix::sys::fanotify::{MarkFlags, MaskFlags};
use rustix::fs::{CWD, OFlags, fcntl_getfl};

use super::Group;

const PERMISSIONS: MaskFlags = MaskFlags::FAN_OPEN_PERM.union(MaskFlags::FAN_OPEN_EXEC_PERM);

/// How long a file is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lasting {
    /// Until it is written to, or its inode leaves the cache. Costs no memory for long.
    Evictable,
    /// As long as the group and the file exist.
    Kept,
}

impl Group {
    /// Asks before every opening and execution of this file. `O_PATH` is enough. Holding it twice is
    /// holding it once.
    ///
    /// # Errors
    /// What fanotify_mark(2) says: `ENOSPC` with too many marks, `EACCES` without permission to read.
    pub fn hold_file(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        self.mark(MarkFlags::FAN_MARK_ADD, PERMISSIONS, file)
    }

    /// Asks no more. A request that was made already still waits for its answer. Fine if the file was
    /// not held.
    ///
    /// # Errors
    /// What fanotify_mark(2) says.
    pub fn release_file(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        match self.mark(MarkFlags::FAN_MARK_REMOVE, PERMISSIONS, file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Asks before every execution of a file on the file system that this directory is on.
    ///
    /// # Errors
    /// What fanotify_mark(2) says: `EPERM` without `CAP_SYS_ADMIN`.
    pub fn watch_filesystem(&self, directory: BorrowedFd<'_>) -> io::Result<()> {
        let flags = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_FILESYSTEM;
        self.mark(flags, MaskFlags::FAN_OPEN_EXEC_PERM, directory)
    }

    /// Does not ask about this file, though its file system is watched. Not for a file that is held by
    /// the same group.
    ///
    /// # Errors
    /// What fanotify_mark(2) says: [`io::ErrorKind::AlreadyExists`] for [`Lasting::Evictable`] on a file
    /// with a lasting mark, `ENOSPC` with too many marks.
    pub fn ignore_file(&self, file: BorrowedFd<'_>, lasting: Lasting) -> io::Result<()> {
        let kind = match lasting {
            Lasting::Evictable => MarkFlags::FAN_MARK_IGNORE | MarkFlags::FAN_MARK_EVICTABLE,
            Lasting::Kept => MarkFlags::FAN_MARK_IGNORE_SURV,
        };
        self.mark(MarkFlags::FAN_MARK_ADD | kind, PERMISSIONS, file)
    }

    /// Asks about this file again, if it was ignored until now.
    ///
    /// # Errors
    /// What fanotify_mark(2) says.
    pub fn heed_file(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        match self.mark(MarkFlags::FAN_MARK_REMOVE | MarkFlags::FAN_MARK_IGNORE, PERMISSIONS, file)
        {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn mark(&self, flags: MarkFlags, mask: MaskFlags, file: BorrowedFd<'_>) -> io::Result<()> {
        let marked = if fcntl_getfl(file)?.contains(OFlags::PATH) {
            // The system call refuses such a descriptor, but follows the link to the same inode.
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            self.group.mark(flags, mask, CWD, Some(Path::new(&path)))
        } else {
            self.group.mark(flags, mask, file, None::<&Path>)
        };
        Ok(marked?)
    }
}
