//! Gives links back, throws them away, and clears up after a loss of power.

use super::lock::ProfileLock;
use super::record::{Id, Record, State, all};
use super::reject::{OpenDirectory as Directory, next_generation};
use super::{Quarantine, QuarantineError};
use crate::generations::{Kind, Mark, classify, scan};
use crate::state::{Damage, raw_name};
use jiff::Timestamp;
use std::ffi::{OsStr, OsString};

/// What was found half done, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Recovered {
    /// What had been begun was finished.
    pub finished: Vec<Id>,
    /// What had been begun was taken back.
    pub undone: Vec<Id>,
    /// There was nothing left that the record was about.
    pub forgotten: Vec<Id>,
    /// Records that were not as they had been written.
    pub damages: Vec<Damage>,
}

impl Quarantine<'_> {
    /// Puts a generation back into its profile, where it stays from then on. Its profile does not lead to it: that
    /// is for an operator to do, and needs an admission. Gives the link that it has now.
    ///
    /// # Errors
    /// When it is not there, or cannot be moved.
    pub fn release(&self, id: &Id, now: Timestamp) -> Result<Mark, QuarantineError> {
        let held = self.show(id)?;
        let lost = || QuarantineError::NoRecord { id: id.clone(), path: self.link(id) };
        let mut record = held.record.ok_or_else(lost)?;
        let profile = record.profile().ok_or_else(lost)?;
        let name = record.link_name().ok_or_else(lost)?;

        let _lock = ProfileLock::take(&profile.current(self.places), self.wait)?;
        let from = Directory::open(&self.places.quarantine)?;
        let to = Directory::open(&profile.directory(self.places))?;
        let links = scan(self.places).links;
        let taken = links.iter().any(|it| it.profile == profile && it.name() == name);
        let whole = classify(&profile, name.as_encoded_bytes()) == Some(Kind::Current);
        let name =
            if taken || whole { next_generation(&profile, &links).ok_or_else(lost)? } else { name };
        let link = Mark {
            profile: profile.to_string(),
            link: raw_name::encode(&name),
            target: raw_name::encode(&held.target),
        };
        record.state = State::Releasing { link: link.clone() };
        record.save(self.places)?;
        let source = OsStr::new(id.as_str());
        if from.transfer(source, &held.target, &to, &name)?.is_err() {
            return Err(QuarantineError::NotFound { id: id.clone() });
        }
        record.state = State::Released { link: link.clone(), at: now };
        record.save(self.places)?;
        Ok(link)
    }

    /// Gives a generation up: the garbage collector may have it.
    ///
    /// # Errors
    /// When it is not there, or cannot be removed.
    pub fn discard(&self, id: &Id) -> Result<(), QuarantineError> {
        self.show(id)?;
        Directory::open(&self.places.quarantine)?.remove(OsStr::new(id.as_str()))?;
        Ok(Record::remove(self.places, id)?)
    }

    /// Finishes or takes back what was interrupted. To be called before anything else is done here.
    ///
    /// # Errors
    /// When that could not be done, or not be found out.
    pub fn recover(&self, now: Timestamp) -> Result<Recovered, QuarantineError> {
        let (records, damages) = all(self.places)?;
        let mut recovered = Recovered { damages, ..Recovered::default() };
        if records.is_empty() {
            return Ok(recovered);
        }
        let links = self.links()?;
        for (id, record) in records {
            let here = links.get(&id);
            self.recover_one(record, here, now, &mut recovered)?;
        }
        Ok(recovered)
    }

    fn recover_one(
        &self,
        mut record: Record,
        here: Option<&OsString>,
        now: Timestamp,
        recovered: &mut Recovered,
    ) -> Result<(), QuarantineError> {
        let id = record.id.clone();
        let now_there = |mark: &Mark| self.stands(&record, mark);
        let list = match (&record.state, here) {
            // Nothing had been moved yet, or only a copy been made.
            (State::Intended, _) if now_there(&record.was)? => {
                if here.is_some() {
                    Directory::open(&self.places.quarantine)?.remove(OsStr::new(id.as_str()))?;
                }
                Record::remove(self.places, &id)?;
                &mut recovered.undone
            }
            (State::Intended, Some(_)) => {
                record.state = State::Held;
                record.save(self.places)?;
                &mut recovered.finished
            }
            (State::Releasing { link }, here) if now_there(link)? => {
                if here.is_some() {
                    Directory::open(&self.places.quarantine)?.remove(OsStr::new(id.as_str()))?;
                }
                record.state = State::Released { link: link.clone(), at: now };
                record.save(self.places)?;
                &mut recovered.finished
            }
            (State::Releasing { .. }, Some(_)) => {
                record.state = State::Held;
                record.save(self.places)?;
                &mut recovered.undone
            }
            (State::Held, Some(_)) => return Ok(()),
            (State::Released { link, .. }, _) if now_there(link)? => return Ok(()),
            (State::Intended | State::Held | State::Releasing { .. }, None)
            | (State::Released { .. }, _) => {
                Record::remove(self.places, &id)?;
                &mut recovered.forgotten
            }
        };
        list.push(id);
        Ok(())
    }

    /// Whether the link is in its profile as the mark says.
    fn stands(&self, record: &Record, mark: &Mark) -> Result<bool, QuarantineError> {
        let name = raw_name::decode(&mark.link);
        let (Some(profile), Some(name)) = (record.profile(), name) else { return Ok(false) };
        let path = profile.directory(self.places);
        match Directory::open(&path) {
            Ok(directory) => {
                let says = directory.read(&name)?;
                Ok(says.is_some_and(|says| raw_name::encode(&says) == mark.target))
            }
            Err(QuarantineError::Io { error, .. })
                if error.kind() == std::io::ErrorKind::NotFound =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}
