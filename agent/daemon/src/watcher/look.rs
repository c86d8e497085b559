//! What a store path is: whether it is a toplevel, which of its files activate it, and that those are shut.

use super::Watcher;
use crate::audit::Notice;
use crate::entry_points::{self, EntryPoint, Role};
use crate::table::{self, Answer, Identity, Looked};
use jiff::Timestamp;
use narwarden_core::store_path::StorePath;
use narwarden_linux::elf::interpreter;
use narwarden_linux::file_id::FileId;
use rustix::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use std::io;
use std::sync::PoisonError;

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

    /// Looks at one store path, and holds it shut if it is a toplevel without an admission.
    pub(super) fn look(&self, path: &StorePath) -> Option<Looked> {
        match entry_points::role(&self.store, path.base_name()) {
            Ok(Role::Toplevel) => {
                self.know(path);
                Some(Looked::Toplevel)
            }
            Ok(Role::SwitchProgram) => {
                self.know_shared(path);
                Some(Looked::Toplevel)
            }
            Ok(Role::Other) => {
                self.table.forget_path(path);
                self.queue.cancel(path);
                Some(Looked::NoToplevel)
            }
            // Whoever waits for it is denied at the deadline rather than let through.
            Err(error) => {
                self.fail(path, &error);
                None
            }
        }
    }

    /// Says once what could not be guarded: it is tried again all the time.
    fn fail(&self, path: &StorePath, error: &dyn std::fmt::Display) {
        let error = error.to_string();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= MOST_SAID {
            said.clear();
        }
        if said.insert((path.clone(), error.clone())) {
            self.announce.notice(&Notice::MarksFailed { path, error });
        }
    }

    fn know(&self, toplevel: &StorePath) {
        let surface = match entry_points::entry_points(&self.store, toplevel) {
            Ok(surface) => surface,
            Err(error) => return self.fail(toplevel, &error),
        };
        for shared in &surface.shared {
            self.share(toplevel, shared);
        }
        for entry in &surface.entry_points {
            self.know_entry(toplevel, entry);
        }
        for refused in &surface.refused {
            self.fail(toplevel, &format_args!("{}: {}", refused.name, refused.error));
        }
    }

    /// The program behind the entry points of toplevels, in a store path of its own.
    fn know_shared(&self, path: &StorePath) {
        match entry_points::entry_points(&self.store, path) {
            Ok(surface) => {
                let programs = surface.entry_points.iter().chain(&surface.shared);
                programs.for_each(|program| self.share(path, program));
            }
            Err(error) => self.fail(path, &error),
        }
    }

    fn share(&self, path: &StorePath, program: &EntryPoint) {
        let shared = Identity::of(&program.file).and_then(|file| {
            let opened = reopen(program)?;
            let loader = interpreter(opened.as_fd())?.and_then(|loader| {
                let physical = self.places.location.physical(&loader);
                FileId::at(&physical).or_else(|_| FileId::at(&loader)).ok()
            });
            self.table.know_shared(file, loader);
            self.marks.hold(program.file.as_fd())
        });
        if let Err(error) = shared {
            self.fail(path, &error);
        }
    }

    fn know_entry(&self, toplevel: &StorePath, entry: &EntryPoint) {
        let marked = Identity::of(&entry.file).and_then(|file| {
            if self.marks.is_essential(entry.id) {
                // What the running system cannot do without activates nothing, whatever else it is called.
                return Ok(());
            }
            self.table.know_entry_point(file, toplevel.clone());
            let owners = match self.table.role(file) {
                Some(table::Role::EntryPoint(owners)) => owners,
                Some(table::Role::Shared) | None => return Ok(()),
            };
            match self.table.answer(&owners, Timestamp::now()) {
                Answer::Admitted => self.marks.release(entry.file.as_fd()),
                Answer::Denied(_) | Answer::Unknown => self.marks.hold(entry.file.as_fd()),
            }
        });
        if let Err(error) = marked {
            self.fail(toplevel, &error);
        }
    }
}

/// A file that was only held, to be read.
fn reopen(program: &EntryPoint) -> io::Result<OwnedFd> {
    let held = format!("/proc/self/fd/{}", program.file.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(open(held, flags, Mode::empty())?)
}
