//! What is written down about a quarantined generation.

use super::QuarantineError;
use crate::generations::{Kind, Link, Mark, Profile};
use crate::places::Places;
use crate::state::atomic::{self, Stored};
use crate::state::{Damage, StateError, raw_name, records};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

const LONGEST: u64 = 64 << 10;
/// How much of a reason is kept.
const LONGEST_REASON: usize = 4 << 10;
/// How much of a profile's name goes into an id.
const LONGEST_NAME: usize = 64;
/// How many records are read.
const MOST: usize = 1 << 16;

/// The name of a quarantined generation: `system-12-20261001T120000Z`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(String);

/// Where a generation came from, and why it is gone from there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its name in quarantine.
    pub id: Id,
    /// The link as it was.
    pub was: Mark,
    /// The store path that it leads to, if it leads to one.
    pub toplevel: Option<String>,
    /// Why it was rejected.
    pub reason: String,
    /// When.
    pub rejected: Timestamp,
    /// How far that has come.
    pub state: State,
}

/// How far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum State {
    /// It is about to be moved.
    Intended,
    /// It is in quarantine.
    Held,
    /// It is about to be put back.
    Releasing {
        /// The link that it is put back as.
        link: Mark,
    },
    /// It was put back, and stays.
    Released {
        /// The link that it was put back as.
        link: Mark,
        /// When.
        at: Timestamp,
    },
}

impl Id {
    /// Reads a name: letters, digits and `+-._`, none of them a `.` at the start.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
        let fits = (1..=200).contains(&text.len()) && text.bytes().all(plain);
        (fits && !text.starts_with('.')).then(|| Self(text.to_owned()))
    }

    /// A name for `link` that is not taken.
    pub(super) fn choose(
        link: &Link,
        now: Timestamp,
        mut taken: impl FnMut(&Self) -> bool,
    ) -> Option<Self> {
        let name = link.profile.name().to_string_lossy();
        let plain = |c: char| if c.is_ascii_alphanumeric() || "+-._".contains(c) { c } else { '_' };
        let name: String = name.chars().take(LONGEST_NAME).map(plain).collect();
        let number = match link.kind {
            Kind::Current => "current".to_owned(),
            Kind::Generation(number) => number.to_string(),
            Kind::Unnumbered => "unnumbered".to_owned(),
        };
        let time: String = format!("{now:.0}").chars().filter(|c| !"-:".contains(*c)).collect();
        let first = format!("{}-{number}-{time}", name.trim_start_matches('.'));
        let more = (2..=1000).map(|count| format!("{first}.{count}"));
        let names = std::iter::once(first.clone()).chain(more);
        names.filter_map(|name| Self::parse(&name)).find(|id| !taken(id))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("it is no name of a quarantined generation")
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}

impl Record {
    pub(super) fn new(id: Id, link: &Link, reason: &str, now: Timestamp) -> Self {
        let mut length = LONGEST_REASON.min(reason.len());
        while !reason.is_char_boundary(length) {
            length -= 1;
        }
        Self {
            id,
            was: link.mark(),
            toplevel: link.store_path().map(ToString::to_string),
            reason: reason.get(..length).unwrap_or_default().to_owned(),
            rejected: now,
            state: State::Intended,
        }
    }

    /// The profile that it came from.
    #[must_use]
    pub fn profile(&self) -> Option<Profile> {
        Profile::parse(&self.was.profile)
    }

    /// The name that its link had.
    #[must_use]
    pub fn link_name(&self) -> Option<OsString> {
        raw_name::decode(&self.was.link).filter(|name| {
            let mut parts = Path::new(name).components();
            matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(_)), None))
        })
    }

    /// What its link says.
    #[must_use]
    pub fn target(&self) -> Option<OsString> {
        raw_name::decode(&self.was.target)
    }

    pub(super) fn released(&self) -> Option<Mark> {
        match &self.state {
            State::Released { link, .. } | State::Releasing { link } => Some(link.clone()),
            State::Intended | State::Held => None,
        }
    }

    pub(super) fn save(&self, places: &Places) -> Result<(), StateError> {
        let path = path(places, &self.id);
        let body = serde_json::to_vec_pretty(self)
            .map_err(|error| StateError::io("write", &path)(std::io::Error::other(error)))?;
        atomic::write(&path, &body)
    }

    pub(super) fn remove(places: &Places, id: &Id) -> Result<(), StateError> {
        atomic::remove(&path(places, id))?;
        crate::state::sync_directory(&records(places))
    }
}

fn path(places: &Places, id: &Id) -> PathBuf {
    records(places).join(format!("{id}.json"))
}

/// Reads all records; damaged ones are moved aside.
pub(super) fn all(places: &Places) -> Result<(BTreeMap<Id, Record>, Vec<Damage>), QuarantineError> {
    let directory = records(places);
    let failed = |operation| QuarantineError::io::<std::io::Error>(operation, &directory);
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(<_>::default()),
        Err(error) => return Err(failed("list")(error)),
    };
    let (mut found, mut damages) = (BTreeMap::new(), Vec::new());
    for entry in entries.take(MOST) {
        let name = entry.map_err(failed("list"))?.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".json")).and_then(Id::parse);
        let Some(id) = id else { continue };
        match atomic::read(&path(places, &id), LONGEST)? {
            Stored::Absent => {}
            Stored::Damaged(damage) => damages.push(damage),
            Stored::Whole(body) => match serde_json::from_slice::<Record>(&body) {
                Ok(record) if record.id == id => {
                    found.insert(id, record);
                }
                Ok(_) => damages.push(set_aside(places, &id, "it is about another one".to_owned())),
                Err(error) => damages.push(set_aside(places, &id, error.to_string())),
            },
        }
    }
    Ok((found, damages))
}

fn set_aside(places: &Places, id: &Id, found: String) -> Damage {
    atomic::set_aside(&path(places, id), found)
}
