//! Groups of fanotify(7) that are asked before a file is opened or executed, and hold up who opens it
//! until they answer.
//!
//! In: marks on files and file systems. Out: [`Request`]s, each answered once; one that is dropped
//! denies. What to answer is decided elsewhere.
//!
//! What the kernel does, and what follows for who uses this:
//!
//! - An execution raises two requests where both are marked ([`Group::hold_file`]): first
//!   [`Access::Exec`], and if that is allowed [`Access::Open`].
//! - When the last descriptor of a group is closed, all who wait on it go through. Every clone of a
//!   [`Group`] and every [`Request`] keeps it open.
//! - A child has a copy until it executes another program, so a process with a group must never
//!   start one: a group whose copy waits on itself is never closed.
//! - An answer names its request by the *number* of the file's descriptor. So a request answers before
//!   it closes that, and who takes over a group denies what was left before the first read: see
//!   [`Group::adopt`].
//! - The thread that answers must not open a marked file itself. [`Request::file`] is free to use.
//! - A queue that is full lets through what does not fit. The groups here have no limit.
//!
//! fanotify(7), fanotify_init(2), fanotify_mark(2). Needs `CAP_SYS_ADMIN` to make a group and to mark a
//! file system, not for the rest. Needs Linux 6.0.
//!
//! ```no_run
//! use narwarden_linux::fanotify::{Event, EventBuffer, Group};
//! use std::os::fd::AsFd;
//!
//! let group = Group::hold()?;
//! group.hold_file(std::fs::File::open("/mnt/program")?.as_fd())?;
//! let mut buffer = EventBuffer::new();
//! for event in group.read(&mut buffer)? {
//!     if let Event::Request(request) = event {
//!         let _ = request.allow();
//!     }
//! }
//! # Ok::<(), std::io::Error>(())
//! ```

mod adopt;
mod events;
mod marks;
pub mod records;
mod request;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags};
use rustix::fs::OFlags;
use rustix::io::{Errno, read, retry_on_intr};

pub use self::adopt::{AdoptError, Kind, Orphans};
pub use self::events::{Event, EventBuffer, Events};
pub use self::marks::Lasting;
pub use self::request::{Access, Answered, Request};

/// How the kernel opens the file of an event: to be read, and gone when a program is executed. The
/// flag for large files is rustix's, since the C library has 0 for it.
const EVENT_FILE: EventFFlags = EventFFlags::O_RDONLY
    .union(EventFFlags::O_CLOEXEC)
    .union(EventFFlags::from_bits_retain(OFlags::LARGEFILE.bits()))
    .union(EventFFlags::O_NOATIME);

/// A group. Clones are the same group; it is closed with the last of them and of its requests.
#[derive(Clone, Debug)]
pub struct Group {
    group: Arc<Fanotify>,
}

impl Group {
    /// A group to watch file systems with: [`Group::watch_filesystem`], [`Group::ignore_file`].
    ///
    /// It is of the class that the kernel asks first. While a request waits, the kernel holds on to the
    /// marks of all groups that have yet to be asked about the same file, and a process that closes one
    /// of those groups does not end before the answer comes: were this group asked last, a daemon that
    /// was killed could not be followed by the one that is to answer what the other group holds.
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_ADMIN`, `EINVAL` before Linux 5.15 (marks need 6.0), `EMFILE` with too many groups.
    pub fn watch() -> io::Result<Self> {
        Self::new(InitFlags::FAN_CLASS_PRE_CONTENT)
    }

    /// A group to hold single files with: [`Group::hold_file`]. It is asked after [`Group::watch`], and
    /// apart from it so that one can outlive this process and the other not.
    ///
    /// # Errors
    /// As [`Group::watch`].
    pub fn hold() -> io::Result<Self> {
        Self::new(InitFlags::FAN_CLASS_CONTENT)
    }

    fn new(class: InitFlags) -> io::Result<Self> {
        let flags = class
            | InitFlags::FAN_CLOEXEC
            | InitFlags::FAN_NONBLOCK
            | InitFlags::FAN_UNLIMITED_QUEUE
            | InitFlags::FAN_UNLIMITED_MARKS
            | InitFlags::FAN_REPORT_PIDFD;
        Ok(Self { group: Arc::new(Fanotify::init(flags, EVENT_FILE)?) })
    }

    /// The events that are there; none if there are none. Never blocks: poll(2) for more.
    ///
    /// What the kernel could not hand over it denied itself; that is an [`Event::NoDescriptor`] or an
    /// [`Event::Garbled`], and the next read goes on after it.
    ///
    /// # Errors
    /// The group is of no use any more.
    pub fn read(&self, buffer: &mut EventBuffer) -> io::Result<Events> {
        match retry_on_intr(|| read(&*self.group, buffer.space())) {
            Ok(length) => Ok(Events::of_kernel(&self.group, buffer, length)),
            Err(Errno::AGAIN) => Ok(Events::none()),
            Err(broken @ (Errno::BADF | Errno::INVAL | Errno::FAULT)) => Err(broken.into()),
            Err(Errno::MFILE | Errno::NFILE) => Ok(Events::lost(Event::NoDescriptor)),
            Err(_) => Ok(Events::lost(Event::Garbled)),
        }
    }
}

impl AsFd for Group {
    /// To poll, and to hand to the service manager or the [successor](crate::successor). Reading it would take requests away that nobody
    /// then answers.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }
}
