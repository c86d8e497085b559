//! From the bytes of one read to events that own what the kernel opened for them.
#![allow(unsafe_code, reason = "descriptors arrive as numbers in a buffer: somebody must own them")]

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::vec;

use nix::sys::fanotify::Fanotify;

use super::records::{RawEvent, Record, records};
use super::request::{Access, Request};
use crate::file_id::FileId;

/// Room for 128 events with a process descriptor each, so that one read takes 256 descriptors at most.
const BUFFER: usize = 4096;

/// `FAN_PRE_ACCESS` of Linux 6.14.
const PRE_ACCESS: u64 = 0x10_0000;
/// Events that somebody waits on.
const PERMISSION: u64 =
    libc::FAN_OPEN_PERM | libc::FAN_ACCESS_PERM | libc::FAN_OPEN_EXEC_PERM | PRE_ACCESS;

/// Where the kernel writes events to. One for each thread that reads.
#[derive(Debug)]
pub struct EventBuffer(Box<[u8]>);

impl EventBuffer {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self(vec![0; BUFFER].into_boxed_slice())
    }

    pub(super) fn space(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Default for EventBuffer {
    fn default() -> Self {
        Self::new()
    }
}

/// What a group has to say.
#[derive(Debug)]
pub enum Event {
    /// Somebody waits for an answer.
    Request(Request),
    /// The queue was full, and what did not fit was let through. Only an adopted group has a limit.
    Overflow,
    /// There was no descriptor left for an event, and the kernel denied it.
    NoDescriptor,
    /// Something happened that needs no answer; nothing is marked for that here.
    Notice,
    /// An event was lost: the kernel could not hand it over and denied it, or it was not understood.
    /// In the latter case whatever the group still had to answer was denied.
    Garbled,
}

/// The events of one read. Dropping it denies the requests that were not taken out.
#[derive(Debug)]
#[must_use = "requests that are not taken out are denied"]
pub struct Events(vec::IntoIter<Event>);

impl Events {
    pub(super) fn none() -> Self {
        Self(Vec::new().into_iter())
    }

    pub(super) fn lost(what: Event) -> Self {
        Self(vec![what].into_iter())
    }

    /// Takes over what the read that returned `length` left in the buffer.
    pub(super) fn of_kernel(
        group: &Arc<Fanotify>,
        buffer: &mut EventBuffer,
        length: usize,
    ) -> Self {
        let mut events = Vec::new();
        for record in records(buffer.0.get(..length).unwrap_or_default()) {
            events.push(match record {
                // SAFETY: the record is from a read(2) of the group by this process just now, and each
                // record is visited once.
                Record::Event(raw) => unsafe { take(group, raw) },
                Record::Garbled => {
                    // Who is behind the rest would wait for ever. Requests that are still held by
                    // others here are denied with it: nothing better is known.
                    let _ = super::adopt::deny_all(group);
                    Event::Garbled
                }
            });
        }
        Self(events.into_iter())
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Events {}

/// Owns the descriptors of an event.
///
/// # Safety
/// `raw` was read from `group` by this process, and this is the only call for it.
unsafe fn take(group: &Arc<Fanotify>, raw: RawEvent) -> Event {
    let own = |fd: RawFd| {
        // SAFETY: the kernel put this descriptor into our table for this event and told its number in
        // the event alone, which by the contract of `take` is seen once; it is not negative.
        unsafe { OwnedFd::from_raw_fd(fd) }
    };
    let (file, pidfd) = (raw.file.map(own), raw.pidfd.map(own));
    let kind = match meaning(raw.mask) {
        Meaning::Asks(kind) => kind,
        Meaning::Overflow => return Event::Overflow,
        Meaning::Notice => return Event::Notice,
    };
    // Without a file the kernel has answered already.
    let Some(file) = file else { return Event::Garbled };
    match FileId::of(&file) {
        Ok(id) => Event::Request(Request::new(group, file, id, kind, raw.pid, pidfd)),
        Err(_) => {
            let _ = super::request::deny(group, &file);
            Event::Garbled
        }
    }
}

/// What the bits of an event say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Asks(Access),
    Overflow,
    Notice,
}

fn meaning(mask: u64) -> Meaning {
    if mask & libc::FAN_OPEN_EXEC_PERM != 0 {
        Meaning::Asks(Access::Exec)
    } else if mask & PERMISSION != 0 {
        Meaning::Asks(Access::Open)
    } else if mask & libc::FAN_Q_OVERFLOW != 0 {
        Meaning::Overflow
    } else {
        Meaning::Notice
    }
}

#[cfg(test)]
#[allow(clippy::print_stderr, reason = "says what is not tested")]
mod tests {
    use super::super::Group;
    use super::*;

    #[test]
    fn whoever_waits_gets_an_answer() {
        use libc::{FAN_ACCESS_PERM, FAN_CLOSE, FAN_OPEN, FAN_OPEN_EXEC_PERM, FAN_OPEN_PERM};
        let table = [
            (FAN_OPEN_PERM, Meaning::Asks(Access::Open)),
            (FAN_OPEN_EXEC_PERM, Meaning::Asks(Access::Exec)),
            (FAN_OPEN_EXEC_PERM | FAN_OPEN_PERM, Meaning::Asks(Access::Exec)),
            (FAN_ACCESS_PERM, Meaning::Asks(Access::Open)),
            (PRE_ACCESS, Meaning::Asks(Access::Open)),
            (FAN_OPEN_PERM | libc::FAN_ONDIR, Meaning::Asks(Access::Open)),
            (libc::FAN_Q_OVERFLOW, Meaning::Overflow),
            (FAN_OPEN, Meaning::Notice),
            (FAN_CLOSE, Meaning::Notice),
            (0, Meaning::Notice),
            (u64::MAX, Meaning::Asks(Access::Exec)),
        ];
        for (mask, expected) in table {
            assert_eq!(meaning(mask), expected, "{mask:#x}");
        }
    }

    #[test]
    fn a_garbled_buffer_closes_nothing() {
        let group = match Group::hold() {
            Ok(group) => group,
            Err(error) => return eprintln!("SKIPPED, no fanotify groups here: {error}"),
        };
        for fill in [0, 1, 0x7f, 0xff] {
            let mut buffer = EventBuffer::new();
            buffer.space().fill(fill);
            for length in [1, 24, 100, BUFFER] {
                let mut events = Events::of_kernel(&group.group, &mut buffer, length);
                assert!(matches!(events.next(), Some(Event::Garbled)));
                assert_eq!(events.len(), 0);
            }
            assert_eq!(Events::of_kernel(&group.group, &mut buffer, 0).len(), 0);
            assert_eq!(Events::of_kernel(&group.group, &mut buffer, BUFFER + 1).len(), 0);
        }
        assert_eq!(group.read(&mut EventBuffer::new()).unwrap().len(), 0, "still of use");
    }
}
