//! One store path: its tree walked, put into its NAR, and looked over for what no hash covers.

use super::Progress;
use super::lanes::Work;
use super::nar::NarBuffer;
use super::sinks::Sinks;
use crate::seal::{Observer, Seals};
use narwarden_core::evidence::{Evidence, MeasuredMetadata, Unmeasured};
use narwarden_core::metadata::{Node, NodeKind, Owner, deviations};
use narwarden_core::nar::NarError;
use narwarden_core::plan::Job;
use narwarden_core::sink::Executable;
use narwarden_linux::metadata::Metadata;
use narwarden_linux::tree::{Attributes, Event, Limits, Walk, WalkError};
use std::sync::atomic::Ordering;

/// The owner's execute bit, the only one that a NAR knows.
const OWNER_EXECUTE: u32 = 0o100;

/// A path that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    walk: Walk,
    sinks: Sinks,
    allowance: Allowance,
    observers: Observers,
}

/// Whether a path was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// The buffer is full, and there is more.
    Full,
    /// All of it was read, and held still meanwhile.
    End,
}

impl Reading {
    /// Begins to read the path of `job`, whose NAR begins in `nar`.
    pub(super) fn begin(
        work: &Work<'_>,
        job: &Job<'_>,
        nar: &mut NarBuffer,
    ) -> Result<Self, Unmeasured> {
        let base_name = job.path.base_name().as_bytes();
        let walk = Walk::open(&work.store, base_name, Limits::default(), Attributes::List);
        Ok(Self {
            walk: walk.map_err(unmeasured)?,
            sinks: Sinks::begin(job.path, job.content, nar),
            allowance: Allowance::new(job.claimed_size),
            observers: Observers {
                metadata: Looked::new(work.options.owner),
                seal: work.seals.and_then(Seals::observer),
            },
        })
    }

    /// Reads on until `nar` is full or the path complete.
    pub(super) fn fill(
        &mut self,
        nar: &mut NarBuffer,
        progress: &Progress,
    ) -> Result<Reached, Unmeasured> {
        let Self { walk, sinks, allowance, observers } = self;
        while !nar.is_full() {
            if progress.is_cancelled() {
                return Err(Unmeasured::Interrupted);
            }
            let Some(event) = walk.next(nar.free()).map_err(unmeasured)? else {
                sinks.beside(nar.fresh());
                return Ok(Reached::End);
            };
            allowance.spend(&event)?;
            observers.see(&event);
            if let Event::Contents(length) = event {
                progress.bytes.fetch_add(length as u64, Ordering::Relaxed);
            }
            feed(sinks, &event, nar)
                .map_err(|error| Unmeasured::UnsupportedFile(error.to_string()))?;
            if let Event::File { .. } = event {
                observers.writers(walk);
            }
        }
        sinks.beside(nar.fresh());
        Ok(Reached::Full)
    }

    /// What the path is, once it was read to its end and all of `nar` was hashed.
    pub(super) fn finish(
        self,
        nar: &mut NarBuffer,
    ) -> Result<(Evidence, Option<Observer>), Unmeasured> {
        let hashed = self.sinks.finish(nar).map_err(Unmeasured::UnsupportedFile)?;
        let Observers { metadata, seal } = self.observers;
        let evidence = Evidence {
            nar_hash: hashed.nar_hash,
            nar_size: hashed.nar_size,
            content: hashed.content,
            metadata: metadata.found,
        };
        Ok((evidence, seal))
    }
}

/// Whoever sees each event of a walk before it is known that all of it holds.
#[derive(Debug)]
struct Observers {
    metadata: Looked,
    seal: Option<Observer>,
}

impl Observers {
    fn see(&mut self, event: &Event<'_>) {
        self.metadata.look(event);
        if let Some(seal) = &mut self.seal {
            seal.look(event);
        }
    }

    /// A file begins: before its first byte is read is the time to ask who may write to it.
    fn writers(&mut self, walk: &Walk) {
        if let Some(seal) = self.seal.as_mut().filter(|seal| !seal.is_in_doubt()) {
            seal.writers(walk.writers());
        }
    }
}

fn feed(sinks: &mut Sinks, event: &Event<'_>, nar: &mut NarBuffer) -> Result<(), NarError> {
    match event {
        Event::Directory { .. } => sinks.begin_directory(nar),
        Event::Entry { name } => sinks.begin_entry(name, nar),
        Event::EntryEnd => sinks.end_entry(nar),
        Event::DirectoryEnd => sinks.end_directory(nar),
        Event::File { metadata, .. } => {
            let owner_may = metadata.mode & OWNER_EXECUTE != 0;
            let executable = if owner_may { Executable::Yes } else { Executable::No };
            sinks.begin_file(executable, metadata.size, nar)
        }
        Event::Contents(length) => sinks.contents(*length, nar),
        Event::FileEnd => sinks.end_file(nar),
        Event::Symlink { target, .. } => sinks.symlink(target, nar),
    }
}

/// How many bytes a path may have: some more than the database says, so that a small lie is found out by
/// measuring, and not so many that a sparse file of a terabyte keeps a host waiting.
#[derive(Debug)]
struct Allowance {
    claimed: u64,
    left: u64,
}

/// What any path may have beyond twice its claimed size.
const SLACK: u64 = 64 << 20;
/// What a path may have of which the database knows no size.
const UNKNOWN: u64 = 4 << 30;
/// What no path of a system has, whatever the database says.
const MOST: u64 = 64 << 30;

impl Allowance {
    fn new(claimed: u64) -> Self {
        let left = match claimed {
            0 => UNKNOWN,
            claimed => claimed.saturating_mul(2).saturating_add(SLACK).min(MOST),
        };
        Self { claimed, left }
    }

    fn spend(&mut self, event: &Event<'_>) -> Result<(), Unmeasured> {
        if let Event::File { metadata, .. } = event {
            let left = self.left.checked_sub(metadata.size);
            self.left = left.ok_or_else(|| {
                let claimed = self.claimed;
                Unmeasured::TooLarge(format!(
                    "it has far more than the {claimed} bytes that the database says"
                ))
            })?;
        }
        Ok(())
    }
}

/// The eye on metadata, with the place that the walk is at.
#[derive(Debug)]
struct Looked {
    owner: Owner,
    place: Vec<u8>,
    found: MeasuredMetadata,
}

impl Looked {
    fn new(owner: Owner) -> Self {
        Self { owner, place: Vec::new(), found: MeasuredMetadata::default() }
    }

    fn look(&mut self, event: &Event<'_>) {
        match event {
            Event::Entry { name } => {
                self.place.push(b'/');
                self.place.extend_from_slice(name);
            }
            Event::EntryEnd => {
                let parent = self.place.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                self.place.truncate(parent);
            }
            Event::Directory { metadata, attributes } => {
                self.compare(NodeKind::Directory, metadata, attributes.iter());
            }
            Event::File { metadata, attributes } => {
                self.compare(NodeKind::Regular, metadata, attributes.iter());
            }
            Event::Symlink { metadata, .. } => {
                self.compare(NodeKind::Symlink, metadata, std::iter::empty());
            }
            Event::DirectoryEnd | Event::Contents(_) | Event::FileEnd => {}
        }
    }

    fn compare<'a>(
        &mut self,
        kind: NodeKind,
        found: &Metadata,
        attributes: impl Iterator<Item = &'a [u8]>,
    ) {
        let Metadata { mode, uid, gid, .. } = *found;
        let node = Node { kind, mode, uid, gid, mtime: found.mtime.seconds };
        for deviation in deviations(node, attributes, self.owner) {
            let place = || match self.place.as_slice() {
                b"" => "it".to_owned(),
                place => place.strip_prefix(b"/").unwrap_or(place).escape_ascii().to_string(),
            };
            self.found.add(deviation, place);
        }
    }
}

fn unmeasured(error: WalkError) -> Unmeasured {
    let detail = error.to_string();
    match error {
        WalkError::Missing { .. } => Unmeasured::Missing,
        WalkError::Io { .. } | WalkError::InvalidName { .. } => Unmeasured::Unreadable(detail),
        WalkError::UnsupportedKind { .. } | WalkError::SymlinkTooLong { .. } => {
            Unmeasured::UnsupportedFile(detail)
        }
        WalkError::ForeignMount { .. } => Unmeasured::ForeignMount(detail),
        WalkError::Changed { .. } => Unmeasured::Changed(detail),
        WalkError::TooDeep { .. } | WalkError::TooManyEntries { .. } => {
            Unmeasured::TooLarge(detail)
        }
    }
}
