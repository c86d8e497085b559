//! Takes rejected generations out of where they could be booted, and gives them back when an operator says so.
//!
//! In: links that were rejected, and the toplevels that are admitted. Out: their profile leads to another of its own
//! generations, and each link lies in `gcroots/narwarden-quarantine/`, where it still keeps its store path from the
//! garbage collector and no boot loader installer looks. A record in the state directory says why.
//!
//! Never touched: what was there before the enrolment, what an operator released, and the generations that run or
//! were booted. Where there is nothing to lead back to, the system's current generation stays, since a host always has
//! one; a named profile goes with its generation.
//!
//! The order of the steps is such that a loss of power between any two loses nothing: see the module `reject`, and
//! [`Quarantine::recover`]. Nix's own lock on the profile is held meanwhile; `nix-env --set` takes none, so every
//! link is compared with what it was right before and after it is moved.

mod lock;
mod record;
mod reject;
mod release;

pub use record::{Id, Record, State};
pub use reject::{Left, LeftBecause, Moved, Rejection, Restorable};
pub use release::Recovered;

use crate::generations::{Kind, Link, Mark, Profile};
use crate::places::Places;
use crate::state::pinned::Grandfathered;
use crate::state::{Damage, StateError};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// How many quarantined generations are listed.
const MOST: usize = 1 << 16;

/// The quarantine of an enrolled host.
#[derive(Clone, Copy, Debug)]
pub struct Quarantine<'a> {
    places: &'a Places,
    grandfathered: &'a Grandfathered,
    wait: Duration,
}

/// Links that stay where they are.
#[derive(Clone, Debug)]
pub struct Staying<'a> {
    grandfathered: &'a Grandfathered,
    released: BTreeSet<Mark>,
}

impl Staying<'_> {
    /// Whether the link is one of them, as it is now.
    #[must_use]
    pub fn contains(&self, link: &Link) -> bool {
        self.grandfathered.contains(link) || self.released.contains(&link.mark())
    }
}

/// A generation in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What it is called here.
    pub id: Id,
    /// What its link says.
    pub target: OsString,
    /// Why it is here; `None` where the record is lost.
    pub record: Option<Record>,
}

/// Why nothing was moved.
#[derive(Debug, Error)]
pub enum QuarantineError {
    /// Somebody else changes the profile.
    #[error("{path:?} is locked: another program changes the profile, try again when it is done")]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// The profile changes all the time.
    #[error("{path:?} keeps changing: find out what changes it, then try again")]
    Unsettled {
        /// The link.
        path: PathBuf,
    },
    /// It is not in quarantine.
    #[error("{id} is not in quarantine: see `narwarden quarantine list`")]
    NotFound {
        /// What was asked for.
        id: Id,
    },
    /// Where it came from is not known any more.
    #[error("the record of {id} is lost, so its profile is not known: move {path:?} there by hand")]
    NoRecord {
        /// What was asked for.
        id: Id,
        /// The link.
        path: PathBuf,
    },
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The system refused.
    #[error("cannot {operation} {path:?}: {error}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl QuarantineError {
    fn io<E: Into<io::Error>>(
        operation: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self + use<E> {
        let path = path.to_owned();
        move |error| Self::Io { operation, path, error: error.into() }
    }
}

impl<'a> Quarantine<'a> {
    /// The quarantine; `grandfathered` comes with the pinned rules, so there is none without an enrolment. Waits
    /// for other programs, Nix and its garbage collector, for at most `wait` each.
    #[must_use]
    pub fn new(places: &'a Places, grandfathered: &'a Grandfathered, wait: Duration) -> Self {
        Self { places, grandfathered, wait }
    }

    /// Whether the link stays where it is, whatever is thought of it. For many links, ask [`Self::staying`] once.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn stays(&self, link: &Link) -> Result<bool, QuarantineError> {
        Ok(self.grandfathered.contains(link) || self.staying()?.contains(link))
    }

    /// Which links stay where they are: those older than the enrolment, and those that an operator released. Neither
    /// admits them.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn staying(&self) -> Result<Staying<'a>, QuarantineError> {
        Ok(Staying { grandfathered: self.grandfathered, released: self.released()? })
    }

    /// The links that an operator released, as they were then.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn released(&self) -> Result<BTreeSet<Mark>, QuarantineError> {
        let (records, _) = record::all(self.places)?;
        Ok(records.into_values().filter_map(|record| record.released()).collect())
    }

    /// Why a rejected link would be left where it is: its generation runs or was booted, or it is the system's and there
    /// is no other. Takes no lock, so it may be otherwise in a moment.
    #[must_use]
    pub fn must_stand(
        &self,
        link: &Link,
        links: &[Link],
        staying: &Staying<'_>,
        restorable: &Restorable,
    ) -> Option<LeftBecause> {
        let places = self.places;
        if reject::is_one_of(link, &reject::running(places)) {
            return Some(LeftBecause::Running);
        }
        if link.profile != Profile::System {
            return None;
        }
        let current =
            links.iter().find(|it| it.profile == link.profile && it.kind == Kind::Current)?;
        if current.path != link.path && current.through.as_deref() != Some(link.name()) {
            return None;
        }
        let goals = reject::Goals { places, staying, restorable };
        let but = BTreeSet::from([link.name().to_owned()]);
        let goal = goals.find(links, &link.profile, link.kind, &but);
        goal.is_none().then_some(LeftBecause::NothingToRestore)
    }

    /// What is in quarantine, and which records were damaged.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn list(&self) -> Result<(Vec<Held>, Vec<Damage>), QuarantineError> {
        let (mut records, damages) = record::all(self.places)?;
        let held = self.links()?.into_iter().map(|(id, target)| {
            let record = records.remove(&id);
            Held { id, target, record }
        });
        Ok((held.collect(), damages))
    }

    /// One of them.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn show(&self, id: &Id) -> Result<Held, QuarantineError> {
        let (held, _) = self.list()?;
        let found = held.into_iter().find(|held| held.id == *id);
        found.ok_or_else(|| QuarantineError::NotFound { id: id.clone() })
    }

    /// The links, by name.
    fn links(&self) -> Result<BTreeMap<Id, OsString>, QuarantineError> {
        let directory = &self.places.quarantine;
        let failed = |operation| QuarantineError::io::<io::Error>(operation, directory);
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(failed("list")(error)),
        };
        let mut links = BTreeMap::new();
        for entry in entries.take(MOST) {
            let name = entry.map_err(failed("list"))?.file_name();
            let Some(id) = name.to_str().and_then(Id::parse) else { continue };
            if let Ok(target) = std::fs::read_link(directory.join(&name)) {
                links.insert(id, target.into());
            }
        }
        Ok(links)
    }

    fn link(&self, id: &Id) -> PathBuf {
        self.places.quarantine.join(id.as_str())
    }
}

#[cfg(test)]
mod tests;
