//! Opens one name below a held directory, and nothing else: no link is followed, no mount entered.
//!
//! openat2(2): `RESOLVE_NO_SYMLINKS`, `RESOLVE_NO_XDEV`, `RESOLVE_NO_MAGICLINKS`. Names are single components
//! and never `..`, so nothing leads up; `RESOLVE_BENEATH` would only add that a directory which is moved
//! meanwhile looks like a mount point. A mount point answers `EXDEV`, also one made of a single file, and also
//! with `O_PATH`. `O_NONBLOCK` and `O_NOCTTY` make it harmless if a FIFO or a terminal takes the
//! place of a regular file between listing and opening.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::{Errno, retry_on_intr};

use super::error::Fault;
use crate::metadata::{FileKind, Metadata};

const ONE_STEP_DOWN: ResolveFlags =
    ResolveFlags::NO_SYMLINKS.union(ResolveFlags::NO_XDEV).union(ResolveFlags::NO_MAGICLINKS);

const NEVER_FOLLOW: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);

/// An open file with its metadata as it was right after opening.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) fd: OwnedFd,
    pub(super) metadata: Metadata,
}

/// Opens for reading, leaving access times alone as long as the kernel allows.
#[derive(Debug)]
pub(super) struct Opener {
    /// `O_NOATIME`, until it is refused: only the owner and root may use it.
    quietly: OFlags,
}

impl Opener {
    pub(super) fn new() -> Self {
        Self { quietly: OFlags::NOATIME }
    }

    /// Opens what was listed as a regular file.
    pub(super) fn file(&mut self, parent: impl AsFd, name: &[u8]) -> Result<Opened, Fault> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        self.read(parent, name, flags)?.expecting(FileKind::Regular)
    }

    /// Opens what was listed as a directory.
    pub(super) fn directory(&mut self, parent: impl AsFd, name: &[u8]) -> Result<Opened, Fault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        self.read(parent, name, flags)?.expecting(FileKind::Directory)
    }

    fn read(&mut self, parent: impl AsFd, name: &[u8], flags: OFlags) -> Result<Opened, Fault> {
        match step_down(&parent, name, flags | self.quietly) {
            Err(Errno::PERM) if !self.quietly.is_empty() => {
                self.quietly = OFlags::empty();
                Opened::new(step_down(&parent, name, flags))
            }
            result => Opened::new(result),
        }
    }
}

/// Holds a name of any kind without opening what it stands for.
pub(super) fn hold(parent: impl AsFd, name: &[u8]) -> Result<Opened, Fault> {
    Opened::new(step_down(parent, name, OFlags::PATH))
}

impl Opened {
    fn new(result: Result<OwnedFd, Errno>) -> Result<Self, Fault> {
        let fd = result.map_err(|errno| match errno {
            Errno::NOENT => Fault::Missing,
            Errno::XDEV => Fault::ForeignMount,
            // A link; not a directory; a socket or a device without driver: not what was listed.
            Errno::LOOP | Errno::NOTDIR | Errno::NXIO | Errno::NODEV => Fault::Changed,
            errno => Fault::Io { operation: "openat2", errno },
        })?;
        let metadata = stat(&fd)?;
        Ok(Self { fd, metadata })
    }

    pub(super) fn expecting(self, kind: FileKind) -> Result<Self, Fault> {
        if self.metadata.kind == kind { Ok(self) } else { Err(Fault::Changed) }
    }

    /// Succeeds if the file still has the metadata it was opened with.
    pub(super) fn unchanged(&self) -> Result<(), Fault> {
        if stat(&self.fd)? == self.metadata { Ok(()) } else { Err(Fault::Changed) }
    }
}

fn stat(fd: &OwnedFd) -> Result<Metadata, Fault> {
    Metadata::of(fd).map_err(|errno| Fault::Io { operation: "statx", errno })
}

fn step_down(parent: impl AsFd, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    retry_on_intr(|| openat2(&parent, name, flags | NEVER_FOLLOW, Mode::empty(), ONE_STEP_DOWN))
}
