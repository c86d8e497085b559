//! The marks on entry points.

use narwarden_linux::fanotify::Group;
use narwarden_linux::wake::Wake;
use rustix::fd::BorrowedFd;
use std::io;
use std::sync::Arc;

/// The two groups, and the bell of the gate.
#[derive(Debug)]
pub struct Marks {
    watch: Group,
    hold: Group,
    wake: Arc<Wake>,
}

impl Marks {
    /// Marks of these groups.
    #[must_use]
    pub fn new(watch: Group, hold: Group, wake: Arc<Wake>) -> Self {
        Self { watch, hold, wake }
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
}
