//! A group outlives the process that answers: what waits stays shut, and the successor serves it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the support")]

mod live;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use live::{Gate, NOT_EXECUTED, Opener, live, program};
use narwarden_linux::fanotify::records::{RawEvent, Record, records};
use narwarden_linux::fanotify::{Access, AdoptError, Answered, Group};
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, read, write};

/// The number of every descriptor that a process got from its group, in these tests.
const NUMBER: RawFd = 100;

/// Reads one event and owns nothing of it, as a daemon does in the moment before it dies.
fn read_one(group: impl AsFd) -> RawEvent {
    poll(&mut [PollFd::new(&group, PollFlags::IN)], None).unwrap();
    let mut bytes = [0; 4096];
    let length = read(&group, &mut bytes).unwrap();
    let mut found = records(&bytes[..length]);
    let (Some(Record::Event(event)), None) = (found.next(), found.next()) else { panic!() };
    event
}

/// Uses up all numbers below [`NUMBER`].
fn up_to_number() -> Vec<File> {
    let mut files = Vec::new();
    loop {
        let file = File::open("/dev/null").unwrap();
        if file.as_raw_fd() >= NUMBER {
            return files;
        }
        files.push(file);
    }
}

#[test]
#[ignore = "run by the other tests as a process of its own"]
fn daemon_that_dies() {
    let group = std::io::stdin();
    let _files = up_to_number();
    let event = read_one(&group);
    assert_eq!(event.file, Some(NUMBER));
    println!("\nREAD");
    std::thread::sleep(Duration::from_secs(60));
}

/// A process that inherits the group, reads one request and is killed before it answers.
fn die_with_a_request(group: &OwnedFd) {
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "daemon_that_dies", "--ignored", "--nocapture"])
        .stdin(group.try_clone().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "READ"));
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

/// A group with one file, of which only a descriptor is left, as in systemd's store.
fn stored(file: &Path) -> OwnedFd {
    let group = Group::hold().unwrap();
    group.hold_file(File::open(file).unwrap().as_fd()).unwrap();
    group.as_fd().try_clone_to_owned().unwrap()
}

#[test]
fn orphans_are_denied_and_later_requests_answered_rightly() {
    live("orphans_are_denied_and_later_requests_answered_rightly", |directory| {
        let (mut orphan, mut other, mut later) = (Opener::new(), Opener::new(), Opener::new());
        let held = program(directory, "held");
        let execute = held.display().to_string();
        let store = stored(&held);
        orphan.start(&execute);
        die_with_a_request(&store);
        // A second process died, with a request of the same number.
        other.start(&execute);
        die_with_a_request(&store);
        orphan.assert_waits();
        other.assert_waits();

        let (group, orphans) = Group::adopt(store).unwrap();
        assert_eq!(orphans.denied, 2);
        assert_eq!((orphan.status(), other.status()), (NOT_EXECUTED, NOT_EXECUTED));

        let _files = up_to_number();
        let mut gate = Gate::new(group);
        later.start(&execute);
        let request = gate.expect(Access::Exec, &held);
        assert_eq!(request.file().as_raw_fd(), NUMBER, "the number the orphans had");
        assert_eq!(request.allow(), Answered::Delivered);
        gate.expect(Access::Open, &held).allow();
        assert_eq!(later.status(), 0);
        gate.assert_calm();
    });
}

/// The control: what happens without the denials. If this fails, the kernel has learnt to tell requests
/// of one number apart.
#[test]
fn without_the_denials_an_answer_reaches_the_orphan() {
    live("without_the_denials_an_answer_reaches_the_orphan", |directory| {
        let (mut orphan, mut later) = (Opener::new(), Opener::new());
        let held = program(directory, "held");
        let show = format!("cat {}", held.display());
        let store = stored(&held);
        orphan.start(&show);
        die_with_a_request(&store);

        let _files = up_to_number();
        later.start(&show);
        assert_eq!(read_one(&store).file, Some(NUMBER));
        let mut answer = NUMBER.to_ne_bytes().to_vec();
        answer.extend(libc::FAN_ALLOW.to_ne_bytes());
        write(&store, &answer).unwrap();
        assert_eq!(orphan.status(), 0, "let through by the answer to another");
        later.assert_waits();

        // And that one is an orphan now, which adoption frees.
        let (_group, orphans) = Group::adopt(store).unwrap();
        assert_eq!((orphans.denied, later.status()), (1, 1));
    });
}

#[test]
fn what_was_not_read_is_served_by_the_successor() {
    live("what_was_not_read_is_served_by_the_successor", |directory| {
        let (mut one, mut two) = (Opener::new(), Opener::new());
        let held = program(directory, "held");
        let store = stored(&held);
        one.start(&held.display().to_string());
        one.assert_waits();
        two.start(&held.display().to_string());
        two.assert_waits();

        let (group, orphans) = Group::adopt(store).unwrap();
        assert_eq!(orphans.denied, 0);
        one.assert_waits();
        let mut gate = Gate::new(group);
        let (first, second) = (gate.expect(Access::Exec, &held), gate.expect(Access::Exec, &held));
        first.allow();
        gate.expect(Access::Open, &held).allow();
        second.deny();
        let mut statuses = [one.status(), two.status()];
        statuses.sort_unstable();
        assert_eq!(statuses, [0, NOT_EXECUTED]);

        // The marks are in the group, and can be taken away by the successor.
        one.start(&held.display().to_string());
        gate.expect(Access::Exec, &held).deny();
        assert_eq!(one.status(), NOT_EXECUTED);
        gate.group.release_file(File::open("/dev/null").unwrap().as_fd()).unwrap();
        let by_path = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
        let file = rustix::fs::open(&held, by_path, rustix::fs::Mode::empty()).unwrap();
        gate.group.release_file(file.as_fd()).unwrap();
        assert_eq!(one.run(&held.display().to_string()), 0);
    });
}

#[test]
fn what_the_predecessor_still_holds_is_lost() {
    live("what_the_predecessor_still_holds_is_lost", |directory| {
        let mut opener = Opener::new();
        let held = program(directory, "held");
        let store = stored(&held);
        let (group, _) = Group::adopt(store.try_clone().unwrap()).unwrap();
        let mut predecessor = Gate::new(group);
        opener.start(&format!("cat {}", held.display()));
        let request = predecessor.request();
        let (_successor, orphans) = Group::adopt(store).unwrap();
        assert_eq!((orphans.denied, opener.status()), (1, 1));
        assert_eq!(request.allow(), Answered::Lost);
    });
}

#[test]
fn made_ready_to_read_whatever_it_was() {
    live("made_ready_to_read_whatever_it_was", |directory| {
        let held = program(directory, "held");
        let store = stored(&held);
        let flags = rustix::fs::fcntl_getfl(&store).unwrap();
        rustix::fs::fcntl_setfl(&store, flags - rustix::fs::OFlags::NONBLOCK).unwrap();
        rustix::io::fcntl_setfd(&store, FdFlags::empty()).unwrap();
        let (group, _) = Group::adopt(store).unwrap();
        assert_eq!(fcntl_getfd(&group).unwrap(), FdFlags::CLOEXEC);
        Gate::new(group).assert_calm();
    });
}

#[test]
fn groups_made_otherwise_are_refused() {
    live("groups_made_otherwise_are_refused", |_| {
        let content = InitFlags::FAN_CLASS_CONTENT | InitFlags::FAN_UNLIMITED_QUEUE;
        let table = [
            (content, true),
            (InitFlags::FAN_CLASS_CONTENT, false),
            (InitFlags::FAN_CLASS_NOTIF | InitFlags::FAN_UNLIMITED_QUEUE, false),
            (InitFlags::FAN_CLASS_PRE_CONTENT | InitFlags::FAN_UNLIMITED_QUEUE, false),
            (content | InitFlags::FAN_REPORT_TID, false),
        ];
        for (flags, ours) in table {
            let group = Fanotify::init(flags, EventFFlags::O_RDONLY).unwrap();
            match Group::adopt(group.into()) {
                Ok(_) => assert!(ours, "{flags:?}"),
                Err(error) => {
                    assert!(matches!(error, AdoptError::Foreign { .. }) && !ours, "{error}");
                }
            }
        }
        let watch = Group::watch().unwrap();
        let copy = fcntl_dupfd_cloexec(&watch, 0).unwrap();
        assert!(Group::adopt(copy).is_ok());
    });
}

#[test]
fn kept_across_execution_only_if_asked() {
    live("kept_across_execution_only_if_asked", |_| {
        let group = Group::hold().unwrap();
        let number = group.as_fd().as_raw_fd();
        let inherited = || {
            let path = format!("/proc/self/fdinfo/{number}");
            let text = Command::new("cat").arg(path).output().unwrap().stdout;
            String::from_utf8(text).unwrap().contains("fanotify flags:")
        };
        assert!(!inherited());
        group.keep_across_exec().unwrap();
        assert!(inherited());
        group.close_on_exec().unwrap();
        assert!(!inherited());
        assert!(fs::read_to_string(format!("/proc/self/fdinfo/{number}")).is_ok());
    });
}
