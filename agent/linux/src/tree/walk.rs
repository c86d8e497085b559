//! The walk itself: a machine that makes one [`Event`] per call, holding the directories from the
//! root down to the current place and nothing else.
//!
//! Per file: openat2, statx, read until the size is reached, statx, close. No read is spent on
//! seeing the end of a file: that the size did not change is the proof.
//!
//! statx(2), read(2), readlink(2).

use rustix::buffer::spare_capacity;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::readlinkat_raw;
use rustix::io::retry_on_intr;

use super::ahead::Ahead;
use super::error::Fault;
use super::names::{Mark, Name, Names};
use super::open::{Opened, Opener, hold};
use super::{AttributeNames, Attributes, Event, Limits, StoreDirectory, WalkError, attributes};
use crate::metadata::{FileKind, Metadata};
use crate::writers::Writers;

/// `PATH_MAX` without the NUL: the longest target a link can have and still be used.
const LONGEST_TARGET: usize = 4095;

/// Room for a listing or a link target. There are many walks at a time, and few directories with more than a few hundred
/// names.
const SCRATCH: usize = 16 << 10;

/// A walk in progress.
#[derive(Debug)]
#[must_use = "a walk reads nothing until its events are pulled"]
pub struct Walk {
    store: StoreDirectory,
    root_name: Name,
    root: Metadata,
    limits: Limits,
    attributes: Attributes,
    opener: Opener,
    /// The directories from the root down to the current place.
    levels: Vec<Level>,
    names: Names,
    /// What the kernel last wrote: a listing, a link target, names of attributes.
    scratch: Vec<u8>,
    state: State,
}

#[derive(Debug)]
struct Level {
    directory: Opened,
    names: Mark,
    /// The entry being visited.
    current: Option<Name>,
}

#[derive(Debug)]
enum State {
    /// Before the object of this name.
    Enter(Name),
    /// Inside a file, with so many bytes to come.
    Read {
        file: Opened,
        remaining: u64,
        ahead: Option<Ahead>,
    },
    /// Inside a directory, between entries.
    List,
    /// After an object.
    Leave,
    Complete,
    /// For good: a walk that failed must never look complete.
    Failed(Fault),
}

/// An [`Event`] that does not borrow yet.
enum Step {
    Directory(Metadata),
    Entry(Name),
    EntryEnd,
    DirectoryEnd,
    File(Metadata),
    Contents(usize),
    FileEnd,
    Symlink(Metadata),
}

impl Walk {
    /// Starts a walk at the entry `base_name` of the store directory.
    ///
    /// # Errors
    /// [`WalkError::Missing`] if there is no such entry; this is never reported later.
    pub fn open(
        store: &StoreDirectory,
        base_name: &[u8],
        limits: Limits,
        attributes: Attributes,
    ) -> Result<Self, WalkError> {
        let separates = |byte: &u8| matches!(byte, 0 | b'/');
        if matches!(base_name, b"" | b"." | b"..") || base_name.iter().any(separates) {
            return Err(WalkError::InvalidName { path: base_name.to_vec() });
        }
        let root = hold(&store.directory, base_name).map_err(|fault| fault.at(Vec::new()))?;
        let mut names = Names::default();
        let root_name = names.keep(base_name, root.metadata.kind);
        Ok(Self {
            store: store.clone(),
            root_name,
            root: root.metadata,
            limits,
            attributes,
            opener: Opener::new(),
            levels: Vec::new(),
            names,
            scratch: Vec::with_capacity(SCRATCH),
            state: State::Enter(root_name),
        })
    }

    /// The next event, or `None` when the walk is complete and nothing changed meanwhile.
    ///
    /// Contents are read into the beginning of `buffer`, which must not be empty; 64 KiB is a good size. Each
    /// call may be lent another one, so that bytes are read to where they are needed.
    ///
    /// # Errors
    /// The first error ends the walk: every later call returns it again.
    pub fn next(&mut self, buffer: &mut [u8]) -> Result<Option<Event<'_>>, WalkError> {
        match self.step(buffer) {
            Ok(step) => Ok(step.map(|step| self.event(step))),
            Err(fault) => {
                let fault = fault.once_begun();
                self.state = State::Failed(fault);
                Err(fault.at(self.place()))
            }
        }
    }

    /// Whether anybody may write to the file whose [`Event::File`] was the last event. Asked before its first byte is
    /// read, the answer holds for all of them: who comes later moves the time of the last change.
    #[must_use]
    pub fn writers(&self) -> Writers {
        match &self.state {
            State::Read { file, .. } => Writers::of(&file.fd),
            State::Enter(_) | State::List | State::Leave | State::Complete | State::Failed(_) => {
                Writers::Unknown
            }
        }
    }

    fn step(&mut self, buffer: &mut [u8]) -> Result<Option<Step>, Fault> {
        match &mut self.state {
            State::Enter(name) => {
                let name = *name;
                self.enter(name).map(Some)
            }
            State::Read { file, remaining: 0, ahead: _ } => {
                file.unchanged()?;
                self.state = State::Leave;
                Ok(Some(Step::FileEnd))
            }
            State::Read { file, remaining, ahead } => {
                let length = read(&file.fd, remaining, buffer)?;
                if let Some(ahead) = ahead {
                    ahead.advance(&file.fd, length as u64);
                }
                Ok(Some(Step::Contents(length)))
            }
            State::List => self.list().map(Some),
            State::Leave => self.leave(),
            State::Complete => Ok(None),
            State::Failed(fault) => Err(*fault),
        }
    }

    /// Opens the object `name` of the innermost directory.
    fn enter(&mut self, name: Name) -> Result<Step, Fault> {
        let limit = self.limits.depth;
        if self.levels.len() >= limit {
            return Err(Fault::TooDeep { limit });
        }
        let parent = match self.levels.last() {
            Some(level) => level.directory.fd.as_fd(),
            None => self.store.directory.as_fd(),
        };
        let bytes = self.names.get(name);
        let kind = match name.kind {
            FileKind::Regular | FileKind::Directory | FileKind::Symlink => name.kind,
            FileKind::Unknown
            | FileKind::Fifo
            | FileKind::Socket
            | FileKind::BlockDevice
            | FileKind::CharacterDevice => hold(parent, bytes)?.metadata.kind,
        };
        let object = match kind {
            FileKind::Regular => self.opener.file(parent, bytes)?,
            FileKind::Directory => self.opener.directory(parent, bytes)?,
            FileKind::Symlink => hold(parent, bytes)?.expecting(FileKind::Symlink)?,
            FileKind::Unknown
            | FileKind::Fifo
            | FileKind::Socket
            | FileKind::BlockDevice
            | FileKind::CharacterDevice => return Err(Fault::UnsupportedKind { kind }),
        };
        if self.levels.is_empty() && object.metadata != self.root {
            return Err(Fault::Changed);
        }
        self.begin(object)
    }

    /// Reads what comes with the beginning of an object.
    fn begin(&mut self, object: Opened) -> Result<Step, Fault> {
        let metadata = object.metadata;
        if metadata.kind == FileKind::Symlink {
            // The target of a held link cannot change: there is no system call for it.
            read_target(&object.fd, &mut self.scratch)?;
            self.state = State::Leave;
            return Ok(Step::Symlink(metadata));
        }
        if metadata.kind == FileKind::Directory {
            let limit = self.limits.directory_entries;
            let names = self.names.list(&object.fd, limit, &mut self.scratch)?;
            self.list_attributes(&object)?;
            self.levels.push(Level { directory: object, names, current: None });
            self.state = State::List;
            return Ok(Step::Directory(metadata));
        }
        self.list_attributes(&object)?;
        let ahead = Ahead::of(metadata.size);
        self.state = State::Read { file: object, remaining: metadata.size, ahead };
        Ok(Step::File(metadata))
    }

    fn list_attributes(&mut self, object: &Opened) -> Result<(), Fault> {
        match self.attributes {
            Attributes::List => attributes::list(&object.fd, &mut self.scratch),
            Attributes::Skip => {
                self.scratch.clear();
                Ok(())
            }
        }
    }

    /// Goes on to the next entry of the innermost directory, or ends the directory.
    fn list(&mut self) -> Result<Step, Fault> {
        if let Some(level) = self.levels.last_mut() {
            level.current = self.names.pop(level.names);
            if let Some(name) = level.current {
                self.state = State::Enter(name);
                return Ok(Step::Entry(name));
            }
            level.directory.unchanged()?;
        }
        self.levels.pop();
        self.state = State::Leave;
        Ok(Step::DirectoryEnd)
    }

    /// Returns from an object to the directory it is in, or ends the walk.
    fn leave(&mut self) -> Result<Option<Step>, Fault> {
        if !self.levels.is_empty() {
            self.state = State::List;
            return Ok(Some(Step::EntryEnd));
        }
        let root = hold(&self.store.directory, self.names.get(self.root_name))?;
        if root.metadata != self.root {
            return Err(Fault::Changed);
        }
        self.state = State::Complete;
        Ok(None)
    }

    fn event(&self, step: Step) -> Event<'_> {
        let attributes = AttributeNames::new(&self.scratch);
        match step {
            Step::Directory(metadata) => Event::Directory { metadata, attributes },
            Step::Entry(name) => Event::Entry { name: self.names.get(name) },
            Step::EntryEnd => Event::EntryEnd,
            Step::DirectoryEnd => Event::DirectoryEnd,
            Step::File(metadata) => Event::File { metadata, attributes },
            Step::Contents(length) => Event::Contents(length),
            Step::FileEnd => Event::FileEnd,
            Step::Symlink(metadata) => Event::Symlink { metadata, target: &self.scratch },
        }
    }

    /// The current place, relative to the root.
    fn place(&self) -> Vec<u8> {
        let names = self.levels.iter().filter_map(|level| level.current);
        names.map(|name| self.names.get(name)).collect::<Vec<_>>().join(&b'/')
    }
}

/// Reads on, but never beyond the size the file had when it was opened.
fn read(file: &OwnedFd, remaining: &mut u64, buffer: &mut [u8]) -> Result<usize, Fault> {
    let most = usize::try_from(*remaining).map_or(buffer.len(), |most| most.min(buffer.len()));
    let window = buffer.get_mut(..most).unwrap_or_default();
    let length = retry_on_intr(|| rustix::io::read(file, &mut *window))
        .map_err(|errno| Fault::Io { operation: "read", errno })?;
    if length == 0 {
        return Err(Fault::Changed);
    }
    *remaining = remaining.saturating_sub(length as u64);
    Ok(length)
}

/// Replaces `target` with the target of the held link.
fn read_target(link: &OwnedFd, target: &mut Vec<u8>) -> Result<(), Fault> {
    target.clear();
    retry_on_intr(|| readlinkat_raw(link, c"", spare_capacity(target)))
        .map_err(|errno| Fault::Io { operation: "readlinkat", errno })?;
    if target.len() > LONGEST_TARGET { Err(Fault::SymlinkTooLong) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::{CWD, mkfifoat};

    use super::*;

    /// What a walk makes of the directory entry `x` if the listing calls it `listed`.
    fn enter_as(listed: FileKind, make: fn(&std::path::Path)) -> Result<Step, Fault> {
        let store = tempfile::tempdir().unwrap();
        fs::create_dir(store.path().join("root")).unwrap();
        make(&store.path().join("root/x"));
        let store = StoreDirectory::open(store.path()).unwrap();
        let mut walk = Walk::open(&store, b"root", Limits::default(), Attributes::List).unwrap();
        walk.next(&mut []).unwrap();
        walk.next(&mut []).unwrap();
        let name = walk.names.keep(b"x", listed);
        walk.enter(name)
    }

    #[test]
    fn the_kind_listed_is_only_a_hint() {
        type Make = fn(&std::path::Path);
        let file: Make = |x| fs::write(x, "").unwrap();
        let directory: Make = |x| fs::create_dir(x).unwrap();
        let link: Make = |x| std::os::unix::fs::symlink("/etc/passwd", x).unwrap();
        let fifo: Make = |x| mkfifoat(CWD, x, rustix::fs::Mode::RUSR).unwrap();

        // Not told, or told wrongly that it is nothing to open: asked of the file.
        for listed in [FileKind::Unknown, FileKind::Socket, FileKind::BlockDevice] {
            assert!(matches!(enter_as(listed, file), Ok(Step::File(_))));
            assert!(matches!(enter_as(listed, directory), Ok(Step::Directory(_))));
            assert!(matches!(enter_as(listed, link), Ok(Step::Symlink(_))));
            let refused = enter_as(listed, fifo);
            assert!(matches!(refused, Err(Fault::UnsupportedKind { kind: FileKind::Fifo })));
        }
        // Told wrongly what it is to be opened as: never another kind, never blocked.
        for listed in [FileKind::Regular, FileKind::Directory, FileKind::Symlink] {
            for (kind, make) in [
                (FileKind::Regular, file),
                (FileKind::Directory, directory),
                (FileKind::Symlink, link),
                (FileKind::Fifo, fifo),
            ] {
                let entered = enter_as(listed, make);
                if kind == listed {
                    assert!(entered.is_ok(), "{kind}");
                } else {
                    assert!(matches!(entered, Err(Fault::Changed)), "{kind} listed as {listed}");
                }
            }
        }
    }

    #[test]
    fn can_move_between_threads() {
        fn check<T: Send>() {}
        check::<Walk>();
    }
}
