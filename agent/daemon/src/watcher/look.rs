//! What a store path is: whether it is a toplevel, which of its files activate it, and that those are shut.

use super::Watcher;
use super::vital::Doubt;
use crate::audit::Notice;
use crate::entry_points::{self, EntryPoint, Lies, ResolveError, Role, UNSHARED};
use crate::table::{Answer, ByPath, Identity, Known, Looked, Shared};
use jiff::Timestamp;
use narwarden_core::store_path::StorePath;
use narwarden_linux::elf::interpreter;
use narwarden_linux::file_id::FileId;
use rustix::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use std::io;
use std::sync::PoisonError;
use thiserror::Error;

/// How many failures are remembered.
const MOST_SAID: usize = 1024;

impl Watcher {
    /// Looks for the gate: what is found counts only if the look began after it asked.
    pub(super) fn look_and_tell(&self, path: StorePath) {
        let number = self.table.begin_look();
        if let Some(found) = self.look(&path) {
            self.table.looked_at(path, found, number);
        }
    }

    /// Whether the running system has the file too, by what is there now: files are made one at any moment.
    pub(super) fn look_who_shares(&self, file: Identity) {
        let number = self.table.begin_look();
        self.doubt(Doubt::Everything);
        let host_s = if self.is_essential(file.file()) {
            if self.table.role(file).is_some_and(|role| role.shared.is_some()) {
                // One of them is another name of it.
                for path in self.table.programs() {
                    self.look(&path);
                }
            }
            Some(ByPath::All)
        } else {
            // As far as the database says: no toplevel may run by that what another path brings.
            self.is_vital(file.file()).then_some(ByPath::OwnFiles)
        };
        if let Some(which) = host_s {
            let moved = self.table.mean_by_path(file, which);
            // It is one file, so one of them is enough to let go of it.
            if let Some(owner) = moved.first() {
                self.look(owner);
            }
        }
        self.table.looked_who_shares(file, number);
    }

    /// Has the next look find out anew what the running system consists of.
    pub(super) fn doubt(&self, doubt: Doubt) {
        self.vital.lock().unwrap_or_else(PoisonError::into_inner).doubt(doubt);
    }

    /// Looks at one store path, and holds it shut if it is a toplevel without an admission; `None` where that could
    /// not be done.
    pub(super) fn look(&self, path: &StorePath) -> Option<Looked> {
        let looked = match entry_points::role(&self.store, path.base_name()) {
            Ok(Role::Toplevel) => self.know(path).map(|()| Looked::Toplevel),
            Ok(Role::SwitchProgram) => self.know_shared(path).map(|()| Looked::Toplevel),
            Ok(Role::Other) => {
                self.table.forget_program(path);
                // Only what was a toplevel and is gone is broken off: a link may lead to what never was one, and that
                // has to be said in a verdict.
                if self.table.is_known(path) {
                    self.table.forget_path(path);
                    self.queue.cancel(path);
                }
                Ok(Looked::NoToplevel)
            }
            Err(error) => Err(error.into()),
        };
        // Whoever waits for it is denied at the deadline rather than let through.
        looked.map_err(|error| self.fail(path, &error)).ok()
    }

    /// Says once what could not be guarded: it is tried again all the time.
    fn fail(&self, path: &StorePath, error: &dyn std::fmt::Display) {
        let error = error.to_string();
        if self.is_news(path.base_name(), &error) {
            self.announce.notice(&Notice::MarksFailed { path, error });
        }
    }

    fn say_news(&self, what: &str, error: &dyn std::fmt::Display) {
        let error = error.to_string();
        if self.is_news(what, &error) {
            self.announce.notice(&Notice::Failed { what: format!("{what}: {error}") });
        }
    }

    fn is_news(&self, about: &str, error: &str) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= MOST_SAID {
            said.clear();
        }
        said.insert((about.to_owned(), error.to_owned()))
    }

    fn know(&self, toplevel: &StorePath) -> Result<(), LookError> {
        let surface = entry_points::entry_points(&self.store, toplevel)?;
        let flaw = surface.refused.first().map(|it| format!("{}: {}", it.name, it.error));
        if let Some(flaw) = &flaw {
            self.fail(toplevel, flaw);
        }
        self.table.set_flaw(toplevel, flaw);
        surface.entry_points.iter().try_for_each(|entry| self.know_entry(toplevel, entry))
    }

    fn know_entry(&self, toplevel: &StorePath, entry: &EntryPoint) -> Result<(), LookError> {
        let file = Identity::of(&entry.file)?;
        let open = entry.file.as_fd();
        match &entry.lies {
            // It may be anybody's program: unless it is a part of what was proven, root may not run it, and others may
            // have good reasons to read it.
            Lies::In(owner) => {
                self.table.leads_elsewhere(toplevel);
                if self.table.is_in_admitted_closure(owner) || self.is_essential(entry.id) {
                    self.table.disown(file, toplevel);
                } else {
                    self.table.know_entry_point(file, toplevel.clone(), Known::ByInode);
                }
                Ok(self.marks.release(open)?)
            }
            Lies::Here if entry.links > UNSHARED && self.is_vital(entry.id) => {
                self.table.know_entry_point(file, toplevel.clone(), Known::ByPath);
                Ok(self.marks.release(open)?)
            }
            Lies::Here => {
                self.table.know_entry_point(file, toplevel.clone(), Known::ByInode);
                let Some(role) = self.table.role(file) else { return Ok(()) };
                let admitted = role.shared.is_none()
                    && self.table.answer(&role.owners, Timestamp::now()) == Answer::Admitted;
                if admitted { Ok(self.marks.release(open)?) } else { Ok(self.marks.hold(open)?) }
            }
        }
    }

    /// The program behind the entry points of toplevels, in a store path of its own.
    fn know_shared(&self, path: &StorePath) -> Result<(), LookError> {
        let program = entry_points::switch_program(&self.store, path)?;
        if program.links > UNSHARED && self.is_essential(program.id) {
            // The shell under another name, or so: nobody goes without it, whatever it was before.
            self.table.is_not_shared(Identity::of(&program.file)?);
            return Ok(self.marks.release(program.file.as_fd())?);
        }
        if program.links > UNSHARED && self.is_vital(program.id) {
            return Ok(self.marks.release(program.file.as_fd())?);
        }
        let loader = interpreter(reopen(&program)?.as_fd())?;
        let kind = match loader {
            Some(loader) => {
                let physical = self.places.location.physical(&loader);
                Shared::Program(FileId::at(&physical).or_else(|_| FileId::at(&loader)).ok())
            }
            None => Shared::Script,
        };
        self.table.know_shared(path.clone(), Identity::of(&program.file)?, kind);
        Ok(self.marks.hold(program.file.as_fd())?)
    }

    /// Whether the file is one of those that the running system consists of, as far as the database says.
    fn is_vital(&self, file: FileId) -> bool {
        let mut vital = self.vital.lock().unwrap_or_else(PoisonError::into_inner);
        match vital.contains(file, &self.places, &self.store) {
            Ok(found) => found,
            Err(error) => {
                // Another look finds out; until then, what the running system cannot do without is known.
                self.say_news("the closure of the running system", &error);
                vital.is_essential(file, &self.places, &self.store)
            }
        }
    }

    /// Whether the running system could not go on without the file.
    fn is_essential(&self, file: FileId) -> bool {
        let mut vital = self.vital.lock().unwrap_or_else(PoisonError::into_inner);
        vital.is_essential(file, &self.places, &self.store)
    }
}

/// Why a store path could not be guarded.
#[derive(Debug, Error)]
enum LookError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A file that was only held, to be read.
fn reopen(program: &EntryPoint) -> io::Result<OwnedFd> {
    let held = format!("/proc/self/fd/{}", program.file.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(open(held, flags, Mode::empty())?)
}
