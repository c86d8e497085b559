//! How far those who may read the store have got, as far as an answer depends on it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Scans of the profile links, by number: one that was asked for, and the last that is done.
#[derive(Debug, Default)]
pub struct Scans {
    asked: AtomicU64,
    done: AtomicU64,
    whole: AtomicBool,
}

impl Scans {
    /// Asks for a scan that begins from now on; gives its number.
    pub fn ask(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The number of a scan that begins now.
    #[must_use]
    pub fn begin(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// That scan is done.
    pub fn finish(&self, number: u64) {
        self.done.fetch_max(number, Ordering::SeqCst);
    }

    /// Every store path was looked at once: what is not known by now is no entry point.
    pub fn all_is_known(&self) {
        self.whole.store(true, Ordering::SeqCst);
    }

    /// Whether that is so.
    #[must_use]
    pub fn is_all_known(&self) -> bool {
        self.whole.load(Ordering::SeqCst)
    }

    /// Whether it is.
    #[must_use]
    pub fn is_done(&self, number: u64) -> bool {
        self.done.load(Ordering::SeqCst) >= number
    }
}
