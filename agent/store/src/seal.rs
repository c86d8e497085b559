//! Seals: what lets a second check of a path be a walk over its metadata instead of a hash of its bytes.
//!
//! A seal holds what was measured of one store path, and a digest of what statx(2) told of its whole tree meanwhile.
//! While the tree still looks the same from outside, what was measured holds. Never sealed is a verdict: signatures
//! are judged anew each time, from what was measured, so that no change of trust can meet a seal that is too old for
//! it.
//!
//! | rule | where |
//! |---|---|
//! | nothing as young as the measuring, nothing that somebody may be writing to | [`Doubt`] |
//! | of this boot, file system, store directory, owner, and a clock that nobody set | `binding` |
//! | on file systems alone that stamp every change | [`FileSystem::stamps_every_change`](narwarden_linux::boot::FileSystem::stamps_every_change) |
//! | for the same question, no older than two weeks | `record`, `book` |
//! | every node reached through the store's own mount | `check` |
//! | a book that is damaged, another's, or revoked is none | [`Shelf`], `book` |
//!
//! Whatever is in doubt is hashed. That costs time, and nothing else.

mod binding;
mod book;
mod bytes;
mod check;
mod crew;
mod observe;
mod record;
mod shelf;
#[cfg(test)]
mod tests;
mod tree;
mod write;

pub use observe::Doubt;
pub use shelf::Shelf;

pub(crate) use observe::Observer;

use crate::location::Location;
use crate::measure::{Pace, Progress};
use binding::Binding;
use book::{Book, Entry, Found, KEY};
use narwarden_core::closure::PathIndex;
use narwarden_core::evidence::{Evidence, Measured, Unmeasured};
use narwarden_core::metadata::Owner;
use narwarden_core::plan::Job;
use narwarden_core::store_path::StorePath;
use narwarden_linux::boot::Clock;
use narwarden_linux::tree::StoreDirectory;
use record::{Names, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use write::{Placed, Room, Writer};

/// Why there are no seals.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoSeals {
    /// It does not stamp every change.
    #[error(
        "the store is on a kind of file system ({0:#x}) whose time stamps do not tell of every change"
    )]
    FileSystem(u64),
    /// The kernel is too old.
    #[error("the kernel does not tell through which mount a file was reached (Linux 5.8 does)")]
    NoMountIds,
    /// The system refused.
    #[error("{0}")]
    System(String),
}

/// Which of the seals there are may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    /// Those that fit. What is measured is sealed.
    Fitting,
    /// None: everything is measured, and what contradicts a seal removes it.
    None,
    /// None either, and what is measured is sealed anew.
    Renew,
}

/// The seals of one store, for one verification.
#[derive(Debug)]
pub struct Seals {
    shelf: Shelf,
    belief: Belief,
    store: StoreDirectory,
    binding: Binding,
    begin: Clock,
    book: Option<Book>,
    revoked: u64,
    made: Mutex<Made>,
}

/// What came of it so far.
#[derive(Debug, Default)]
struct Made {
    writer: Option<Writer>,
    /// Seals that are not to be taken over.
    void: BTreeSet<[u8; KEY]>,
    /// What is to be written will not lie there.
    failed: bool,
    refuted: u64,
    doubts: Vec<Doubt>,
    troubles: Vec<String>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many paths were sealed.
    pub sealed: u64,
    /// How many seals were contradicted by what was measured.
    pub refuted: u64,
    /// Why each other path that was measured was not sealed.
    pub doubts: Vec<Doubt>,
    /// What went wrong. No verdict depends on it.
    pub troubles: Vec<String>,
}

impl Seals {
    /// The seals that lie on `shelf` for the store at `location`, which belongs to `owner`. `clock` is the present:
    /// read before anything is measured.
    ///
    /// # Errors
    /// Why seals cannot be used here at all.
    pub fn open(
        shelf: Shelf,
        location: &Location,
        owner: Owner,
        belief: Belief,
        clock: Clock,
    ) -> Result<Self, NoSeals> {
        let failed = |error: std::io::Error| NoSeals::System(error.to_string());
        let store = StoreDirectory::open(&location.store_directory()).map_err(failed)?;
        let binding = Binding::of(&store, clock, owner)?;
        let mut made = Made::default();
        let revoked = shelf.revoked();
        let book = match shelf.token() {
            Some(token) => match Book::open(shelf.book(), binding.bytes(), &token) {
                Ok(Found::Book(book)) => Some(book),
                Ok(Found::Nothing) => None,
                Ok(Found::Damaged(wrong)) => {
                    made.troubles.push(shelf.set_aside(&wrong));
                    None
                }
                Err(error) => {
                    made.troubles.push(format!("cannot read {:?}: {error}", shelf.book()));
                    None
                }
            },
            // Whatever book there is was revoked.
            None => None,
        };
        let made = Mutex::new(made);
        Ok(Self { shelf, belief, store, binding, begin: clock, book, revoked, made })
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers what seals can answer; the rest is returned, to be measured.
    pub(crate) fn answer<'a>(
        &self,
        jobs: Vec<Job<'a>>,
        threads: NonZeroUsize,
        progress: &Progress,
    ) -> (BTreeMap<PathIndex, Measured>, Vec<Job<'a>>) {
        let (Some(book), Belief::Fitting) = (&self.book, self.belief) else {
            return (BTreeMap::new(), jobs);
        };
        let now = self.begin.since_boot;
        let find = |job: &Job<'_>| book.find(&key(job.path)?, now);
        let (mut known, mut rest) = (Vec::new(), Vec::new());
        for job in jobs {
            match find(&job) {
                Some(entry) => known.push((job, entry)),
                None => rest.push(job),
            }
        }
        // The largest tree does not begin when all others are done.
        known.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.nodes));
        let most = match progress.pace() {
            Pace::Full => crew::WAITING,
            // It is in nobody's way.
            Pace::Background => 0,
        };
        let answers = crew::ask(known.len(), threads, most, |place, buffer| {
            let (job, entry) = known.get(place).filter(|_| !progress.is_cancelled())?;
            let evidence = self.fitting(book, job, entry, buffer)?;
            progress.sealed(evidence.nar_size.get());
            Some((job.index, Measured::Bytes(evidence)))
        });
        let answers: BTreeMap<PathIndex, Measured> = answers.into_iter().collect();
        let unfit = known.into_iter().map(|(job, _)| job);
        rest.extend(unfit.filter(|job| !answers.contains_key(&job.index)));
        (answers, rest)
    }

    fn fitting(
        &self,
        book: &Book,
        job: &Job<'_>,
        entry: &Entry,
        buffer: &mut Vec<u8>,
    ) -> Option<Evidence> {
        let record = book.record(entry, buffer).and_then(Record::read);
        let Some(record) = record.filter(|it| it.base_name == job.path.base_name()) else {
            let trouble = format!("a seal in {:?} is damaged: {}", self.shelf.book(), job.path);
            let mut made = self.made();
            made.troubles.push(trouble);
            made.void.insert(entry.key);
            return None;
        };
        let fits =
            record.ask == job.content && check::fits(&self.store, self.binding.mount, &record);
        fits.then_some(record.evidence)
    }

    /// An eye on one tree that is about to be measured; `None` where nothing is to be sealed.
    pub(crate) fn observer(&self) -> Option<Observer> {
        match self.belief {
            Belief::Fitting | Belief::Renew => Some(Observer::new(self.binding.mount, self.begin)),
            Belief::None => None,
        }
    }

    /// Takes note of what was measured, and seals it if nothing about it is in doubt.
    pub(crate) fn measured(&self, job: &Job<'_>, evidence: &Evidence, observer: Option<Observer>) {
        let Some(key) = key(job.path) else { return };
        self.refute(job, key, Some(evidence));
        let Some(observer) = observer else { return };
        match self.seal(job, key, evidence, observer) {
            Ok(()) => {}
            Err(doubt) => self.made().doubts.push(doubt),
        }
    }

    /// Takes note of a path that could not be measured.
    pub(crate) fn not_measured(&self, job: &Job<'_>, why: &Unmeasured) {
        match (key(job.path), why) {
            // Nobody looked.
            (None, _) | (_, Unmeasured::Interrupted) => {}
            (
                Some(key),
                Unmeasured::Missing
                | Unmeasured::Unreadable(_)
                | Unmeasured::Changed(_)
                | Unmeasured::UnsupportedFile(_)
                | Unmeasured::TooLarge(_)
                | Unmeasured::ForeignMount(_),
            ) => self.refute(job, key, None),
        }
    }

    /// A seal that says something else than what was measured is void: where its tree looks as it did, no time stamp
    /// tells of what happened, and where not, it can never fit again.
    fn refute(&self, job: &Job<'_>, key: [u8; KEY], evidence: Option<&Evidence>) {
        let (Some(book), Belief::None | Belief::Renew) = (&self.book, self.belief) else { return };
        let now = self.begin.since_boot;
        let Some(entry) = book.find(&key, now) else { return };
        let mut buffer = Vec::new();
        let says = |record: &Record<'_>| {
            evidence.is_some_and(|it| {
                it.nar_hash == record.evidence.nar_hash
                    && (record.ask != job.content || it.content == record.evidence.content)
                    && it.metadata.total() == 0
            })
        };
        let record = book.record(&entry, &mut buffer).and_then(Record::read);
        if !record.as_ref().is_some_and(says) {
            let mut made = self.made();
            made.void.insert(key);
            made.refuted = made.refuted.saturating_add(1);
        }
    }

    fn seal(
        &self,
        job: &Job<'_>,
        key: [u8; KEY],
        evidence: &Evidence,
        observer: Observer,
    ) -> Result<(), Doubt> {
        let seen = observer.finish()?;
        let names = seen.names.as_deref().map_or(Names::NotKept, Names::Kept);
        let record = Record {
            base_name: job.path.base_name(),
            ask: job.content,
            evidence: evidence.clone(),
            tree: seen.tree,
            names,
        };
        let mut bytes = Vec::new();
        record.put(&mut bytes).ok_or(Doubt::Deviates)?;
        let Ok(length) = u32::try_from(bytes.len()) else { return Ok(()) };
        let digest = blake3::hash(&bytes).into();
        let (nodes, made) = (seen.nodes, self.begin.since_boot);
        let entry = Entry { key, offset: 0, length, nodes, made, digest };
        let mut made = self.made();
        // The reason is said once, by the first path.
        if made.writer.is_none() && !made.failed {
            match Writer::begin(self.shelf.book()) {
                Ok(writer) => made.writer = Some(writer),
                Err(error) => made.fail(&self.shelf, &error),
            }
        }
        if let Some(writer) = &mut made.writer {
            match writer.add(entry, &bytes) {
                Ok(Room::Enough | Room::TooLittle) => {}
                Err(error) => made.fail(&self.shelf, &error),
            }
        }
        Ok(())
    }

    /// Whether what seals said still counts: the clock was not set since, and nobody revoked them.
    #[must_use]
    pub fn hold(&self) -> bool {
        self.binding.holds() && self.shelf.revoked() == self.revoked
    }

    /// Puts down what was sealed, and takes away what was refuted.
    #[must_use]
    pub fn close(self) -> Outcome {
        let holds = self.hold();
        let Self { shelf, binding, book, made, .. } = self;
        let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
        let bound_to = book.as_ref().map_or_else(|| binding.bytes(), Book::bound_to);
        let mut outcome = Outcome { refuted: made.refuted, ..Outcome::default() };
        if made.writer.is_none() && !made.void.is_empty() && book.is_some() {
            match Writer::begin(shelf.book()) {
                Ok(writer) => made.writer = Some(writer),
                Err(error) => made.fail(&shelf, &error),
            }
        }
        if let Some(mut writer) = made.writer.take() {
            if holds {
                outcome.sealed = writer.len();
                let written = book
                    .as_ref()
                    .map_or(Ok(()), |book| writer.copy(book, |it| !made.void.contains(&it.key)))
                    .and_then(|()| shelf.put(writer, bound_to));
                match written {
                    Ok(Placed::There) => {}
                    Ok(Placed::Lost) => {
                        outcome.sealed = 0;
                        made.failed = true;
                    }
                    Err(error) => {
                        outcome.sealed = 0;
                        made.fail(&shelf, &error);
                    }
                }
            } else {
                writer.abandon();
            }
        }
        outcome.doubts = made.doubts;
        outcome.troubles = made.troubles;
        // What is void must not be believed by the next one to come, whatever keeps it from being rewritten.
        if !holds || (made.failed && !made.void.is_empty()) {
            outcome.troubles.extend(shelf.revoke().err());
        }
        outcome
    }
}

impl Made {
    fn fail(&mut self, shelf: &Shelf, error: &std::io::Error) {
        self.writer = None;
        self.failed = true;
        self.troubles.push(format!("no seals can be written to {:?}: {error}", shelf.book()));
    }
}

fn key(path: &StorePath) -> Option<[u8; KEY]> {
    path.base_name().as_bytes().first_chunk().copied()
}
