//! Measuring: every path of a plan read from the first byte to the last, on all cores.
//!
//! Threads take paths from one list, largest first, so that the largest NAR does not begin when all others are
//! done. Each reads several at a time, as many as the processor hashes together ([`narwarden_sha256`]), and needs a
//! buffer and a hash state for each, whatever their size.

mod ahead;
mod lanes;
mod nar;
mod path;
mod schedule;
mod sinks;

use crate::location::Location;
use crate::seal::Seals;
use ahead::Finished;
use lanes::Work;
use narwarden_core::closure::PathIndex;
use narwarden_core::evidence::{Measured, Unmeasured};
use narwarden_core::metadata::Owner;
use narwarden_core::plan::{Job, Plan};
use narwarden_linux::priority::{self, Priority};
use narwarden_linux::tree::StoreDirectory;
use narwarden_sha256::Compressor;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// How to measure.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many paths are read at a time.
    pub threads: NonZeroUsize,
    /// To whom the store belongs.
    pub owner: Owner,
    /// How many paths a thread reads at a time.
    pub lanes: Lanes,
}

/// How many paths a thread reads at a time, to hash them together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// As many as the processor hashes fastest, and as the longest can bear.
    AsManyAsPay,
    /// So many, as long as there are.
    Exactly(NonZeroUsize),
}

/// How much measuring may take from whatever else the host does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// Nobody waits for it: everything else comes first.
    Background,
    /// As fast as it can.
    #[default]
    Full,
}

impl Pace {
    /// Puts the calling thread back to what every thread begins with.
    fn leave(self) {
        match self {
            // Refused, the thread is slower and nothing else.
            Self::Background => drop(priority::set(Priority::Full)),
            Self::Full => {}
        }
    }
}

/// Has the calling thread go at the pace that is asked for now.
fn follow(pace: &mut Pace, progress: &Progress) {
    let wanted = progress.pace();
    if *pace != wanted {
        let priority = match wanted {
            Pace::Background => Priority::Background,
            Pace::Full => Priority::Full,
        };
        // Refused, it is in the way of others, and right all the same.
        let _ = priority::set(priority);
        *pace = wanted;
    }
}

impl Default for Options {
    /// One thread a core, in a store that belongs to root.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { threads, owner: Owner::ROOT, lanes: Lanes::AsManyAsPay }
    }
}

/// How far measuring has come, and the way to break it off.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    paths: AtomicU64,
    sealed: AtomicU64,
    cancelled: AtomicBool,
    background: AtomicBool,
}

impl Progress {
    /// Bytes of NARs hashed so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Paths measured, or answered for by their seal, so far.
    #[must_use]
    pub fn paths(&self) -> u64 {
        self.paths.load(Ordering::Relaxed)
    }

    /// How fast to go from now on; also while it goes on.
    pub fn set_pace(&self, pace: Pace) {
        self.background.store(pace == Pace::Background, Ordering::Relaxed);
    }

    /// How fast it is to go.
    #[must_use]
    pub fn pace(&self) -> Pace {
        if self.background.load(Ordering::Relaxed) { Pace::Background } else { Pace::Full }
    }

    /// Bytes of NARs that were not hashed, since the seal of their path still fitted.
    #[must_use]
    pub fn sealed_bytes(&self) -> u64 {
        self.sealed.load(Ordering::Relaxed)
    }

    pub(crate) fn sealed(&self, bytes: u64) {
        self.sealed.fetch_add(bytes, Ordering::Relaxed);
        self.paths.fetch_add(1, Ordering::Relaxed);
    }

    /// What so many seals said is to be measured after all.
    pub(crate) fn forget_sealed(&self, paths: u64) {
        self.sealed.store(0, Ordering::Relaxed);
        self.paths.fetch_sub(paths, Ordering::Relaxed);
    }

    /// Breaks off. What was not measured by then denies.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether it was broken off.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// Measures every job of `plan`.
///
/// A path that could not be measured says why; there is no error for the whole, since each path denies alone.
#[must_use]
pub fn measure(
    location: &Location,
    plan: &Plan<'_>,
    options: Options,
    progress: &Progress,
) -> BTreeMap<PathIndex, Measured> {
    measure_jobs(location, plan.jobs().collect(), options, progress, None)
}

/// Measures `jobs`, which may be some of a plan's; what is measured is sealed by `seals`.
#[must_use]
pub fn measure_jobs(
    location: &Location,
    mut jobs: Vec<Job<'_>>,
    options: Options,
    progress: &Progress,
    seals: Option<&Seals>,
) -> BTreeMap<PathIndex, Measured> {
    if jobs.is_empty() {
        return BTreeMap::new();
    }
    jobs.sort_by_key(|job| std::cmp::Reverse(job.claimed_size));
    let store = match StoreDirectory::open(&location.store_directory()) {
        Ok(store) => store,
        Err(error) => {
            let detail = format!("{}: {error}", location.store_directory().display());
            let why = Unmeasured::Unreadable(detail.escape_debug().to_string());
            return jobs.iter().map(|job| (job.index, Measured::Not(why.clone()))).collect();
        }
    };
    let work = Work {
        store,
        read: jobs.iter().map(|_| AtomicU64::new(0)).collect(),
        claimed: jobs.iter().map(|job| job.claimed_size).fold(0, u64::saturating_add),
        jobs,
        next: AtomicUsize::new(0),
        read_before: progress.bytes(),
        options,
        compressor: Compressor::detect(),
        seals,
    };
    let run = || lanes::run(&work, progress);
    let over = AtomicBool::new(false);
    let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
    std::thread::scope(|scope| {
        let finished = Finished(&over);
        let ahead = named("read-ahead").spawn_scoped(scope, || ahead::run(&work, progress, &over));
        let threads: Vec<_> = (0..options.threads.get().min(work.jobs.len()))
            .filter_map(|_| named("measure").spawn_scoped(scope, run).ok())
            .collect();
        let measured = if threads.is_empty() {
            run().into_iter().collect()
        } else {
            // What a thread that panicked had measured is lost, and what is not measured denies.
            threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
        };
        drop(finished);
        if let Ok(ahead) = ahead {
            // Nothing depends on it, nor on how it ends.
            let _ = ahead.join();
        }
        measured
    })
}
