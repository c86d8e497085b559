//! Who asks: what the kernel tells of the process behind a [`Request`].
//!
//! In: a request. Out: what `/proc` said while the process waited for its answer, proc(5), and a
//! descriptor that tells whether it is still there, pidfd_open(2). Everything is best effort: what
//! could not be found out is `None`, which must never be taken for a yes.
//!
//! A process number can be used again, so numbers alone prove nothing. The directory in `/proc` is
//! opened first and the process descriptor asked afterwards: if the process is alive then, the
//! directory is its own, and stays so. Without a process descriptor nothing is known.
//!
//! Nothing here waits for a file system that somebody else serves (NFS, FUSE): who is to be judged
//! must not be able to stop the judge.
//!
//! The executable and the terminal can be seen only by who might trace the process, ptrace(2): with
//! `CAP_SYS_PTRACE`, and from a thread without a Landlock domain, since Landlock hides the processes
//! outside its own.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Dir, Mode, OFlags, openat, readlinkat};
use rustix::io::{fcntl_dupfd_cloexec, read, retry_on_intr};

use crate::fanotify::{Access, Request};
use crate::file_id::FileId;

mod stat;
mod terminal;

use self::stat::{Credentials, Stat};

/// The most that is read of a file of `/proc`. They have about 350 and 1,500 bytes.
const MOST_BYTES: usize = 8192;
/// The most threads whose credentials are asked for: everybody waits meanwhile.
const MOST_THREADS: usize = 8;

/// A process as it was when it asked. Clones share the descriptor.
#[derive(Clone, Debug)]
pub struct Process {
    pid: u32,
    pidfd: Option<Arc<OwnedFd>>,
    known: Known,
}

/// Whether a process may do what its user may not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Privilege {
    /// No thread is root, could become it, or has a capability.
    None,
    /// One has capabilities, and none is root or could become it: in a user namespace of its own anybody has them.
    Capable,
    /// One is root, or could become it.
    Root,
    /// It could not be found out of all threads; the first one has none.
    #[default]
    Unknown,
}

/// What was found out.
#[derive(Clone, Debug, Default)]
struct Known {
    uid: Option<u32>,
    privilege: Privilege,
    parent: Option<u32>,
    started: Option<u64>,
    executable: Option<FileId>,
    executable_path: Option<PathBuf>,
    terminal: Option<PathBuf>,
}

impl Process {
    /// Asks for everything at once: as long as the request is not answered, the process stands still.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        Self::with(request.pid(), request.pidfd(), request.kind())
    }

    fn with(pid: u32, pidfd: Option<BorrowedFd<'_>>, access: Access) -> Self {
        let pidfd = pidfd.and_then(|pidfd| fcntl_dupfd_cloexec(pidfd, 0).ok()).map(Arc::new);
        let mut process = Self { pid, pidfd, known: Known::default() };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if let Ok(directory) = openat(CWD, format!("/proc/{pid}"), flags, Mode::empty())
            && process.is_alive()
        {
            process.known = Known::of(&directory, access);
        }
        process
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The descriptor, if there is one.
    #[must_use]
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(|pidfd| pidfd.as_fd())
    }

    /// Whether it still runs. False without a descriptor.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        // A process descriptor can be read when the process has ended.
        self.pidfd().is_some_and(|pidfd| {
            let mut fds = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
            retry_on_intr(|| poll(&mut fds, Some(&Timespec::default()))) == Ok(0)
        })
    }

    /// The effective user of its first thread, to be shown; [`Self::privilege`] is what counts.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        self.known.uid
    }

    /// Whether any thread is more than an ordinary user, or would be with the program that it asks to execute: one of
    /// them asks, and the kernel does not say which.
    #[must_use]
    pub fn privilege(&self) -> Privilege {
        self.known.privilege
    }

    /// Which file it executes. While it asks to execute another one, still the old.
    #[must_use]
    pub fn executable(&self) -> Option<FileId> {
        self.known.executable
    }

    /// The path of that file, to be shown: it may be the path in another mount namespace, end in
    /// ` (deleted)` or hold any bytes.
    #[must_use]
    pub fn executable_path(&self) -> Option<&Path> {
        self.known.executable_path.as_deref()
    }

    /// The number of the parent. Nothing keeps that one from being used again.
    #[must_use]
    pub fn parent(&self) -> Option<u32> {
        self.known.parent
    }

    /// When it started, in clock ticks since the system started: with the number, a name to log.
    #[must_use]
    pub fn started(&self) -> Option<u64> {
        self.known.started
    }

    /// The device of its controlling terminal, if one of its standard streams is the same one: in a
    /// container the same device number is another terminal.
    #[must_use]
    pub fn tty(&self) -> Option<&Path> {
        self.known.terminal.as_deref()
    }
}

impl Known {
    fn of(directory: &OwnedFd, access: Access) -> Self {
        let stat = slurp(directory, "stat").and_then(|text| Stat::parse(&text));
        let first = slurp(directory, "status").and_then(|text| Credentials::parse(&text));
        Self {
            uid: first.map(|it| it.users[1]),
            privilege: privilege(directory, first, access),
            parent: stat.map(|stat| stat.parent).filter(|parent| *parent != 0),
            started: stat.map(|stat| stat.started),
            executable: FileId::below(directory, "exe").ok(),
            executable_path: readlinkat(directory, "exe", Vec::new())
                .ok()
                .map(|path| OsString::from_vec(path.into_bytes()).into()),
            terminal: stat.and_then(|stat| terminal::of(directory, stat.terminal)),
        }
    }
}

fn privilege(directory: &OwnedFd, first: Option<Credentials>, access: Access) -> Privilege {
    let first = first.map_or(Privilege::Unknown, |first| first.privilege(access));
    match first {
        Privilege::Root => Privilege::Root,
        Privilege::Capable => of_threads(directory, access).unwrap_or(Privilege::Capable),
        Privilege::None | Privilege::Unknown => of_threads(directory, access).unwrap_or_default(),
    }
}

/// That of all threads; a thread that ends meanwhile is left out.
fn of_threads(directory: &OwnedFd, access: Access) -> Option<Privilege> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let tasks = openat(directory, "task", flags, Mode::empty()).ok()?;
    let (mut threads, mut privilege) = (0, Privilege::None);
    for entry in Dir::read_from(&tasks).ok()? {
        let entry = entry.ok()?;
        let name = entry.file_name().to_str().ok()?;
        if name.starts_with('.') {
            continue;
        }
        threads += 1;
        if threads > MOST_THREADS {
            return None;
        }
        let Some(status) = slurp(&tasks, &format!("{name}/status")) else { continue };
        match Credentials::parse(&status)?.privilege(access) {
            Privilege::Root => return Some(Privilege::Root),
            Privilege::Capable => privilege = Privilege::Capable,
            Privilege::None | Privilege::Unknown => {}
        }
    }
    // No thread at all is a process that is gone.
    (threads > 0).then_some(privilege)
}

/// The beginning of a file of `/proc`.
fn slurp(directory: impl AsFd, path: &str) -> Option<Vec<u8>> {
    let file = openat(directory, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut bytes = vec![0; MOST_BYTES];
    let mut length = 0;
    loop {
        let space = bytes.get_mut(length..).filter(|space| !space.is_empty());
        match space.map(|space| retry_on_intr(|| read(&file, &mut *space))) {
            Some(Ok(0)) | None => break,
            Some(Ok(more)) => length += more,
            Some(Err(_)) => return None,
        }
    }
    bytes.truncate(length);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::parent_id;
    use std::process::{Command, Stdio};

    use rustix::process::{Pid, PidfdFlags, getuid, pidfd_open};

    use super::*;

    fn process(pid: u32) -> Process {
        let number = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        let pidfd = pidfd_open(number, PidfdFlags::empty()).unwrap();
        Process::with(pid, Some(pidfd.as_fd()), Access::Open)
    }

    #[test]
    fn of_ourselves() {
        let own = process(std::process::id());
        let executable = std::env::current_exe().unwrap();
        assert!(own.is_alive() && own.clone().is_alive());
        // The harness has threads, and this user may be any.
        let expected = if getuid().is_root() { Privilege::Root } else { own.privilege() };
        assert_eq!(own.privilege(), expected);
        assert_eq!((own.uid(), own.parent()), (Some(getuid().as_raw()), Some(parent_id())));
        assert_eq!(own.executable(), Some(FileId::at(&executable).unwrap()));
        assert_eq!(own.executable_path(), Some(executable.as_path()));
        assert!(own.started().is_some_and(|ticks| ticks > 0));
    }

    #[test]
    fn a_number_used_by_another_process_proves_nothing() {
        let mut child = Command::new("sh")
            .args(["-c", "echo; read line"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
        let control = process(child.id());
        assert_eq!(control.parent(), Some(std::process::id()));
        let pidfd = control.pidfd().unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();

        assert!(!control.is_alive());
        assert_eq!(control.parent(), Some(std::process::id()), "what was known stays known");
        // As if the number had been given to us meanwhile.
        let stale = Process::with(std::process::id(), Some(pidfd), Access::Open);
        assert!(!stale.is_alive());
        let known = (stale.uid(), stale.parent(), stale.executable(), stale.tty());
        assert_eq!(known, (None, None, None, None));
        assert_eq!(stale.privilege(), Privilege::Unknown);
        let nobody = Process::with(std::process::id(), None, Access::Open);
        assert!(!nobody.is_alive() && nobody.uid().is_none() && nobody.executable().is_none());
        assert!(Process::with(0, None, Access::Open).parent().is_none());
    }
}
