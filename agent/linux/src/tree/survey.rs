//! Asks for the metadata of a tree without reading it: a [`Survey`] lists directories as a walk does, and a
//! [`Root`] answers for names that are known already.
//!
//! Both give out names and metadata only. What a symbolic link on the way or a mount would do to a name of several
//! parts is not prevented here but seen: every directory on the way is asked for as well, and every answer says
//! which mount it was reached through.
//!
//! statx(2), getdents64(2).

use std::ffi::CStr;
use std::io;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::error::Fault;
use super::names::{Mark, Names};
use super::open::{Opened, Opener};
use super::{Limits, StoreDirectory, WalkError};
use crate::metadata::{FileKind, Metadata};

/// How many bytes of names are asked for at a time: those of most directories.
const LISTING: usize = 16 << 10;

/// One store path, held, to ask for names below it.
#[derive(Debug)]
pub struct Root {
    directory: Option<OwnedFd>,
    metadata: Metadata,
}

impl Root {
    /// Holds the entry `name` of the store directory.
    ///
    /// # Errors
    /// Those of statx(2) and open(2).
    pub fn open(store: &StoreDirectory, name: &CStr) -> io::Result<Self> {
        let metadata = Metadata::at(&store.directory, name)?;
        if metadata.kind != FileKind::Directory {
            return Ok(Self { directory: None, metadata });
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(&store.directory, name, flags, Mode::empty());
        let directory = retry_on_intr(open)?;
        let held = Metadata::of(&directory)?;
        if held != metadata {
            return Err(Errno::STALE.into());
        }
        Ok(Self { directory: Some(directory), metadata })
    }

    /// The metadata of the root itself.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        self.metadata
    }

    /// The metadata of what lies at `path` below the root, without following a link at its end.
    ///
    /// # Errors
    /// Those of statx(2); `ENOTDIR` where the root is no directory.
    pub fn below(&self, path: &CStr) -> io::Result<Metadata> {
        let directory = self.directory.as_ref().ok_or(Errno::NOTDIR)?;
        Ok(Metadata::at(directory, path)?)
    }
}

/// The metadata of every node of a tree, in the order of a NAR.
#[derive(Debug)]
#[must_use = "a survey asks for nothing until it is pulled"]
pub struct Survey {
    store: StoreDirectory,
    limits: Limits,
    opener: Opener,
    levels: Vec<Level>,
    names: Names,
    scratch: Vec<u8>,
    /// The path of the current node, relative to the root: empty for the root.
    place: Vec<u8>,
    state: State,
}

#[derive(Debug)]
struct Level {
    directory: Opened,
    names: Mark,
    /// How long the path of the directory is.
    place: usize,
}

#[derive(Debug)]
enum State {
    Root(Vec<u8>),
    /// A directory was given out, and its names come next.
    Enter(Vec<u8>, Metadata),
    Below,
}

impl Survey {
    /// A survey of the entry `base_name` of the store directory.
    pub fn new(store: &StoreDirectory, base_name: &[u8], limits: Limits) -> Self {
        Self {
            store: store.clone(),
            limits,
            opener: Opener::new(),
            levels: Vec::new(),
            names: Names::default(),
            scratch: Vec::with_capacity(LISTING),
            place: Vec::new(),
            state: State::Root(base_name.to_vec()),
        }
    }

    /// The next node: its path relative to the root, and its metadata. `None` after the last one.
    ///
    /// # Errors
    /// Where the tree cannot be looked at, or changed meanwhile.
    pub fn next_node(&mut self) -> Result<Option<(&[u8], Metadata)>, WalkError> {
        match self.step() {
            Ok(Some(metadata)) => Ok(Some((&self.place, metadata))),
            Ok(None) => Ok(None),
            Err(fault) => Err(fault.at(self.place.clone())),
        }
    }

    fn step(&mut self) -> Result<Option<Metadata>, Fault> {
        match std::mem::replace(&mut self.state, State::Below) {
            State::Root(name) => {
                let metadata = look(&self.store.directory, &name)?;
                self.found(name, metadata);
                return Ok(Some(metadata));
            }
            State::Enter(name, metadata) => self.enter(&name, metadata)?,
            State::Below => {}
        }
        while let Some(level) = self.levels.last() {
            self.place.truncate(level.place);
            let Some(name) = self.names.pop(level.names) else {
                self.levels.pop();
                continue;
            };
            let name = self.names.get(name).to_vec();
            let metadata = look(&level.directory.fd, &name)?;
            if level.place > 0 {
                self.place.push(b'/');
            }
            self.place.extend_from_slice(&name);
            self.found(name, metadata);
            return Ok(Some(metadata));
        }
        Ok(None)
    }

    fn found(&mut self, name: Vec<u8>, metadata: Metadata) {
        if metadata.kind == FileKind::Directory {
            self.state = State::Enter(name, metadata);
        }
    }

    fn enter(&mut self, name: &[u8], metadata: Metadata) -> Result<(), Fault> {
        let limit = self.limits.depth;
        if self.levels.len() >= limit {
            return Err(Fault::TooDeep { limit });
        }
        let directory = match self.levels.last() {
            Some(level) => self.opener.directory(level.directory.fd.as_fd(), name)?,
            None => self.opener.directory(&self.store.directory, name)?,
        };
        if directory.metadata != metadata {
            return Err(Fault::Changed);
        }
        let most = self.limits.directory_entries;
        let names = self.names.list(&directory.fd, most, &mut self.scratch)?;
        self.levels.push(Level { directory, names, place: self.place.len() });
        Ok(())
    }
}

fn look(directory: impl AsFd, name: &[u8]) -> Result<Metadata, Fault> {
    Metadata::at(directory, name).map_err(|errno| match errno {
        Errno::NOENT => Fault::Missing,
        errno => Fault::Io { operation: "statx", errno },
    })
}
