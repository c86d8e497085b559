//! Files that must not be trusted, each made from one that is.

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

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use narwarden_linux::trusted_file::{self, TrustedFile, TrustedFileError};
use rustix::fs::{CWD, Mode, mkfifoat};
use support::{is_root, within_time};

const LIMIT: u64 = 16;

fn read(path: &Path) -> Result<TrustedFile, TrustedFileError> {
    let path = path.to_owned();
    within_time(move || trusted_file::read(&path, LIMIT))
}

/// A trusted file is made, `spoil`ed, and refused with this text; `PATH` stands for its path.
fn refused(what: &str, spoil: impl FnOnce(&Path), text: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.toml");
    fs::write(&path, "threshold = 2\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(read(&path).unwrap().text, "threshold = 2\n", "{what}, control");
    spoil(&path);
    let error = read(&path).expect_err(what).to_string();
    assert_eq!(error.replace(&format!("{path:?}"), "PATH"), text, "{what}");
}

fn replace(path: &Path, with: impl FnOnce(&Path)) {
    fs::remove_file(path).unwrap();
    with(path);
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_refused() {
    let writable = |mode| {
        format!(
            "PATH must be writable by its owner alone, but has mode {mode}; if its contents are \
             right: chmod go-w PATH"
        )
    };
    refused("world", |p| chmod(p, 0o646), &writable("0646"));
    refused("group", |p| chmod(p, 0o664), &writable("0664"));
    refused("write only", |p| chmod(p, 0o602), &writable("0602"));
    refused(
        "directory",
        |p| replace(p, |p| fs::create_dir(p).unwrap()),
        "PATH must be a regular file, but is a directory",
    );
    refused(
        "FIFO",
        |p| replace(p, |p| mkfifoat(CWD, p, Mode::RUSR).unwrap()),
        "PATH must be a regular file, but is a FIFO",
    );
    refused(
        "socket",
        |p| replace(p, |p| drop(UnixListener::bind(p).unwrap())),
        "cannot open PATH: No such device or address (os error 6)",
    );
    refused(
        "device",
        |p| replace(p, |p| symlink("/dev/zero", p).unwrap()),
        "PATH must be a regular file, but is a character device",
    );
    refused(
        "no size, but contents",
        |p| replace(p, |p| symlink("/proc/self/status", p).unwrap()),
        "PATH must have at most 16 bytes, but has 17; is it the right file?",
    );
    refused(
        "too large",
        |p| fs::write(p, "12345678901234567").unwrap(),
        "PATH must have at most 16 bytes, but has 17; is it the right file?",
    );
    refused(
        "huge",
        |p| fs::File::create(p).unwrap().set_len(1 << 40).unwrap(),
        "PATH must have at most 16 bytes, but has 1099511627776; is it the right file?",
    );
    refused(
        "not UTF-8",
        |p| fs::write(p, b"key \xff").unwrap(),
        "PATH must be UTF-8 text, but is not from byte 4 on",
    );
    refused(
        "missing",
        |p| fs::remove_file(p).unwrap(),
        "cannot open PATH: No such file or directory (os error 2)",
    );
    refused(
        "link to itself",
        |p| replace(p, |p| symlink(p, p).unwrap()),
        "cannot open PATH: Too many levels of symbolic links (os error 40)",
    );
    if is_root("files of other users") {
        refused(
            "owner",
            |p| chown(p, Some(65_533), None).unwrap(),
            "PATH must belong to root, but belongs to user 65533; if its contents are right: \
             chown root PATH",
        );
    }
}

#[test]
fn links_lead_to_the_file_that_is_judged() {
    let directory = tempfile::tempdir().unwrap();
    let (file, link) = (directory.path().join("file"), directory.path().join("link"));
    fs::write(&file, "text").unwrap();
    chmod(&file, 0o600);
    symlink("file", &link).unwrap();
    let read_file = read(&file).unwrap();
    assert_eq!(read(&link).unwrap(), read_file);
    assert_eq!((read_file.metadata.size, read_file.metadata.mode & 0o022), (4, 0));
    chmod(&file, 0o666);
    assert!(read(&link).is_err());
}

#[test]
fn sizes_at_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    for text in ["", "1234567890123456", "äöüÄÖÜß!"] {
        fs::write(&path, text).unwrap();
        chmod(&path, 0o600);
        assert_eq!(read(&path).unwrap().text, text);
    }
    assert!(trusted_file::read(&path, u64::MAX).is_ok());

    // Says that it is empty and is not.
    let made_up = trusted_file::read(Path::new("/proc/self/status"), 1 << 20);
    assert!(matches!(made_up, Err(TrustedFileError::Changed { .. })));
}
