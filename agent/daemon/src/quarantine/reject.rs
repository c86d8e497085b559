//! Moves rejected links away, in an order in which nothing is lost between two steps.
//!
//! 1. Records: what is about to be moved, and why.
//! 2. The profile leads to another of its generations, in one rename, so that it does not dangle.
//! 3. Each link is renamed into the quarantine, which is a garbage collector root like the profile.
//! 4. Records: it was done.
//! 5. The profile is looked at again: Nix makes a generation's link first and leads the profile to it afterwards, and
//!    may do that only now.
//!
//! The garbage collector reads `gcroots` first and `profiles` afterwards, so a link that moves between may be missed:
//! its store path is held as a temporary root meanwhile.

mod exchange;
mod select;

use super::lock::ProfileLock;
use super::record::{self, Id, Record, State};
use super::{Quarantine, QuarantineError};
use crate::generations::{self, Kind, Link, LinkProblem, Profile};
use crate::state;
use crate::temp_root::{TempRoot, TempRootError};
use exchange::Directory;
use jiff::Timestamp;
use narwarden_core::store_path::StorePath;
use select::{Restore, Selected};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::ops::ControlFlow;
use thiserror::Error;

pub(super) use exchange::Directory as OpenDirectory;
pub(super) use select::{Goals, is_one_of, next_generation, running};

/// A link that was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The link as it was judged.
    pub link: Link,
    /// Why it was rejected.
    pub reason: String,
}

/// Toplevels that a profile may lead to where it has generations with them.
#[derive(Clone, Debug, Default)]
pub struct Restorable {
    /// Those that are admitted.
    pub admitted: BTreeSet<StorePath>,
    /// Those that were, and are left alone.
    pub kept: BTreeSet<StorePath>,
}

/// What became of rejected links.
#[derive(Debug, Default)]
#[must_use]
pub struct Moved {
    /// Those that are in quarantine now.
    pub records: Vec<Record>,
    /// Profiles that lead somewhere else now, and to which link; those without one are no profiles any more.
    pub restored: Vec<(Profile, Option<OsString>)>,
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
    /// Its generation runs or was booted.
    #[error("its generation is running, or was booted")]
    Running,
    /// It is a file or a directory, which is for an operator to look at.
    #[error("it is no symbolic link")]
    NotALink,
    /// It is the current generation of the system, and there is none to go back to.
    #[error("its profile has no other generation to go back to")]
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
    /// Moves rejected links into quarantine; a profile that leads to one of them leads to another of its generations
    /// again.
    ///
    /// # Errors
    /// When nothing at all could be done. What went wrong with one profile is in [`Moved::failures`].
    pub fn reject(
        &self,
        rejections: &[Rejection],
        restorable: &Restorable,
        now: Timestamp,
    ) -> Result<Moved, QuarantineError> {
        self.reject_watched(rejections, restorable, now, &mut |_| ControlFlow::Continue(()))
    }

    pub(super) fn reject_watched(
        &self,
        rejections: &[Rejection],
        restorable: &Restorable,
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
            if let Err(error) = one.reject(&rejections, restorable) {
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
        restorable: &Restorable,
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
            restorable,
            self.moved,
        )?;
        let _root = self.hold(&chosen);

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
            let name = OsStr::new(record.id.as_str());
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
        self.mend(&from, restorable)
    }

    /// Makes the profile, which says `old`, lead through `link`, or no profile.
    fn lead(
        &mut self,
        from: &Directory,
        old: &OsStr,
        link: Option<&OsStr>,
    ) -> Result<(), QuarantineError> {
        let name = self.profile.name();
        match link {
            Some(link) => from.replace(name, old, link)?,
            None => from.remove_if(name, old)?,
        }
        self.moved.restored.push((self.profile.clone(), link.map(OsStr::to_owned)));
        Ok(())
    }

    fn mend_locked(
        &mut self,
        name: &OsStr,
        links: &[Link],
        restorable: &Restorable,
    ) -> Result<(), QuarantineError> {
        // The lock's file is seen by all who watch, so it is not taken in vain each time that somebody looks.
        let took = self.quarantine.took(self.profile, name)?;
        let can = || Ok::<_, QuarantineError>(self.goal(name, links, restorable)?.is_some());
        if !took || (*self.profile == Profile::System && !can()?) {
            return Ok(());
        }
        let places = self.quarantine.places;
        let _lock = ProfileLock::take(&self.profile.current(places), self.quarantine.wait)?;
        self.mend(&Directory::open(&self.profile.directory(places))?, restorable)
    }

    /// Where the profile is to lead instead of through `gone`.
    fn goal<'l>(
        &self,
        gone: &OsStr,
        links: &'l [Link],
        restorable: &Restorable,
    ) -> Result<Option<&'l Link>, QuarantineError> {
        let staying = self.quarantine.staying()?;
        let goals = select::Goals { places: self.quarantine.places, staying: &staying, restorable };
        let kind = generations::classify(self.profile, gone.as_encoded_bytes());
        Ok(goals.find(links, self.profile, kind.unwrap_or(Kind::Unnumbered), &BTreeSet::new()))
    }

    /// Leads the profile somewhere again, if it leads to a link that is in quarantine.
    fn mend(&mut self, from: &Directory, restorable: &Restorable) -> Result<(), QuarantineError> {
        let (places, name) = (self.quarantine.places, self.profile.name());
        let current = generations::read(places, from, self.profile.clone(), Kind::Current, name);
        let Some(current) = current else { return Ok(()) };
        let Some(gone) = dangles(&current) else { return Ok(()) };
        if from.exists(gone)? || !self.quarantine.took(self.profile, gone)? {
            return Ok(());
        }
        let links = generations::scan(places).links;
        let goal = self.goal(gone, &links, restorable)?;
        if goal.is_some() || *self.profile != Profile::System {
            self.lead(from, &current.raw, goal.map(Link::name))?;
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
            to.make(OsStr::new(record.id.as_str()), &link.raw)?;
        }
        to.sync()?;
        self.lead(from, &restore.instead_of, restore.link.as_deref())
    }

    /// Holds what is moved about. Whether that works or not, a rejected generation must not stay bootable.
    fn hold(&mut self, chosen: &[Rejection]) -> Option<TempRoot> {
        let links = chosen.iter().filter_map(|rejection| rejection.link.target.as_ref().ok());
        let paths: Vec<StorePath> = links.cloned().collect();
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

/// The sibling that a current link leads to and that may not be there.
fn dangles(current: &Link) -> Option<&OsStr> {
    let leads_nowhere = matches!(current.target, Err(LinkProblem::Elsewhere(_)));
    current.through.as_deref().filter(|_| current.kind == Kind::Current && leads_nowhere)
}

impl Quarantine<'_> {
    /// Leads profiles that lead to a link in quarantine to another of their generations. `links` are all there are;
    /// nothing is done, and no lock taken, where none of them dangles.
    pub fn mend(&self, links: &[Link], restorable: &Restorable, now: Timestamp) -> Moved {
        let mut moved = Moved::default();
        let there = |link: &Link, name: &OsStr| {
            links.iter().any(|it| it.profile == link.profile && it.name() == name)
        };
        for link in links {
            let Some(name) = dangles(link).filter(|name| !there(link, name)) else { continue };
            let profile = &link.profile;
            let watch: Watch<'_> = &mut |_| ControlFlow::Continue(());
            let mut one = Rejecting { quarantine: self, profile, now, moved: &mut moved, watch };
            if let Err(error) = one.mend_locked(name, links, restorable) {
                moved.failures.push((profile.clone(), error));
            }
        }
        moved
    }

    /// Whether the link `name` of the profile is in quarantine.
    fn took(&self, profile: &Profile, name: &OsStr) -> Result<bool, QuarantineError> {
        let (records, _) = record::all(self.places)?;
        let name = state::raw_name::encode(name);
        Ok(records.values().any(|record| {
            let held = matches!(record.state, State::Held);
            held && record.was.link == name && record.profile().as_ref() == Some(profile)
        }))
    }

    fn is_taken(&self, id: &Id) -> bool {
        let record = state::records(self.places).join(format!("{id}.json"));
        self.link(id).symlink_metadata().is_ok() || record.symlink_metadata().is_ok()
    }
}
