//! Databases without an end, or with far more of something than any system has: each is given up or bounded,
//! soon, and never admitted.

use super::support::{Kind, by_bytes, good};
use narwarden_core::store_path::StorePath;
use narwarden_store::{Database, DatabaseError, Location, ReadMode};
use rusqlite::Connection;
use rustix::fs::{CWD, Mode, mkfifoat};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// Nothing here takes nearly as long; only a reader that waits for ever does.
const WATCHDOG: Duration = Duration::from_secs(50);
/// What a reader is given for a database without an end.
const SHORT: Duration = Duration::from_millis(300);
const FILE: &str = "nix/var/nix/db/db.sqlite";

/// What came of reading: how many claims, references and dangling references.
type Sizes = (usize, usize, usize);

/// Reads on a thread of its own, which the test does not wait for longer than it must.
fn read(root: &Path, toplevel: &StorePath, patience: Duration) -> Result<Sizes, DatabaseError> {
    let (root, toplevel) = (root.to_owned(), toplevel.clone());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let database = Database::at(&Location::new(&root)).with_patience(patience);
        let sizes = database.closure(&toplevel).map(|read| {
            let closure = read.value;
            let references = closure.claims().map(|(index, _)| closure.references(index).len());
            (closure.claims().len(), references.sum(), closure.dangling().len())
        });
        sender.send(sizes)
    });
    receiver.recv_timeout(WATCHDOG).expect("reading hangs, or panicked")
}

fn number_of(connection: &Connection, path: &StorePath) -> i64 {
    let query = "SELECT id FROM ValidPaths WHERE path = ?1";
    connection.query_row(query, [path.to_string()], |row| row.get(0)).unwrap()
}

#[test]
fn files_that_would_keep_a_reader_waiting_are_refused() {
    for name in ["schema", "db.sqlite", "db.sqlite-journal", "db.sqlite-wal", "db.sqlite-shm"] {
        let (workshop, forge, generation) = good();
        drop(forge);
        let place = workshop.root().join(FILE).with_file_name(name);
        assert!(read(workshop.root(), &generation.toplevel, WATCHDOG).is_ok(), "{name}");
        let _ = fs::remove_file(&place);
        mkfifoat(CWD, &place, Mode::RUSR | Mode::WUSR).unwrap();
        let error = read(workshop.root(), &generation.toplevel, WATCHDOG).unwrap_err();
        let DatabaseError::Io { path, .. } = &error else { panic!("{name}: {error}") };
        assert_eq!(path.file_name(), place.file_name(), "{error}");
    }
}

#[test]
fn columns_that_are_computed_make_no_ordinary_table() {
    let tables = [("ValidPaths", "ca", "text"), ("Refs", "note", "integer")];
    for (table, column, kind) in tables {
        for (computed, refused) in [("AS (length(zeroblob(9)))", true), ("DEFAULT ''", false)] {
            let (_workshop, forge, generation) = good();
            // Content addresses of the good generation are in `ca`, so the other table is the control.
            if table == "ValidPaths" && refused {
                forge.connection().execute_batch("ALTER TABLE ValidPaths DROP COLUMN ca").unwrap();
            }
            let column = if refused { column } else { "more" };
            let add = format!("ALTER TABLE {table} ADD COLUMN {column} {kind} {computed}");
            forge.connection().execute_batch(&add).unwrap();
            let found = read(forge.root(), &generation.toplevel, WATCHDOG);
            match found {
                Err(DatabaseError::Table { table: named, .. }) if refused => {
                    assert_eq!(named, table);
                }
                Ok(_) if !refused => {}
                other => panic!("{table} {computed}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_million_references_to_nothing_are_told_as_a_thousand() {
    for (count, kept) in [(1000, 1000), (1_000_000, 1024)] {
        let (_workshop, forge, generation) = good();
        let connection = forge.connection();
        let before = read(forge.root(), &generation.toplevel, WATCHDOG).unwrap();
        let number = number_of(connection, &generation.toplevel);
        let insert = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 999 + {count})
             INSERT INTO Refs SELECT {number}, i FROM n"
        );
        connection.execute_batch(&insert).unwrap();
        let after = read(forge.root(), &generation.toplevel, WATCHDOG).unwrap();
        assert_eq!(after, (before.0, before.1, kept));
        let found = by_bytes(&forge, &generation.toplevel);
        assert!(matches!(found.verdict, Kind::Deny(_)), "{found:?}");
    }
}

/// Bytes of a page. SQLite's default, and what [`Pages`] can write.
const PAGE: usize = 4096;

/// The pages of a database that nobody has open.
struct Pages(Vec<u8>);

impl Pages {
    /// Makes `Refs` a table without indices, of the rows that it had and of `more`, and takes its pages.
    fn of(root: &Path, more: &str) -> (Self, u32) {
        let connection = Connection::open(root.join(FILE)).unwrap();
        let change = format!(
            "PRAGMA journal_mode = DELETE;
             DROP TRIGGER IF EXISTS DeleteSelfRefs;
             CREATE TABLE Plain (referrer, reference);
             INSERT INTO Plain {more};
             DROP TABLE Refs;
             ALTER TABLE Plain RENAME TO Refs;
             VACUUM;"
        );
        connection.execute_batch(&change).unwrap();
        let query = "PRAGMA page_size";
        let size: i64 = connection.query_row(query, [], |row| row.get(0)).unwrap();
        assert_eq!(usize::try_from(size).unwrap(), PAGE);
        let query = "SELECT rootpage FROM sqlite_schema WHERE name = 'Refs'";
        let table = connection.query_row(query, [], |row| row.get(0)).unwrap();
        drop(connection);
        (Self(fs::read(root.join(FILE)).unwrap()), table)
    }

    fn place(page: u32) -> Range<usize> {
        let end = usize::try_from(page).unwrap() * PAGE;
        end - PAGE..end
    }

    fn get(&self, page: u32) -> Vec<u8> {
        self.0[Self::place(page)].to_vec()
    }

    fn put(&mut self, page: u32, bytes: &[u8]) {
        self.0[Self::place(page)].copy_from_slice(bytes);
    }

    fn append(&mut self, bytes: &[u8]) -> u32 {
        self.0.extend_from_slice(bytes);
        self.count()
    }

    fn count(&self) -> u32 {
        u32::try_from(self.0.len() / PAGE).unwrap()
    }

    /// Puts levels above the table's only page, each of pages that lead `width` times to the next.
    fn stack(&mut self, table: u32, levels: u32, width: u16) {
        let mut below = self.append(&self.get(table));
        for _ in 1..levels {
            below = self.append(&interior(below, width));
        }
        self.put(table, &interior(below, width));
    }

    fn write(mut self, root: &Path) {
        let count = self.count().to_be_bytes();
        self.0[28..32].copy_from_slice(&count);
        fs::write(root.join(FILE), self.0).unwrap();
    }
}

/// A page of a table's tree that leads to another page over and over (fileformat2.html, "B-tree Pages").
fn interior(child: u32, width: u16) -> Vec<u8> {
    let cell = [&child.to_be_bytes()[..], &[1]].concat();
    let mut page = vec![0; PAGE];
    let mut content = PAGE;
    let number = |at: usize| u16::try_from(at).unwrap().to_be_bytes();
    for index in 0..usize::from(width) {
        content -= cell.len();
        page[content..content + cell.len()].copy_from_slice(&cell);
        page[12 + 2 * index..14 + 2 * index].copy_from_slice(&number(content));
    }
    page[0] = 5;
    page[3..5].copy_from_slice(&width.to_be_bytes());
    page[5..7].copy_from_slice(&number(content));
    page[8..12].copy_from_slice(&child.to_be_bytes());
    page
}

/// A good generation whose table of references is read through so many levels of such pages.
fn stacked(levels: u32, width: u16, more: &str) -> (narwarden_forge::Workshop, StorePath) {
    let (workshop, forge, generation) = good();
    let number = number_of(forge.connection(), &generation.toplevel);
    drop(forge);
    let more = more.replace('?', &number.to_string());
    let (mut pages, table) = Pages::of(workshop.root(), &more);
    if levels > 0 {
        pages.stack(table, levels, width);
    }
    pages.write(workshop.root());
    (workshop, generation.toplevel)
}

#[test]
fn pages_that_lead_to_each_other_are_given_up() {
    let all = "SELECT * FROM Refs";
    let (flat, toplevel) = stacked(0, 0, all);
    assert!(read(flat.root(), &toplevel, WATCHDOG).is_ok());
    // 300¹² rows in some 70 KB.
    let (endless, toplevel) = stacked(12, 300, all);
    assert!(fs::metadata(endless.root().join(FILE)).unwrap().len() < 1 << 20);
    let error = read(endless.root(), &toplevel, SHORT).unwrap_err();
    let DatabaseError::Endless { patience, .. } = error else { panic!("{error}") };
    assert_eq!(patience, SHORT);
}

#[test]
fn a_row_that_is_read_a_million_times_counts_once() {
    // To itself; to nothing.
    for (more, references, dangling) in [("SELECT ?, ?", 1, 0), ("SELECT ?, 999999", 0, 1024)] {
        let (once, toplevel) = stacked(0, 0, more);
        let found = read(once.root(), &toplevel, WATCHDOG).unwrap();
        assert_eq!(found, (1, references, dangling.min(1)), "{more}");
        let (often, toplevel) = stacked(3, 99, more);
        let found = read(often.root(), &toplevel, WATCHDOG).unwrap();
        assert_eq!(found, (1, references, dangling), "{more}");
    }
}

#[test]
fn changes_that_nobody_ended_are_not_read() {
    let (workshop, forge, generation) = good();
    drop(forge);
    let file = workshop.root().join(FILE);
    let journal = file.with_file_name("db.sqlite-journal");
    let database = || Database::at(&Location::new(workshop.root())).closure(&generation.toplevel);
    let connection = Connection::open(&file).unwrap();
    connection.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA synchronous = NORMAL").unwrap();
    assert_eq!(database().unwrap().mode, ReadMode::Live);
    // As a writer leaves it who dies with pages in the file: what was there before is in the journal only.
    connection
        .execute_batch(
            "PRAGMA cache_size = 5;
             CREATE TABLE Padding (x);
             INSERT INTO Padding WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
                 SELECT randomblob(3000) FROM n;
             BEGIN IMMEDIATE;
             UPDATE ValidPaths SET narSize = 7, sigs = NULL;
             UPDATE Padding SET x = randomblob(3001);",
        )
        .unwrap();
    let left = [fs::read(&file).unwrap(), fs::read(&journal).unwrap()];
    connection.execute_batch("ROLLBACK").unwrap();
    drop(connection);
    assert!(database().is_ok());
    let [pages, before] = left;
    fs::write(&file, pages).unwrap();
    fs::write(&journal, before).unwrap();
    let error = database().unwrap_err();
    let DatabaseError::Unfinished { journal: named } = &error else { panic!("{error}") };
    assert_eq!(named.file_name(), journal.file_name(), "{error}");
    // Whoever may write undoes them, and what was there before is there again.
    let connection = Connection::open(&file).unwrap();
    let query = "SELECT count(*) FROM ValidPaths WHERE narSize = 7";
    assert_eq!(connection.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    drop(connection);
    assert!(!journal.exists());
    assert!(database().is_ok());
}
