//! Whether denials hold: enforce, or observe until a moment that always comes.
//!
//! Observing ends by itself: at its date, after its time on a clock that nobody can set back, and with the
//! process where an operator asked for it. There is no way to observe for ever.

use jiff::Timestamp;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The mode, shared by the gate and those who may change it: what the policy says, and what an operator asked for on
/// top of it. Denials hold where neither observes.
#[derive(Debug)]
pub struct ModeCell(Mutex<Modes>);

#[derive(Debug)]
struct Modes {
    policy: Mode,
    operator: Mode,
    ended: Ended,
}

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

impl Mode {
    fn end(&self) -> Option<Timestamp> {
        match self {
            Self::Observe { until, .. } => Some(*until),
            Self::Enforce => None,
        }
    }

    fn is_over(&self, now: Timestamp) -> bool {
        match self {
            Self::Observe { until, at_latest, .. } => now >= *until || Instant::now() >= *at_latest,
            Self::Enforce => false,
        }
    }
}

impl Modes {
    /// What has come to its end does not come back when the clock does.
    fn settle(&mut self, now: Timestamp) {
        let before = self.effective().end();
        for mode in [&mut self.policy, &mut self.operator] {
            if mode.is_over(now) {
                *mode = Mode::Enforce;
            }
        }
        if before.is_some() && self.effective() == Mode::Enforce {
            self.ended = Ended::ByItself;
        }
    }

    /// Whichever observes for longer.
    fn effective(&self) -> Mode {
        if self.operator.end() > self.policy.end() {
            self.operator.clone()
        } else {
            self.policy.clone()
        }
    }
}

impl ModeCell {
    /// Begins with what the policy says.
    #[must_use]
    pub fn new(policy: Mode) -> Self {
        Self(Mutex::new(Modes { policy, operator: Mode::Enforce, ended: Ended::No }))
    }

    fn lock(&self) -> MutexGuard<'_, Modes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what the policy says; what an operator asked for was asked of another one.
    pub fn set_policy(&self, mode: Mode) {
        *self.lock() = Modes { policy: mode, operator: Mode::Enforce, ended: Ended::No };
    }

    /// Changes what an operator asked for.
    pub fn set_operator(&self, mode: Mode) {
        let mut modes = self.lock();
        modes.operator = mode;
        modes.ended = Ended::No;
    }

    /// What the policy alone says, at `now`.
    #[must_use]
    pub fn policy(&self, now: Timestamp) -> Mode {
        let mut modes = self.lock();
        modes.settle(now);
        modes.policy.clone()
    }

    /// The mode at `now`.
    #[must_use]
    pub fn get(&self, now: Timestamp) -> Mode {
        let mut modes = self.lock();
        modes.settle(now);
        modes.effective()
    }

    /// Whether observing has ended by itself since this was last asked.
    #[must_use]
    pub fn take_end(&self, now: Timestamp) -> Ended {
        let mut modes = self.lock();
        modes.settle(now);
        std::mem::replace(&mut modes.ended, Ended::No)
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

    #[test]
    fn the_longer_of_the_two_holds_and_the_other_is_not_lost() {
        let now = Timestamp::constant(1_000_000, 0);
        let hours = |hours: u64, why: &str| {
            Mode::observe(now, Duration::from_secs(hours * 3600), why.to_owned())
        };
        let reason = |mode: Mode| match mode {
            Mode::Observe { reason, .. } => reason,
            Mode::Enforce => "enforce".to_owned(),
        };
        let cell = ModeCell::new(hours(100, "policy"));
        cell.set_operator(hours(1, "operator"));
        assert_eq!(reason(cell.get(now)), "policy");
        cell.set_operator(hours(200, "operator"));
        assert_eq!(reason(cell.get(now)), "operator");
        cell.set_operator(Mode::Enforce);
        assert_eq!(reason(cell.get(now)), "policy");
        cell.set_policy(Mode::Enforce);
        assert_eq!(reason(cell.get(now)), "enforce");
        assert_eq!(cell.take_end(now), Ended::No);
    }
}
