//! Who is asked first about a file that is held on a watched file system, and why.

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

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use live::{Gate, NOT_EXECUTED, Opener, live, program};
use narwarden_linux::fanotify::{Access, Group};

/// What does not close within that waits for an answer.
const WAITS: Duration = Duration::from_millis(500);
/// What waits for nothing is closed long before that, however busy the host is.
const PATIENCE: Duration = Duration::from_secs(20);

fn mark(watch: &Group, hold: &Group, directory: &Path, held: &Path) {
    watch.watch_filesystem(File::open(directory).unwrap().as_fd()).unwrap();
    hold.hold_file(File::open(held).unwrap().as_fd()).unwrap();
}

#[test]
fn the_watch_is_asked_before_the_hold() {
    live("the_watch_is_asked_before_the_hold", |directory| {
        let mut opener = Opener::new();
        let held = program(directory, "held");
        let execute = held.display().to_string();
        // Made and marked in either order: the class alone decides.
        for hold_first in [true, false] {
            let (watch, hold) = if hold_first {
                let hold = Group::hold().unwrap();
                (Group::watch().unwrap(), hold)
            } else {
                (Group::watch().unwrap(), Group::hold().unwrap())
            };
            mark(&watch, &hold, directory, &held);
            let (mut watch, mut hold) = (Gate::new(watch), Gate::new(hold));

            opener.start(&execute);
            let request = watch.expect(Access::Exec, &held);
            hold.assert_calm();
            request.allow();
            hold.allow_execution(&held);
            assert_eq!(opener.status(), 0);

            opener.start(&execute);
            watch.expect(Access::Exec, &held).deny();
            assert_eq!(opener.status(), NOT_EXECUTED);
            hold.assert_calm();
            watch.assert_calm();
        }
    });
}

/// Closes a group as the end of its process would; says when that is done.
fn close(group: Group) -> Receiver<()> {
    let (sender, closed) = channel();
    thread::spawn(move || {
        drop(group);
        sender.send(())
    });
    closed
}

/// A daemon is killed while somebody waits on the group that systemd keeps: it can finish dying, so that
/// the next one starts and answers.
#[test]
fn the_watch_closes_while_somebody_waits_on_the_hold() {
    live("the_watch_closes_while_somebody_waits_on_the_hold", |directory| {
        let mut opener = Opener::new();
        let held = program(directory, "held");
        let (watch, hold) = (Group::watch().unwrap(), Group::hold().unwrap());
        mark(&watch, &hold, directory, &held);
        let mut hold = Gate::new(hold);
        let mut gate = Gate::new(watch);
        opener.start(&held.display().to_string());
        gate.expect(Access::Exec, &held).allow();
        let request = hold.expect(Access::Exec, &held);
        close(gate.group).recv_timeout(PATIENCE).expect("closed at once");
        opener.assert_waits();
        request.deny();
        assert_eq!(opener.status(), NOT_EXECUTED);
    });
}

/// The control: a group that is still to be asked is not closed before the one asked now answers. If this
/// fails, the kernel has learnt better and the classes could be the same.
#[test]
fn a_group_still_to_be_asked_does_not_close() {
    live("a_group_still_to_be_asked_does_not_close", |directory| {
        let mut opener = Opener::new();
        let held = program(directory, "held");
        // The other way round: what holds is asked first.
        let (early, late) = (Group::watch().unwrap(), Group::hold().unwrap());
        early.hold_file(File::open(&held).unwrap().as_fd()).unwrap();
        late.watch_filesystem(File::open(directory).unwrap().as_fd()).unwrap();
        let mut early = Gate::new(early);
        opener.start(&held.display().to_string());
        let request = early.expect(Access::Exec, &held);
        let closed = close(late);
        assert!(closed.recv_timeout(WAITS).is_err(), "it waits for the answer");
        request.deny();
        assert_eq!(opener.status(), NOT_EXECUTED);
        closed.recv_timeout(PATIENCE).expect("closed after the answer");
    });
}
