//! One bit flipped anywhere in a signed store, on disk or in a claim: never admitted. Put back: admitted.
//!
//! A flip that changes no meaning is no change, and these are all there are: a letter of the database's hash
//! in the other case, and a size that becomes 0, which means that it is not known.

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

use narwarden_core::hash::NarHash;
use narwarden_core::store_path::StorePath;
use narwarden_forge::{Column, Forge, Generation, Workshop, canonicalise, unlock};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use rusqlite::types::Value;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use support::{Kind, by_bytes, good};

struct Store {
    _workshop: Workshop,
    forge: Forge,
    generation: Generation,
}

impl Store {
    fn new() -> Self {
        let (workshop, forge, generation) = good();
        Self { _workshop: workshop, forge, generation }
    }

    fn verdict(&self) -> Kind {
        by_bytes(&self.forge, &self.generation.toplevel).verdict
    }

    /// Everything on disk that is of kind `wanted`, in one order.
    fn files(&self, wanted: fn(&fs::FileType) -> bool) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for path in self.forge.paths().unwrap() {
            list(&self.forge.physical(&path), wanted, &mut found);
        }
        found.sort();
        found
    }
}

fn list(at: &Path, wanted: fn(&fs::FileType) -> bool, found: &mut Vec<PathBuf>) {
    let kind = at.symlink_metadata().unwrap().file_type();
    if wanted(&kind) {
        found.push(at.to_owned());
    }
    if kind.is_dir() {
        fs::read_dir(at).unwrap().for_each(|entry| list(&entry.unwrap().path(), wanted, found));
    }
}

fn flipped(bytes: &[u8], bit: Index) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let bit = bit.index(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// Changes a tree through its parent, and leaves metadata as Nix does.
fn change(at: &Path, change: impl FnOnce()) {
    let parent = at.parent().unwrap();
    let in_store = parent.ends_with("nix/store");
    if !in_store {
        unlock(parent).unwrap();
    }
    if at.symlink_metadata().unwrap().is_file() {
        unlock(at).unwrap();
    }
    change();
    if !in_store {
        canonicalise(parent).unwrap();
    }
    if at.symlink_metadata().is_ok() {
        canonicalise(at).unwrap();
    }
}

/// Runs `flip` on one store, which it leaves as it found it, and says so at the end.
fn each<S: Strategy>(
    cases: u32,
    strategy: S,
    flip: impl Fn(&mut Store, S::Value) -> Result<(), TestCaseError>,
) {
    let store = RefCell::new(Store::new());
    assert_eq!(store.borrow().verdict(), Kind::Admit);
    let config =
        Config { cases, max_shrink_iters: 50, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(&strategy, |value| flip(&mut store.borrow_mut(), value)).unwrap();
    assert_eq!(store.borrow().verdict(), Kind::Admit, "not put back");
}

fn must_deny(verdict: Kind, what: &dyn std::fmt::Debug) -> Result<(), TestCaseError> {
    prop_assert!(matches!(verdict, Kind::Deny(_)), "{what:?}: {verdict:?}");
    Ok(())
}

#[test]
fn contents() {
    each(400, any::<(Index, Index)>(), |store, (which, bit)| {
        let files = store.files(fs::FileType::is_file);
        let at = which.get(&files);
        let before = fs::read(at).unwrap();
        change(at, || fs::write(at, flipped(&before, bit)).unwrap());
        let verdict = store.verdict();
        change(at, || fs::write(at, &before).unwrap());
        must_deny(verdict, at)
    });
}

#[test]
fn executable_bits() {
    let store = Store::new();
    for at in store.files(fs::FileType::is_file) {
        let mode = at.metadata().unwrap().permissions().mode() & 0o777;
        let other = 0o444 | 0o555 & (mode ^ 0o111);
        fs::set_permissions(&at, fs::Permissions::from_mode(other)).unwrap();
        let verdict = store.verdict();
        fs::set_permissions(&at, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(verdict, Kind::Deny(_)), "{at:?}: {verdict:?}");
    }
    assert_eq!(store.verdict(), Kind::Admit);
}

#[test]
fn names() {
    each(200, any::<(Index, Index)>(), |store, (which, bit)| {
        let all = store.files(|_| true);
        let inside: Vec<_> =
            all.iter().filter(|at| !at.parent().unwrap().ends_with("nix/store")).collect();
        let at = *which.get(&inside);
        let name = flipped(at.file_name().unwrap().as_bytes(), bit);
        let other = at.with_file_name(OsStr::from_bytes(&name));
        let possible = !name.contains(&b'/') && !name.contains(&0) && name != b"." && name != b"..";
        if !possible || other.symlink_metadata().is_ok() {
            return Ok(());
        }
        change(at, || fs::rename(at, &other).unwrap());
        let verdict = store.verdict();
        change(&other, || fs::rename(&other, at).unwrap());
        must_deny(verdict, &other)
    });
}

#[test]
fn link_targets() {
    each(200, any::<(Index, Index)>(), |store, (which, bit)| {
        let links = store.files(fs::FileType::is_symlink);
        let at = which.get(&links);
        let before = fs::read_link(at).unwrap().into_os_string().into_vec();
        let after = flipped(&before, bit);
        if after.contains(&0) {
            return Ok(());
        }
        let replace = |target: &[u8]| {
            change(at, || {
                fs::remove_file(at).unwrap();
                symlink(OsStr::from_bytes(target), at).unwrap();
            });
        };
        replace(&after);
        let verdict = store.verdict();
        replace(&before);
        must_deny(verdict, at)
    });
}

fn text(forge: &Forge, path: &StorePath, column: Column) -> Option<String> {
    let query = format!("SELECT {} FROM ValidPaths WHERE path = ?1", column.name());
    forge.connection().query_row(&query, [path.to_string()], |row| row.get(0)).unwrap()
}

/// Writes bytes as a text, whether they are UTF-8 or not.
fn set_text(forge: &Forge, id: i64, column: Column, bytes: &[u8]) {
    let name = column.name();
    let statement = format!("UPDATE ValidPaths SET {name} = CAST(?2 AS TEXT) WHERE id = ?1");
    forge.connection().execute(&statement, rusqlite::params![id, bytes]).unwrap();
}

/// Flips bits of a text column of random rows; `same` says whether a flip changed no meaning.
fn column(cases: u32, column: Column, same: fn(&str, &[u8]) -> bool) {
    each(cases, any::<(Index, Index)>(), |store, (which, bit)| {
        let filled = store.forge.paths().unwrap().into_iter();
        let filled: Vec<_> =
            filled.filter_map(|path| Some((text(&store.forge, &path, column)?, path))).collect();
        let (before, path) = which.get(&filled);
        let id = store.forge.id(path).unwrap();
        let after = flipped(before.as_bytes(), bit);
        set_text(&store.forge, id, column, &after);
        let verdict = store.verdict();
        set_text(&store.forge, id, column, before.as_bytes());
        let shown = String::from_utf8_lossy(&after);
        if same(before, &after) {
            prop_assert_eq!(verdict, Kind::Admit, "{}", shown);
            return Ok(());
        }
        // A row that is about no store path any more may leave parts that nothing leads to.
        prop_assert!(matches!(verdict, Kind::Deny(_) | Kind::Unknown), "{shown}: {verdict:?}");
        Ok(())
    });
}

#[test]
fn hashes() {
    column(300, Column::Hash, |before, after| {
        let after = std::str::from_utf8(after).ok().and_then(|it| NarHash::parse(it).ok());
        after == NarHash::parse(before).ok()
    });
}

#[test]
fn signatures() {
    column(400, Column::Signatures, |_, _| false);
}

#[test]
fn content_addresses() {
    column(300, Column::ContentAddress, |_, _| false);
}

#[test]
fn paths() {
    column(300, Column::Path, |_, _| false);
}

#[test]
fn sizes() {
    let mut store = Store::new();
    for path in store.forge.paths().unwrap() {
        let query = "SELECT narSize FROM ValidPaths WHERE path = ?1";
        let before: i64 = store
            .forge
            .connection()
            .query_row(query, [path.to_string()], |row| row.get(0))
            .unwrap();
        for bit in 0..64 {
            let after = before ^ (1 << bit);
            store.forge.set(&path, Column::NarSize, after).unwrap();
            let verdict = store.verdict();
            if after == 0 {
                assert_eq!(verdict, Kind::Admit);
            } else {
                assert!(matches!(verdict, Kind::Deny(_)), "{path}: {after}: {verdict:?}");
            }
        }
        store.forge.set(&path, Column::NarSize, before).unwrap();
    }
    assert_eq!(store.verdict(), Kind::Admit);
}

/// Rows of `Refs`: either number of any of them.
#[test]
fn references() {
    each(300, any::<(Index, bool, u8)>(), |store, (which, referrer, bit)| {
        let connection = store.forge.connection();
        let rows: Vec<(i64, i64)> = connection
            .prepare("SELECT referrer, reference FROM Refs ORDER BY 1, 2")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let before = *which.get(&rows);
        let bit = 1 << (bit % 63);
        let after = if referrer { (before.0 ^ bit, before.1) } else { (before.0, before.1 ^ bit) };
        if rows.contains(&after) {
            return Ok(());
        }
        let update = "UPDATE Refs SET referrer = ?3, reference = ?4 \
                      WHERE referrer = ?1 AND reference = ?2";
        connection.execute(update, [before.0, before.1, after.0, after.1]).unwrap();
        let verdict = store.verdict();
        connection.execute(update, [after.0, after.1, before.0, before.1]).unwrap();
        must_deny(verdict, &(before, after))
    });
}

/// What no verdict may depend on.
#[test]
fn the_rest_of_a_row_decides_nothing() {
    let value = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Real),
        ".{0,40}".prop_map(Value::Text),
        any::<Vec<u8>>().prop_map(Value::Blob),
    ];
    let columns = [Column::Deriver, Column::Ultimate, Column::RegistrationTime];
    each(150, (any::<Index>(), 0..columns.len(), value), |store, (which, column, value)| {
        let value = match (columns[column], value) {
            (Column::RegistrationTime, Value::Null) => Value::Integer(0),
            (_, value) => value,
        };
        let paths = store.forge.paths().unwrap();
        store.forge.set(which.get(&paths), columns[column], value).unwrap();
        prop_assert_eq!(store.verdict(), Kind::Admit);
        Ok(())
    });
}
