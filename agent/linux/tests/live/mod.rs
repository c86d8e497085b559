//! What the tests with real marks share. Each runs in a process, a mount namespace and a tmpfs of its
//! own and marks nothing else, so that what goes wrong hangs nobody, and for a minute at most.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use narwarden_linux::fanotify::{Access, Event, EventBuffer, Group, Request};
use narwarden_linux::file_id::FileId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The directory, for the process that runs the body of a test.
const LIVE: &str = "NARWARDEN_TEST_LIVE";
/// What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long nothing must happen to count as never.
const CALM: Duration = Duration::from_millis(200);

/// The exit status of a shell for a program it was not allowed to execute.
pub(crate) const NOT_EXECUTED: i32 = 126;

/// Runs the body of the test `name` with the directory of a tmpfs of its own.
pub(crate) fn live(name: &str, body: impl FnOnce(&Path)) {
    if let Some(directory) = std::env::var_os(LIVE) {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "test"]).arg(&directory).status();
        assert!(mounted.unwrap().success(), "a tmpfs in a mount namespace of our own");
        return body(Path::new(&directory));
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED, needs root: {name}");
        return;
    }
    if let Err(error) = Group::hold() {
        eprintln!("SKIPPED, no fanotify groups here ({error}): {name}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new("timeout")
        .args(["--kill-after=5", "60", "unshare", "--mount", "--propagation=private", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(LIVE, directory.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{output:#?}");
}

/// A program of its own in the directory.
pub(crate) fn program(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    fs::copy("/bin/true", &path).unwrap();
    path
}

/// A shell that does what it is told, started before there is a group so that it has no copy of one.
pub(crate) struct Opener {
    shell: Child,
    commands: ChildStdin,
    statuses: Receiver<i32>,
}

impl Opener {
    pub(crate) fn new() -> Self {
        let mut shell =
            Command::new("sh").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, statuses) = channel();
        let output = BufReader::new(shell.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines() {
                if sender.send(line.unwrap().parse().unwrap()).is_err() {
                    return;
                }
            }
        });
        let commands = shell.stdin.take().unwrap();
        Self { shell, commands, statuses }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.shell.id()
    }

    /// Begins with a command of the shell.
    pub(crate) fn start(&mut self, command: &str) {
        let quiet = "</dev/null >/dev/null 2>/dev/null";
        writeln!(self.commands, "{{ {command}; }} {quiet}; echo $?").unwrap();
    }

    /// Its exit status.
    pub(crate) fn status(&self) -> i32 {
        self.statuses.recv_timeout(PATIENCE).expect("the command hangs")
    }

    /// Runs what nobody is asked about.
    pub(crate) fn run(&mut self, command: &str) -> i32 {
        self.start(command);
        self.status()
    }

    pub(crate) fn assert_waits(&self) {
        assert!(self.statuses.recv_timeout(CALM).is_err(), "the command should wait");
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// A group, read one event at a time.
pub(crate) struct Gate {
    pub(crate) group: Group,
    buffer: EventBuffer,
    events: VecDeque<Event>,
}

impl Gate {
    pub(crate) fn new(group: Group) -> Self {
        Self { group, buffer: EventBuffer::new(), events: VecDeque::new() }
    }

    pub(crate) fn event(&mut self) -> Event {
        self.event_within(PATIENCE).expect("nobody asks")
    }

    pub(crate) fn request(&mut self) -> Request {
        match self.event() {
            Event::Request(request) => request,
            other @ (Event::Overflow | Event::NoDescriptor | Event::Notice | Event::Garbled) => {
                panic!("not a request: {other:?}")
            }
        }
    }

    /// The next request, which must be this one.
    pub(crate) fn expect(&mut self, kind: Access, file: &Path) -> Request {
        let request = self.request();
        assert_eq!((request.kind(), request.id()), (kind, FileId::at(file).unwrap()));
        request
    }

    /// Answers both requests of an execution.
    pub(crate) fn allow_execution(&mut self, file: &Path) {
        for kind in [Access::Exec, Access::Open] {
            self.expect(kind, file).allow();
        }
    }

    pub(crate) fn assert_calm(&mut self) {
        let event = self.event_within(CALM);
        assert!(event.is_none(), "nobody should have asked: {event:?}");
    }

    fn event_within(&mut self, time: Duration) -> Option<Event> {
        if self.events.is_empty() {
            let mut fds = [PollFd::new(&self.group, PollFlags::IN)];
            poll(&mut fds, Some(&Timespec::try_from(time).unwrap())).unwrap();
            self.events.extend(self.group.read(&mut self.buffer).unwrap());
        }
        self.events.pop_front()
    }
}

/// How many descriptors this process has.
pub(crate) fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}
