//! Mounts on and below what is walked, each in a mount namespace of its own: this program runs
//! itself under unshare(1). Needs root.

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

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{is_root, walk};

/// Says to the inner run which store directory to walk.
const STORE: &str = "NARWARDEN_TEST_STORE";
/// Says to the inner run what must come of it.
const EXPECTED: &str = "NARWARDEN_TEST_EXPECTED";

/// What to mount (run in the store directory), and the outcome.
const MOUNTS: &[(&str, &str)] = &[
    ("true", "complete"),
    ("mount --bind other root", r#"the root is a mount point"#),
    ("mount --bind root root", r#"the root is a mount point"#),
    ("mount --bind other root/directory", r#""directory" is a mount point"#),
    ("mount -t tmpfs none root/directory/sub", r#""directory/sub" is a mount point"#),
    ("mount --bind other/file root/file", r#""file" is a mount point"#),
    ("mount --bind root/file root/file", r#""file" is a mount point"#),
    ("mount --bind /dev/null root/file", r#""file" is a mount point"#),
    ("mount --bind other/file single", "complete"),
    // As NixOS mounts its store, read-only on itself.
    ("mount --bind . . && mount -o remount,bind,ro .", "complete"),
    ("mount --bind other other", "complete"),
];

#[test]
fn mounts_are_not_entered() {
    if !is_root("mounts") {
        return;
    }
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED, may not unshare: mounts");
        return;
    }
    for (mount, expected) in MOUNTS {
        let store = tempfile::tempdir().unwrap();
        make(store.path());
        let inner =
            r#"cd "$NARWARDEN_TEST_STORE" && eval "$1" && exec "$0" --exact inner --ignored"#;
        let output = Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", inner])
            .arg(std::env::current_exe().unwrap())
            .arg(mount)
            .env(STORE, store.path())
            .env(EXPECTED, expected)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{mount}: {output:?}");
    }
}

fn make(store: &Path) {
    for directory in ["root/directory/sub", "other"] {
        fs::create_dir_all(store.join(directory)).unwrap();
    }
    for file in ["root/file", "other/file", "single"] {
        fs::write(store.join(file), file).unwrap();
    }
}

#[test]
#[ignore = "run by mounts_are_not_entered"]
fn inner() {
    let store = std::env::var(STORE).unwrap();
    let result = walk(Path::new(&store), b"root");
    let told = result.map_or_else(|error| error.to_string(), |_| "complete".to_owned());
    assert_eq!(told, std::env::var(EXPECTED).unwrap());
}
