//! Whether denials hold: enforce, or observe until a moment that always comes.
//!
//! Observing ends by itself: at its date, after its time on a clock that nobody can set back, and with the
//! process where an operator asked for it. There is no way to observe for ever.

use jiff::Timestamp;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The mode, shared by the gate and those who may change it.
#[derive(Debug)]
pub struct ModeCell(Mutex<(Mode, Ended)>);

/// Whether observing came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It did, and nobody was told yet.
    ByItself,
    /// It did not.
    No,
}

/// The mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Denials hold.
    Enforce,
    /// Denials are written down only.
    Observe {
        /// When that ends, by the wall clock.
        until: Timestamp,
        /// When that ends, whatever the wall clock says.
        at_latest: Instant,
        /// Why, in an operator's words.
        reason: String,
    },
}

impl Mode {
    /// Observes from `now` for `length`.
    #[must_use]
    pub fn observe(now: Timestamp, length: Duration, reason: String) -> Self {
        // A time beyond all calendars is none: enforce.
        let until = now.checked_add(length).ok();
        match (until, Instant::now().checked_add(length)) {
            (Some(until), Some(at_latest)) => Self::Observe { until, at_latest, reason },
            (None, _) | (_, None) => Self::Enforce,
        }
    }
}

impl ModeCell {
    /// Begins in `mode`.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self(Mutex::new((mode, Ended::No)))
    }

    fn lock(&self) -> MutexGuard<'_, (Mode, Ended)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the mode.
    pub fn set(&self, mode: Mode) {
        *self.lock() = (mode, Ended::No);
    }

    /// The mode at `now`.
    #[must_use]
    pub fn get(&self, now: Timestamp) -> Mode {
        let mut guard = self.lock();
        if let Mode::Observe { until, at_latest, .. } = &guard.0
            && (now >= *until || Instant::now() >= *at_latest)
        {
            *guard = (Mode::Enforce, Ended::ByItself);
        }
        guard.0.clone()
    }

    /// Whether observing has ended by itself since this was last asked.
    #[must_use]
    pub fn take_end(&self, now: Timestamp) -> Ended {
        let _ = self.get(now);
        std::mem::replace(&mut self.lock().1, Ended::No)
    }

    /// Whether denials are written down only.
    #[must_use]
    pub fn observes(&self, now: Timestamp) -> bool {
        match self.get(now) {
            Mode::Observe { .. } => true,
            Mode::Enforce => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observing_ends_whatever_the_clock_says() {
        let now = Timestamp::constant(1_000_000, 0);
        let mode = ModeCell::new(Mode::observe(now, Duration::from_millis(20), "x".into()));
        assert!(mode.observes(now));
        assert!(!mode.observes(now + Duration::from_secs(1)));
        assert_eq!(mode.take_end(now), Ended::ByItself);
        assert_eq!(mode.take_end(now), Ended::No);
        // And it does not come back when the clock does.
        assert!(!mode.observes(now));
        let mode = ModeCell::new(Mode::observe(now, Duration::from_millis(20), "x".into()));
        std::thread::sleep(Duration::from_millis(30));
        assert!(!mode.observes(now));
        let mode = ModeCell::new(Mode::observe(now, Duration::MAX, "x".into()));
        assert!(!mode.observes(now));
    }
}
