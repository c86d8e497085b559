//! A request of the kernel, and its answer.
//!
//! An answer names the request by the number of its descriptor alone. Hence the one rule here: the
//! descriptor stays open until the answer is written, so that no other request can have its number.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use nix::sys::fanotify::Fanotify;
use rustix::io::{Errno, retry_on_intr, write};

use crate::file_id::FileId;

/// What somebody wants to do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Open it, for reading or writing or as an interpreter does, or after an execution was allowed.
    Open,
    /// Execute it.
    Exec,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answered {
    /// The kernel took it. Who asked may have been killed meanwhile, without the kernel telling.
    Delivered,
    /// There was nothing to answer any more: who adopted the group denied it.
    Lost,
}

/// Somebody waits before opening a file. Answer it with [`Request::allow`] or [`Request::deny`]; dropping
/// it denies. It keeps its group open.
#[derive(Debug)]
#[must_use = "dropping a request denies it"]
pub struct Request {
    group: Arc<Fanotify>,
    file: OwnedFd,
    id: FileId,
    kind: Access,
    pid: u32,
    pidfd: Option<OwnedFd>,
    waits: bool,
}

impl Request {
    pub(super) fn new(
        group: &Arc<Fanotify>,
        file: OwnedFd,
        id: FileId,
        kind: Access,
        pid: u32,
        pidfd: Option<OwnedFd>,
    ) -> Self {
        Self { group: Arc::clone(group), file, id, kind, pid, pidfd, waits: true }
    }

    /// The file, open for reading; reading it raises no request. Opening it again, also through
    /// `/proc/self/fd`, does.
    #[must_use]
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Which file.
    #[must_use]
    pub fn id(&self) -> FileId {
        self.id
    }

    /// What is wanted.
    #[must_use]
    pub fn kind(&self) -> Access {
        self.kind
    }

    /// The process that waits (not the thread), or 0 if it has no number in our PID namespace.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// That process, by a descriptor that never stands for another one: pidfd_open(2). `None` if it
    /// was gone, or no descriptor was left.
    #[must_use]
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// Lets it through.
    pub fn allow(self) -> Answered {
        self.answer(libc::FAN_ALLOW)
    }

    /// Refuses it: `EPERM` for who waits.
    pub fn deny(self) -> Answered {
        self.answer(libc::FAN_DENY)
    }

    fn answer(mut self, answer: u32) -> Answered {
        match respond(&self.group, self.file.as_raw_fd(), answer) {
            Ok(()) => {
                self.waits = false;
                Answered::Delivered
            }
            Err(_) => Answered::Lost,
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.waits {
            // Refused if it was answered by others; no other request can have the number as yet.
            let _ = deny(&self.group, &self.file);
        }
    }
}

pub(super) fn deny(group: &Fanotify, file: &OwnedFd) -> Result<(), Errno> {
    respond(group, file.as_raw_fd(), libc::FAN_DENY)
}

/// Answers whatever waits under this number. `ENOENT`: nothing does.
pub(super) fn respond(group: &Fanotify, number: RawFd, answer: u32) -> Result<(), Errno> {
    // struct fanotify_response
    let [a, b, c, d] = number.to_ne_bytes();
    let [e, f, g, h] = answer.to_ne_bytes();
    retry_on_intr(|| write(group, &[a, b, c, d, e, f, g, h])).map(|_| ())
}
