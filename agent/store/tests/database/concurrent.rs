//! Reading while others write: what is read was true at one moment, all of it.

use narwarden_core::store_path::StorePath;
use narwarden_forge::{Forge, Workshop};
use narwarden_store::{Database, DatabaseError, Location, ReadMode};
use rusqlite::Connection;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ROOT: &str = "NARWARDEN_TEST_ROOT";
const NOBODY: u32 = 65_534;
const PATHS: i64 = 30;
const READS: usize = 200;

fn path(number: i64) -> StorePath {
    StorePath::make("output:out", &[u8::try_from(number).unwrap(); 32], "part").unwrap()
}

/// A closure in which every row says the same number, and the number says which rows refer to which.
fn store() -> (Workshop, Forge) {
    let workshop = Workshop::new().unwrap();
    let forge = Forge::new(workshop.root()).unwrap();
    let insert = "INSERT INTO ValidPaths (id, path, hash, registrationTime) VALUES (?1, ?2, '', 0)";
    for number in 1..=PATHS {
        forge.connection().execute(insert, (number, path(number).to_string())).unwrap();
    }
    write(forge.connection(), 1);
    (workshop, forge)
}

/// One commit: version `n` makes a chain that leaves out every path that `n + 1` divides.
fn write(connection: &Connection, version: i64) {
    let chain: Vec<i64> = chain(version);
    connection.execute_batch("BEGIN IMMEDIATE; DELETE FROM Refs").unwrap();
    connection.execute("UPDATE ValidPaths SET narSize = ?1", [version]).unwrap();
    for pair in chain.windows(2) {
        connection.execute("INSERT INTO Refs VALUES (?1, ?2)", [pair[0], pair[1]]).unwrap();
    }
    connection.execute_batch("COMMIT").unwrap();
}

fn chain(version: i64) -> Vec<i64> {
    (1..=PATHS).filter(|number| *number == 1 || number % (version % 7 + 2) != 0).collect()
}

/// Whether the read closure is that of one version.
fn assert_whole(location: &Location) -> Result<ReadMode, DatabaseError> {
    let read = Database::at(location).closure(&path(1))?;
    let sizes: Vec<_> = read.value.claims().map(|(_, claim)| claim.nar_size.unwrap()).collect();
    assert!(sizes.iter().all(|size| *size == sizes[0]), "torn: {sizes:?}");
    let version = i64::try_from(sizes[0]).unwrap();
    let mut found: Vec<_> = read.value.claims().map(|(_, claim)| claim.path.clone()).collect();
    let mut expected: Vec<_> = chain(version).into_iter().map(path).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "torn at version {version}");
    assert_eq!(read.value.dangling(), []);
    Ok(read.mode)
}

/// Runs `work` while `write` is called with ever higher versions.
fn while_writing(write: impl Fn(i64) + Send, work: impl FnOnce()) {
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stopped = &stopped;
        scope.spawn(move || {
            for version in 2.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                write(version);
            }
        });
        let _stop = Stop(stopped);
        work();
    });
}

#[test]
fn no_read_is_torn_by_a_writer() {
    let (workshop, forge) = store();
    let location = Location::new(workshop.root());
    while_writing(
        move |version| write(forge.connection(), version),
        || {
            for _ in 0..READS {
                assert!(matches!(assert_whole(&location), Ok(ReadMode::Live)));
            }
        },
    );
}

#[test]
fn no_read_is_torn_by_writers_that_come_and_go() {
    // Each one opens, commits, checkpoints and closes, and takes `-wal` and `-shm` with it.
    let (workshop, forge) = store();
    drop(forge);
    let location = Location::new(workshop.root());
    let file = workshop.root().join("nix/var/nix/db/db.sqlite");
    while_writing(
        |version| {
            let connection = Connection::open(&file).unwrap();
            connection.busy_timeout(Duration::from_secs(30)).unwrap();
            write(&connection, version);
        },
        || {
            for _ in 0..READS {
                assert!(matches!(assert_whole(&location), Ok(ReadMode::Live)));
            }
        },
    );
}

#[test]
fn no_read_of_another_user_is_torn() {
    // Who may not take part in the locking reads the file alone, and only where it held still.
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED, needs root: the view of another user while root writes");
        return;
    }
    let (workshop, forge) = store();
    drop(forge);
    let file = workshop.root().join("nix/var/nix/db/db.sqlite");
    for pause in [0, 20, 120] {
        while_writing(
            |version| {
                let connection = Connection::open(&file).unwrap();
                connection.busy_timeout(Duration::from_secs(30)).unwrap();
                write(&connection, version);
                drop(connection);
                std::thread::sleep(Duration::from_millis(pause));
            },
            || {
                let output = Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "concurrent::inner", "--ignored"])
                    .env(ROOT, workshop.root())
                    .current_dir("/")
                    .uid(NOBODY)
                    .gid(NOBODY)
                    .output();
                match output {
                    Err(error) => eprintln!("SKIPPED, out of reach of another user: {error}"),
                    Ok(output) => {
                        let text = String::from_utf8_lossy(&output.stdout);
                        assert!(
                            output.status.success() && text.contains("1 passed"),
                            "{pause}: {output:#?}"
                        );
                    }
                }
            },
        );
    }
}

#[test]
#[ignore = "run by no_read_of_another_user_is_torn"]
fn inner() {
    let root = std::env::var(ROOT).unwrap();
    let location = Location::new(Path::new(&root));
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(4) {
        match assert_whole(&location) {
            Ok(_) | Err(DatabaseError::LogUnreadable { .. } | DatabaseError::Unsteady { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_reader_waits_for_a_writer_that_holds_the_database_alone() {
    let (workshop, forge) = store();
    let location = Location::new(workshop.root());
    forge.connection().execute_batch("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE").unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| assert_whole(&location).map(drop));
        std::thread::sleep(Duration::from_millis(700));
        assert!(!reader.is_finished());
        forge.connection().execute_batch("COMMIT").unwrap();
        reader.join().unwrap().unwrap();
    });
}

#[test]
fn a_writer_that_never_lets_go_is_an_error_in_time() {
    let (workshop, forge) = store();
    let location = Location::new(workshop.root());
    forge.connection().execute_batch("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE").unwrap();
    let begin = Instant::now();
    assert!(matches!(assert_whole(&location), Err(DatabaseError::Sqlite { .. })));
    assert!(begin.elapsed() < Duration::from_secs(60));
    let shut = workshop.root().join("nix/var/nix/db");
    fs::set_permissions(shut, Permissions::from_mode(0o755)).unwrap();
}
