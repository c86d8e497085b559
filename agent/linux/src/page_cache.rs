//! Which part of a file is in memory already.
//!
//! cachestat(2), since Linux 6.5; before, preadv2(2) with `RWF_NOWAIT` tells of one page.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::{AsFd, AsRawFd as _};

use crate::prefetch::is_cached;

/// What is in memory of a part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InMemory {
    /// No page of it.
    Nothing,
    /// Not its first page; the kernel does not tell of the others.
    NotTheFirst,
    /// At least one page, or that cannot be told.
    Some,
}

/// The same number on every architecture that Rust knows. `libc` does not have it everywhere yet.
const SYS_CACHESTAT: libc::c_long = 451;

/// `struct cachestat_range` of linux/mman.h.
#[repr(C)]
struct Range {
    offset: u64,
    length: u64,
}

/// `struct cachestat` of linux/mman.h, in pages.
#[repr(C)]
#[derive(Default)]
struct Counts {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Whether cachestat(2) was refused once: then it is not asked for again.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// What is in memory of `length` bytes at `offset`.
pub(crate) fn in_memory(file: impl AsFd, offset: u64, length: u64) -> InMemory {
    match cached_pages(&file, offset, length) {
        Some(0) => InMemory::Nothing,
        Some(_) => InMemory::Some,
        None if is_cached(file, offset) => InMemory::Some,
        None => InMemory::NotTheFirst,
    }
}

fn cached_pages(file: impl AsFd, offset: u64, length: u64) -> Option<u64> {
    if REFUSED.load(Ordering::Relaxed) {
        return None;
    }
    let range = Range { offset, length };
    let mut counts = Counts::default();
    let file = file.as_fd().as_raw_fd();
    // SAFETY: `range` may be read and `counts` written during the call, and both have the layout that the kernel
    // gives them; the descriptor is open for as long as `file` is borrowed. A kernel without it answers `ENOSYS`.
    let result =
        unsafe { libc::syscall(SYS_CACHESTAT, file, &raw const range, &raw mut counts, 0) };
    if result != 0 {
        REFUSED.store(true, Ordering::Relaxed);
        return None;
    }
    Some(counts.cached)
}
