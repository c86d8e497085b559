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

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use live::{Gate, NOT_EXECUTED, Opener, live, program};
use narwarden_linux::fanotify::records::{RawEvent, Record, records};
use narwarden_linux::fanotify::{Access, AdoptError, Answered, Group, Kind, Lasting};
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

/// A group that is asked about a file (a watch: about all beside it too), of which only a descriptor is
/// left, as in systemd's store or after an execution.
fn stored(kind: Kind, file: &Path) -> OwnedFd {
    let group = match kind {
        Kind::Hold => {
            let group = Group::hold().unwrap();
            group.hold_file(File::open(file).unwrap().as_fd()).unwrap();
            group
        }
        Kind::Watch => {
            let group = Group::watch().unwrap();
            group.watch_filesystem(File::open(file).unwrap().as_fd()).unwrap();
            group
        }
    };
    group.as_fd().try_clone_to_owned().unwrap()
}

/// Allows what else an execution asks for after the first request.
fn allow_the_rest(kind: Kind, gate: &mut Gate, file: &Path) {
    match kind {
        Kind::Hold => drop(gate.expect(Access::Open, file).allow()),
        Kind::Watch => {}
    }
}

#[test]
fn orphans_are_denied_and_later_requests_answered_rightly() {
    live("orphans_are_denied_and_later_requests_answered_rightly", |directory| {
        orphans_and_later(Kind::Hold, directory);
    });
}

#[test]
fn orphans_of_a_watch_are_denied_and_later_requests_answered_rightly() {
    live("orphans_of_a_watch_are_denied_and_later_requests_answered_rightly", |directory| {
        orphans_and_later(Kind::Watch, directory);
    });
}

fn orphans_and_later(kind: Kind, directory: &Path) {
    let (mut orphan, mut other, mut later) = (Opener::new(), Opener::new(), Opener::new());
    let held = program(directory, "held");
    let execute = held.display().to_string();
    let store = stored(kind, &held);
    orphan.start(&execute);
    die_with_a_request(&store);
    // A second process died, with a request of the same number.
    other.start(&execute);
    die_with_a_request(&store);
    orphan.assert_waits();
    other.assert_waits();

    let (group, orphans) = Group::adopt(store, kind).unwrap();
    assert_eq!(orphans.denied, 2);
    assert_eq!((orphan.status(), other.status()), (NOT_EXECUTED, NOT_EXECUTED));

    let _files = up_to_number();
    let mut gate = Gate::new(group);
    later.start(&execute);
    let request = gate.expect(Access::Exec, &held);
    assert_eq!(request.file().as_raw_fd(), NUMBER, "the number the orphans had");
    assert_eq!(request.allow(), Answered::Delivered);
    allow_the_rest(kind, &mut gate, &held);
    assert_eq!(later.status(), 0);
    gate.assert_calm();
}

/// The control: what happens without the denials. If this fails, the kernel has learnt to tell requests
/// of one number apart.
#[test]
fn without_the_denials_an_answer_reaches_the_orphan() {
    live("without_the_denials_an_answer_reaches_the_orphan", |directory| {
        let (mut orphan, mut later) = (Opener::new(), Opener::new());
        let held = program(directory, "held");
        let show = format!("cat {}", held.display());
        let store = stored(Kind::Hold, &held);
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
        let (_group, orphans) = Group::adopt(store, Kind::Hold).unwrap();
        assert_eq!((orphans.denied, later.status()), (1, 1));
    });
}

#[test]
fn what_was_not_read_is_served_by_the_successor() {
    live("what_was_not_read_is_served_by_the_successor", |directory| {
        unread(Kind::Hold, directory);
    });
}

#[test]
fn what_was_not_read_of_a_watch_is_served_by_the_successor() {
    live("what_was_not_read_of_a_watch_is_served_by_the_successor", |directory| {
        unread(Kind::Watch, directory);
    });
}

fn unread(kind: Kind, directory: &Path) {
    let (mut one, mut two) = (Opener::new(), Opener::new());
    let held = program(directory, "held");
    let store = stored(kind, &held);
    one.start(&held.display().to_string());
    one.assert_waits();
    two.start(&held.display().to_string());
    two.assert_waits();

    let (group, orphans) = Group::adopt(store, kind).unwrap();
    assert_eq!(orphans.denied, 0);
    one.assert_waits();
    let mut gate = Gate::new(group);
    let (first, second) = (gate.expect(Access::Exec, &held), gate.expect(Access::Exec, &held));
    first.allow();
    allow_the_rest(kind, &mut gate, &held);
    second.deny();
    let mut statuses = [one.status(), two.status()];
    statuses.sort_unstable();
    assert_eq!(statuses, [0, NOT_EXECUTED]);

    // The marks are in the group, and the successor's to change.
    one.start(&held.display().to_string());
    gate.expect(Access::Exec, &held).deny();
    assert_eq!(one.status(), NOT_EXECUTED);
    let by_path = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::open(&held, by_path, rustix::fs::Mode::empty()).unwrap();
    match kind {
        Kind::Hold => gate.group.release_file(file.as_fd()).unwrap(),
        Kind::Watch => gate.group.ignore_file(file.as_fd(), Lasting::Kept).unwrap(),
    }
    assert_eq!(one.run(&held.display().to_string()), 0);
    gate.assert_calm();
}

#[test]
fn what_the_predecessor_still_holds_is_lost() {
    live("what_the_predecessor_still_holds_is_lost", |directory| {
        let mut opener = Opener::new();
        let held = program(directory, "held");
        let store = stored(Kind::Hold, &held);
        let (group, _) = Group::adopt(store.try_clone().unwrap(), Kind::Hold).unwrap();
        let mut predecessor = Gate::new(group);
        opener.start(&format!("cat {}", held.display()));
        let request = predecessor.request();
        let (_successor, orphans) = Group::adopt(store, Kind::Hold).unwrap();
        assert_eq!((orphans.denied, opener.status()), (1, 1));
        assert_eq!(request.allow(), Answered::Lost);
    });
}

#[test]
fn made_ready_to_read_whatever_it_was() {
    live("made_ready_to_read_whatever_it_was", |directory| {
        let held = program(directory, "held");
        let store = stored(Kind::Hold, &held);
        let flags = rustix::fs::fcntl_getfl(&store).unwrap();
        rustix::fs::fcntl_setfl(&store, flags - rustix::fs::OFlags::NONBLOCK).unwrap();
        rustix::io::fcntl_setfd(&store, FdFlags::empty()).unwrap();
        let (group, _) = Group::adopt(store, Kind::Hold).unwrap();
        assert_eq!(fcntl_getfd(&group).unwrap(), FdFlags::CLOEXEC);
        Gate::new(group).assert_calm();
    });
}

#[test]
fn groups_made_otherwise_are_refused() {
    live("groups_made_otherwise_are_refused", |_| {
        let unlimited = InitFlags::FAN_UNLIMITED_QUEUE;
        let content = InitFlags::FAN_CLASS_CONTENT;
        let pre_content = InitFlags::FAN_CLASS_PRE_CONTENT;
        let table = [
            (content | unlimited, Some(Kind::Hold)),
            (pre_content | unlimited, Some(Kind::Watch)),
            (content, None),
            (pre_content, None),
            (InitFlags::FAN_CLASS_NOTIF | unlimited, None),
            (content | unlimited | InitFlags::FAN_REPORT_TID, None),
            (pre_content | unlimited | InitFlags::FAN_REPORT_TID, None),
        ];
        for (flags, made_for) in table {
            for kind in [Kind::Hold, Kind::Watch] {
                let group = Fanotify::init(flags, EventFFlags::O_RDONLY).unwrap();
                match Group::adopt(group.into(), kind) {
                    Ok(_) => assert_eq!(made_for, Some(kind), "{flags:?}"),
                    Err(error) => {
                        assert!(
                            matches!(error, AdoptError::Foreign { expected, .. } if expected == kind)
                        );
                        assert_ne!(made_for, Some(kind), "{error}");
                    }
                }
            }
        }
        let both = Fanotify::init(content | pre_content | unlimited, EventFFlags::O_RDONLY);
        assert!(both.is_err(), "no group has two classes");
        // What this program makes itself it takes over, and not the one for the other.
        let groups = [(Group::hold(), Kind::Hold), (Group::watch(), Kind::Watch)];
        for (group, own) in groups.map(|(group, own)| (group.unwrap(), own)) {
            for kind in [Kind::Hold, Kind::Watch] {
                let copy = fcntl_dupfd_cloexec(&group, 0).unwrap();
                assert_eq!(Group::adopt(copy, kind).is_ok(), kind == own, "{own} as {kind}");
            }
        }
    });
}
