//! Links of a directory that is held open, changed one at a time and only if they are what they should be.
//!
//! renameat2(2): `RENAME_NOREPLACE` and `RENAME_EXCHANGE`; on file systems without them (ZFS before 2.2), looking and
//! renaming are two steps.

use super::LeftBecause;
use crate::quarantine::QuarantineError;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, fsync, readlinkat, renameat, renameat_with, statat,
    symlinkat, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// How often a link that changes meanwhile is replaced.
const ATTEMPTS: usize = 8;

/// A directory of links.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    fd: OwnedFd,
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

type Result<T> = std::result::Result<T, QuarantineError>;

impl Directory {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()));
        Ok(Self { path: path.to_owned(), fd: fd.map_err(QuarantineError::io("open", path))? })
    }

    fn failed(
        &self,
        operation: &'static str,
        name: &OsStr,
    ) -> impl FnOnce(Errno) -> QuarantineError + use<> {
        QuarantineError::io(operation, &self.path.join(name))
    }

    pub(crate) fn sync(&self) -> Result<()> {
        fsync(&self.fd).map_err(QuarantineError::io("sync", &self.path))
    }

    /// What the link says; `None` where there is none.
    pub(crate) fn read(&self, name: &OsStr) -> Result<Option<OsString>> {
        match readlinkat(&self.fd, name, Vec::new()) {
            Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()))),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(errno) => Err(self.failed("read", name)(errno)),
        }
    }

    /// Whether there is anything of that name.
    pub(crate) fn exists(&self, name: &OsStr) -> Result<bool> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(self.failed("look at", name)(errno)),
        }
    }

    /// Makes a link; one that says the same is as good.
    pub(crate) fn make(&self, name: &OsStr, target: &OsStr) -> Result<()> {
        match symlinkat(target, &self.fd, name) {
            Err(Errno::EXIST) if self.read(name)?.as_deref() == Some(target) => self.sync(),
            Ok(()) => self.sync(),
            Err(errno) => Err(self.failed("make", name)(errno)),
        }
    }

    /// Removes a link; one that is gone is removed already.
    pub(crate) fn remove(&self, name: &OsStr) -> Result<()> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) => self.sync(),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.failed("remove", name)(errno)),
        }
    }

    /// Removes the link `name` if it says `old`.
    pub(crate) fn remove_if(&self, name: &OsStr, old: &OsStr) -> Result<()> {
        match self.read(name)? {
            Some(says) if says == old => self.remove(name),
            None => Ok(()),
            Some(_) => Err(QuarantineError::Unsettled { path: self.path.join(name) }),
        }
    }

    /// Moves a link that says `target` to `to`. One that turns out to say something else stays.
    pub(crate) fn transfer(
        &self,
        name: &OsStr,
        target: &OsStr,
        to: &Self,
        new: &OsStr,
    ) -> Result<std::result::Result<(), LeftBecause>> {
        match self.rename_new(name, to, new) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(Err(LeftBecause::Gone)),
            Err(Errno::XDEV) => return self.copy(name, target, to, new),
            Err(errno) => return Err(self.failed("move", name)(errno)),
        }
        if to.read(new)?.as_deref() != Some(target) {
            to.rename_new(new, self, name).map_err(self.failed("move back", name))?;
            return Ok(Err(LeftBecause::Changed));
        }
        // The new name first: better two of them after a loss of power than none.
        to.sync()?;
        self.sync()?;
        Ok(Ok(()))
    }

    fn copy(
        &self,
        name: &OsStr,
        target: &OsStr,
        to: &Self,
        new: &OsStr,
    ) -> Result<std::result::Result<(), LeftBecause>> {
        to.make(new, target)?;
        if self.read(name)?.as_deref() != Some(target) {
            to.remove(new)?;
            return Ok(Err(LeftBecause::Changed));
        }
        self.remove(name)?;
        Ok(Ok(()))
    }

    fn rename_new(&self, name: &OsStr, to: &Self, new: &OsStr) -> std::result::Result<(), Errno> {
        match renameat_with(&self.fd, name, &to.fd, new, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                match statat(&to.fd, new, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(_) => Err(Errno::EXIST),
                    Err(Errno::NOENT) => renameat(&self.fd, name, &to.fd, new),
                    Err(errno) => Err(errno),
                }
            }
            result => result,
        }
    }

    /// Makes the link `name`, which says `old`, say `new`, in one step.
    pub(crate) fn replace(&self, name: &OsStr, old: &OsStr, new: &OsStr) -> Result<()> {
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(".narwarden");
        self.remove(&temporary)?;
        symlinkat(new, &self.fd, &temporary).map_err(self.failed("make", &temporary))?;
        for _ in 0..ATTEMPTS {
            if self.read(name)?.as_deref() != Some(old) {
                break;
            }
            match renameat_with(&self.fd, &temporary, &self.fd, name, RenameFlags::EXCHANGE) {
                Ok(()) if self.read(&temporary)?.as_deref() == Some(old) => {
                    self.sync()?;
                    return self.remove(&temporary);
                }
                // Somebody was faster; what they made is put back.
                Ok(()) => {
                    renameat_with(&self.fd, &temporary, &self.fd, name, RenameFlags::EXCHANGE)
                        .map_err(self.failed("put back", name))?
                }
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                    renameat(&self.fd, &temporary, &self.fd, name)
                        .map_err(self.failed("replace", name))?;
                    return self.sync();
                }
                Err(errno) => return Err(self.failed("replace", name)(errno)),
            }
        }
        self.remove(&temporary)?;
        Err(QuarantineError::Unsettled { path: self.path.join(name) })
    }
}
