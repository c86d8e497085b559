//! What a user other than root gets to see. As root, this program runs itself as another user.

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
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use narwarden_linux::tree::WalkError;
use narwarden_linux::trusted_file::{self, TrustedFileError};
use rustix::io::Errno;
use support::{Seen, is_root, walk};

/// Says to the inner run which directory to look at.
const STORE: &str = "NARWARDEN_TEST_STORE";
/// Neither root nor the owner of anything.
const SOMEONE: u32 = 65_533;

#[test]
fn as_another_user() {
    if !is_root("the view of another user") {
        return;
    }
    let store = tempfile::tempdir().unwrap();
    fs::set_permissions(store.path(), Permissions::from_mode(0o755)).unwrap();
    for (name, mode) in [("readable", 0o444), ("unreadable", 0o400)] {
        let root = store.path().join(name);
        fs::create_dir(&root).unwrap();
        fs::write(root.join("file"), "contents").unwrap();
        fs::set_permissions(root.join("file"), Permissions::from_mode(mode)).unwrap();
    }
    for (name, owner) in [("of-root", 0), ("own", SOMEONE), ("foreign", SOMEONE - 1)] {
        fs::write(store.path().join(name), name).unwrap();
        chown(store.path().join(name), Some(owner), None).unwrap();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "inner", "--ignored"])
        .env(STORE, store.path())
        .current_dir("/")
        .uid(SOMEONE)
        .gid(SOMEONE)
        .output();
    match output {
        Err(error) => eprintln!("SKIPPED, the program is out of reach of another user: {error}"),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
        }
    }
}

#[test]
#[ignore = "run by as_another_user"]
fn inner() {
    let store = std::env::var(STORE).unwrap();
    let store = Path::new(&store);

    // O_NOATIME is refused to all but the owner; that must not be the end.
    let seen = walk(store, b"readable").unwrap();
    assert!(seen.contains(&Seen::Contents(b"contents".into())));
    let refused =
        WalkError::Io { operation: "openat2", path: b"file".into(), errno: Errno::ACCESS };
    assert_eq!(walk(store, b"unreadable"), Err(refused));

    let read = |name| trusted_file::read(&store.join(name), 100);
    assert_eq!(read("of-root").unwrap().text, "of-root");
    assert_eq!(read("own").unwrap().text, "own");
    assert!(matches!(read("foreign"), Err(TrustedFileError::WrongOwner { uid: 65_532, .. })));
}
