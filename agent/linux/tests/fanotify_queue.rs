//! The queue of a group: one with a limit lets through what does not fit, and says so; ours have none.

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
use std::os::fd::OwnedFd;
use std::path::Path;

use live::live;
use narwarden_linux::fanotify::records::{Record, records};
use narwarden_linux::fanotify::{Event, EventBuffer, Group, Kind};
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use rustix::io::{Errno, read};

const FLAGS: InitFlags =
    InitFlags::FAN_CLASS_CONTENT.union(InitFlags::FAN_NONBLOCK).union(InitFlags::FAN_CLOEXEC);

/// A group that is told of every opening in the directory, and of as many files as were asked for.
fn flood(flags: InitFlags, directory: &Path, files: u32) -> OwnedFd {
    let group = Fanotify::init(flags, EventFFlags::O_RDONLY).unwrap();
    let mask = MaskFlags::FAN_OPEN | MaskFlags::FAN_EVENT_ON_CHILD;
    let root = File::open(directory).unwrap();
    group.mark(MarkFlags::FAN_MARK_ADD, mask, &root, None::<&Path>).unwrap();
    for number in 0..files {
        File::create(directory.join(number.to_string())).unwrap();
    }
    group.into()
}

fn limit() -> u32 {
    let text = fs::read_to_string("/proc/sys/fs/fanotify/max_queued_events").unwrap();
    text.trim().parse().unwrap()
}

#[test]
fn overflow_is_read() {
    live("overflow_is_read", |directory| {
        let limit = limit();
        if limit > 100_000 {
            eprintln!("SKIPPED, the limit here is {limit}");
            return;
        }
        let group = flood(FLAGS, directory, limit + 10);
        let mut bytes = [0; 4096];
        let mut events = 0;
        let mut overflows = 0;
        loop {
            let length = match read(&group, &mut bytes) {
                Ok(length) => length,
                Err(Errno::AGAIN) => break,
                Err(errno) => panic!("{errno}"),
            };
            for record in records(&bytes[..length]) {
                let Record::Event(event) = record else { panic!() };
                if event.mask & libc::FAN_Q_OVERFLOW == 0 {
                    nix::unistd::close(event.file.unwrap()).unwrap();
                    events += 1;
                } else {
                    assert_eq!(event.file, None);
                    overflows += 1;
                }
            }
        }
        assert_eq!((events, overflows), (limit, 1));
    });
}

#[test]
fn without_a_limit_there_is_none() {
    live("without_a_limit_there_is_none", |directory| {
        let files = limit().min(100_000) + 10;
        let group = flood(FLAGS | InitFlags::FAN_UNLIMITED_QUEUE, directory, files);
        let (group, _) = Group::adopt(group, Kind::Hold).unwrap();
        let mut buffer = EventBuffer::new();
        let mut notices = 0;
        let before = live::open_descriptors();
        loop {
            let events = group.read(&mut buffer).unwrap();
            if events.len() == 0 {
                break;
            }
            for event in events {
                assert!(matches!(event, Event::Notice), "{event:?}");
                notices += 1;
            }
        }
        assert_eq!((notices, live::open_descriptors()), (files, before));
    });
}
