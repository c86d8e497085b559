//! Keeps the garbage collector from store paths while they are verified or moved about.
//!
//! Nix's protocol for temporary roots (`src/libstore/gc.cc`, `addTempRoot`): a file in `temproots`, exclusively
//! locked for as long as the roots are needed, holds their paths. While `gc.lock` can be had shared no garbage is
//! being collected, and what is added to the file will be seen. Otherwise the collector that runs is told through
//! its socket, and answers when it has taken note.
//!
//! The collector reads the number at the start of a file's name and takes it for a process; Nix itself removes a
//! file with its own number before it makes one. The names made here are numbers that no process has, so that
//! several roots can be held at once and no process in another PID namespace removes them. And no name is used twice
//! in a row: a collector that found the file of a root just dropped removes it by its name, whatever has that name
//! by then. flock(2), unix(7).

use crate::places::Places;
use narwarden_core::store_path::StorePath;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, statat};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use thiserror::Error;

/// The highest number of a process, plus one (`PID_MAX_LIMIT`, proc_sys_kernel(5)).
const NO_PROCESS: u32 = 1 << 22;
/// How many roots one process can hold: above, the name would be no `int` any more.
const MOST_HELD: u32 = (1 << 9) - 1;
/// How long to wait before something is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// Which name comes next.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// How a socket says that the collector has ended.
const GONE: [ErrorKind; 3] =
    [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof];
/// How it says that the time is up.
const LATE: [ErrorKind; 2] = [ErrorKind::WouldBlock, ErrorKind::TimedOut];

/// Store paths that no garbage collector takes away until this is dropped.
#[derive(Debug)]
#[must_use = "the paths are held until this is dropped"]
pub struct TempRoot {
    path: PathBuf,
    file: File,
}

/// Why paths are not held.
#[derive(Debug, Error)]
pub enum TempRootError {
    /// The system refused.
    #[error("cannot {operation} {path:?}: {error}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The garbage collector did not answer in time.
    #[error(
        "garbage is being collected, and {path:?} did not take the root in time: try again when it is done"
    )]
    Busy {
        /// The collector's socket.
        path: PathBuf,
    },
    /// More roots are held than there are names for.
    #[error("{MOST_HELD} files in {path:?} are locked already")]
    TooMany {
        /// The directory of temporary roots.
        path: PathBuf,
    },
    /// It is held, but it was not there, or it is gone by now.
    #[error("{0} does not exist: it was collected, or never there")]
    Gone(StorePath),
}

impl TempRoot {
    /// Holds `paths`, waiting for a garbage collector for at most `wait`. Whether they are valid is for the
    /// database to say, and only afterwards; that they are there is checked here.
    ///
    /// # Errors
    /// When they are not held, or one of them is not there.
    pub fn hold(
        places: &Places,
        paths: &[StorePath],
        wait: Duration,
    ) -> Result<Self, TempRootError> {
        let now = Instant::now();
        let deadline = now.checked_add(wait).unwrap_or(now);
        let directory = places.temp_roots();
        std::fs::create_dir_all(&directory).map_err(failed("create", &directory))?;
        let collector = Collector { places, deadline };
        let root = loop {
            let (path, file) = own_file(&directory)?;
            let root = Self { path, file };
            for path in paths {
                collector.tell(&root, path)?;
            }
            if stands(&root.path, &root.file)? {
                break root;
            }
            collector.pause()?;
        };
        for path in paths {
            let at = places.location.store_directory().join(path.base_name());
            match statat(CWD, &at, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => {}
                Err(Errno::NOENT) => return Err(TempRootError::Gone(path.clone())),
                Err(errno) => return Err(failed("look at", &at)(errno.into())),
            }
        }
        Ok(root)
    }

    fn append(&self, path: &StorePath) -> Result<(), TempRootError> {
        // One write: the collector reads up to the last NUL.
        (&self.file).write_all(format!("{path}\0").as_bytes()).map_err(failed("write", &self.path))
    }
}

impl Drop for TempRoot {
    fn drop(&mut self) {
        // What is left behind, the next garbage collection removes: nobody will have it locked.
        if let Ok(true) = stands(&self.path, &self.file) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TempRootError {
    let path = path.to_owned();
    move |error| TempRootError::Io { operation, path, error }
}

/// A file that is locked, empty, and still the one of its name.
fn own_file(directory: &Path) -> Result<(PathBuf, File), TempRootError> {
    let process = std::process::id() % NO_PROCESS;
    let first = NEXT.fetch_add(1, Ordering::Relaxed) % MOST_HELD;
    for count in 0..MOST_HELD {
        let count = (first + count) % MOST_HELD + 1;
        let path = directory.join((count * NO_PROCESS + process).to_string());
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = retry_on_intr(|| rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR));
        let file = File::from(file.map_err(|errno| failed("create", &path)(errno.into()))?);
        match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => {}
            // Another one of ours, or a collector that looks whether its owner lives.
            Err(Errno::WOULDBLOCK) => continue,
            Err(errno) => return Err(failed("lock", &path)(errno.into())),
        }
        // What somebody left behind who is gone holds nothing.
        file.set_len(0).map_err(failed("empty", &path))?;
        // Otherwise a collector took it for a stale one before it was locked.
        if stands(&path, &file)? {
            return Ok((path, file));
        }
    }
    Err(TempRootError::TooMany { path: directory.to_owned() })
}

/// Whether the file is still the one of its name.
fn stands(path: &Path, file: &File) -> Result<bool, TempRootError> {
    let ours = fstat(file).map_err(|errno| failed("look at", path)(errno.into()))?;
    match statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) => Ok((there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(failed("look at", path)(errno.into())),
    }
}

/// Garbage collection, whether it runs or not.
struct Collector<'a> {
    places: &'a Places,
    deadline: Instant,
}

impl Collector<'_> {
    /// Makes the path a root for this collection and the next ones.
    fn tell(&self, root: &TempRoot, path: &StorePath) -> Result<(), TempRootError> {
        let lock_path = self.places.gc_lock();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let lock = retry_on_intr(|| rustix::fs::open(&lock_path, flags, Mode::RUSR | Mode::WUSR));
        let lock = lock.map_err(|errno| failed("open", &lock_path)(errno.into()))?;
        loop {
            match retry_on_intr(|| flock(&lock, FlockOperation::NonBlockingLockShared)) {
                // Until the lock is given back, no collection begins.
                Ok(()) => return root.append(path),
                Err(Errno::WOULDBLOCK) => {}
                Err(errno) => return Err(failed("lock", &lock_path)(errno.into())),
            }
            match self.ask(path)? {
                Answer::Taken => return root.append(path),
                Answer::NotThere => self.pause()?,
            }
        }
    }

    /// Tells the collector that runs.
    fn ask(&self, path: &StorePath) -> Result<Answer, TempRootError> {
        let at = self.places.gc_socket();
        let io = |operation| failed(operation, &at);
        let address = SocketAddrUnix::new(&at).map_err(|errno| io("connect to")(errno.into()))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(|errno| io("connect to")(errno.into()))?;
        match connect(&socket, &address) {
            Ok(()) => {}
            // It has just ended, has not begun to listen, or has more to do than it can.
            Err(Errno::NOENT | Errno::CONNREFUSED | Errno::AGAIN) => return Ok(Answer::NotThere),
            Err(errno) => return Err(io("connect to")(errno.into())),
        }
        let mut stream = UnixStream::from(socket);
        let left = self.deadline.saturating_duration_since(Instant::now());
        let left = Some(left.max(Duration::from_millis(1)));
        stream.set_nonblocking(false).map_err(io("set up"))?;
        stream
            .set_write_timeout(left)
            .and_then(|()| stream.set_read_timeout(left))
            .map_err(io("set up"))?;
        let mut answer = [0];
        let told = stream.write_all(format!("{path}\n").as_bytes());
        match told.and_then(|()| stream.read_exact(&mut answer)) {
            Ok(()) if answer == *b"1" => Ok(Answer::Taken),
            Ok(()) => {
                Err(io("understand")(io::Error::other("it answers with something else than 1")))
            }
            Err(error) if GONE.contains(&error.kind()) => Ok(Answer::NotThere),
            Err(error) if LATE.contains(&error.kind()) => Err(TempRootError::Busy { path: at }),
            Err(error) => Err(io("ask")(error)),
        }
    }

    fn pause(&self) -> Result<(), TempRootError> {
        if Instant::now() >= self.deadline {
            return Err(TempRootError::Busy { path: self.places.gc_socket() });
        }
        std::thread::sleep(PAUSE);
        Ok(())
    }
}

/// What became of a question.
enum Answer {
    Taken,
    NotThere,
}
