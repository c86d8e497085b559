//! The mode that a policy says. Observing must come to its end and stay there, whatever becomes of the clock between
//! one start of the daemon and the next.

use crate::mode::Mode;
use crate::state::admissions::Admissions;
use crate::state::pinned::Pinned;
use jiff::Timestamp;
use narwarden_core::policy::{Mode as PolicyMode, OBSERVING, ObserveEnd};
use std::time::Duration;

/// The mode that the policy says: denials hold, or begin to at a moment that was fixed when it was pinned. `now` is
/// [no earlier than what was decided](no_earlier_than_decided).
#[must_use]
pub fn pinned_mode(pinned: &Pinned, now: Timestamp) -> Mode {
    mode_at(pinned.gate().mode, pinned.since(), pinned.changed(), now)
}

/// `now`, or the moment of the newest verdict that is remembered: it is at least as late as that, and a clock that was
/// set back since does not let observing begin again.
#[must_use]
pub fn no_earlier_than_decided(now: Timestamp, admissions: &Admissions) -> Timestamp {
    // The latest is not the newest where the clock was set back between the two.
    admissions.latest().map(|summary| summary.decided).fold(now, Ord::max)
}

fn mode_at(mode: PolicyMode, since: Timestamp, changed: Timestamp, now: Timestamp) -> Mode {
    let Some(end) = mode.observes_until(since, changed) else {
        return Mode::Enforce;
    };
    let week = "the first week after the enrolment";
    let (begin, longest, why) = match mode {
        PolicyMode::Enforce => return Mode::Enforce,
        PolicyMode::Observe(ObserveEnd::AfterEnrolment) => (changed.max(since), OBSERVING, week),
        PolicyMode::Observe(ObserveEnd::AfterChange) => (changed, OBSERVING, "the policy says so"),
        PolicyMode::Observe(ObserveEnd::At(_)) => (changed, Duration::MAX, "the policy says so"),
    };
    // Before it was pinned is never: the clock was set back, and how far it has come since cannot be told.
    if now < begin {
        return Mode::Enforce;
    }
    let length = Duration::try_from(end.duration_since(now)).unwrap_or_default();
    Mode::observe(now, length.min(longest), why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Places;
    use crate::state::admissions::{BootId, Key, Outcome, Summary};

    const HOUR: Duration = Duration::from_secs(3600);
    const SINCE: Timestamp = Timestamp::constant(1_000_000, 0);

    /// Until when it observes.
    fn until(mode: &Mode) -> Option<Timestamp> {
        match mode {
            Mode::Observe { until, .. } => Some(*until),
            Mode::Enforce => None,
        }
    }

    #[test]
    fn a_clock_that_is_set_back_lets_nothing_observe_again() {
        let changed = SINCE + 10 * HOUR;
        let date = changed + 1000 * HOUR;
        for (end, moment) in [
            (ObserveEnd::AfterEnrolment, SINCE + OBSERVING),
            (ObserveEnd::AfterChange, changed + OBSERVING),
            (ObserveEnd::At(date), date),
        ] {
            let at = |now| until(&mode_at(PolicyMode::Observe(end), SINCE, changed, now));
            // Control: it observes until then.
            assert_eq!(at(changed), Some(moment), "{end:?}");
            assert_eq!(at(moment - HOUR), Some(moment), "{end:?}");
            // An end that has come is in force from the first moment.
            assert_eq!(at(moment + HOUR).filter(|it| *it > moment + HOUR), None, "{end:?}");
            assert_eq!(at(changed - Duration::from_nanos(1)), None, "{end:?}");
            assert_eq!(at(SINCE - 10_000 * HOUR), None, "{end:?}");
        }
    }

    #[test]
    fn without_a_date_it_is_never_longer_than_a_week() {
        // Rules that were accepted, and a clock that stands, before the enrolment.
        let (since, changed) = (SINCE + 5000 * HOUR, SINCE);
        let at = |end, now| until(&mode_at(PolicyMode::Observe(end), since, changed, now));
        assert_eq!(at(ObserveEnd::AfterEnrolment, changed), None);
        assert_eq!(at(ObserveEnd::AfterEnrolment, since), Some(since + OBSERVING));
        assert_eq!(at(ObserveEnd::AfterChange, changed), Some(changed + OBSERVING));
        assert_eq!(until(&mode_at(PolicyMode::Enforce, since, changed, since)), None);
    }

    #[test]
    fn it_is_no_earlier_than_the_newest_verdict() {
        let directory = tempfile::tempdir().unwrap();
        let mut admissions = Admissions::none(&Places::below(directory.path()));
        assert_eq!(no_earlier_than_decided(SINCE, &admissions), SINCE);
        // The last of them is from after the clock was set back.
        for (name, hours) in [("a", 1), ("b", 9), ("c", 2)] {
            let key = Key {
                toplevel: name.to_owned(),
                trust: String::new(),
                policy: String::new(),
                boot: BootId::current().unwrap(),
            };
            let decided = SINCE + hours * HOUR;
            // What cannot be saved is remembered all the same.
            let _ = admissions.record(Summary::new(key, decided, Outcome::Denied, Vec::new()));
        }
        assert_eq!(no_earlier_than_decided(SINCE, &admissions), SINCE + 9 * HOUR);
        assert_eq!(no_earlier_than_decided(SINCE + 10 * HOUR, &admissions), SINCE + 10 * HOUR);
    }
}
