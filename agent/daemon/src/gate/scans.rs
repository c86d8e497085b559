//! How far those who may read the store have got, as far as an answer depends on it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Scans of the profile links, by number: one that was asked for, and the last that is done.
#[derive(Debug, Default)]
pub struct Scans {
    asked: AtomicU64,
    done: AtomicU64,
    whole: AtomicBool,
    lost: AtomicBool,
    relinked: AtomicBool,
}

/// Whether hints about the store were lost since somebody last looked around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// None was.
    None,
    /// So everything must be looked at once more.
    Some,
}

/// Whether something was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It is new.
    Now,
    /// It was.
    Before,
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

    /// A hint about the store could not be passed on.
    pub fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
    }

    /// Whether one was lost since this was last asked.
    #[must_use]
    pub fn take_loss(&self) -> Loss {
        if self.lost.swap(false, Ordering::SeqCst) { Loss::Some } else { Loss::None }
    }

    /// Files of the store were made one. Whether that was noted already: an optimiser does nothing else all day.
    pub fn relinked(&self) -> Noted {
        if self.relinked.swap(true, Ordering::SeqCst) { Noted::Before } else { Noted::Now }
    }

    /// Whether they were since this was last forgotten.
    #[must_use]
    pub fn are_relinked(&self) -> bool {
        self.relinked.load(Ordering::SeqCst)
    }

    /// Whatever is noted from now on was not seen yet.
    pub fn forget_relinked(&self) {
        self.relinked.store(false, Ordering::SeqCst);
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
