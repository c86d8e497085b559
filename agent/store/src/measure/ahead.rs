//! Threads that have the disk read what will be measured next, so that those who hash need not wait for it.
//!
//! One looks whether it pays: where what it samples of the closure is in memory, it ends, and no other is started.
//! They keep near to what is being read, so that nothing is pushed out of memory again before it was hashed.

use super::lanes::Work;
use super::{Pace, Progress, follow};
use narwarden_linux::limits::available_memory;
use narwarden_linux::prefetch::{Extent, Found, prefetch};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// So many threads wait for the disk at a time: more gain little on a disk that answers 60,000 times a second.
const THREADS: usize = 16;
/// They need little: paths are not gone through by recursion.
const STACK: usize = 128 << 10;
/// How many paths are sampled.
const SAMPLES: usize = 32;
/// It pays where at least one in so many is not in memory.
const ONE_IN: usize = 8;
/// How far ahead of those who hash, in bytes, unless memory is small.
const DISTANCE: u64 = 512 << 20;
/// Of the memory that is available, no more than one part in so many.
const SHARE: u64 = 16;
/// Within one path, one part of the distance in so many.
const WITHIN: u64 = 4;
const PAUSE: Duration = Duration::from_millis(10);

/// Says that all is measured, also when it is left by a panic.
#[derive(Debug)]
pub(super) struct Finished<'a>(pub(super) &'a AtomicBool);

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What the threads share.
struct Ahead<'w, 'p> {
    work: &'w Work<'p>,
    progress: &'w Progress,
    finished: &'w AtomicBool,
    next: AtomicUsize,
    distance: u64,
}

/// Reads ahead until all is measured.
pub(super) fn run(work: &Work<'_>, progress: &Progress, finished: &AtomicBool) {
    let distance = available_memory().map_or(0, |memory| memory / SHARE).min(DISTANCE);
    let ahead = Ahead { work, progress, finished, next: AtomicUsize::new(0), distance };
    if !ahead.pays() {
        return;
    }
    std::thread::scope(|scope| {
        let threads = (1..THREADS).map(|_| {
            let thread =
                std::thread::Builder::new().name("read-ahead".to_owned()).stack_size(STACK);
            thread.spawn_scoped(scope, || ahead.run())
        });
        let threads: Vec<_> = threads.collect();
        ahead.run();
        // Nothing depends on one of them.
        threads.into_iter().flatten().for_each(|thread| drop(thread.join()));
    });
}

impl Ahead<'_, '_> {
    fn is_over(&self) -> bool {
        self.finished.load(Ordering::Relaxed) || self.progress.is_cancelled()
    }

    /// Whether enough of what is sampled is not in memory.
    fn pays(&self) -> bool {
        let jobs = &self.work.jobs;
        let step = jobs.len().div_ceil(SAMPLES).max(1);
        let (mut seen, mut missing) = (0, 0);
        for job in jobs.iter().step_by(step) {
            if self.is_over() {
                return false;
            }
            let name = job.path.base_name().as_bytes();
            let mut go_on = |_| ControlFlow::Continue(());
            match prefetch(&self.work.store, name, Extent::FirstFile, &mut go_on) {
                Found::Nothing => {}
                Found::Cached => seen += 1,
                Found::Missing => (seen, missing) = (seen + 1, missing + 1),
            }
        }
        missing > 0 && missing * ONE_IN >= seen
    }

    fn run(&self) {
        let mut pace = Pace::default();
        loop {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = self.work.jobs.get(place) else { return };
            while self.is_too_far(place) {
                if self.is_over() {
                    return;
                }
                std::thread::sleep(PAUSE);
            }
            follow(&mut pace, self.progress);
            let mut asked = 0_u64;
            let mut go_on = |bytes| {
                asked = asked.saturating_add(bytes);
                loop {
                    let read = self.work.read(place);
                    if self.is_over() || read == u64::MAX {
                        return ControlFlow::Break(());
                    }
                    if asked <= read.saturating_add(self.distance / WITHIN) {
                        return ControlFlow::Continue(());
                    }
                    std::thread::sleep(PAUSE);
                }
            };
            let name = job.path.base_name().as_bytes();
            prefetch(&self.work.store, name, Extent::Everything, &mut go_on);
        }
    }

    /// Whether so much lies between this job and those that are being read that it had better wait.
    fn is_too_far(&self, place: usize) -> bool {
        let begun = self.work.next.load(Ordering::Relaxed);
        let between = self.work.jobs.get(begun..place).unwrap_or_default();
        let bytes = between.iter().map(|job| job.claimed_size).fold(0, u64::saturating_add);
        bytes > self.distance
    }
}
