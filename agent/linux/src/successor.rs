//! The next version of this program, which takes its place in the same process: execve(2).
//!
//! In: a path that stays while versions come and go. Out: nothing if it leads to the file that is
//! running; else the file it leads to, held open, if nobody but root could have put it there. To go on
//! with that is [`Successor::exec`].
//!
//! To execute is to open two files: the program and the interpreter it names, elf(5). Who keeps a
//! group of [`fanotify`](crate::fanotify) over the change would be asked about both by itself, and
//! nobody would be left to answer. So both are held here ([`Successor::files`]) to be ignored first, and
//! a script is refused: what that opens is not known.
//!
//! ```no_run
//! use narwarden_linux::fanotify::{Group, Lasting};
//! use narwarden_linux::successor::Running;
//! use std::os::fd::AsFd;
//! use std::path::Path;
//!
//! let running = Running::now()?;
//! let watch = Group::watch()?;
//! if let Some(successor) = running.successor(Path::new("/usr/bin/narwardend"))? {
//!     for file in successor.files() {
//!         watch.ignore_file(file, Lasting::Kept)?;
//!     }
//!     let arguments: Vec<_> = std::env::args_os().skip(1).collect();
//!     let error = successor.exec(&arguments, &[("watch", watch.as_fd())]);
//!     eprintln!("going on as before: {error}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod replace;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::{pread, retry_on_intr};
use rustix::process::geteuid;

pub use self::error::SuccessorError;

use crate::elf::{self, MAGIC};
use crate::file_id::FileId;
use crate::metadata::{FileKind, Metadata};

const WRITABLE_BY_OTHERS: u32 = 0o022;
/// How much is read at once.
const CHUNK: usize = 256 << 10;
const EXECUTABLE: u32 = 0o111;
/// On a directory: what others put there they may not replace, unlink(2).
const STICKY: u32 = 0o1000;

/// The program that this process runs.
///
/// Its inode is not another file's as long as the process runs, since the kernel holds on to it: so
/// device and number are enough to compare with, and no time stamp is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running(FileId);

impl Running {
    /// This one, also if its file is deleted meanwhile. proc_pid_exe(5).
    ///
    /// # Errors
    /// What statx(2) says of `/proc/self/exe`: there is no `/proc`.
    pub fn now() -> io::Result<Self> {
        FileId::at(Path::new("/proc/self/exe")).map(Self)
    }

    /// Which file it is.
    #[must_use]
    pub fn id(self) -> FileId {
        self.0
    }

    /// The program that `path` leads to, through symbolic links; `None` if that is the running one.
    ///
    /// It, its interpreter and all directories above them must belong to root (or to the user of this
    /// process) and be writable by no one else; a directory may be if it is sticky.
    ///
    /// Opens files: not for the thread that answers a group that asks about openings.
    ///
    /// # Errors
    /// See [`SuccessorError`].
    pub fn successor(self, path: &Path) -> Result<Option<Successor>, SuccessorError> {
        let (resolved, program) = held(path)?;
        let id = identity(&resolved, &program)?;
        if id == self.0 {
            return Ok(None);
        }
        trust(&resolved, &program)?;
        let failed = |error: io::Error| SuccessorError::Io {
            operation: "read",
            path: resolved.clone(),
            error,
        };
        let mut start = [0; MAGIC.len()];
        let length =
            retry_on_intr(|| pread(&program, &mut start, 0)).map_err(|it| failed(it.into()))?;
        if length < MAGIC.len() || start != MAGIC {
            return Err(SuccessorError::NotElf { path: resolved });
        }
        let bytes = fstat(&program).map_err(|it| failed(it.into()))?.st_size.unsigned_abs();
        let needed = elf::loaded_bytes(program.as_fd()).map_err(failed)?.unwrap_or(u64::MAX);
        if bytes < needed {
            return Err(SuccessorError::CutOff { path: resolved, bytes });
        }
        let interpreter = match elf::interpreter(program.as_fd()).map_err(failed)? {
            Some(named) => {
                let (path, file) = held(&named)?;
                trust(&path, &file)?;
                Some(file)
            }
            None => None,
        };
        Ok(Some(Successor { path: resolved, id, program, interpreter }))
    }
}

/// A program to go on with.
#[derive(Debug)]
pub struct Successor {
    path: PathBuf,
    id: FileId,
    program: OwnedFd,
    interpreter: Option<OwnedFd>,
}

impl Successor {
    /// Where it is, with all symbolic links resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which file it is.
    #[must_use]
    pub fn id(&self) -> FileId {
        self.id
    }

    /// All files that its execution opens: the program and, if it names one, its interpreter. Open for
    /// reading.
    #[must_use]
    pub fn files(&self) -> Vec<BorrowedFd<'_>> {
        std::iter::once(&self.program).chain(&self.interpreter).map(AsFd::as_fd).collect()
    }

    /// Reads all of [`files`](Self::files), so that its execution finds them in memory and waits for no disk.
    ///
    /// # Errors
    /// What read(2) says of one of them: then the execution might fail where nobody can go back any more.
    pub fn read_ahead(&self) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        for file in self.files() {
            let mut at = 0;
            loop {
                let length = retry_on_intr(|| pread(file, buffer.as_mut_slice(), at))?;
                if length == 0 {
                    break;
                }
                at += length as u64;
            }
        }
        Ok(())
    }

    /// Becomes that program, with `arguments` after its own name, and with the same environment but
    /// for [`KEPT`](crate::systemd::KEPT): by that, [`take_fds`](crate::systemd::take_fds) finds `kept`
    /// again under their names. All other descriptors are gone if they were close-on-exec.
    ///
    /// What the calling thread gave up (capabilities, files by Landlock) the whole program has not any
    /// more; all other threads end. Until the program has handlers for them, signals do what they do by
    /// default; those that the calling thread blocks wait ([`signals`](crate::signals)).
    ///
    /// # Errors
    /// Returns only if that failed, and nothing has changed: all of `kept` are close-on-exec. What
    /// execve(2) says, `InvalidInput` for a name or a list that `take_fds` would not take, `NotFound` if
    /// another file is at [`path`](Self::path) now.
    #[must_use = "it returns only if it failed"]
    pub fn exec(&self, arguments: &[OsString], kept: &[(&str, BorrowedFd<'_>)]) -> io::Error {
        let found = match FileId::at(&self.path) {
            Ok(found) => found,
            Err(error) => return error,
        };
        if found != self.id {
            let Self { path, id, .. } = self;
            let message = format!(
                "{path:?} must still be {id}, but is {found}: it was replaced meanwhile; reload again"
            );
            return io::Error::new(io::ErrorKind::NotFound, message);
        }
        match replace::replace(&self.path, arguments, kept) {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }
}

/// The file that a path leads to, and the path without symbolic links. Never blocks on a FIFO.
fn held(path: &Path) -> Result<(PathBuf, OwnedFd), SuccessorError> {
    let resolved = fs::canonicalize(path).map_err(|error| refused("resolve", path, error))?;
    // What opening a device would do is not wanted, so the first look does not open.
    let looked = metadata(&resolved)?;
    if looked.kind != FileKind::Regular {
        return Err(SuccessorError::NotRegular { path: resolved, kind: looked.kind });
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match retry_on_intr(|| open(&resolved, flags | OFlags::NOCTTY, Mode::empty())) {
        Ok(file) => Ok((resolved, file)),
        Err(errno) => Err(refused("open", &resolved, errno.into())),
    }
}

/// Nobody but root can have written the file or put it there.
fn trust(path: &Path, file: &OwnedFd) -> Result<(), SuccessorError> {
    let found = Metadata::of(file).map_err(|errno| refused("stat", path, errno.into()))?;
    judge(path, &found, geteuid().as_raw())?;
    for directory in path.ancestors().skip(1) {
        judge(directory, &metadata(directory)?, geteuid().as_raw())?;
    }
    Ok(())
}

/// Judges a program, or a directory on the way to one, for the user `user`.
fn judge(path: &Path, found: &Metadata, user: u32) -> Result<(), SuccessorError> {
    let path = || path.to_owned();
    let Metadata { kind, uid, mode, .. } = *found;
    if uid != 0 && uid != user {
        return Err(SuccessorError::WrongOwner { path: path(), uid });
    }
    let shared = kind == FileKind::Directory && mode & STICKY != 0;
    if mode & WRITABLE_BY_OTHERS != 0 && !shared {
        return Err(SuccessorError::WritableByOthers { path: path(), mode });
    }
    match kind {
        FileKind::Directory => Ok(()),
        FileKind::Regular if mode & EXECUTABLE == 0 => {
            Err(SuccessorError::NotExecutable { path: path(), mode })
        }
        FileKind::Regular => Ok(()),
        FileKind::Symlink
        | FileKind::Fifo
        | FileKind::Socket
        | FileKind::BlockDevice
        | FileKind::CharacterDevice
        | FileKind::Unknown => Err(SuccessorError::NotRegular { path: path(), kind }),
    }
}

/// Of what a path names, without opening it.
fn metadata(path: &Path) -> Result<Metadata, SuccessorError> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    retry_on_intr(|| open(path, flags, Mode::empty()))
        .and_then(Metadata::of)
        .map_err(|errno| refused("stat", path, errno.into()))
}

fn identity(path: &Path, file: &OwnedFd) -> Result<FileId, SuccessorError> {
    FileId::of(file).map_err(|error| refused("stat", path, error))
}

fn refused(operation: &'static str, path: &Path, error: io::Error) -> SuccessorError {
    let path = path.to_owned();
    if error.kind() == io::ErrorKind::NotFound {
        return SuccessorError::Missing { path };
    }
    SuccessorError::Io { operation, path, error }
}
