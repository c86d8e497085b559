//! Requests and answers, with real marks: what is allowed goes on, everything else is denied.

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
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::Duration;

use live::{Gate, NOT_EXECUTED, Opener, live, open_descriptors, program};
use narwarden_linux::fanotify::{Access, Answered, Event, EventBuffer, Group};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::pread;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// A group that holds one file.
fn holding(file: &std::path::Path) -> Gate {
    let group = Group::hold().unwrap();
    group.hold_file(File::open(file).unwrap().as_fd()).unwrap();
    Gate::new(group)
}

#[test]
fn allowed_denied_dropped() {
    live("allowed_denied_dropped", |directory| {
        let mut opener = Opener::new();
        let held = program(directory, "held");
        let free = program(directory, "free");
        let mut gate = holding(&held);
        let (execute, show) = (held.display().to_string(), format!("cat {}", held.display()));

        assert_eq!(opener.run(&free.display().to_string()), 0, "the control: nobody is asked");

        opener.start(&execute);
        let request = gate.expect(Access::Exec, &held);
        opener.assert_waits();
        assert_eq!(request.allow(), Answered::Delivered);
        opener.assert_waits();
        assert_eq!(gate.expect(Access::Open, &held).allow(), Answered::Delivered);
        assert_eq!(opener.status(), 0);

        opener.start(&execute);
        gate.expect(Access::Exec, &held).allow();
        gate.expect(Access::Open, &held).deny();
        assert_eq!(opener.status(), NOT_EXECUTED);

        opener.start(&execute);
        assert_eq!(gate.expect(Access::Exec, &held).deny(), Answered::Delivered);
        assert_eq!(opener.status(), NOT_EXECUTED);

        opener.start(&execute);
        drop(gate.expect(Access::Exec, &held));
        assert_eq!(opener.status(), NOT_EXECUTED);

        for (allowed, status) in [(true, 0), (false, 1)] {
            opener.start(&show);
            let request = gate.expect(Access::Open, &held);
            let answered = if allowed { request.allow() } else { request.deny() };
            assert_eq!((answered, opener.status()), (Answered::Delivered, status));
        }
        opener.start(&show);
        drop(gate.expect(Access::Open, &held));
        assert_eq!(opener.status(), 1);
        gate.assert_calm();
    });
}

#[test]
fn the_refusal_is_eperm() {
    live("the_refusal_is_eperm", |directory| {
        let held = program(directory, "held");
        let mut gate = holding(&held);
        let open = thread::spawn(move || File::open(held));
        drop(gate.request());
        assert_eq!(open.join().unwrap().unwrap_err().raw_os_error(), Some(libc::EPERM));
    });
}

#[test]
fn what_is_not_taken_out_is_denied() {
    live("what_is_not_taken_out_is_denied", |directory| {
        let mut openers = [Opener::new(), Opener::new(), Opener::new()];
        let held = program(directory, "held");
        let gate = holding(&held);
        for opener in &mut openers {
            opener.start(&format!("cat {}", held.display()));
            opener.assert_waits();
        }
        let mut buffer = EventBuffer::new();
        let mut events = gate.group.read(&mut buffer).unwrap();
        assert_eq!(events.len(), 3);
        let Some(Event::Request(first)) = events.next() else { panic!() };
        first.allow();
        drop(events);
        let mut statuses = openers.map(|opener| opener.status());
        statuses.sort_unstable();
        assert_eq!(statuses, [0, 1, 1]);
        assert_eq!(gate.group.read(&mut buffer).unwrap().len(), 0, "and reading does not block");
    });
}

#[test]
fn a_request_keeps_its_group() {
    live("a_request_keeps_its_group", |directory| {
        let (mut read, mut unread) = (Opener::new(), Opener::new());
        let held = program(directory, "held");
        let mut gate = holding(&held);
        read.start(&format!("cat {}", held.display()));
        let request = gate.request();
        unread.start(&format!("cat {}", held.display()));
        drop(gate);
        read.assert_waits();
        unread.assert_waits();
        assert_eq!(request.deny(), Answered::Delivered);
        assert_eq!(read.status(), 1);
        // The control: with the last of the group gone, who still waits goes through.
        assert_eq!(unread.status(), 0);
        assert_eq!(read.run(&format!("cat {}", held.display())), 0, "and the mark with it");
    });
}

#[test]
fn who_asks_is_killed() {
    live("who_asks_is_killed", |directory| {
        let mut opener = Opener::new();
        let held = program(directory, "held");
        let mut gate = holding(&held);
        for allowed in [true, false] {
            opener.start(&format!("cat {}", held.display()));
            let request = gate.request();
            let pid = Pid::from_raw(i32::try_from(request.pid()).unwrap()).unwrap();
            kill_process(pid, Signal::KILL).unwrap();
            assert_eq!(opener.status(), 128 + 9);
            // The kernel keeps it until then.
            let answered = if allowed { request.allow() } else { request.deny() };
            assert_eq!(answered, Answered::Delivered);
        }
        // Their numbers are used again, and nothing of them is left.
        opener.start(&format!("cat {}", held.display()));
        assert_eq!(gate.request().allow(), Answered::Delivered);
        assert_eq!(opener.status(), 0);
    });
}

#[test]
fn no_descriptor_leaks() {
    live("no_descriptor_leaks", |directory| {
        const TIMES: usize = 1000;
        let held = program(directory, "held");
        let mut gate = holding(&held);
        let before = open_descriptors();
        let file = held.clone();
        let opening =
            thread::spawn(move || (0..TIMES).filter(|_| File::open(&file).is_ok()).count());
        for number in 0..TIMES {
            let request = gate.expect(Access::Open, &held);
            assert_eq!(request.pid(), std::process::id());
            assert!(request.pidfd().is_some(), "or there would be nothing to leak");
            match number % 3 {
                0 => drop(request.allow()),
                1 => drop(request.deny()),
                _ => drop(request),
            }
        }
        assert_eq!(opening.join().unwrap(), TIMES.div_ceil(3));
        assert_eq!(open_descriptors(), before);
    });
}

#[test]
fn reading_the_file_asks_nobody() {
    live("reading_the_file_asks_nobody", |directory| {
        let mut opener = Opener::new();
        let held = program(directory, "held");
        let contents = fs::read(&held).unwrap();
        let mut gate = holding(&held);
        opener.start(&format!("cat {}", held.display()));
        let request = gate.request();
        // In the only thread that answers.
        let mut bytes = vec![0; contents.len() + 1];
        let length = pread(request.file(), &mut bytes, 0).unwrap();
        assert_eq!(bytes[..length], contents);
        gate.assert_calm();

        // The control: opening it again would have hung this thread.
        let path = format!("/proc/self/fd/{}", request.file().as_raw_fd());
        let again = thread::spawn(move || File::open(path));
        gate.expect(Access::Open, &held).deny();
        assert!(again.join().unwrap().is_err());
        request.allow();
        assert_eq!(opener.status(), 0);
    });
}

#[test]
fn without_descriptors_it_is_denied_and_goes_on() {
    live("without_descriptors_it_is_denied_and_goes_on", |directory| {
        let mut opener = Opener::new();
        let held = program(directory, "held");
        let mut gate = holding(&held);
        let mut buffer = EventBuffer::new();
        let limit = getrlimit(Resource::Nofile);
        let mut read_with = |numbers: u64| {
            let few = Rlimit { current: Some(numbers), maximum: limit.maximum };
            setrlimit(Resource::Nofile, few).unwrap();
            let events = gate.group.read(&mut buffer);
            setrlimit(Resource::Nofile, limit).unwrap();
            let mut events = events.unwrap();
            assert_eq!(events.len(), 1);
            events.next().unwrap()
        };
        for _ in 0..3 {
            opener.start(&format!("cat {}", held.display()));
            opener.assert_waits();
            let event = read_with(0);
            assert!(matches!(event, Event::NoDescriptor), "{event:?}");
            assert_eq!(opener.status(), 1);
        }

        // One for the file and none for the process.
        let file = File::open("/dev/null").unwrap();
        let free = u64::try_from(file.as_raw_fd()).unwrap();
        drop(file);
        opener.start(&format!("cat {}", held.display()));
        opener.assert_waits();
        let Event::Request(request) = read_with(free + 1) else { panic!() };
        assert!(request.pidfd().is_none() && request.pid() != 0);
        request.allow();
        assert_eq!(opener.status(), 0);

        gate.assert_calm();
        opener.start(&format!("cat {}", held.display()));
        assert!(gate.expect(Access::Open, &held).pidfd().is_some(), "the control");
        assert_eq!(opener.status(), 1);
    });
}

#[test]
fn a_large_file() {
    live("a_large_file", |directory| {
        let held = directory.join("large");
        File::create(&held).unwrap().set_len(5 << 30).unwrap();
        let mut gate = holding(&held);
        let file = held.clone();
        let open = thread::spawn(move || File::open(file));
        gate.expect(Access::Open, &held).allow();
        assert!(open.join().unwrap().is_ok());
    });
}

#[test]
fn a_clone_is_the_same_group_and_poll_tells() {
    live("a_clone_is_the_same_group_and_poll_tells", |directory| {
        let mut opener = Opener::new();
        let held = program(directory, "held");
        let gate = holding(&held);
        let mut other = Gate::new(gate.group.clone());
        let ready = |gate: &Gate| {
            let now = Timespec::default();
            poll(&mut [PollFd::new(&gate.group, PollFlags::IN)], Some(&now)).unwrap() == 1
        };
        assert!(!ready(&gate));
        opener.start(&format!("cat {}", held.display()));
        opener.assert_waits();
        assert!(ready(&gate) && ready(&other));
        let request = other.request();
        assert!(!ready(&gate));
        drop(other);
        thread::sleep(Duration::from_millis(50));
        assert_eq!(request.allow(), Answered::Delivered);
        assert_eq!(opener.status(), 0);
    });
}
