//! Who asks, with real marks.

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
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use landlock::{
    ABI, Access as _, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
};
use live::{Gate, Opener, live, program};
use narwarden_linux::fanotify::Group;
use narwarden_linux::file_id::FileId;
use narwarden_linux::process::{Privilege, Process};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, Uid, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::thread::set_thread_uid;

fn holding(file: &Path) -> Gate {
    let group = Group::hold().unwrap();
    group.hold_file(File::open(file).unwrap().as_fd()).unwrap();
    Gate::new(group)
}

#[test]
fn everything_of_one_who_waits() {
    live("everything_of_one_who_waits", |directory| {
        let mut opener = Opener::new();
        let held = program(directory, "held");
        let mut gate = holding(&held);
        opener.start(&held.display().to_string());
        let request = gate.request();
        let process = Process::of(&request);
        let shell = fs::canonicalize("/bin/sh").unwrap();
        assert_eq!((process.pid(), process.parent()), (request.pid(), Some(opener.pid())));
        assert_eq!((process.uid(), process.tty()), (Some(0), None));
        assert_eq!(process.executable(), Some(FileId::at(&shell).unwrap()), "not yet the new one");
        assert_eq!(process.executable_path(), Some(shell.as_path()));
        assert!(process.is_alive() && process.pidfd().is_some() && process.started().is_some());

        kill_process(pid(&process), Signal::KILL).unwrap();
        opener.status();
        assert!(!process.is_alive());
        let late = Process::of(&request);
        let known = (late.uid(), late.parent(), late.executable());
        assert_eq!(known, (None, None, None), "nothing is made up of one who is gone");
    });
}

fn pid(process: &Process) -> Pid {
    Pid::from_raw(i32::try_from(process.pid()).unwrap()).unwrap()
}

#[test]
fn a_copy_of_a_reader_is_not_the_reader() {
    live("a_copy_of_a_reader_is_not_the_reader", |directory| {
        let mut opener = Opener::new();
        let held = program(directory, "held");
        let cat = fs::canonicalize("/bin/cat").unwrap();
        let (copy, bound) = (directory.join("cat"), directory.join("bound"));
        for file in [&copy, &bound] {
            fs::copy(&cat, file).unwrap();
        }
        let mut gate = holding(&held);
        let reader = FileId::at(&cat).unwrap();
        let mut asks = |command: &str| {
            opener.start(command);
            let process = Process::of(&gate.request());
            opener.status();
            let path = process.executable_path().map(Path::to_owned);
            (process.executable() == Some(reader), path)
        };
        let held = held.display();
        assert_eq!(asks(&format!("cat {held}")), (true, Some(cat.clone())), "the control");
        assert_eq!(asks(&format!("{} {held}", copy.display())), (false, Some(copy.clone())));
        // A path made to look right.
        let spoof = format!(
            "unshare --mount sh -c 'mount --bind {0} {1} && exec {1} {held}'",
            bound.display(),
            cat.display(),
        );
        assert_eq!(asks(&spoof), (false, Some(cat.clone())));
        let gone = format!("({0} {held} & sleep 0.1; rm {0}; wait $!)", copy.display());
        let (is_reader, path) = asks(&gone);
        assert!(!is_reader && path.is_some());
    });
}

#[test]
fn one_thread_that_is_root_makes_the_process_root() {
    live("one_thread_that_is_root_makes_the_process_root", |directory| {
        let held = directory.join("held");
        fs::write(&held, "").unwrap();
        let mut gate = holding(&held);
        let mut asked_by = |user: u32| {
            let file = held.clone();
            let open = thread::spawn(move || {
                set_thread_uid(Uid::from_raw(user)).unwrap();
                File::open(file).is_ok()
            });
            let process = Process::of(&gate.request());
            assert!(!open.join().unwrap());
            (process.uid(), process.privilege())
        };
        fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        assert_eq!(asked_by(0), (Some(0), Privilege::Root), "the control");
        // The kernel does not say which of the threads asks.
        assert_eq!(asked_by(65_533), (Some(0), Privilege::Root));
    });
}

#[test]
fn the_terminal_it_uses() {
    live("the_terminal_it_uses", |directory| {
        let held = program(directory, "held");
        let mut gate = holding(&held);
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = PathBuf::from(ptsname(&master, Vec::new()).unwrap().into_string().unwrap());
        let used = format!("cat {}", held.display());
        let unused = format!("cat {} 0</dev/null >/dev/null 2>/dev/null", held.display());
        for (command, expected) in [(used, Some(path.as_path())), (unused, None)] {
            let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
            let terminal = open(&path, flags, Mode::empty()).unwrap();
            let mut child = Command::new("setsid")
                .args(["--ctty", "sh", "-c", &format!("{command}; exit $?")])
                .stdin(terminal)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let process = Process::of(&gate.request());
            assert!(!child.wait().unwrap().success());
            assert_eq!(process.tty(), expected, "{command}");
        }
    });
}

/// What is known from inside a Landlock domain: numbers, and not the executable. Who judges by that must
/// not be in one.
#[test]
fn landlock_hides_the_executable() {
    live("landlock_hides_the_executable", |directory| {
        let mut opener = Opener::new();
        let held = program(directory, "held");
        let mut gate = holding(&held);
        opener.start(&format!("cat {}", held.display()));
        let (request, shell) = (gate.request(), opener.pid());
        thread::scope(|scope| {
            let restricted = scope.spawn(|| {
                let reading = AccessFs::from_read(ABI::V1);
                let ruleset =
                    Ruleset::default().handle_access(AccessFs::from_all(ABI::V1)).unwrap();
                let rules = landlock::path_beneath_rules(["/"], reading);
                let status =
                    ruleset.create().unwrap().add_rules(rules).unwrap().restrict_self().unwrap();
                if status.ruleset == RulesetStatus::NotEnforced {
                    return eprintln!("SKIPPED, no Landlock here");
                }
                let process = Process::of(&request);
                assert!(process.is_alive());
                assert_eq!((process.uid(), process.executable()), (Some(0), None));
                assert_eq!(process.parent(), Some(shell));
            });
            restricted.join().unwrap();
        });
        assert!(Process::of(&request).executable().is_some(), "the control");
        request.allow();
        assert_eq!(opener.status(), 0);
    });
}
