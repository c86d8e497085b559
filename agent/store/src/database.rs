//! The Nix database, `db.sqlite`: claims, read while a daemon may be writing.
//!
//! Schema 10 (since Nix 2.0; `schema.sql`, `local-store.cc`): `ValidPaths(id, path, hash, narSize, sigs, ca, …)`
//! and `Refs(referrer, reference)`. Columns are asked for by name, since releases and other Nixes add more.
//! SQLite types values, not columns, so the type of every value is looked at before it is used.

mod open;
mod rows;

pub use open::ReadMode;

use crate::location::Location;
use narwarden_core::closure::{Closure, ClosureError, ClosureParts};
use narwarden_core::store_path::StorePath;
use open::ReadFailure;
use rows::{Rows, Taken};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// The database of one store.
#[derive(Clone, Debug)]
pub struct Database {
    directory: PathBuf,
    patience: Duration,
}

/// How long reading may take: a closure of 100,000 paths takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why the database could not be read. None of these says anything about a path.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// A file of it cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// It has another schema than the one that is understood.
    #[error("{} says schema {found}, and only 10 is understood (Nix 2.0 and later)", path.display())]
    Schema {
        /// The file that says so.
        path: PathBuf,
        /// What it says, escaped.
        found: String,
    },
    /// A table is missing, or is a view or virtual table in its place.
    #[error("{table} is no ordinary table of {}: somebody changed the database's schema", path.display())]
    Table {
        /// The database.
        path: PathBuf,
        /// The table.
        table: &'static str,
    },
    /// Recent rows are in the write-ahead log only, and this user may not read it.
    #[error(
        "{} holds rows that this user cannot read (no write access beside the database): run as root",
        log.display()
    )]
    LogUnreadable {
        /// The write-ahead log.
        log: PathBuf,
    },
    /// A writer without a log died in the middle, and only another writer may undo what it left.
    #[error(
        "{} holds changes that were begun and never ended: let Nix undo them, with `nix-store --verify` as root",
        journal.display()
    )]
    Unfinished {
        /// The rollback journal.
        journal: PathBuf,
    },
    /// It changed every time it was read.
    #[error("{} changed each of {tries} times that it was read: run as root", path.display())]
    Unsteady {
        /// The database.
        path: PathBuf,
        /// How many times.
        tries: u32,
    },
    /// There was no end to it: pages that lead to each other make a small file endless.
    #[error("reading {} took more than {patience:?}, and was given up", path.display())]
    Endless {
        /// The database.
        path: PathBuf,
        /// How long it could take.
        patience: Duration,
    },
    /// SQLite could not read it.
    #[error("cannot read {}: {error}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        error: rusqlite::Error,
    },
    /// It holds more than any closure has.
    #[error("{} has more than {what}", path.display())]
    TooLarge {
        /// The database.
        path: PathBuf,
        /// How much of what would be taken.
        what: String,
    },
    /// Its rows contradict each other.
    #[error("the rows of {} make no closure: {error}", path.display())]
    Contradiction {
        /// The database.
        path: PathBuf,
        /// How.
        error: ClosureError,
    },
}

/// What was read, and how.
#[derive(Debug)]
pub struct Read<T> {
    /// What was read.
    pub value: T,
    /// How.
    pub mode: ReadMode,
}

impl Database {
    /// The database of the store at `location`.
    #[must_use]
    pub fn at(location: &Location) -> Self {
        Self { directory: location.database_directory(), patience: PATIENCE }
    }

    /// The same database, which may keep its reader busy for no longer than this.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Reads everything that `toplevel` can reach, in one transaction.
    ///
    /// # Errors
    /// See [`DatabaseError`]. A toplevel without a row is no error: its closure is empty.
    pub fn closure(&self, toplevel: &StorePath) -> Result<Read<Closure>, DatabaseError> {
        let Read { value: parts, mode } =
            open::read(&self.directory, self.patience, |connection| {
                closure_parts(connection, toplevel)
            })?;
        let closure = Closure::new(toplevel.clone(), parts).map_err(|error| {
            DatabaseError::Contradiction { path: open::database_file(&self.directory), error }
        })?;
        Ok(Read { value: closure, mode })
    }
}

/// What is no number leads nowhere, and a million long ones would have to be remembered.
const CLOSURE: &str = "
    WITH RECURSIVE closure(id) AS (
        SELECT id FROM ValidPaths WHERE path = ?1
        UNION
        SELECT Refs.reference FROM closure JOIN Refs ON Refs.referrer = closure.id
            WHERE typeof(Refs.reference) = 'integer'
    )
    SELECT closure.id, ValidPaths.id IS NOT NULL AS registered, path = ?1 AS toplevel,
        CASE WHEN octet_length(path) <= ?2 THEN path END AS path,
        CASE WHEN octet_length(hash) <= ?2 THEN hash END AS hash,
        CASE WHEN narSize IS NULL OR octet_length(narSize) <= ?2 THEN narSize ELSE 'too long' END AS narSize,
        CASE WHEN ca IS NULL OR octet_length(ca) <= ?2 THEN ca ELSE 0 END AS ca,
        CASE WHEN sigs IS NULL OR octet_length(sigs) <= ?3 THEN sigs ELSE 0 END AS sigs
    FROM closure LEFT JOIN ValidPaths ON ValidPaths.id = closure.id";

const REFERENCES: &str = "SELECT reference FROM Refs WHERE referrer = ?1";

/// A system has some thousands of paths and ten references each; one of a hundred million takes gigabytes.
const MOST_PATHS: usize = 1 << 20;
const MOST_REFERENCES: usize = 16 << 20;
const MOST_DANGLING: usize = 1024;

/// Pages of a damaged or hostile table may give a reference any number of times in a row.
fn refer(parts: &mut ClosureParts, reference: (u32, u32)) -> Result<(), ReadFailure> {
    if parts.references.last() != Some(&reference) {
        parts.references.push(reference);
    }
    if parts.references.len() > MOST_REFERENCES {
        return Err(ReadFailure::TooLarge(format!("{MOST_REFERENCES} references in one closure")));
    }
    Ok(())
}

fn closure_parts(
    connection: &Connection,
    toplevel: &StorePath,
) -> Result<ClosureParts, ReadFailure> {
    let mut rows = Rows::default();
    let mut statement = connection.prepare(CLOSURE)?;
    let parameters =
        rusqlite::params![toplevel.to_string(), rows::MAX_COLUMN, rows::MAX_SIGNATURES];
    let mut found = statement.query(parameters)?;
    while let Some(row) = found.next()? {
        rows.read(row)?;
        if rows.len() > MOST_PATHS {
            return Err(ReadFailure::TooLarge(format!("{MOST_PATHS} paths in one closure")));
        }
    }
    let mut statement = connection.prepare(REFERENCES)?;
    let mut parts = ClosureParts::default();
    // Rows that are reached through unusable ones only are none of the closure: they stay behind in `rows`.
    let mut queue = VecDeque::from_iter(rows.take_toplevel(&mut parts.claims));
    while let Some((id, referrer)) = queue.pop_front() {
        let mut references = statement.query([id])?;
        while let Some(row) = references.next()? {
            match rows.take(row.get_ref(0)?, &mut parts.claims) {
                Taken::Before(place) => refer(&mut parts, (referrer, place))?,
                Taken::Now(id, place) => {
                    refer(&mut parts, (referrer, place))?;
                    queue.push_back((id, place));
                }
                // One denies as well as a million.
                Taken::Unusable(_) if parts.dangling.len() >= MOST_DANGLING => {}
                Taken::Unusable(what) => parts.dangling.push((referrer, what)),
            }
        }
    }
    Ok(parts)
}
