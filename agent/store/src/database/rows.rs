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

/// A registered path.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) claim: Claim,
}

/// The rows of a closure.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) paths: Vec<Row>,
    /// What stands in rows that are about no store path, by their number.
    pub(super) unusable: HashMap<i64, String>,
    toplevel: Option<usize>,
}

impl Rows {
    /// Takes in a row of the closure query.
    pub(super) fn read(&mut self, row: &rusqlite::Row<'_>) -> Result<(), rusqlite::Error> {
        // What is no number is found again among its referrer's references, and described there.
        let ValueRef::Integer(id) = row.get_ref("id")? else { return Ok(()) };
        if row.get_ref("registered")? != ValueRef::Integer(1) {
            return Ok(());
        }
        match store_path(row.get_ref("path")?) {
            Ok(path) => {
                if row.get_ref("toplevel")? == ValueRef::Integer(1) {
                    self.toplevel = Some(self.paths.len());
                }
                self.paths.push(Row { id, claim: claim(row, path)? });
            }
            Err(problem) => {
                self.unusable.insert(id, format!("row {id}, whose path is {problem}"));
            }
        }
        Ok(())
    }

    /// Puts the toplevel's row before all others, where a closure expects it.
    pub(super) fn toplevel_first(&mut self) {
        if let Some(place) = self.toplevel.take() {
            self.paths.swap(0, place);
        }
    }

    /// Where the row of each number stands.
    pub(super) fn places(&self) -> HashMap<i64, u32> {
        let places = self.paths.iter().enumerate();
        places.filter_map(|(place, row)| Some((row.id, u32::try_from(place).ok()?))).collect()
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

fn claim(row: &rusqlite::Row<'_>, path: StorePath) -> Result<Claim, rusqlite::Error> {
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
        ValueRef::Text(text) => Signatures::parse_column(&String::from_utf8_lossy(text)),
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
