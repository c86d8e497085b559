//! Talks to the service manager: ready, reloading, still alive, and descriptors to keep while this
//! process is gone.
//!
//! sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3), systemd.service(5). The words come from
//! the crate `sd-notify`. It sends them itself too, but not to abstract sockets, waits for ever when
//! the service manager does not read, and takes the socket from the environment only.
//!
//! ```no_run
//! use std::os::fd::AsFd;
//! use narwarden_linux::systemd::{Notifier, take_fds};
//!
//! let kept = take_fds()?; // before anything else is opened
//! let systemd = Notifier::from_environment()?;
//! # let group = std::fs::File::open("/dev/null")?;
//! systemd.store_fd("hold", group.as_fd())?;
//! systemd.wait_until_handled(std::time::Duration::from_secs(5))?;
//! systemd.ready("2 generations held")?;
//! # Ok::<(), std::io::Error>(())
//! ```

mod inherited;

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use sd_notify::NotifyState;

pub use self::inherited::{KEPT, kept, take_fds};

use crate::datagram::{Datagrams, Wait};

/// How long a notification waits for a service manager that does not read.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// Most bytes of a status line.
const STATUS_BYTES: usize = 1024;
/// Most bytes of a descriptor's name, the service manager's own limit.
const NAME_BYTES: usize = 255;

/// The way to the service manager, or to nobody where none asked to be notified.
#[derive(Debug)]
pub struct Notifier {
    datagrams: Option<Datagrams>,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("cannot notify the service manager at {socket:?}: {errno}; is NotifyAccess=main set?")]
    Send { socket: OsString, errno: Errno },
    #[error(
        "the name of a stored descriptor must have 1 to {NAME_BYTES} printable ASCII characters \
         without a colon, but is {0:?}"
    )]
    Name(String),
    #[error("the service manager has not handled a notification in {0:?}")]
    Unhandled(Duration),
}

impl Notifier {
    /// Notifies whom the environment names (`NOTIFY_SOCKET`), or nobody.
    ///
    /// # Errors
    /// Those of socket(2); `EAFNOSUPPORT` for an address that is no Unix socket.
    pub fn from_environment() -> io::Result<Self> {
        match env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) {
            Some(name) => Self::to(&name),
            None => Ok(Self { datagrams: None }),
        }
    }

    /// Notifies the socket at an absolute path, or the abstract one after an `@`.
    ///
    /// # Errors
    /// As [`from_environment`](Self::from_environment).
    pub fn to(socket: &OsStr) -> io::Result<Self> {
        Ok(Self { datagrams: Some(Datagrams::to(socket, PATIENCE)?) })
    }

    /// The socket notified; `None` if nobody is, and every notification succeeds.
    #[must_use]
    pub fn socket(&self) -> Option<&OsStr> {
        self.datagrams.as_ref().map(Datagrams::name)
    }

    /// Start or reload is finished.
    ///
    /// # Errors
    /// Those of sendmsg(2); `WouldBlock` if the service manager did not read for two seconds.
    pub fn ready(&self, status: &str) -> io::Result<()> {
        self.send(&[NotifyState::Ready, NotifyState::Status(&one_line(status))], None)
    }

    /// A reload begins, now. [`ready`](Self::ready) ends it.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn reloading(&self) -> io::Result<()> {
        // Type=notify-reload wants the time in the same message.
        self.send(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?], None)
    }

    /// The end begins.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn stopping(&self) -> io::Result<()> {
        self.send(&[NotifyState::Stopping], None)
    }

    /// One line for `systemctl status`; control characters become spaces.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn status(&self, status: &str) -> io::Result<()> {
        self.send(&[NotifyState::Status(&one_line(status))], None)
    }

    /// Still alive. Never waits: whoever proves progress must not stand still for it.
    ///
    /// # Errors
    /// As [`ready`](Self::ready), `WouldBlock` at once.
    pub fn watchdog(&self) -> io::Result<()> {
        self.send_with(&[NotifyState::Watchdog], None, Wait::Never)
    }

    /// Has the service manager keep a copy of `file` under `name` and hand it to the next start.
    ///
    /// It is kept even when polling it gives an error (`FDPOLL=0`): a descriptor let go of silently
    /// would open the gate.
    ///
    /// # Errors
    /// As [`ready`](Self::ready); `InvalidInput` for a name the service manager would not take.
    pub fn store_fd(&self, name: &str, file: BorrowedFd<'_>) -> io::Result<()> {
        let words = [NotifyState::FdStore, named(name)?, NotifyState::Custom("FDPOLL=0")];
        self.send(&words, Some(file))
    }

    /// Has the service manager close what it keeps under `name`.
    ///
    /// # Errors
    /// As [`store_fd`](Self::store_fd).
    pub fn drop_fd(&self, name: &str) -> io::Result<()> {
        self.send(&[NotifyState::FdStoreRemove, named(name)?], None)
    }

    /// Waits until the service manager has handled all that was sent before, `BARRIER=1`.
    ///
    /// What was sent and not handled when the sender dies is thrown away, a descriptor to be stored
    /// among it.
    ///
    /// # Errors
    /// As [`ready`](Self::ready); `TimedOut` if it was not handled in time.
    pub fn wait_until_handled(&self, patience: Duration) -> io::Result<()> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        // The service manager wants this word alone in its message.
        self.send(&[NotifyState::Custom("BARRIER=1")], Some(writer.as_fd()))?;
        drop(writer);
        let start = Instant::now();
        loop {
            let left = patience.saturating_sub(start.elapsed());
            let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 });
            let mut wanted = [PollFd::new(&reader, PollFlags::empty())];
            match poll(&mut wanted, Some(&timeout)) {
                Ok(0) => {
                    let problem = Problem::Unhandled(patience);
                    return Err(io::Error::new(io::ErrorKind::TimedOut, problem));
                }
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn send(&self, words: &[NotifyState<'_>], file: Option<BorrowedFd<'_>>) -> io::Result<()> {
        self.send_with(words, file, Wait::Bounded)
    }

    fn send_with(
        &self,
        words: &[NotifyState<'_>],
        file: Option<BorrowedFd<'_>>,
        wait: Wait,
    ) -> io::Result<()> {
        let Some(datagrams) = &self.datagrams else {
            return Ok(());
        };
        let lines: Vec<_> = words.iter().map(ToString::to_string).collect();
        datagrams.send(lines.join("\n").as_bytes(), file, wait).map_err(|errno| {
            let problem = Problem::Send { socket: datagrams.name().to_owned(), errno };
            io::Error::new(io::Error::from(errno).kind(), problem)
        })
    }
}

/// How often to call [`Notifier::watchdog`]: half the time after which the service manager kills,
/// or `None` if it does not watch this process.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|half| !half.is_zero())
}

/// A line that cannot be taken for another word of the protocol.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if line.len().saturating_add(c.len_utf8()) > STATUS_BYTES {
            break;
        }
        line.push(c);
    }
    line
}

fn named(name: &str) -> io::Result<NotifyState<'_>> {
    if is_name(name) {
        return Ok(NotifyState::FdName(name));
    }
    let shown = name.chars().take(NAME_BYTES).collect();
    Err(io::Error::new(io::ErrorKind::InvalidInput, Problem::Name(shown)))
}

fn is_name(name: &str) -> bool {
    let printable = |byte: u8| matches!(byte, b' '..=b'~') && byte != b':';
    !name.is_empty() && name.len() <= NAME_BYTES && name.bytes().all(printable)
}
