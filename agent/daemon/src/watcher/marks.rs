//! The marks on entry points, and the files that may have none.

use crate::entry_points::essential;
use crate::places::Places;
use narwarden_linux::fanotify::Group;
use narwarden_linux::file_id::FileId;
use narwarden_linux::wake::Wake;
use rustix::fd::{AsFd, BorrowedFd};
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

/// The two groups, and the bell of the gate.
#[derive(Debug)]
pub struct Marks {
    watch: Group,
    hold: Group,
    wake: Arc<Wake>,
    essential: RwLock<BTreeSet<FileId>>,
}

impl Marks {
    /// Marks of these groups.
    #[must_use]
    pub fn new(watch: Group, hold: Group, wake: Arc<Wake>) -> Self {
        Self { watch, hold, wake, essential: RwLock::default() }
    }

    /// Rings the gate: what it knows has changed.
    pub fn ring(&self) {
        self.wake.ring();
    }

    /// Asks for every opening of the file.
    ///
    /// # Errors
    /// Those of fanotify_mark(2).
    pub(super) fn hold(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        // It may have been executed under another name, and let through for good.
        self.watch.heed_file(file)?;
        self.hold.hold_file(file)
    }

    /// Asks for executions of the file only.
    ///
    /// # Errors
    /// Those of fanotify_mark(2).
    pub(super) fn release(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        self.watch.heed_file(file)?;
        self.hold.release_file(file)
    }

    /// Finds out again what the running system cannot do without.
    pub(super) fn look_for_essential(&self, places: &Places, store: impl AsFd) {
        let found = essential(places, store);
        *self.essential.write().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// Whether the file is such a one.
    pub(super) fn is_essential(&self, file: FileId) -> bool {
        self.essential.read().unwrap_or_else(PoisonError::into_inner).contains(&file)
    }
}
