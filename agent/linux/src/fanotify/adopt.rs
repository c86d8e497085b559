//! Takes over a group from a process that is gone, or from this one before execve(2).
//!
//! What was not read is still in the queue and will be. What was read and not answered is not: its
//! requests wait without end, and an answer to a later request whose descriptor happens to have the
//! same number would reach them instead, letting through what should be denied. So before the first
//! read every number there can be is denied.
#![allow(unsafe_code, reason = "the type of the group takes any descriptor, and trusts")]

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use nix::sys::fanotify::Fanotify;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Resource, getrlimit};

use super::request::respond;
use super::{EVENT_FILE, Group};

/// The most a descriptor's number can be unless an administrator raised `fs.nr_open`.
const MOST: u64 = 1 << 20;
/// What this program raises its limit to (see [`limits`](crate::limits)), whatever it is now.
const LEAST: u64 = 65_536;

/// The two bits of a group's class, of which not both can be set.
const CLASS: u32 = libc::FAN_CLASS_CONTENT | libc::FAN_CLASS_PRE_CONTENT;
/// What the group must have been made with beside its class: no limit to the queue, since a full one
/// lets requests through.
const NEEDED: u32 = libc::FAN_UNLIMITED_QUEUE;
/// What it must not: descriptors left out of events, threads for processes, errors for descriptors.
const FOREIGN: u32 = libc::FAN_REPORT_FID
    | libc::FAN_REPORT_DIR_FID
    | libc::FAN_REPORT_NAME
    | libc::FAN_REPORT_TARGET_FID
    | libc::FAN_REPORT_TID;

/// What a group is for. The kernel knows it by the class, which decides who is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Made by [`Group::hold`].
    Hold,
    /// Made by [`Group::watch`].
    Watch,
}

impl Kind {
    fn class(self) -> u32 {
        match self {
            Self::Hold => libc::FAN_CLASS_CONTENT,
            Self::Watch => libc::FAN_CLASS_PRE_CONTENT,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hold => "of class content",
            Self::Watch => "of class pre-content",
        })
    }
}

/// Requests that nobody would ever have answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orphans {
    /// How many there were, all denied.
    pub denied: u32,
}

/// Why a descriptor was not adopted. It is closed then; if it was the last one of a group, who waits on
/// that goes through.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum AdoptError {
    /// Not a group.
    #[error(
        "the inherited descriptor must be a fanotify group, but is something else; let the service \
         manager drop it and start again"
    )]
    NotAGroup,
    /// A group that another program, or another version of this one, made in another way.
    #[error(
        "the inherited fanotify group must be {expected} with an unlimited queue and readable files, \
         but has flags {flags:#x} and event flags {event_flags:#x}; let the service manager drop it \
         and start again"
    )]
    Foreign { expected: Kind, flags: u32, event_flags: u32 },
    /// The system refused.
    #[error("cannot {operation} the inherited fanotify group: {error}")]
    Io { operation: &'static str, error: io::Error },
}

impl Group {
    /// Takes over a group of that kind, and denies the requests in it that were read and never answered.
    /// Marks and unread events stay as they are. Needs `/proc`.
    ///
    /// No one else may be reading the group.
    ///
    /// # Errors
    /// See [`AdoptError`].
    pub fn adopt(fd: OwnedFd, kind: Kind) -> Result<(Self, Orphans), AdoptError> {
        let failed = |operation| move |error: io::Error| AdoptError::Io { operation, error };
        let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
        let information = std::fs::read_to_string(path).map_err(failed("look up"))?;
        let (flags, event_flags) = group_flags(&information).ok_or(AdoptError::NotAGroup)?;
        if !is_ours(kind, flags, event_flags) {
            return Err(AdoptError::Foreign { expected: kind, flags, event_flags });
        }
        let setup = |fd| {
            fcntl_setfd(fd, FdFlags::CLOEXEC)?;
            fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)
        };
        setup(fd.as_fd()).map_err(|errno| failed("set up")(errno.into()))?;
        // SAFETY: the kernel just said that this descriptor, owned here, is a fanotify group.
        let group = unsafe { Fanotify::from_owned_fd(fd) };
        let denied =
            deny_all(&group).map_err(|errno| failed("deny what waits in")(errno.into()))?;
        Ok((Self { group: Arc::new(group) }, Orphans { denied }))
    }
}

/// Denies whatever waits under any number; says how many did.
pub(super) fn deny_all(group: &Fanotify) -> Result<u32, Errno> {
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(MOST).clamp(LEAST, MOST);
    let mut denied = 0_u32;
    for number in 0..RawFd::try_from(limit).unwrap_or(RawFd::MAX) {
        loop {
            match respond(group, number, libc::FAN_DENY) {
                // Several processes may have died one after the other with the same number.
                Ok(()) => denied = denied.saturating_add(1),
                Err(Errno::NOENT) => break,
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(denied)
}

/// Flags and event flags, from the line that proc_pid_fdinfo(5) has for a group.
fn group_flags(information: &str) -> Option<(u32, u32)> {
    let line = information.lines().find_map(|line| line.strip_prefix("fanotify flags:"))?;
    let (flags, event_flags) = line.split_once(" event-flags:")?;
    let hexadecimal = |digits| u32::from_str_radix(digits, 16).ok();
    Some((hexadecimal(flags)?, hexadecimal(event_flags)?))
}

fn is_ours(kind: Kind, flags: u32, event_flags: u32) -> bool {
    const FILE: u32 = EVENT_FILE.bits();
    const ACCESS_MODE: u32 = 3;
    flags & CLASS == kind.class()
        && flags & NEEDED == NEEDED
        && flags & FOREIGN == 0
        && event_flags & ACCESS_MODE == FILE & ACCESS_MODE
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn what_is_no_group_is_refused_untouched() {
        let file = tempfile::tempfile().unwrap();
        let refused = Group::adopt(file.try_clone().unwrap().into(), Kind::Hold);
        assert!(matches!(refused, Err(AdoptError::NotAGroup)), "{refused:?}");
        assert_eq!(file.metadata().unwrap().len(), 0, "nothing was written to it");
        let null = File::open("/dev/null").unwrap();
        assert!(matches!(Group::adopt(null.into(), Kind::Watch), Err(AdoptError::NotAGroup)));
    }

    #[test]
    fn lines_of_fdinfo() {
        let table = [
            (
                "pos:\t0\nflags:\t04002\nfanotify flags:bf event-flags:48000\n",
                Some((0xbf, 0x48000)),
            ),
            ("fanotify flags:4 event-flags:0\nfanotify ino:3 sdev:1b mflags:0\n", Some((4, 0))),
            ("", None),
            ("fanotify flags:\n", None),
            ("fanotify flags:g event-flags:0\n", None),
            ("fanotify flags:4\n", None),
            ("x fanotify flags:4 event-flags:0\n", None),
            ("inotify wd:1 ino:2 sdev:3 mask:8\n", None),
        ];
        for (text, flags) in table {
            assert_eq!(group_flags(text), flags, "{text:?}");
        }
    }

    #[test]
    fn groups_of_others_are_refused() {
        let flags = NEEDED | libc::FAN_CLOEXEC | libc::FAN_REPORT_PIDFD;
        let file = EVENT_FILE.bits();
        for (kind, other) in [(Kind::Hold, Kind::Watch), (Kind::Watch, Kind::Hold)] {
            let ours = flags | kind.class();
            assert!(is_ours(kind, ours, file));
            assert!(!is_ours(other, ours, file), "one is not taken for the other");
            assert!(!is_ours(kind, ours | other.class(), file));
            assert!(!is_ours(kind, flags, file), "nobody waits for a group of no class");
            assert!(!is_ours(kind, ours & !libc::FAN_UNLIMITED_QUEUE, file));
            assert!(!is_ours(kind, ours | libc::FAN_REPORT_TID, file));
            assert!(!is_ours(kind, ours | libc::FAN_REPORT_FID, file));
            assert!(!is_ours(kind, ours, file | 2));
        }
    }
}
