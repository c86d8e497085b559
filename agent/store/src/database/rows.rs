//! One row of `ValidPaths` as a claim, whatever somebody put into it.

use narwarden_core::claim::{Claim, Defect};
use narwarden_core::content_address::ContentAddress;
use narwarden_core::hash::NarHash;
use narwarden_core::signature::Signatures;
use narwarden_core::store_path::StorePath;
use rusqlite::types::ValueRef;
use std::collections::HashMap;

/// The longest text that is read of a path, hash or content address, in bytes. Nix writes at most 260.
pub(super) const MAX_COLUMN: i64 = 4096;
/// The longest list of signatures that is read of one path, in bytes: some 170,000 of them. Any local user
/// may lengthen it.
pub(super) const MAX_SIGNATURES: i64 = 16 << 20;

/// The most that is read of a closure's signatures, in bytes. A thousand paths with two each have 200,000; any
/// user of the Nix daemon may add more, and each that carries a pinned name takes some 30 µs to refute.
const MOST_SIGNATURES: usize = 64 << 20;

/// The rows that a query found, until the closure takes them.
#[derive(Debug, Default)]
pub(super) struct Rows {
    rows: HashMap<i64, Row>,
    toplevel: Option<i64>,
    /// Bytes of signatures read so far.
    signatures: usize,
}

#[derive(Debug)]
enum Row {
    /// A path, waiting to be reached.
    Claim(Box<Claim>),
    /// A path whose claim is part of the closure, at this place.
    Taken(u32),
    /// A row that is about no store path, and what it is about.
    Unusable(String),
}

/// What a reference leads to.
#[derive(Debug)]
pub(super) enum Taken {
    /// A path that was reached before, at this place.
    Before(u32),
    /// The row of this number, which is the claim at this place from now on.
    Now(i64, u32),
    /// No path.
    Unusable(String),
}

impl Rows {
    /// Takes in a row of the closure query.
    pub(super) fn read(&mut self, row: &rusqlite::Row<'_>) -> Result<(), rusqlite::Error> {
        // What is no number is found again among its referrer's references, and described there.
        let ValueRef::Integer(id) = row.get_ref("id")? else { return Ok(()) };
        if row.get_ref("registered")? != ValueRef::Integer(1) {
            return Ok(());
        }
        if row.get_ref("toplevel")? == ValueRef::Integer(1) {
            self.toplevel = Some(id);
        }
        let found = match store_path(row.get_ref("path")?) {
            Ok(path) => Row::Claim(Box::new(claim(row, path, &mut self.signatures)?)),
            Err(problem) => Row::Unusable(format!("row {id}, whose path is {problem}")),
        };
        self.rows.insert(id, found);
        Ok(())
    }

    /// How many rows were taken in.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Moves the toplevel's claim to the first place; gives the number of its row, if it has one.
    pub(super) fn take_toplevel(&mut self, claims: &mut Vec<Claim>) -> Option<(i64, u32)> {
        match self.take(ValueRef::Integer(self.toplevel?), claims) {
            Taken::Now(id, place) => Some((id, place)),
            Taken::Before(_) | Taken::Unusable(_) => None,
        }
    }

    /// Follows a reference, and moves the claim that it leads to if nothing led there before.
    pub(super) fn take(&mut self, reference: ValueRef<'_>, claims: &mut Vec<Claim>) -> Taken {
        let ValueRef::Integer(id) = reference else {
            return Taken::Unusable(format!("a row number that is {}", class(reference)));
        };
        let Some(row) = self.rows.get_mut(&id) else {
            return Taken::Unusable(format!("row {id}, which does not exist"));
        };
        if let Row::Taken(place) = row {
            return Taken::Before(*place);
        }
        if let Row::Unusable(what) = row {
            return Taken::Unusable(what.clone());
        }
        let place = u32::try_from(claims.len()).unwrap_or(u32::MAX);
        if let Row::Claim(claim) = std::mem::replace(row, Row::Taken(place)) {
            claims.push(*claim);
        }
        Taken::Now(id, place)
    }
}

/// What a value is, for people.
pub(super) fn class(value: ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::Null => "missing or too long",
        ValueRef::Integer(_) => "a number",
        ValueRef::Real(_) => "a fraction",
        ValueRef::Text(_) => "a text",
        ValueRef::Blob(_) => "a blob",
    }
}

fn store_path(value: ValueRef<'_>) -> Result<StorePath, String> {
    text(value).and_then(|text| StorePath::parse(text).map_err(|error| error.to_string()))
}

fn claim(
    row: &rusqlite::Row<'_>,
    path: StorePath,
    read: &mut usize,
) -> Result<Claim, rusqlite::Error> {
    let mut defects = Vec::new();
    let mut note = |column, problem| defects.push(Defect { column, problem });
    let nar_hash = text(row.get_ref("hash")?)
        .and_then(|text| NarHash::parse(text).map_err(|error| error.to_string()))
        .map_err(|problem| note("hash", problem))
        .ok();
    let nar_size = match row.get_ref("narSize")? {
        // Rows of an ancient Nix.
        ValueRef::Null | ValueRef::Integer(0) => None,
        ValueRef::Integer(size) => {
            u64::try_from(size).map_err(|_| note("narSize", format!("{size} is no size"))).ok()
        }
        other @ (ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_)) => {
            note("narSize", class(other).to_owned());
            None
        }
    };
    let content_address = match row.get_ref("ca")? {
        ValueRef::Null | ValueRef::Text(b"") => None,
        value @ (ValueRef::Integer(_)
        | ValueRef::Real(_)
        | ValueRef::Text(_)
        | ValueRef::Blob(_)) => text(value)
            .and_then(|text| ContentAddress::parse(text).map_err(|error| error.to_string()))
            .map_err(|problem| note("ca", problem))
            .ok(),
    };
    let signatures = match row.get_ref("sigs")? {
        ValueRef::Null => Signatures::default(),
        ValueRef::Text(text) => {
            *read = read.saturating_add(text.len());
            if *read <= MOST_SIGNATURES {
                Signatures::parse_column(&String::from_utf8_lossy(text))
            } else {
                let problem = format!("the closure has more than {MOST_SIGNATURES} bytes of them");
                note("sigs", problem);
                Signatures::default()
            }
        }
        ValueRef::Integer(_) => {
            note("sigs", format!("more than {MAX_SIGNATURES} bytes, or no text"));
            Signatures::default()
        }
        other @ (ValueRef::Real(_) | ValueRef::Blob(_)) => {
            note("sigs", class(other).to_owned());
            Signatures::default()
        }
    };
    Ok(Claim { path, nar_hash, nar_size, content_address, signatures, defects })
}

fn text(value: ValueRef<'_>) -> Result<&str, String> {
    match value {
        ValueRef::Text(text) => std::str::from_utf8(text).map_err(|_| "not UTF-8".to_owned()),
        other @ (ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_)) => {
            Err(class(other).to_owned())
        }
    }
}
