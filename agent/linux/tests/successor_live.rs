//! A daemon with its two groups becomes its next version, on a file system that it watches itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the support")]

mod live;

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use live::{Gate, NOT_EXECUTED, Opener, live, program};
use narwarden_linux::elf;
use narwarden_linux::fanotify::{Access, Group, Kind, Lasting};
use narwarden_linux::successor::Running;
use narwarden_linux::systemd::take_fds;

const PATIENCE: Duration = Duration::from_secs(20);
/// The directory, for the daemon.
const DIRECTORY: &str = "NARWARDEN_TEST_DIRECTORY";
/// Whether the daemon ignores what its own execution opens.
const HEEDS: &str = "NARWARDEN_TEST_HEEDS";

/// This program as its own next version, with a copy of its interpreter, both in `directory`. `None` if
/// it has no interpreter whose path is long enough to write another one over it.
fn next_version(directory: &Path) -> Option<(PathBuf, PathBuf)> {
    let own = File::open("/proc/self/exe").unwrap();
    let named = elf::interpreter(own.as_fd()).unwrap()?.into_os_string().into_string().unwrap();
    let (next, interpreter) = (directory.join("next"), directory.join("ld"));
    fs::copy(&named, &interpreter).unwrap();
    let mut bytes = fs::read("/proc/self/exe").unwrap();
    let at = bytes.windows(named.len()).position(|window| window == named.as_bytes()).unwrap();
    let name = interpreter.to_str().unwrap().as_bytes();
    if name.len() > named.len() {
        return None;
    }
    bytes[at..at + named.len()].fill(0);
    bytes[at..at + name.len()].copy_from_slice(name);
    fs::write(&next, bytes).unwrap();
    for file in [&next, &interpreter] {
        fs::set_permissions(file, Permissions::from_mode(0o755)).unwrap();
    }
    Some((next, interpreter))
}

/// Waits until the daemon says so, by a file.
fn wait_for(path: &Path) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < PATIENCE, "{path:?} never came");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A daemon that does not outlive its test: one that waits for itself would for ever.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Daemon {
    fn succeeds(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.success();
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the daemon hangs");
    }
}

fn daemon(directory: &Path, heeds: &str) -> Daemon {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let daemon = command
        .args(["--exact", "inner_daemon", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(HEEDS, heeds)
        .stdout(Stdio::inherit())
        .spawn();
    Daemon(daemon.unwrap())
}

#[test]
fn both_groups_are_served_over_an_execution() {
    live("both_groups_are_served_over_an_execution", |directory| {
        if next_version(directory).is_none() {
            return eprintln!("SKIPPED, no interpreter whose path can be replaced");
        }
        let names = ["read", "unread", "other"];
        let mut openers: Vec<Opener> = names.iter().map(|_| Opener::new()).collect();
        let mut reader = Opener::new();
        let programs = names.map(|name| program(directory, name));
        let held = directory.join("held");
        fs::write(&held, "").unwrap();

        let mut daemon = daemon(directory, "");
        wait_for(&directory.join("up"));
        openers[0].start(&programs[0].display().to_string());
        wait_for(&directory.join("has-read"));
        openers[1].start(&programs[1].display().to_string());
        reader.start(&format!("cat {}", held.display()));
        openers[1].assert_waits();
        reader.assert_waits();
        fs::write(directory.join("go"), "").unwrap();

        assert_eq!(
            openers[0].status(),
            NOT_EXECUTED,
            "read, not answered, denied by the successor"
        );
        assert_eq!(openers[1].status(), 0, "not read, and allowed by the successor");
        assert_eq!(reader.status(), 0, "not read, and allowed by the successor");
        // Watched still.
        openers[2].start(&programs[2].display().to_string());
        assert_eq!(openers[2].status(), NOT_EXECUTED);
        assert!(daemon.succeeds());
        assert!(directory.join("successor").exists() && !directory.join("failed").exists());
    });
}

#[test]
#[ignore = "run by the other tests as a process of its own"]
fn inner_daemon() {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).unwrap());
    let directory = directory.as_path();
    let running = Running::now().unwrap();
    let successor = running.successor(&directory.join("next")).unwrap().unwrap();
    assert_eq!(successor.files().len(), 2);
    let (watch, hold) = (Group::watch().unwrap(), Group::hold().unwrap());
    hold.hold_file(File::open(directory.join("held")).unwrap().as_fd()).unwrap();
    watch.watch_filesystem(File::open(directory).unwrap().as_fd()).unwrap();
    let mut gate = Gate::new(watch.clone());
    fs::write(directory.join("up"), "").unwrap();

    let unanswered = gate.expect(Access::Exec, &directory.join("read"));
    fs::write(directory.join("has-read"), "").unwrap();
    wait_for(&directory.join("go"));
    if std::env::var(HEEDS).unwrap().is_empty() {
        for file in successor.files() {
            watch.ignore_file(file, Lasting::Kept).unwrap();
        }
    }
    // From here on nobody reads either group.
    let arguments = ["--exact", "inner_next_daemon", "--ignored", "--nocapture"];
    let kept = [("watch", watch.as_fd()), ("hold", hold.as_fd())];
    let error = successor.exec(&arguments.map(OsString::from), &kept);
    fs::write(directory.join("failed"), error.to_string()).unwrap();
    drop(unanswered);
}

#[test]
#[ignore = "run by inner_daemon"]
fn inner_next_daemon() {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).unwrap());
    fs::write(directory.join("successor"), "").unwrap();
    let mut taken = take_fds().unwrap().into_iter();
    let (watch, hold) = (taken.next().unwrap(), taken.next().unwrap());
    assert_eq!((watch.0.as_str(), hold.0.as_str()), ("watch", "hold"));
    let (watch, orphans) = Group::adopt(watch.1, Kind::Watch).unwrap();
    assert_eq!(orphans.denied, 1, "what the predecessor had read");
    let (hold, none) = Group::adopt(hold.1, Kind::Hold).unwrap();
    assert_eq!(none.denied, 0);
    let (mut watch, mut hold) = (Gate::new(watch), Gate::new(hold));
    watch.expect(Access::Exec, &directory.join("unread")).allow();
    hold.expect(Access::Open, &directory.join("held")).allow();
    watch.expect(Access::Exec, &directory.join("other")).deny();
}

/// The control: who does not ignore them waits for itself. And what others are asked about an execution
/// of the same program: it and its interpreter, nothing else.
#[test]
fn without_ignoring_them_the_execution_waits_for_itself() {
    live("without_ignoring_them_the_execution_waits_for_itself", |directory| {
        let Some((next, interpreter)) = next_version(directory) else {
            return eprintln!("SKIPPED, no interpreter whose path can be replaced");
        };
        let mut opener = Opener::new();
        let read = program(directory, "read");
        fs::write(directory.join("held"), "").unwrap();
        let daemon = daemon(directory, "yes");
        wait_for(&directory.join("up"));
        opener.start(&read.display().to_string());
        wait_for(&directory.join("has-read"));
        fs::write(directory.join("go"), "").unwrap();
        thread::sleep(Duration::from_millis(500));
        for file in ["failed", "successor"] {
            assert!(!directory.join(file).exists(), "{file}: it should wait");
        }
        let stuck = fs::canonicalize(format!("/proc/{}/exe", daemon.0.id())).unwrap();
        assert_ne!(stuck, fs::canonicalize(&next).unwrap());
        drop(daemon);

        let mut shell = Opener::new();
        let watch = Group::watch().unwrap();
        watch.watch_filesystem(File::open(directory).unwrap().as_fd()).unwrap();
        let mut gate = Gate::new(watch);
        shell.start(&format!("{} --list", next.display()));
        gate.expect(Access::Exec, &next).allow();
        gate.expect(Access::Exec, &interpreter).allow();
        assert_eq!(shell.status(), 0);
        gate.assert_calm();
    });
}
