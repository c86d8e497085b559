//! What may change while the gate answers: whether denials hold, how long a request waits, who may read.

use crate::mode::ModeCell;
use narwarden_linux::file_id::FileId;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// Where nothing is pinned.
const DEADLINE: Duration = Duration::from_secs(60);

/// The settings, shared by the gate and those who may change them.
#[derive(Debug)]
pub struct Settings {
    /// Whether denials hold.
    pub mode: ModeCell,
    deadline_ms: AtomicU64,
    readers: RwLock<Vec<FileId>>,
}

impl Settings {
    /// Begins in `mode`, with nobody who may read what is not admitted.
    #[must_use]
    pub fn new(mode: ModeCell) -> Self {
        let settings = Self { mode, deadline_ms: AtomicU64::new(0), readers: RwLock::default() };
        settings.set_deadline(DEADLINE);
        settings
    }

    /// How long a request waits for its verdict.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms.load(Ordering::Relaxed))
    }

    /// Changes that, for requests that wait now too.
    pub fn set_deadline(&self, deadline: Duration) {
        let milliseconds = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        self.deadline_ms.store(milliseconds, Ordering::Relaxed);
    }

    /// Whether the program may read what is not admitted: it is Nix, or the policy lists it.
    #[must_use]
    pub fn may_read(&self, program: FileId) -> bool {
        self.readers.read().unwrap_or_else(PoisonError::into_inner).contains(&program)
    }

    /// Replaces the programs that may.
    pub fn set_readers(&self, readers: Vec<FileId>) {
        *self.readers.write().unwrap_or_else(PoisonError::into_inner) = readers;
    }
}
