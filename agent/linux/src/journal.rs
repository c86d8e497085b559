//! Sends entries to the journal, and tells the sender when an entry did not get there: a verdict
//! that nobody could write down must not count.
//!
//! Native protocol, <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>: one datagram an entry, fields
//! framed by length, so that a value may hold anything; an entry too large for a datagram goes into
//! a sealed memfd, whose descriptor is sent instead. systemd.journal-fields(7), memfd_create(2).
//!
//! The crate `systemd-journal-logger` speaks it too, but only at the priorities of `log` (there is
//! no 2), only to one fixed path, and waits for ever when journald does not read.
//!
//! ```no_run
//! use narwarden_linux::journal::{Journal, Priority};
//!
//! let journal = Journal::connect()?;
//! let fields = [("MESSAGE_ID", "e5bdf5d2a6a64e4e8e0a3f8d8a5f7c11"), ("EXAMPLE_PATH", "/a\n/b")];
//! journal.send(Priority::Critical, "the gate is open", &fields)?;
//! # Ok::<(), std::io::Error>(())
//! ```

mod entry;

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

pub use self::entry::{EntryError, Priority};

use self::entry::encode;
use crate::datagram::{Datagrams, Wait};

/// Where journald listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";
/// How long [`Journal::send`] waits for a journald that does not read. A burst is over sooner.
pub const PATIENCE: Duration = Duration::from_millis(250);

/// The way to journald.
#[derive(Debug)]
pub struct Journal {
    datagrams: Datagrams,
}

/// Why an entry is not in the journal.
#[derive(Debug, thiserror::Error)]
#[error("cannot send to the journal at {socket:?}: {errno}; {hint}")]
struct NotSent {
    socket: std::ffi::OsString,
    errno: Errno,
    hint: &'static str,
}

impl Journal {
    /// Will send to the journal of this system. That journald does not run is told by
    /// [`probe`](Self::probe) and by every send: it may come later.
    ///
    /// # Errors
    /// Those of socket(2).
    pub fn connect() -> io::Result<Self> {
        Self::at(Path::new(SOCKET), PATIENCE)
    }

    /// Will send to the socket at `path`, or, if it begins with `@`, to an abstract one, waiting up
    /// to `patience` (1 ms at least) for each entry.
    ///
    /// # Errors
    /// Those of socket(2); `EAFNOSUPPORT` for another path than an absolute one.
    pub fn at(path: &Path, patience: Duration) -> io::Result<Self> {
        let name: &OsStr = path.as_ref();
        Ok(Self { datagrams: Datagrams::to(name, patience)? })
    }

    /// Whether anyone listens: an empty datagram, which journald throws away.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn probe(&self) -> io::Result<()> {
        self.datagrams.send(&[], None, Wait::Never).map_err(|errno| self.not_sent(errno))
    }

    /// Sends one entry: `message` and `fields` with exactly this priority.
    ///
    /// # Errors
    /// The entry is not in the journal. `NotFound` or `ConnectionRefused`: nobody listens.
    /// `WouldBlock`: journald did not read for as long as this journal waits. `InvalidInput`: see
    /// [`EntryError`].
    pub fn send(
        &self,
        priority: Priority,
        message: &str,
        fields: &[(&str, &str)],
    ) -> io::Result<()> {
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        self.deliver(&encode(priority, message.as_bytes(), fields)?, Wait::Bounded)
    }

    /// As [`send`](Self::send), with values of any bytes.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_bytes(
        &self,
        priority: Priority,
        message: &[u8],
        fields: &[(&str, &[u8])],
    ) -> io::Result<()> {
        self.deliver(&encode(priority, message, fields.iter().copied())?, Wait::Bounded)
    }

    fn deliver(&self, entry: &[u8], wait: Wait) -> io::Result<()> {
        let sent = match self.datagrams.send(entry, None, wait) {
            Err(Errno::MSGSIZE | Errno::NOBUFS) => {
                let file = sealed(entry)?;
                self.datagrams.send(&[], Some(file.as_fd()), wait)
            }
            sent => sent,
        };
        sent.map_err(|errno| self.not_sent(errno))
    }

    fn not_sent(&self, errno: Errno) -> io::Error {
        let hint = match errno {
            Errno::NOENT | Errno::CONNREFUSED => "is systemd-journald.socket active?",
            Errno::AGAIN => "journald does not read: systemctl status systemd-journald",
            _ => "see sendmsg(2)",
        };
        let socket = self.datagrams.name().to_owned();
        io::Error::new(io::Error::from(errno).kind(), NotSent { socket, errno, hint })
    }
}

/// Lines of the `log` crate, from libraries: priority 3 to 7, `TARGET` added, never waited for and
/// lost where nobody reads. What must not be lost is sent with [`Journal::send`].
impl log::Log for Journal {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        let fields = [("TARGET", record.target().as_bytes())];
        let message = fmt::format(*record.args());
        if let Ok(entry) = encode(record.level().into(), message.as_bytes(), fields.into_iter()) {
            let _ = self.deliver(&entry, Wait::Never);
        }
    }

    fn flush(&self) {}
}

/// The entry in memory that can no longer change, as journald wants it.
fn sealed(entry: &[u8]) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know NOEXEC_SEAL; later ones may refuse to do without.
    let file = match memfd_create("narwarden-journal", flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create("narwarden-journal", flags),
        created => created,
    }?;
    let mut file = File::from(file);
    file.write_all(entry)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&file, seals)?;
    Ok(file)
}
