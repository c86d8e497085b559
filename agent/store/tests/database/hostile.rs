//! Databases that somebody built to mislead or to hold up whoever reads them.

use super::support::{Kind, by_bytes, good};
use rusqlite::Connection;

/// A query without an end.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id, i AS referrer, \
     i AS reference, '' AS path, '' AS hash, 1 AS narSize, '' AS sigs, '' AS ca FROM n";

/// What becomes of the good generation after `change` of the database; it must not hang.
fn after(change: impl FnOnce(&Connection)) -> Kind {
    let (_workshop, forge, generation) = good();
    change(forge.connection());
    by_bytes(&forge, &generation.toplevel).verdict
}

#[test]
fn the_name_in_the_schema_is_not_the_name_in_its_sql() {
    // A view that stands as a table in the schema: SQLite holds the two against each other when it loads them
    // (`sqlite3CheckObjectName`), and this is what shows that it still does.
    for table in ["ValidPaths", "Refs"] {
        let verdict = after(|connection| {
            let forged = format!(
                "ALTER TABLE {table} RENAME TO Moved;
                 CREATE TABLE Decoy (x);
                 CREATE VIEW Endless AS {ENDLESS};
                 PRAGMA writable_schema = 1;
                 UPDATE sqlite_schema SET sql = replace(sql, 'Endless', '{table}') WHERE name = 'Endless';
                 UPDATE sqlite_schema SET name = '{table}', tbl_name = '{table}' WHERE name = 'Decoy';
                 PRAGMA writable_schema = RESET;"
            );
            connection.execute_batch(&forged).unwrap();
        });
        assert_eq!(verdict, Kind::Unknown, "{table}");
    }
}

#[test]
fn computed_columns_are_bounded_or_refused() {
    let verdict = after(|connection| {
        connection
            .execute_batch(
                "ALTER TABLE ValidPaths ADD COLUMN slow text AS (hex(zeroblob(1000000)));
                 ALTER TABLE ValidPaths DROP COLUMN ca;
                 ALTER TABLE ValidPaths ADD COLUMN ca text AS (hex(zeroblob(900000000)));",
            )
            .unwrap();
    });
    assert_ne!(verdict, Kind::Admit);
}

#[test]
fn pages_that_were_overwritten_are_an_error_or_a_finding() {
    use std::io::{Read, Seek, SeekFrom, Write};
    let (workshop, forge, generation) = good();
    drop(forge);
    let file = workshop.root().join("nix/var/nix/db/db.sqlite");
    let mut whole = Vec::new();
    std::fs::File::open(&file).unwrap().read_to_end(&mut whole).unwrap();
    let mut seed = 1_u64;
    let mut admitted = 0;
    for _ in 0..300 {
        let mut at = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(seed >> 33).unwrap()
        };
        let mut broken = whole.clone();
        let place = at() % broken.len();
        let end = (place + 1 + at() % 64).min(broken.len());
        broken[place..end].fill_with(|| u8::try_from(at() % 256).unwrap());
        let mut open = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
        open.seek(SeekFrom::Start(0)).unwrap();
        open.write_all(&broken).unwrap();
        drop(open);
        let setup = narwarden_forge::Setup {
            rules: narwarden_forge::Rules::good(),
            contents: narwarden_core::plan::Contents::Measured,
        };
        let found = super::support::judged(workshop.root(), &generation.toplevel, &setup);
        // Much of the file is free space; what is admitted was measured and is signed.
        if found.verdict == Kind::Admit {
            admitted += 1;
        }
        for name in ["db.sqlite-wal", "db.sqlite-shm"] {
            let _ = std::fs::remove_file(file.with_file_name(name));
        }
    }
    assert!(admitted < 300);
}
