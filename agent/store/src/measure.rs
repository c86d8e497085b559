//! Measuring: every path of a plan read from the first byte to the last, on all cores.
//!
//! Threads take paths from one list, largest first, so that the largest NAR does not begin when all others are
//! done. Each needs a buffer and a hash state, whatever the size of what it reads.

mod path;
mod sinks;

use crate::location::Location;
use crate::seal::Seals;
use narwarden_core::closure::PathIndex;
use narwarden_core::evidence::{Measured, Unmeasured};
use narwarden_core::metadata::Owner;
use narwarden_core::plan::{Job, Plan};
use narwarden_linux::tree::StoreDirectory;
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
}

impl Default for Options {
    /// One thread a core, in a store that belongs to root.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { threads, owner: Owner::ROOT }
    }
}

/// How far measuring has come, and the way to break it off.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    paths: AtomicU64,
    sealed: AtomicU64,
    cancelled: AtomicBool,
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

    /// Bytes of NARs that were not hashed, since the seal of their path still fitted.
    #[must_use]
    pub fn sealed_bytes(&self) -> u64 {
        self.sealed.load(Ordering::Relaxed)
    }

    pub(crate) fn sealed(&self, bytes: u64) {
        self.sealed.fetch_add(bytes, Ordering::Relaxed);
        self.paths.fetch_add(1, Ordering::Relaxed);
    }

    /// Breaks off. What was not measured by then denies.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
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

/// The same for some jobs of a plan; what is measured is sealed by `seals`.
pub(crate) fn measure_jobs(
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
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = vec![0; path::BUFFER];
        let mut done = Vec::new();
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push((
                job.index,
                path::measure(&store, job, options.owner, &mut buffer, progress, seals),
            ));
            progress.paths.fetch_add(1, Ordering::Relaxed);
        }
        done
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads.get().min(jobs.len()))
            .filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        if threads.is_empty() {
            return work().into_iter().collect();
        }
        // What a thread that panicked had measured is lost, and what is not measured denies.
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    })
}
