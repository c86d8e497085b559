//! Moves rejected links away, in an order in which nothing is lost between two steps.
//!
//! 1. Records: what is about to be moved, and why.
//! 2. The profile leads to the generation admitted last, in one rename, so that it never dangles.
//! 3. Each link is renamed into the quarantine, which is a garbage collector root like the profile.
//! 4. Records: it was done.
//!
//! The garbage collector reads `gcroots` first and `profiles` afterwards, so a link that moves between may be missed:
//! its store path is held as a temporary root meanwhile.

mod exchange;
mod select;

use super::lock::ProfileLock;
use super::record::{Id, Record, State};
use super::{Quarantine, QuarantineError};
use crate::generations::{Kind, Link, Profile};
use crate::state;
use crate::temp_root::{TempRoot, TempRootError};
use exchange::Directory;
use jiff::Timestamp;
use narwarden_core::store_path::StorePath;
use select::{Restore, Selected};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use thiserror::Error;

pub(super) use exchange::Directory as OpenDirectory;
pub(super) use select::next_generation;

/// A link that was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The link as it was judged.
    pub link: Link,
    /// Why it was rejected.
    pub reason: String,
}

/// What became of rejected links.
#[derive(Debug, Default)]
#[must_use]
pub struct Moved {
    /// Those that are in quarantine now.
    pub records: Vec<Record>,
    /// Profiles that lead somewhere else now, and to which link.
    pub restored: Vec<(Profile, std::ffi::OsString)>,
    /// Those that stay where they are.
    pub left: Vec<Left>,
    /// Profiles that could not be changed, and why.
    pub failures: Vec<(Profile, QuarantineError)>,
    /// What went otherwise than it should, without keeping anything from being moved.
    pub remarks: Vec<String>,
}

/// A link that stays where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The link.
    pub link: Link,
    /// Why.
    pub because: LeftBecause,
}

/// Why a link stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LeftBecause {
    /// It leads somewhere else than when it was judged.
    #[error("it changed since it was judged")]
    Changed,
    /// It is gone.
    #[error("it is gone")]
    Gone,
    /// It was there before the enrolment.
    #[error("it is older than the enrolment")]
    Grandfathered,
    /// An operator put it back.
    #[error("it was released from quarantine")]
    Released,
    /// Its generation, or a specialisation of it, runs or was booted.
    #[error("its generation is running, or was booted")]
    Running,
    /// It is a file or a directory, which is for an operator to look at.
    #[error("it is no symbolic link")]
    NotALink,
    /// It is the current generation, and there is none to go back to.
    #[error("no admitted generation is there to go back to")]
    NothingToRestore,
}

/// A step that is done; tests stop after each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Recorded,
    Restored,
    Moved,
    Settled,
}

pub(super) type Watch<'w> = &'w mut dyn FnMut(Step) -> ControlFlow<()>;

impl Quarantine<'_> {
    /// Moves rejected links into quarantine; a profile that leads to one of them leads to `last_admitted` again.
    ///
    /// # Errors
    /// When nothing at all could be done. What went wrong with one profile is in [`Moved::failures`].
    pub fn reject(
        &self,
        rejections: &[Rejection],
        last_admitted: Option<&StorePath>,
        now: Timestamp,
    ) -> Result<Moved, QuarantineError> {
        self.reject_watched(rejections, last_admitted, now, &mut |_| ControlFlow::Continue(()))
    }

    pub(super) fn reject_watched(
        &self,
        rejections: &[Rejection],
        last_admitted: Option<&StorePath>,
        now: Timestamp,
        watch: Watch<'_>,
    ) -> Result<Moved, QuarantineError> {
        let mut profiles: BTreeMap<&Profile, Vec<&Rejection>> = BTreeMap::new();
        for rejection in rejections {
            profiles.entry(&rejection.link.profile).or_default().push(rejection);
        }
        let mut moved = Moved::default();
        if rejections.is_empty() {
            return Ok(moved);
        }
        state::prepare(self.places)?;
        let directory = &self.places.quarantine;
        std::fs::create_dir_all(directory).map_err(QuarantineError::io("create", directory))?;
        for (profile, rejections) in profiles {
            let mut one = Rejecting { quarantine: self, profile, now, moved: &mut moved, watch };
            if let Err(error) = one.reject(&rejections, last_admitted) {
                moved.failures.push((profile.clone(), error));
                // What was recorded and not done; where that fails too, the next start does it.
                let _ = self.recover(now);
            }
        }
        Ok(moved)
    }
}

/// The rejection of links of one profile.
struct Rejecting<'r, 'w> {
    quarantine: &'r Quarantine<'r>,
    profile: &'r Profile,
    now: Timestamp,
    moved: &'r mut Moved,
    watch: Watch<'w>,
}

impl Rejecting<'_, '_> {
    fn reject(
        &mut self,
        rejections: &[&Rejection],
        last_admitted: Option<&StorePath>,
    ) -> Result<(), QuarantineError> {
        let places = self.quarantine.places;
        let _lock = ProfileLock::take(&self.profile.current(places), self.quarantine.wait)?;
        let from = Directory::open(&self.profile.directory(places))?;
        let to = Directory::open(&places.quarantine)?;
        let Selected { chosen, restore } = select::select(
            self.quarantine,
            self.profile,
            &from,
            rejections,
            last_admitted,
            self.moved,
        )?;
        let _root = self.hold(&chosen, last_admitted);

        let mut records = Vec::new();
        for rejection in &chosen {
            let taken = |id: &Id| self.quarantine.is_taken(id);
            let Some(id) = Id::choose(&rejection.link, self.now, taken) else { continue };
            let record = Record::new(id, &rejection.link, &rejection.reason, self.now);
            record.save(places)?;
            records.push((record, &rejection.link));
        }
        if (self.watch)(Step::Recorded).is_break() {
            return Ok(());
        }
        if let Some(restore) = restore {
            self.restore(&from, &to, &restore, &records)?;
        }
        if (self.watch)(Step::Restored).is_break() {
            return Ok(());
        }
        for (mut record, link) in records {
            let name = std::ffi::OsStr::new(record.id.as_str());
            let arrived = match link.kind {
                // Replaced already, and its copy is there.
                Kind::Current => Ok(()),
                Kind::Generation(_) | Kind::Unnumbered => {
                    from.transfer(link.name(), &link.raw, &to, name)?
                }
            };
            if (self.watch)(Step::Moved).is_break() {
                return Ok(());
            }
            match arrived {
                Ok(()) => {
                    record.state = State::Held;
                    record.save(places)?;
                    self.moved.records.push(record);
                }
                Err(because) => {
                    Record::remove(places, &record.id)?;
                    self.moved.left.push(Left { link: link.clone(), because });
                }
            }
            if (self.watch)(Step::Settled).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn restore(
        &mut self,
        from: &Directory,
        to: &Directory,
        restore: &Restore,
        records: &[(Record, &Link)],
    ) -> Result<(), QuarantineError> {
        // A current link that is a generation by itself is copied, since it is about to be replaced.
        for (record, link) in records.iter().filter(|(_, link)| link.kind == Kind::Current) {
            to.make(std::ffi::OsStr::new(record.id.as_str()), &link.raw)?;
        }
        to.sync()?;
        if let Some(path) = &restore.make {
            from.make(&restore.link, std::ffi::OsStr::new(&path.to_string()))?;
        }
        from.replace(self.profile.name(), &restore.instead_of, &restore.link)?;
        self.moved.restored.push((self.profile.clone(), restore.link.clone()));
        Ok(())
    }

    /// Holds what is moved about. Whether that works or not, a rejected generation must not stay bootable.
    fn hold(&mut self, chosen: &[Rejection], restored: Option<&StorePath>) -> Option<TempRoot> {
        let links = chosen.iter().filter_map(|rejection| rejection.link.target.as_ref().ok());
        let paths: Vec<StorePath> = links.chain(restored).cloned().collect();
        match TempRoot::hold(self.quarantine.places, &paths, self.quarantine.wait) {
            Ok(root) => Some(root),
            Err(TempRootError::Gone(_)) => None,
            Err(error) => {
                self.moved.remarks.push(format!("not held against garbage collection: {error}"));
                None
            }
        }
    }
}

impl Quarantine<'_> {
    fn is_taken(&self, id: &Id) -> bool {
        let record = state::records(self.places).join(format!("{id}.json"));
        self.link(id).symlink_metadata().is_ok() || record.symlink_metadata().is_ok()
    }
}
