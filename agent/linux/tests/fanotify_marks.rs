//! What is asked about, with real marks: the file, by whatever way somebody comes to it.

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

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use live::{Gate, NOT_EXECUTED, Opener, live, program};
use narwarden_linux::fanotify::{Access, Event, Group, Kind, Lasting};
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use rustix::fs::{Mode, OFlags, open};

fn script(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path
}

/// The program that loads others.
fn loader() -> Option<PathBuf> {
    let names = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];
    names.into_iter().map(PathBuf::from).find(|path| path.exists())
}

/// A command after a bind mount in a mount namespace of its own.
fn elsewhere(from: &Path, to: &Path, command: &str) -> String {
    let (from, to) = (from.display(), to.display());
    format!("unshare --mount sh -c 'mount --bind {from} {to} && {command}'")
}

#[test]
fn a_held_file_is_asked_about_on_every_way() {
    live("a_held_file_is_asked_about_on_every_way", |directory| {
        let mut opener = Opener::new();
        for name in ["there", "tools"] {
            fs::create_dir(directory.join(name)).unwrap();
        }
        let (held, binary) = (script(directory, "held"), program(directory, "binary"));
        fs::hard_link(&held, directory.join("hard")).unwrap();
        symlink("hard", directory.join("soft")).unwrap();
        let own = |name: &str| directory.join(name).display().to_string();
        let (there, path) = (directory.join("there"), held.display());
        let inside = there.join("held");

        use Access::{Exec, Open};
        let mut ways = vec![
            (own("held"), &held, Exec),
            (own("hard"), &held, Exec),
            (own("soft"), &held, Exec),
            (format!("cd {}; ./held", own("there/..")), &held, Exec),
            (format!("sh {path}"), &held, Open),
            (format!("(. {path})"), &held, Open),
            (format!("cat {path}"), &held, Open),
            (format!("cat {path} | sh"), &held, Open),
            (format!("cat <{}", own("hard")), &held, Open),
            (format!("cp {path} {}", own("copy")), &held, Open),
            (format!("(exec 9<{path}; /proc/self/fd/9)"), &held, Open),
            (format!("unshare --mount {path}"), &held, Exec),
            (elsewhere(directory, &there, &inside.display().to_string()), &held, Exec),
            (elsewhere(directory, &there, &format!("sh {}", inside.display())), &held, Open),
            (format!("chroot {} /held", own("")), &held, Exec),
        ];
        match loader() {
            Some(loader) => {
                ways.push((format!("{} {}", loader.display(), own("binary")), &binary, Open));
            }
            None => eprintln!("SKIPPED, no loader known here"),
        }
        // The control: nobody is asked before there is a mark. In the new root there is no shell.
        for (command, ..) in ways.iter().filter(|(command, ..)| !command.starts_with("chroot")) {
            assert_eq!(opener.run(command), 0, "{command}");
        }

        let group = Group::hold().unwrap();
        let path_only = OFlags::PATH | OFlags::CLOEXEC;
        group.hold_file(open(&held, path_only, Mode::empty()).unwrap().as_fd()).unwrap();
        group.hold_file(File::open(&binary).unwrap().as_fd()).unwrap();
        let mut gate = Gate::new(group);
        for (command, file, kind) in ways {
            opener.start(&command);
            let request = gate.expect(kind, file);
            request.deny();
            let status = opener.status();
            match kind {
                Exec => assert_eq!(status, NOT_EXECUTED, "{command}"),
                // The end of a pipe knows nothing of its beginning; it ran nothing.
                Open if command.ends_with("| sh") => assert_eq!(status, 0),
                Open => assert!(status != 0, "{command}"),
            }
            gate.assert_calm();
        }
        assert_eq!(opener.run(&script(directory, "free").display().to_string()), 0);
        gate.assert_calm();
    });
}

#[test]
fn allowed_through_another_mount_namespace() {
    live("allowed_through_another_mount_namespace", |directory| {
        let mut opener = Opener::new();
        let there = directory.join("there");
        fs::create_dir(&there).unwrap();
        let held = program(directory, "held");
        let group = Group::hold().unwrap();
        group.hold_file(File::open(&held).unwrap().as_fd()).unwrap();
        let mut gate = Gate::new(group);
        let inside = there.join("held").display().to_string();
        opener.start(&elsewhere(directory, &there, &inside));
        gate.allow_execution(&held);
        assert_eq!(opener.status(), 0);
    });
}

#[test]
fn holding_and_releasing() {
    live("holding_and_releasing", |directory| {
        let mut opener = Opener::new();
        let held = program(directory, "held");
        let file = File::open(&held).unwrap();
        let command = format!("cat {}", held.display());
        let mut gate = Gate::new(Group::hold().unwrap());
        gate.group.release_file(file.as_fd()).unwrap();
        gate.group.hold_file(file.as_fd()).unwrap();
        gate.group.hold_file(file.as_fd()).unwrap();
        opener.start(&command);
        let request = gate.request();
        gate.assert_calm();
        // Who asked before still waits.
        gate.group.release_file(file.as_fd()).unwrap();
        opener.assert_waits();
        request.deny();
        assert_eq!(opener.status(), 1);
        assert_eq!(opener.run(&command), 0);
        gate.assert_calm();
    });
}

#[test]
fn a_watched_file_system_sees_executions_only_and_everywhere() {
    live("a_watched_file_system_sees_executions_only_and_everywhere", |directory| {
        let mut opener = Opener::new();
        let there = directory.join("there");
        fs::create_dir(&there).unwrap();
        let watched = program(directory, "watched");
        let own = watched.display().to_string();
        let inside = there.join("watched").display().to_string();
        let group = Group::watch().unwrap();
        let root = open(directory, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        group.watch_filesystem(root.as_fd()).unwrap();
        let mut gate = Gate::new(group);

        let bound = elsewhere(directory, &there, &inside);
        for command in [&own, &format!("unshare --mount {own}"), &bound] {
            for allowed in [true, false] {
                opener.start(command);
                let request = gate.expect(Access::Exec, &watched);
                if allowed {
                    request.allow()
                } else {
                    request.deny()
                };
                assert_eq!(opener.status(), if allowed { 0 } else { NOT_EXECUTED }, "{command}");
            }
        }
        // Reading is not seen, and so neither is an interpreter: for that there is holding.
        assert_eq!(opener.run(&format!("cat {own}")), 0);
        assert_eq!(opener.run(&format!("sh {}", script(directory, "script").display())), 0);
        assert_eq!(opener.run("true"), 0, "another file system");
        gate.assert_calm();
    });
}

/// Why there are no marks on mounts: the control to the test before.
#[test]
fn a_mark_on_a_mount_does_not_see_other_namespaces() {
    live("a_mark_on_a_mount_does_not_see_other_namespaces", |directory| {
        let mut opener = Opener::new();
        let watched = program(directory, "watched").display().to_string();
        let flags =
            InitFlags::FAN_CLASS_CONTENT | InitFlags::FAN_UNLIMITED_QUEUE | InitFlags::FAN_CLOEXEC;
        let group = Fanotify::init(flags, EventFFlags::O_RDONLY).unwrap();
        let mark = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_MOUNT;
        let root = File::open(directory).unwrap();
        group.mark(mark, MaskFlags::FAN_OPEN_EXEC_PERM, &root, None::<&Path>).unwrap();
        let (group, _) = Group::adopt(group.into(), Kind::Hold).unwrap();
        let mut gate = Gate::new(group);
        opener.start(&watched);
        let Event::Request(request) = gate.event() else { panic!() };
        assert!(request.pidfd().is_none(), "a group that was not asked for them");
        request.deny();
        assert_eq!(opener.status(), NOT_EXECUTED);
        assert_eq!(opener.run(&format!("unshare --mount {watched}")), 0);
        gate.assert_calm();
    });
}

#[test]
fn ignored_files_are_silent() {
    live("ignored_files_are_silent", |directory| {
        let mut opener = Opener::new();
        let group = Group::watch().unwrap();
        let (evictable, kept) = (script(directory, "evictable"), script(directory, "kept"));
        let other = script(directory, "other");
        group.watch_filesystem(File::open(directory).unwrap().as_fd()).unwrap();
        let mut gate = Gate::new(group);
        let files = [(&evictable, Lasting::Evictable), (&kept, Lasting::Kept)];
        for (file, lasting) in files {
            let command = file.display().to_string();
            opener.start(&command);
            let request = gate.expect(Access::Exec, file);
            gate.group.ignore_file(request.file(), lasting).unwrap();
            gate.group.ignore_file(request.file(), lasting).unwrap();
            request.allow();
            assert_eq!(opener.status(), 0);
            for _ in 0..10 {
                assert_eq!(opener.run(&command), 0);
            }
        }
        gate.assert_calm();
        opener.start(&other.display().to_string());
        drop(gate.expect(Access::Exec, &other));
        assert_eq!(opener.status(), NOT_EXECUTED, "the control");

        // What is written to is another program from then on.
        for (file, _) in files {
            File::options().append(true).open(file).unwrap().write_all(b"# more\n").unwrap();
        }
        opener.start(&evictable.display().to_string());
        drop(gate.expect(Access::Exec, &evictable));
        assert_eq!(opener.status(), NOT_EXECUTED);
        assert_eq!(opener.run(&kept.display().to_string()), 0);
        gate.assert_calm();
    });
}

#[test]
fn ignoring_one_way_and_another() {
    live("ignoring_one_way_and_another", |directory| {
        let mut opener = Opener::new();
        let watched = script(directory, "watched");
        let command = watched.display().to_string();
        let file = File::open(&watched).unwrap();
        let group = Group::watch().unwrap();
        group.watch_filesystem(File::open(directory).unwrap().as_fd()).unwrap();
        let mut gate = Gate::new(group);
        gate.group.ignore_file(file.as_fd(), Lasting::Evictable).unwrap();
        gate.group.ignore_file(file.as_fd(), Lasting::Kept).unwrap();
        let again = gate.group.ignore_file(file.as_fd(), Lasting::Evictable).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
        File::options().append(true).open(&watched).unwrap().write_all(b"# more\n").unwrap();
        assert_eq!(opener.run(&command), 0, "kept, and so it stays");
        gate.assert_calm();

        let held = script(directory, "held");
        let file = File::open(&held).unwrap();
        gate.group.hold_file(file.as_fd()).unwrap();
        let ignored = gate.group.ignore_file(file.as_fd(), Lasting::Evictable).unwrap_err();
        assert_eq!(ignored.kind(), ErrorKind::AlreadyExists, "a held file stays held");
        opener.start(&held.display().to_string());
        drop(gate.expect(Access::Exec, &held));
        assert_eq!(opener.status(), NOT_EXECUTED);
    });
}
