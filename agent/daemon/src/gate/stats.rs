//! What the gate counted, without a lock on its way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the histogram's buckets, in microseconds; one more bucket holds the rest.
const BOUNDS: [u64; 8] = [10, 50, 100, 250, 500, 1_000, 10_000, 100_000];

/// Counters of the gate.
#[derive(Debug, Default)]
pub struct Stats {
    beats: AtomicU64,
    allowed: AtomicU64,
    denied: AtomicU64,
    overflows: AtomicU64,
    garbled: AtomicU64,
    abandoned: AtomicU64,
    unreported: AtomicU64,
    slowest: AtomicU64,
    buckets: [AtomicU64; BOUNDS.len() + 1],
}

/// The counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// How often the gate went round: it must grow.
    pub beats: u64,
    /// Requests let through.
    pub allowed: u64,
    /// Requests refused.
    pub denied: u64,
    /// Times that the kernel's queue was full.
    pub overflows: u64,
    /// Events that could not be understood.
    pub garbled: u64,
    /// Questions that nobody was there to take.
    pub abandoned: u64,
    /// Attempts that could not be passed on to the journal.
    pub unreported: u64,
    /// The longest that the gate was busy with one request, in microseconds.
    pub slowest: u64,
    /// Upper bound in microseconds, and how many requests took no longer; the last has no bound.
    pub histogram: Vec<(Option<u64>, u64)>,
}

impl Stats {
    pub(super) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn allowed(&self) {
        self.allowed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn denied(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn overflow(&self) {
        self.overflows.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn garbled(&self) {
        self.garbled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn abandoned(&self) {
        self.abandoned.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unreported(&self) {
        self.unreported.fetch_add(1, Ordering::Relaxed);
    }

    /// One request kept the gate busy for this long.
    pub(super) fn answered(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.slowest.fetch_max(took, Ordering::Relaxed);
    }

    /// The counters as they are.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let bounds = BOUNDS.iter().copied().map(Some).chain([None]);
        Snapshot {
            beats: load(&self.beats),
            allowed: load(&self.allowed),
            denied: load(&self.denied),
            overflows: load(&self.overflows),
            garbled: load(&self.garbled),
            abandoned: load(&self.abandoned),
            unreported: load(&self.unreported),
            slowest: load(&self.slowest),
            histogram: bounds.zip(self.buckets.iter().map(load)).collect(),
        }
    }
}
