//! What arrives at a terminal, and at what is none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use narwarden_linux::terminal::{Delivered, SHOWN_BYTES, TerminalError, TokenBucket, tell};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// The side of the emulator, which does not wait, and the path of the other side, held open.
fn terminal() -> (File, PathBuf, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let emulator = openpt(flags).unwrap();
    grantpt(&emulator).unwrap();
    unlockpt(&emulator).unwrap();
    let path = PathBuf::from(ptsname(&emulator, Vec::new()).unwrap().into_string().unwrap());
    let other = File::options().read(true).write(true).open(&path).unwrap();
    rustix::io::ioctl_fionbio(&emulator, true).unwrap();
    (File::from(emulator), path, other)
}

fn seen(mut emulator: &File) -> String {
    let mut bytes = Vec::new();
    let _ = emulator.read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

/// As a terminal in cooked mode shows it.
fn shown(text: &str) -> String {
    let (emulator, path, _other) = terminal();
    assert_eq!(tell(&path, text).unwrap(), Delivered::Whole);
    // Output processing makes \r\r\n of \r\n.
    seen(&emulator).replace("\r\r\n", "\r\n")
}

#[test]
fn a_message_has_lines_of_its_own() {
    assert_eq!(shown("denied\nwhy: größe ✓\n"), "\r\ndenied\r\nwhy: größe ✓\r\n");
    assert_eq!(shown(""), "\r\n\r\n");
}

#[test]
fn nothing_in_it_steers_the_terminal() {
    let hostile = "\u{1b}]0;x\u{7}\u{1b}[2J\u{9b}31m\u{8}\r\u{0}\u{7f}\u{202e}\u{2028}\u{200b}";
    let shown = shown(hostile);
    let text = shown.strip_prefix("\r\n").unwrap().strip_suffix("\r\n").unwrap();
    assert!(text.chars().all(|c| c.is_ascii_graphic()), "{text:?}");
    assert!(text.starts_with("\\u{1b}]0;x\\u{7}\\u{1b}[2J\\u{9b}31m\\u{8}\\u{d}\\u{0}"), "{text}");
}

#[test]
fn it_is_bounded_and_cut_between_characters() {
    for text in ["x".repeat(1 << 20), "é".repeat(1 << 20), "\u{1b}".repeat(1 << 20)] {
        let (emulator, path, _other) = terminal();
        let reader = std::thread::spawn(move || {
            let (start, mut text) = (Instant::now(), String::new());
            while !text.ends_with("…\r\r\n") && start.elapsed() < Duration::from_secs(60) {
                text.push_str(&String::from_utf8_lossy(seen(&emulator).as_bytes()));
            }
            text
        });
        assert_eq!(tell(&path, &text).unwrap(), Delivered::Whole);
        let text = reader.join().unwrap();
        assert!(text.ends_with("…\r\r\n"), "{text:?}");
        assert!(text.len() > SHOWN_BYTES - 20 && text.len() <= SHOWN_BYTES + 2, "{}", text.len());
    }
}

#[test]
fn a_terminal_that_takes_nothing_is_not_waited_for() {
    let (_emulator, path, other) = terminal();
    rustix::termios::tcflow(&other, rustix::termios::Action::OOff).unwrap();
    assert_eq!(tell(&path, "stopped").unwrap(), Delivered::Nothing);
    rustix::termios::tcflow(&other, rustix::termios::Action::OOn).unwrap();
    assert_eq!(tell(&path, "goes on").unwrap(), Delivered::Whole);
    let mut outcomes = Vec::new();
    while outcomes.last() != Some(&Delivered::Nothing) {
        outcomes.push(tell(&path, &"x".repeat(1 << 16)).unwrap());
        assert!(outcomes.len() < 10_000, "nobody reads, and it never fills");
    }
}

#[test]
fn a_terminal_that_is_gone_is_an_error() {
    // The other side held open keeps the number from being given to another terminal.
    let (emulator, path, _other) = terminal();
    drop(emulator);
    assert!(matches!(tell(&path, "x"), Err(TerminalError::Io { .. })));
}

#[test]
fn only_terminals_by_their_own_names_are_opened() {
    let (_emulator, path, _other) = terminal();
    let number = path.file_name().unwrap().to_str().unwrap().to_owned();
    for path in [
        "",
        "/dev/null",
        "/dev/tty",
        "/dev/ttyS0",
        "/dev/pts/",
        "/dev/pts/ptmx",
        "/dev/pts/-1",
        "/dev/pts/+1",
        "/dev/pts/01",
        "/dev/pts/4294967296",
        "/dev/pts/1/../../null",
        "dev/pts/1",
        "/etc/passwd",
        &format!("/dev/pts/{number}/"),
        &format!("/dev/pts/0{number}"),
        &format!("//dev/pts/{number}"),
        &format!("/dev/pts/{number}\n"),
    ] {
        let refused = tell(Path::new(path), "x");
        assert!(matches!(refused, Err(TerminalError::Path { .. })), "{path:?} {refused:?}");
    }
    for path in ["/dev/pts/4294967295", "/dev/tty4000000000"] {
        assert!(matches!(tell(Path::new(path), "x"), Err(TerminalError::Io { .. })), "{path}");
    }
    // The one that is no terminal but the current one of whoever opens it.
    let current = tell(Path::new("/dev/tty0"), "x");
    assert!(current.is_err(), "{current:?}");
}

#[test]
fn so_many_at_once_and_one_more_an_interval() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut bucket = TokenBucket::full(3, Duration::from_secs(10), start);
    let taken: Vec<_> = [0, 0, 0, 0, 9, 10, 10, 19, 20, 25, 30, 0, 39, 40, 1000, 1000, 1000, 1000]
        .into_iter()
        .map(|seconds| u8::from(bucket.take(at(seconds))))
        .collect();
    assert_eq!(taken, [1, 1, 1, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 1, 1, 1, 0]);

    let mut none = TokenBucket::full(0, Duration::from_secs(1), start);
    assert!(!none.take(at(1_000_000)));
    let mut always = TokenBucket::full(1, Duration::ZERO, start);
    assert!((0..100).all(|_| always.take(start)));
    let mut longest = TokenBucket::full(1, Duration::MAX, start);
    assert!(longest.take(start) && !longest.take(at(1 << 32)));
}
