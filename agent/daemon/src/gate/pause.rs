//! A moment in which no request is half answered: when the program is replaced, the thread that answers is gone
//! from one instruction to the next, and a request that it had read would be denied to somebody it does not concern.
//!
//! The pause ends by itself. What is asked for meanwhile waits in the kernel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The longest that the host's executions wait for it.
const LONGEST: Duration = Duration::from_millis(250);

/// Shared by the gate and whoever replaces the program.
#[derive(Debug, Default)]
pub struct Pause {
    asked: AtomicBool,
    held: Mutex<bool>,
    changed: Condvar,
}

impl Pause {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a pause and waits until the gate makes one, for at most `wait`; whether it does. The gate must be
    /// woken up between.
    pub fn begin(&self, wake: impl FnOnce(), wait: Duration) -> bool {
        self.asked.store(true, Ordering::SeqCst);
        wake();
        let held = self.lock();
        let (held, _) = self
            .changed
            .wait_timeout_while(held, wait, |held| !*held)
            .unwrap_or_else(PoisonError::into_inner);
        if !*held {
            self.asked.store(false, Ordering::SeqCst);
        }
        *held
    }

    /// Ends it.
    pub fn end(&self) {
        self.asked.store(false, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// For the gate, between two rounds: stands still for as long as it is asked to, and never long.
    pub(super) fn keep(&self) {
        if !self.asked.load(Ordering::SeqCst) {
            return;
        }
        let end = Instant::now() + LONGEST;
        let mut held = self.lock();
        *held = true;
        self.changed.notify_all();
        while self.asked.load(Ordering::SeqCst) && Instant::now() < end {
            let rest = end.saturating_duration_since(Instant::now());
            held = self
                .changed
                .wait_timeout(held, rest)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(held, _)| held);
        }
        *held = false;
        self.asked.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_pause_that_nobody_ends_is_over_soon() {
        let pause = Arc::new(Pause::default());
        let gate = Arc::clone(&pause);
        let (wake, woken) = std::sync::mpsc::channel();
        let gate = std::thread::spawn(move || {
            woken.recv().unwrap();
            gate.keep();
        });
        assert!(pause.begin(|| wake.send(()).unwrap(), Duration::from_secs(10)));
        gate.join().unwrap();
        assert!(!*pause.lock());
        // Nobody answers: there is none, and none is left over for later.
        assert!(!pause.begin(|| {}, Duration::from_millis(10)));
        pause.keep();
    }

    #[test]
    fn a_pause_ends_when_it_is_ended() {
        let pause = Arc::new(Pause::default());
        let gate = Arc::clone(&pause);
        let (wake, woken) = std::sync::mpsc::channel();
        let gate = std::thread::spawn(move || {
            woken.recv().unwrap();
            gate.keep();
        });
        assert!(pause.begin(|| wake.send(()).unwrap(), Duration::from_secs(10)));
        assert!(*pause.lock());
        pause.end();
        gate.join().unwrap();
    }
}
