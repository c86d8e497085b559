//! What a service manager gets to see, and what it hands to a process it starts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the receiver")]

mod receiver;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use narwarden_linux::systemd::{KEPT, Notifier, PATIENCE, kept, take_fds, watchdog_interval};
use receiver::Receiver;
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

fn manager() -> (tempfile::TempDir, Receiver, Notifier) {
    let directory = tempfile::tempdir().unwrap();
    let manager = Receiver::at(&directory.path().join("notify"));
    let notifier = Notifier::to(&manager.name).unwrap();
    (directory, manager, notifier)
}

fn text(manager: &Receiver) -> String {
    let received = manager.receive();
    assert!(received.files.is_empty());
    String::from_utf8(received.bytes).unwrap()
}

#[test]
fn the_words_are_those_of_sd_notify() {
    let (_directory, manager, notifier) = manager();
    assert_eq!(notifier.socket(), Some(manager.name.as_os_str()));
    notifier.ready("2 held").unwrap();
    assert_eq!(text(&manager), "READY=1\nSTATUS=2 held");
    notifier.watchdog().unwrap();
    assert_eq!(text(&manager), "WATCHDOG=1");
    notifier.stopping().unwrap();
    assert_eq!(text(&manager), "STOPPING=1");
    notifier.status("one\nREADY=1\u{1b}[2J\0two").unwrap();
    assert_eq!(text(&manager), "STATUS=one READY=1 [2J two");
    notifier.status(&"é".repeat(9999)).unwrap();
    assert_eq!(text(&manager), format!("STATUS={}", "é".repeat(512)));
}

#[test]
fn a_reload_begins_at_a_time() {
    let (_directory, manager, notifier) = manager();
    let micros = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000
    };
    let before = micros();
    notifier.reloading().unwrap();
    let after = micros();
    let message = text(&manager);
    let said = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("both in one message");
    assert!((before..=after).contains(&said.parse().unwrap()), "{before} {message} {after}");
}

#[test]
fn a_stored_descriptor_is_the_file_itself() {
    let (_directory, manager, notifier) = manager();
    let file = tempfile::tempfile().unwrap();
    notifier.store_fd("hold", file.as_fd()).unwrap();
    let mut received = manager.receive();
    assert_eq!(received.bytes, b"FDSTORE=1\nFDNAME=hold\nFDPOLL=0");
    assert_eq!(received.files.len(), 1);
    let copy = File::from(received.files.remove(0));
    assert_ne!(copy.as_raw_fd(), file.as_raw_fd());
    assert_eq!(copy.metadata().unwrap().ino(), file.metadata().unwrap().ino());

    notifier.drop_fd("hold").unwrap();
    assert_eq!(text(&manager), "FDSTOREREMOVE=1\nFDNAME=hold");
    let long = "x".repeat(256);
    for name in ["", "a:b", "a\nREADY=1", "é", long.as_str()] {
        let error = notifier.store_fd(name, file.as_fd()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name:?}");
        notifier.drop_fd(name).unwrap_err();
    }
    assert!(manager.is_silent());
}

#[test]
fn a_barrier_waits_for_the_manager_and_no_longer() {
    let (_directory, manager, notifier) = manager();
    let start = Instant::now();
    let error = notifier.wait_until_handled(Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(start.elapsed() >= Duration::from_millis(50));
    drop(manager.receive());

    let service = std::thread::spawn(move || {
        notifier.status("before").unwrap();
        notifier.wait_until_handled(Duration::from_secs(30)).unwrap();
        Instant::now()
    });
    assert_eq!(text(&manager), "STATUS=before");
    let received = manager.receive();
    assert_eq!((received.bytes.as_slice(), received.files.len()), (&b"BARRIER=1"[..], 1));
    std::thread::sleep(Duration::from_millis(50));
    assert!(!service.is_finished());
    let handled = Instant::now();
    drop(received);
    assert!(service.join().unwrap() >= handled);
}

#[test]
fn a_manager_that_is_not_there_or_does_not_read_is_an_error() {
    let (_directory, manager, notifier) = manager();
    let error = loop {
        if let Err(error) = notifier.watchdog() {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    // Were each of these waited for like `ready` below, that would be twice as long.
    let start = Instant::now();
    for _ in 0..100 {
        notifier.watchdog().unwrap_err();
    }
    assert!(start.elapsed() < PATIENCE * 50, "a watchdog must not wait");
    let error = notifier.ready("").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let path = manager.name.clone();
    drop(manager);
    assert_eq!(notifier.ready("").unwrap_err().kind(), ErrorKind::ConnectionRefused);
    std::fs::remove_file(path).unwrap();
    assert_eq!(notifier.ready("").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn an_abstract_socket_will_do() {
    let manager = Receiver::abstract_named("narwarden-notify");
    Notifier::to(&manager.name).unwrap().ready("").unwrap();
    assert_eq!(text(&manager), "READY=1\nSTATUS=");
    for address in ["", "@", "notify", "vsock:2:1234"] {
        Notifier::to(OsStr::new(address)).unwrap_err();
    }
}

/// Runs the test `name` of this program in a process of its own. `prepare` may add to the command;
/// the shell between puts the descriptors where they are wanted and keeps its process number.
fn run(name: &str, redirections: &str, prepare: impl FnOnce(&mut Command)) -> Output {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!(
        "LISTEN_PID=${{PID_SAID:-$$}}; export LISTEN_PID; exec {:?} --exact {name} --ignored \
         --nocapture {redirections}",
        std::env::current_exe().unwrap(),
    ));
    for variable in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", KEPT] {
        shell.env_remove(variable);
    }
    prepare(&mut shell);
    shell.output().unwrap()
}

fn assert_passed(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
}

#[test]
fn stored_descriptors_come_back_with_their_names() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        std::fs::write(directory.path().join(name), name).unwrap();
    }
    let output = run("inner_take_two", "3<a 4<b", |shell| {
        shell.current_dir(&directory).env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", "hold:watch");
    });
    assert_passed(&output);
}

#[test]
#[ignore = "run by stored_descriptors_come_back_with_their_names"]
fn inner_take_two() {
    let taken = take_fds().unwrap();
    assert!(take_fds().unwrap().is_empty(), "a second owner would close them under the first");
    for ((name, file), (expected, contents)) in
        taken.into_iter().zip([("hold", "a"), ("watch", "b")])
    {
        assert_eq!(name, expected);
        assert_eq!(fcntl_getfd(&file).unwrap(), FdFlags::CLOEXEC);
        let mut read = String::new();
        File::from(file).read_to_string(&mut read).unwrap();
        assert_eq!(read, contents);
    }
}

#[test]
fn what_is_meant_for_another_process_or_does_not_exist_is_not_taken() {
    let none = |shell: &mut Command| {
        shell.env("LISTEN_FDS", "2").env("PID_SAID", "1");
    };
    assert_passed(&run("inner_take_none", "3</dev/null 4</dev/null", none));
    assert_passed(&run("inner_take_none", "3</dev/null", |_| {}));
    for count in ["2", "64", "4000000000", "-1"] {
        let closed = |shell: &mut Command| {
            shell.env("LISTEN_FDS", count);
        };
        let redirections = "3</dev/null 4<&- 5<&- 6<&-";
        assert_passed(&run("inner_take_fails", redirections, closed));
    }
}

#[test]
#[ignore = "run by what_is_meant_for_another_process_or_does_not_exist_is_not_taken"]
fn inner_take_none() {
    assert!(take_fds().unwrap().is_empty());
}

#[test]
#[ignore = "run by what_is_meant_for_another_process_or_does_not_exist_is_not_taken"]
fn inner_take_fails() {
    assert_eq!(take_fds().unwrap_err().kind(), ErrorKind::InvalidData);
    // Whatever was at 3 is neither closed nor owned.
    assert!(std::fs::metadata("/proc/self/fd/3").is_ok());
}

/// A program replaces itself and keeps two descriptors, although the variables of its first start
/// still stand.
#[test]
fn descriptors_survive_the_replacement_of_the_program() {
    let output = run("inner_replace", "3</dev/null", |shell| {
        shell.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "hold");
    });
    assert_passed(&output);
}

#[test]
#[ignore = "run by descriptors_survive_the_replacement_of_the_program"]
fn inner_replace() {
    let (name, hold) = take_fds().unwrap().remove(0);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"kept").unwrap();
    let file = OwnedFd::from(file);
    let value = kept(&[(&name, hold.as_fd()), ("x=y", file.as_fd())]).unwrap();
    kept(&[("a:b", hold.as_fd())]).unwrap_err();
    fcntl_setfd(&hold, FdFlags::empty()).unwrap();
    fcntl_setfd(&file, FdFlags::empty()).unwrap();
    let error = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "inner_replaced", "--ignored", "--nocapture"])
        .env(KEPT, value)
        .exec();
    panic!("{error}");
}

#[test]
#[ignore = "run by inner_replace"]
fn inner_replaced() {
    let mut taken = take_fds().unwrap();
    assert_eq!(taken.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ["hold", "x=y"]);
    let mut file = File::from(taken.remove(1).1);
    let mut contents = String::new();
    std::io::Seek::rewind(&mut file).unwrap();
    file.read_to_string(&mut contents).unwrap();
    assert_eq!(contents, "kept");
}

#[test]
fn the_environment_says_whom_to_notify_and_how_often() {
    let directory = tempfile::tempdir().unwrap();
    let manager = Receiver::at(&directory.path().join("notify"));
    let output = run("inner_environment", "", |shell| {
        shell.env("NOTIFY_SOCKET", &manager.name).env("WATCHDOG_USEC", "3000000");
    });
    assert_passed(&output);
    assert_eq!(text(&manager), "READY=1\nSTATUS=1.5s");

    for usec in ["", "0", "1", "x", "-5"] {
        let output = run("inner_nobody", "", |shell| {
            shell.env("NOTIFY_SOCKET", "").env("WATCHDOG_USEC", usec);
        });
        assert_passed(&output);
    }
    let output = run("inner_nobody", "", |shell| {
        shell.env("WATCHDOG_USEC", "3000000").env("WATCHDOG_PID", "1");
    });
    assert_passed(&output);
}

#[test]
#[ignore = "run by the_environment_says_whom_to_notify_and_how_often"]
fn inner_environment() {
    let interval = watchdog_interval().unwrap();
    Notifier::from_environment().unwrap().ready(&format!("{interval:?}")).unwrap();
}

#[test]
#[ignore = "run by the_environment_says_whom_to_notify_and_how_often"]
fn inner_nobody() {
    let notifier = Notifier::from_environment().unwrap();
    assert_eq!(notifier.socket(), None);
    notifier.ready("nobody").unwrap();
    notifier.store_fd("hold", std::io::stdin().as_fd()).unwrap();
    notifier.wait_until_handled(Duration::ZERO).unwrap();
    // 1 µs has no half; systemd never says 0.
    assert!(watchdog_interval().is_none_or(|it| it < Duration::from_micros(1)));
}
