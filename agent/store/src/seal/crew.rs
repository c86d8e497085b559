//! Threads that share a list: as many as processors, and more as soon as one of them has to wait for the disk.

use narwarden_linux::disk::read_by_this_thread;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, Scope};

/// So many threads wait for a disk at a time.
pub(super) const WAITING: usize = 16;
/// A thread that had so many bytes read waits for a disk more than for the others.
const WAITS: u64 = 64 << 10;

/// Asks `each` for every place below `count`, from `threads` threads and, where one waits for the disk, `most` more, and returns what it answered, in no order. It is
/// given a buffer that the thread keeps.
///
/// What a thread that panics had been asked for is missing.
pub(super) fn ask<T: Send>(
    count: usize,
    threads: NonZeroUsize,
    most: usize,
    each: impl Fn(usize, &mut Vec<u8>) -> Option<T> + Sync,
) -> Vec<T> {
    let crew = Crew {
        each,
        count,
        most,
        next: AtomicUsize::new(0),
        is_large: AtomicBool::new(threads.get() >= most),
        answers: Mutex::new(Vec::new()),
    };
    std::thread::scope(|scope| {
        crew.add(scope, threads.get().min(count).saturating_sub(1));
        crew.work(scope);
    });
    crew.answers.into_inner().unwrap_or_else(PoisonError::into_inner)
}

struct Crew<F, T> {
    each: F,
    count: usize,
    /// How many threads to add, where one waits.
    most: usize,
    next: AtomicUsize,
    /// Whether there are threads enough to wait.
    is_large: AtomicBool,
    answers: Mutex<Vec<T>>,
}

impl<T: Send, F: Fn(usize, &mut Vec<u8>) -> Option<T> + Sync> Crew<F, T> {
    fn add<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, threads: usize) {
        for _ in 0..threads {
            let work = move || drop(catch_unwind(AssertUnwindSafe(|| self.work(scope))));
            // One that is not to be had is not needed.
            let _ = Builder::new().name("seals".to_owned()).spawn_scoped(scope, work);
        }
    }

    fn work<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let (before, mut buffer) = (read_by_this_thread(), Vec::new());
        loop {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            if place >= self.count {
                return;
            }
            if let Some(answer) = (self.each)(place, &mut buffer) {
                self.answers.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
            }
            if read_by_this_thread().saturating_sub(before) >= WAITS
                && !self.is_large.swap(true, Ordering::Relaxed)
            {
                self.add(scope, self.most.min(self.count.saturating_sub(place)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_place_is_asked_once_whatever_the_number_of_threads() {
        for threads in [1, 2, 16, 40] {
            for count in [0, 1, 7, 500] {
                let asked = AtomicUsize::new(0);
                let each = |place, _: &mut Vec<u8>| {
                    asked.fetch_add(1, Ordering::Relaxed);
                    Some(place)
                };
                let answers = ask(count, NonZeroUsize::new(threads).unwrap(), WAITING, each);
                assert_eq!(asked.into_inner(), count);
                assert_eq!(answers.into_iter().collect::<BTreeSet<_>>(), (0..count).collect());
            }
        }
    }

    #[test]
    fn a_thread_that_panics_takes_its_answer_with_it_and_no_other() {
        let here = std::thread::current().id();
        let failed = AtomicUsize::new(0);
        let begun = std::sync::Barrier::new(2);
        let each = |place: usize, _: &mut Vec<u8>| {
            if place < 2 {
                begun.wait();
            }
            if std::thread::current().id() != here {
                failed.fetch_add(1, Ordering::Relaxed);
                panic!("on purpose");
            }
            Some(place)
        };
        let answers = ask(100, NonZeroUsize::new(2).unwrap(), WAITING, each);
        assert_eq!((failed.into_inner(), answers.len()), (1, 99));
    }
}
