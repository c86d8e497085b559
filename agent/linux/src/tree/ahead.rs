//! Reads ahead of a walk in a large file that is not in memory, and leaves the memory as it was behind it.
//!
//! The kernel's own reading ahead is as small as `read_ahead_kb`, and what it reads pushes out what the host had in
//! memory. So a large file is taken in windows. One that is not in memory at all is asked for before the walk gets
//! there, and given up again once it was read: nothing is put in its place that was not there. One that is in memory,
//! if only in part, is left alone: somebody uses it. A walk that ends within a file leaves one window or two.
//!
//! posix_fadvise(2), cachestat(2) (Linux 6.5).

use std::collections::VecDeque;
use std::num::NonZeroU64;

use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{Advice, fadvise};

use crate::page_cache::{InMemory, in_memory};
use crate::prefetch::will_need;

/// What is read of a file before a walk gets to it: whole files, if they are small.
pub const BEGINNING: u64 = 256 << 10;
/// How much is asked for at a time, and how far ahead of the walk at least.
const WINDOW: u64 = 2 << 20;

/// What was asked for ahead of a walk in one file.
#[derive(Debug)]
pub(super) struct Ahead {
    size: u64,
    /// How far the walk has come.
    position: u64,
    /// Where the next window begins.
    next: u64,
    /// Windows that were not in memory, oldest first: where they begin.
    borrowed: VecDeque<u64>,
}

impl Ahead {
    /// For a file of this size; nothing for a small one.
    pub(super) fn of(size: u64) -> Option<Self> {
        let large = size > BEGINNING;
        large.then(|| Self { size, position: 0, next: BEGINNING, borrowed: VecDeque::new() })
    }

    /// The walk has read so many bytes more.
    pub(super) fn advance(&mut self, file: &OwnedFd, bytes: u64) {
        self.position = self.position.saturating_add(bytes);
        while let Some(window) = self.borrowed.front().copied()
            && self.position >= self.end(window)
        {
            self.give_back(file, window);
            self.borrowed.pop_front();
        }
        if self.next < self.size && self.position.saturating_add(WINDOW) > self.next {
            self.ask(file);
        }
    }

    fn ask(&mut self, file: &OwnedFd) {
        let window = self.next;
        let length = self.end(window).saturating_sub(window);
        self.next = self.end(window);
        match in_memory(file.as_fd(), window, length) {
            InMemory::Nothing => {
                will_need(file, window, length);
                self.borrowed.push_back(window);
            }
            // Not even its first page, and of the others nothing is known.
            InMemory::NotTheFirst => will_need(file, window, length),
            InMemory::Some => {}
        }
    }

    fn give_back(&self, file: &OwnedFd, window: u64) {
        let length = NonZeroU64::new(self.end(window).saturating_sub(window));
        // It is only advice.
        let _ = fadvise(file, window, length, Advice::DontNeed);
    }

    fn end(&self, window: u64) -> u64 {
        window.saturating_add(WINDOW).min(self.size)
    }
}
