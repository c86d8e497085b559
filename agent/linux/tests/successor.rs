//! Which program may take the place of this one, and that nothing changes when it does not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the support")]

mod support;

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use narwarden_linux::elf;
use narwarden_linux::file_id::FileId;
use narwarden_linux::metadata::FileKind;
use narwarden_linux::successor::{Running, Successor, SuccessorError};
use narwarden_linux::systemd::{KEPT, take_fds};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::{FdFlags, fcntl_getfd};
use rustix::pipe::{PipeFlags, pipe_with};
use support::is_root;

/// Neither root nor the owner of anything.
const SOMEONE: u32 = 65_533;
/// The directory, for a test that runs in a process of its own.
const DIRECTORY: &str = "NARWARDEN_TEST_DIRECTORY";

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A file of these contents.
fn file(path: PathBuf, contents: &[u8], bits: u32) -> PathBuf {
    fs::write(&path, contents).unwrap();
    mode(&path, bits);
    path
}

fn program(directory: &Path, name: &str) -> PathBuf {
    file(directory.join(name), &fs::read("/bin/true").unwrap(), 0o755)
}

/// The program with its PT_INTERP made a PT_NULL, elf(5).
fn without_interpreter(program: &Path) -> Vec<u8> {
    let mut bytes = fs::read(program).unwrap();
    let number = |bytes: &[u8], at: usize, size: usize| {
        let digits = bytes[at..at + size].iter().rev();
        digits.fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (first, size, count) =
        (number(&bytes, 32, 8), number(&bytes, 54, 2), number(&bytes, 56, 2));
    for at in (0..count).map(|index| first + index * size) {
        if number(&bytes, at, 4) == 3 {
            bytes[at..at + 4].fill(0);
        }
    }
    bytes
}

fn successor(path: &Path) -> Result<Option<Successor>, SuccessorError> {
    Running::now().unwrap().successor(path)
}

fn refused(path: &Path) -> SuccessorError {
    let error = successor(path).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("this program goes on") && !text.contains('\n'), "{text}");
    error
}

#[test]
fn the_running_program_has_no_successor_at_its_own_place() {
    let running = Running::now().unwrap();
    let own = std::env::current_exe().unwrap();
    assert_eq!(running.id(), FileId::at(&own).unwrap());
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("link");
    symlink(&own, &link).unwrap();
    for path in [own.as_path(), &link, Path::new("/proc/self/exe")] {
        assert!(successor(path).unwrap().is_none(), "{path:?}");
    }
    // The same bytes are not the same file; that they are is for who builds programs to arrange.
    let copy = directory.path().join("copy");
    fs::copy(&own, &copy).unwrap();
    assert!(successor(&copy).unwrap().is_some());
}

#[test]
fn what_it_opens_is_held() {
    let directory = tempfile::tempdir().unwrap();
    let (program, link) = (program(directory.path(), "program"), directory.path().join("link"));
    symlink("program", &link).unwrap();
    let successor = successor(&link).unwrap().unwrap();
    assert_eq!(successor.path(), fs::canonicalize(&program).unwrap());
    assert_eq!(successor.id(), FileId::at(&program).unwrap());
    let interpreter = elf::interpreter(File::open(&program).unwrap().as_fd()).unwrap();
    let expected: Vec<_> =
        [Some(program.clone()), interpreter].iter().flatten().map(|it| FileId::at(it)).collect();
    let held: Vec<_> = successor.files().into_iter().map(FileId::of).collect();
    let ids = |list: Vec<std::io::Result<FileId>>| -> Vec<FileId> {
        list.into_iter().map(Result::unwrap).collect()
    };
    assert_eq!(ids(held), ids(expected));
    for file in successor.files() {
        assert_eq!(fcntl_getfd(file).unwrap(), FdFlags::CLOEXEC);
    }
    // A program without one: the interpreter itself.
    let static_one = file(directory.path().join("static"), &without_interpreter(&program), 0o755);
    let successor = Running::now().unwrap().successor(&static_one).unwrap().unwrap();
    assert_eq!(successor.files().len(), 1);
}

#[test]
fn what_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let here = |name: &str| directory.path().join(name);
    let bytes = fs::read("/bin/true").unwrap();

    use SuccessorError::{
        Missing, NotElf, NotExecutable, NotRegular, WritableByOthers, WrongOwner,
    };
    assert!(matches!(refused(&here("none")), Missing { path } if path == here("none")));
    symlink("none", here("dangling")).unwrap();
    assert!(matches!(refused(&here("dangling")), Missing { .. }));
    symlink("loop", here("loop")).unwrap();
    assert!(matches!(refused(&here("loop")), SuccessorError::Io { .. }));
    assert!(matches!(refused(directory.path()), NotRegular { kind: FileKind::Directory, .. }));
    mknodat(CWD, here("fifo"), FileType::Fifo, Mode::from_raw_mode(0o755), 0).unwrap();
    assert!(matches!(refused(&here("fifo")), NotRegular { kind: FileKind::Fifo, .. }));
    assert!(matches!(refused(Path::new("/dev/null")), NotRegular { .. }));
    for bits in [0o775, 0o757, 0o722] {
        let writable = file(here("writable"), &bytes, bits);
        assert!(matches!(refused(&writable), WritableByOthers { mode, .. } if mode == bits));
    }
    let data = file(here("data"), &bytes, 0o644);
    assert!(matches!(refused(&data), NotExecutable { mode: 0o644, .. }));
    for contents in [&b"#!/bin/sh\n"[..], b"", b"\x7fEL", b"MZ\0\0"] {
        let script = file(here("script"), contents, 0o755);
        assert!(matches!(refused(&script), NotElf { .. }), "{contents:?}");
    }
    // A directory on the way that others may rename things in; not if it is sticky.
    fs::create_dir_all(here("open/below")).unwrap();
    let below = program(&here("open/below"), "program");
    for (bits, fine) in [(0o755, true), (0o777, false), (0o1777, true), (0o775, false)] {
        mode(&here("open"), bits);
        match successor(&below) {
            Ok(found) => assert!(found.is_some() && fine, "{bits:o}"),
            Err(WritableByOthers { path, mode }) => {
                assert!(path.ends_with("open") && mode == bits && !fine);
            }
            Err(error) => panic!("{bits:o}: {error}"),
        }
    }
    let fine = program(directory.path(), "fine");
    assert!(successor(&fine).unwrap().is_some(), "the control");
    if is_root("programs and directories of others") {
        chown(&fine, Some(SOMEONE), None).unwrap();
        assert!(matches!(refused(&fine), WrongOwner { uid: SOMEONE, .. }));
        chown(here("open"), Some(SOMEONE), None).unwrap();
        mode(&here("open"), 0o755);
        assert!(matches!(refused(&below), WrongOwner { path, .. } if path.ends_with("open")));
    }
}

#[test]
fn its_interpreter_is_judged_like_the_program() {
    let directory = tempfile::tempdir().unwrap();
    let interpreter = directory.path().join("ld");
    let mut bytes = fs::read("/bin/true").unwrap();
    let named = elf::interpreter(File::open("/bin/true").unwrap().as_fd()).unwrap();
    let named = named.map(|path| path.into_os_string().into_encoded_bytes()).unwrap_or_default();
    let wanted = interpreter.as_os_str().as_encoded_bytes();
    if named.len() < wanted.len() {
        return eprintln!("SKIPPED, no interpreter whose path can be replaced");
    }
    let at = bytes.windows(named.len()).position(|window| window == named).unwrap();
    bytes[at..at + named.len()].fill(0);
    bytes[at..at + wanted.len()].copy_from_slice(wanted);
    let program = file(directory.path().join("program"), &bytes, 0o755);

    use SuccessorError::{Missing, NotExecutable, NotRegular, WritableByOthers};
    assert!(matches!(refused(&program), Missing { path } if path == interpreter));
    fs::create_dir(&interpreter).unwrap();
    assert!(matches!(refused(&program), NotRegular { path, .. } if path == interpreter));
    fs::remove_dir(&interpreter).unwrap();
    file(interpreter.clone(), b"", 0o777);
    assert!(matches!(refused(&program), WritableByOthers { path, .. } if path == interpreter));
    mode(&interpreter, 0o644);
    assert!(matches!(refused(&program), NotExecutable { path, .. } if path == interpreter));
    mode(&interpreter, 0o755);
    let files = successor(&program).unwrap().unwrap();
    let held = FileId::of(files.files()[1]).unwrap();
    assert_eq!(held, FileId::at(&interpreter).unwrap(), "the control");
}

/// A descriptor to read `text` from.
fn pipe_of(text: &str) -> OwnedFd {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    File::from(writer).write_all(text.as_bytes()).unwrap();
    reader
}

#[test]
fn a_failure_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let here = |name: &str| directory.path().join(name);
    let (one, two) = (pipe_of("one"), pipe_of("two"));
    let kept = [("one", one.as_fd()), ("two", two.as_fd())];
    let no_argument: &[OsString] = &[];
    let assert_unchanged = |error: std::io::Error, kind: ErrorKind| {
        assert_eq!(error.kind(), kind, "{error}");
        for file in [&one, &two] {
            assert_eq!(fcntl_getfd(file).unwrap(), FdFlags::CLOEXEC, "{error}");
        }
        assert_eq!(std::env::var_os(KEPT), None);
        // Of ignored signals, SIGPIPE is the one that Rust programs rely on.
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
        assert!(u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 << 12 != 0, "{ignored}");
    };

    // Of a machine that nobody built (e_machine, elf(5)).
    let mut noise = fs::read("/bin/true").unwrap();
    noise[18..20].fill(0xfe);
    let noise = successor(&file(here("noise"), &noise, 0o755)).unwrap().unwrap();
    let error = noise.exec(no_argument, &kept);
    assert_eq!(error.raw_os_error(), Some(libc::ENOEXEC));
    let kind = error.kind();
    assert_unchanged(error, kind);

    let path = program(directory.path(), "program");
    let replaced = successor(&path).unwrap().unwrap();
    fs::rename(file(here("other"), b"\x7fELF", 0o755), &path).unwrap();
    let error = replaced.exec(no_argument, &kept);
    assert!(error.to_string().contains("replaced meanwhile"), "{error}");
    assert_unchanged(error, ErrorKind::NotFound);
    fs::remove_file(&path).unwrap();
    assert_unchanged(replaced.exec(no_argument, &kept), ErrorKind::NotFound);

    // What would be executed, were it not for the rest.
    let fine = successor(&program(directory.path(), "fine")).unwrap().unwrap();
    let nul = [OsString::from("a\0b")];
    assert_unchanged(fine.exec(&nul, &kept), ErrorKind::InvalidInput);
    for bad in [[("a:b", one.as_fd()), kept[1]], [kept[0], ("again", one.as_fd())]] {
        assert_unchanged(fine.exec(no_argument, &bad), ErrorKind::InvalidInput);
    }
    let endless = vec![OsString::from("x".repeat(100_000)); 100];
    assert_unchanged(fine.exec(&endless, &kept), ErrorKind::ArgumentListTooLong);
}

/// Runs a test that is ignored otherwise, in a process and with a directory of its own.
fn inner(name: &str, directory: &Path) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]).env(DIRECTORY, directory);
    for variable in ["LISTEN_PID", "LISTEN_FDS", KEPT] {
        command.env_remove(variable);
    }
    command.env("NOTIFY_SOCKET", "@told").env("WATCHDOG_USEC", "3000000").output().unwrap()
}

#[test]
fn a_successor_finds_what_was_kept_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    fs::copy(std::env::current_exe().unwrap(), directory.path().join("next")).unwrap();
    let output = inner("inner_predecessor", directory.path());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
    assert!(!directory.path().join("predecessor").exists(), "it was replaced");
    let process = fs::read_to_string(directory.path().join("process")).unwrap();
    let replaced = fs::read_to_string(directory.path().join("successor")).unwrap();
    assert_eq!(process, replaced, "the same process");
}

#[test]
#[ignore = "run by a_successor_finds_what_was_kept_and_nothing_else"]
fn inner_predecessor() {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).unwrap());
    let id = std::process::id().to_string();
    fs::write(directory.join("process"), &id).unwrap();
    let (one, two, other) = (pipe_of("one"), pipe_of("two"), pipe_of("other"));
    for (name, file) in [("one", &one), ("two", &two), ("other", &other)] {
        let pipe = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        symlink(pipe, directory.join(name)).unwrap();
    }
    let successor = successor(&directory.join("next")).unwrap().unwrap();
    let arguments = ["--exact", "inner_successor", "--ignored", "--nocapture"];
    let kept = [("hold", one.as_fd()), ("watch", two.as_fd())];
    let error = successor.exec(&arguments.map(OsString::from), &kept);
    fs::write(directory.join("predecessor"), "").unwrap();
    panic!("{error}, with {other:?} open");
}

#[test]
#[ignore = "run by inner_predecessor"]
fn inner_successor() {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).unwrap());
    let taken = take_fds().unwrap();
    let open: Vec<PathBuf> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .collect();
    let leads = |name: &str| fs::read_link(directory.join(name)).unwrap();
    assert!(open.contains(&leads("one")) && open.contains(&leads("two")), "{open:?}");
    assert!(!open.contains(&leads("other")), "what was not kept is gone: {open:?}");

    let names: Vec<_> = taken.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["hold", "watch"]);
    for ((_, file), expected) in taken.into_iter().zip(["one", "two"]) {
        assert_eq!(fcntl_getfd(&file).unwrap(), FdFlags::CLOEXEC);
        let mut contents = String::new();
        File::from(file).read_to_string(&mut contents).unwrap();
        assert_eq!(contents, expected);
    }
    assert_eq!(std::env::var("NOTIFY_SOCKET").unwrap(), "@told");
    assert_eq!(std::env::var("WATCHDOG_USEC").unwrap(), "3000000");
    let own = Path::new("/proc/self/exe");
    assert_eq!(FileId::at(own).unwrap(), FileId::at(&directory.join("next")).unwrap());
    assert!(successor(&directory.join("next")).unwrap().is_none(), "nothing to do once more");
    let zeroth = std::env::args_os().next().unwrap();
    assert_eq!(zeroth, fs::canonicalize(directory.join("next")).unwrap());
    fs::write(directory.join("successor"), std::process::id().to_string()).unwrap();
}
