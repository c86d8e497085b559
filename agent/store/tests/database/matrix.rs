//! Who reads, and which files are there.

use narwarden_core::store_path::StorePath;
use narwarden_forge::{Column, Forge, Workshop};
use narwarden_store::{Database, DatabaseError, Location, ReadMode};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

const ROOT: &str = "NARWARDEN_TEST_ROOT";
const TOPLEVEL: &str = "NARWARDEN_TEST_TOPLEVEL";
const EXPECTED: &str = "NARWARDEN_TEST_EXPECTED";
/// Neither root nor the owner of anything.
const NOBODY: u32 = 65_534;
/// What the row of the toplevel says, in the log and in the database file.
const NEW: i64 = 222_222;
const OLD: i64 = 111_111;

/// A store whose toplevel has `OLD` as its size in the file, and `NEW` in the log.
struct Written {
    workshop: Workshop,
    forge: Forge,
    toplevel: StorePath,
}

fn written() -> Written {
    let workshop = Workshop::new().unwrap();
    let mut forge = Forge::new(workshop.root()).unwrap();
    let toplevel = forge.good_generation().unwrap().toplevel;
    forge.connection().execute_batch("PRAGMA wal_autocheckpoint = 0").unwrap();
    forge.set(&toplevel, Column::NarSize, OLD).unwrap();
    forge.connection().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    forge.set(&toplevel, Column::NarSize, NEW).unwrap();
    Written { workshop, forge, toplevel }
}

/// The same files in a place of their own, as a writer that was killed leaves them.
fn crashed(written: &Written, kept: &[&str]) -> Workshop {
    let copy = Workshop::new().unwrap();
    let to = copy.root().join("nix/var/nix/db");
    fs::create_dir_all(&to).unwrap();
    fs::create_dir_all(copy.root().join("nix/store")).unwrap();
    let from = written.workshop.root().join("nix/var/nix/db");
    for name in ["schema", "db.sqlite"].iter().chain(kept) {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    copy
}

/// What a read comes out as, in one word.
fn outcome(root: &Path, toplevel: &StorePath) -> String {
    match Database::at(&Location::new(root)).closure(toplevel) {
        Ok(read) => {
            let size = read.value.claims().next().and_then(|(_, claim)| claim.nar_size);
            let mode = match read.mode {
                ReadMode::Live => "live",
                ReadMode::Unchanging => "unchanging",
            };
            let size = match size.map(u64::cast_signed) {
                Some(NEW) => "new",
                Some(OLD) => "old",
                _ => "neither",
            };
            format!("{mode} {size}")
        }
        Err(DatabaseError::LogUnreadable { .. }) => "log unreadable".to_owned(),
        Err(DatabaseError::Unsteady { .. }) => "unsteady".to_owned(),
        Err(error) => format!("error: {error}"),
    }
}

fn mode(root: &Path, name: &str, mode: u32) {
    let at = root.join("nix/var/nix/db").join(name);
    fs::set_permissions(at, Permissions::from_mode(mode)).unwrap();
}

/// What somebody sees who may write neither the files nor the directory.
#[track_caller]
fn assert_elsewhere(root: &Path, toplevel: &StorePath, expected: &str) {
    mode(root, "", 0o555);
    let outcome = if rustix::process::geteuid().is_root() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "matrix::inner", "--ignored"])
            .env(ROOT, root)
            .env(TOPLEVEL, toplevel.to_string())
            .env(EXPECTED, expected)
            .current_dir("/")
            .uid(NOBODY)
            .gid(NOBODY)
            .output();
        match output {
            Err(error) => {
                eprintln!("SKIPPED, the program is out of reach of another user: {error}");
                expected.to_owned()
            }
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success() && text.contains("1 passed"), "{output:#?}");
                expected.to_owned()
            }
        }
    } else {
        outcome(root, toplevel)
    };
    mode(root, "", 0o755);
    assert_eq!(outcome, expected);
}

#[test]
#[ignore = "run by the others"]
fn inner() {
    let root = std::env::var(ROOT).unwrap();
    let toplevel = StorePath::parse(&std::env::var(TOPLEVEL).unwrap()).unwrap();
    assert_eq!(outcome(Path::new(&root), &toplevel), std::env::var(EXPECTED).unwrap());
}

const WAL: &str = "db.sqlite-wal";
const SHM: &str = "db.sqlite-shm";

#[test]
fn rows_that_are_in_the_log_only_are_seen() {
    let written = written();
    let root = written.workshop.root();
    assert_eq!(outcome(root, &written.toplevel), "live new");
    assert_elsewhere(root, &written.toplevel, "live new");
    // Control: the file alone is stale, so it was the log that was read.
    let alone = crashed(&written, &[]);
    assert_eq!(outcome(alone.root(), &written.toplevel), "live old");
}

#[test]
fn a_log_of_a_writer_that_crashed_is_seen() {
    let written = written();
    let crashed_with = |kept| crashed(&written, kept);
    assert_eq!(outcome(crashed_with(&[WAL, SHM]).root(), &written.toplevel), "live new");
    assert_eq!(outcome(crashed_with(&[WAL]).root(), &written.toplevel), "live new");
    assert_elsewhere(crashed_with(&[WAL, SHM]).root(), &written.toplevel, "live new");
    // The log cannot be read without the index, and the file alone would be stale.
    assert_elsewhere(crashed_with(&[WAL]).root(), &written.toplevel, "log unreadable");
}

#[test]
fn a_log_that_may_not_be_read_is_no_empty_log() {
    let written = written();
    for (name, expected) in [(WAL, "log unreadable"), (SHM, "log unreadable")] {
        let copy = crashed(&written, &[WAL, SHM]);
        mode(copy.root(), name, 0);
        assert_elsewhere(copy.root(), &written.toplevel, expected);
    }
}

#[test]
fn a_database_that_was_closed_is_read_as_it_is() {
    let Written { workshop, forge, toplevel } = written();
    drop(forge);
    let left = fs::read_dir(workshop.root().join("nix/var/nix/db")).unwrap().count();
    assert_eq!(left, 2, "SQLite removes both files on a clean end");
    assert_elsewhere(workshop.root(), &toplevel, "unchanging new");
    assert_eq!(outcome(workshop.root(), &toplevel), "live new");
    // A reader leaves both behind, empty; others can read with them.
    assert_elsewhere(workshop.root(), &toplevel, "live new");
    // An empty log alone holds no rows.
    fs::remove_file(workshop.root().join("nix/var/nix/db").join(SHM)).unwrap();
    fs::write(workshop.root().join("nix/var/nix/db").join(WAL), "").unwrap();
    assert_elsewhere(workshop.root(), &toplevel, "unchanging new");
}

#[test]
fn what_is_no_database_is_an_error() {
    for contents in [&b""[..], b"SQLite format 3\0", b"\xff\xff", &[0; 8192]] {
        let Written { workshop, forge, toplevel } = written();
        drop(forge);
        fs::write(workshop.root().join("nix/var/nix/db/db.sqlite"), contents).unwrap();
        let outcome = outcome(workshop.root(), &toplevel);
        assert!(outcome.starts_with("error: "), "{outcome}");
    }
}

#[test]
fn only_schema_10_is_understood() {
    for (schema, expected) in [
        ("10", "live new"),
        ("10\n", "live new"),
        ("9", "says schema 9"),
        ("11", "says schema 11"),
        ("", "says schema"),
        ("1010101010101010101010101010101010101010101010101010101010101010101010", "says schema"),
        ("\u{1b}[2J", "\\u{1b}[2J"),
    ] {
        let Written { workshop, forge: _forge, toplevel } = written();
        fs::write(workshop.root().join("nix/var/nix/db/schema"), schema).unwrap();
        let outcome = outcome(workshop.root(), &toplevel);
        assert!(outcome.contains(expected), "{outcome}");
        assert!(outcome.chars().all(|char| !char.is_control()), "{outcome:?}");
    }
}

#[test]
fn a_link_in_place_of_the_database_is_not_followed() {
    let Written { workshop, forge, toplevel } = written();
    drop(forge);
    let directory = workshop.root().join("nix/var/nix/db");
    fs::rename(directory.join("db.sqlite"), directory.join("other.sqlite")).unwrap();
    std::os::unix::fs::symlink("other.sqlite", directory.join("db.sqlite")).unwrap();
    let outcome = outcome(workshop.root(), &toplevel);
    assert!(outcome.starts_with("error: "), "{outcome}");
}

#[test]
fn odd_bytes_in_the_name_of_the_root_mean_nothing() {
    for name in ["a?mode=rwc", "a#b", "a%00b", "a b\n", "a&immutable=1", "file:x"] {
        let workshop = Workshop::new().unwrap();
        let root = workshop.root().join(name);
        let mut forge = Forge::new(&root).unwrap();
        let toplevel = forge.good_generation().unwrap().toplevel;
        forge.set(&toplevel, Column::NarSize, NEW).unwrap();
        assert_eq!(outcome(&root, &toplevel), "live new", "{name}");
    }
}
