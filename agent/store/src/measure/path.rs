//! One store path: its tree walked, hashed, and looked over for what no hash covers.

use super::Progress;
use super::sinks::Sinks;
use crate::seal::Seals;
use narwarden_core::evidence::{Evidence, Measured, MeasuredMetadata, Unmeasured};
use narwarden_core::metadata::{Node, NodeKind, Owner, deviations};
use narwarden_core::plan::Job;
use narwarden_core::sink::{Executable, TreeSink as _};
use narwarden_linux::metadata::Metadata;
use narwarden_linux::tree::{Attributes, Event, Limits, StoreDirectory, Walk, WalkError};
use std::sync::atomic::Ordering;

/// Bytes read at a time: larger buffers fall out of the first-level caches and gain nothing.
pub(super) const BUFFER: usize = 64 << 10;

/// The owner's execute bit, the only one that a NAR knows.
const OWNER_EXECUTE: u32 = 0o100;

/// Measures the path of `job`, whatever lies there.
pub(super) fn measure(
    store: &StoreDirectory,
    job: &Job<'_>,
    owner: Owner,
    buffer: &mut [u8],
    progress: &Progress,
    seals: Option<&Seals>,
) -> Measured {
    let mut read = || read(store, job, owner, buffer, progress, seals);
    // `nix store optimise` replaces files by links with the same bytes: once is no attack yet.
    let evidence = match read() {
        Err(Unmeasured::Changed(_)) => read(),
        first => first,
    };
    match evidence {
        Ok(evidence) => Measured::Bytes(evidence),
        Err(why) => {
            if let Some(seals) = seals {
                seals.not_measured(job);
            }
            Measured::Not(why)
        }
    }
}

fn read(
    store: &StoreDirectory,
    job: &Job<'_>,
    owner: Owner,
    buffer: &mut [u8],
    progress: &Progress,
    seals: Option<&Seals>,
) -> Result<Evidence, Unmeasured> {
    let base_name = job.path.base_name().as_bytes();
    let mut walk =
        Walk::open(store, base_name, Limits::default(), Attributes::List).map_err(unmeasured)?;
    let mut sinks = Sinks::new(job.path, job.content);
    let mut metadata = Looked { owner, place: Vec::new(), found: MeasuredMetadata::default() };
    let mut observer = seals.and_then(Seals::observer);
    let mut allowance = Allowance::new(job.claimed_size);
    while let Some(event) = walk.next(buffer).map_err(unmeasured)? {
        if progress.is_cancelled() {
            return Err(Unmeasured::Interrupted);
        }
        allowance.spend(&event)?;
        metadata.look(&event);
        feed(&mut sinks, &event, progress).map_err(Unmeasured::UnsupportedFile)?;
        if let Some(observer) = &mut observer {
            observer.look(&event);
            // Before its first byte is read.
            if matches!(event, Event::File { .. }) && !observer.is_in_doubt() {
                observer.writers(walk.writers());
            }
        }
    }
    let hashed = sinks.finish().map_err(Unmeasured::UnsupportedFile)?;
    let evidence = Evidence {
        nar_hash: hashed.nar_hash,
        nar_size: hashed.nar_size,
        content: hashed.content,
        metadata: metadata.found,
    };
    if let Some(seals) = seals {
        seals.measured(job, &evidence, observer);
    }
    Ok(evidence)
}

fn feed(sinks: &mut Sinks, event: &Event<'_>, progress: &Progress) -> Result<(), String> {
    match event {
        Event::Directory { .. } => sinks.begin_directory(),
        Event::Entry { name } => sinks.begin_entry(name),
        Event::EntryEnd => sinks.end_entry(),
        Event::DirectoryEnd => sinks.end_directory(),
        Event::File { metadata, .. } => {
            let owner_may = metadata.mode & OWNER_EXECUTE != 0;
            let executable = if owner_may { Executable::Yes } else { Executable::No };
            sinks.begin_file(executable, metadata.size)
        }
        Event::Contents(bytes) => {
            progress.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            sinks.contents(bytes)
        }
        Event::FileEnd => sinks.end_file(),
        Event::Symlink { target, .. } => sinks.symlink(target),
    }
}

/// How many bytes a path may have: some more than the database says, so that a small lie is found out by
/// measuring, and not so many that a sparse file of a terabyte keeps a host waiting.
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
struct Looked {
    owner: Owner,
    place: Vec<u8>,
    found: MeasuredMetadata,
}

impl Looked {
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
