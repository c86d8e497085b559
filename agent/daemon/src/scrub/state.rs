//! How far a scrub is and what the last one found, kept through restarts of the daemon.

use crate::places::Places;
use crate::state::atomic::{self, Stored};
use crate::state::{Damage, StateError};
use jiff::Timestamp;
use narwarden_core::interface as wire;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// More than there is ever to say.
const LARGEST: u64 = 64 << 10;

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrubState {
    /// When the daemon was first started, which verifies everything anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The round that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<Round>,
    /// The last one that came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Last>,
}

/// A round under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round {
    /// When it began.
    pub begun: Timestamp,
    /// The base name of the last path that is done with, in their order; empty before the first.
    pub after: String,
    /// How many paths are done with.
    pub paths: u64,
    /// How many there were when that was looked at last.
    pub total: u64,
    /// How many bytes of NARs were hashed.
    pub bytes: u64,
    /// How many paths had drifted.
    pub drift: u64,
}

/// A round that came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Last {
    /// When it began.
    pub begun: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How many paths it measured.
    pub paths: u64,
    /// How many bytes of NARs.
    pub bytes: u64,
    /// How many paths had drifted.
    pub drift: u64,
}

/// Its name in the state directory.
pub(crate) const FILE: &str = "scrub.json";

fn path(places: &Places) -> PathBuf {
    places.state.join(FILE)
}

impl ScrubState {
    /// What was saved; after damage nothing is known, and a round begins.
    pub(super) fn load(places: &Places) -> (Self, Option<Damage>) {
        let path = path(places);
        match atomic::read(&path, LARGEST) {
            Ok(Stored::Whole(body)) => match serde_json::from_slice(&body) {
                Ok(state) => (state, None),
                Err(error) => (Self::default(), Some(atomic::set_aside(&path, error.to_string()))),
            },
            Ok(Stored::Damaged(damage)) => (Self::default(), Some(damage)),
            Ok(Stored::Absent) => {
                let first = Self { since: Some(Timestamp::now()), ..Self::default() };
                // Where that fails, the first round comes as much later.
                let _ = first.save(places);
                (first, None)
            }
            Err(_) => (Self::default(), None),
        }
    }

    pub(super) fn save(&self, places: &Places) -> Result<(), StateError> {
        // What this is made of has only text for keys, so there is nothing that could fail.
        let body = serde_json::to_vec(self).unwrap_or_default();
        atomic::write(&path(places), &body)
    }

    pub(super) fn is_due(&self, every: Duration, now: Timestamp) -> bool {
        if self.round.is_some() {
            return true;
        }
        match self.last.as_ref().map(|last| last.ended).or(self.since) {
            _ if every.is_zero() => false,
            None => true,
            Some(last) => match Duration::try_from(now.duration_since(last)) {
                Ok(age) => age >= every,
                // It ended in the future: the clock was set, and nobody knows how long ago it was.
                Err(_) => true,
            },
        }
    }

    /// Whether a round was begun ever, which takes rules.
    pub(crate) fn is_of_no_round(&self) -> bool {
        self.round.is_none() && self.last.is_none()
    }

    /// Begins a round, from its beginning.
    pub(super) fn begin(&mut self, now: Timestamp) {
        let (after, paths, total, bytes, drift) = (String::new(), 0, 0, 0, 0);
        self.round = Some(Round { begun: now, after, paths, total, bytes, drift });
    }

    pub(super) fn end(&mut self, now: Timestamp) -> Option<Last> {
        let Round { begun, paths, bytes, drift, .. } = self.round.take()?;
        self.last = Some(Last { begun, ended: now, paths, bytes, drift });
        self.last.clone()
    }

    pub(super) fn shown(&self) -> wire::Scrub {
        let round = self.round.as_ref().map(|it| wire::ScrubRound {
            begun: it.begun.to_string(),
            paths: it.paths,
            total: it.total,
            bytes: it.bytes,
            drift: it.drift,
        });
        let last = self.last.as_ref().map(|it| wire::ScrubDone {
            begun: it.begun.to_string(),
            ended: it.ended.to_string(),
            paths: it.paths,
            bytes: it.bytes,
            drift: it.drift,
        });
        wire::Scrub { round, last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state;

    #[test]
    fn a_round_is_due_at_first_after_its_time_and_until_it_ends() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let week = Duration::from_secs(7 * 86_400);
        let mut state = ScrubState::default();
        assert!(state.is_due(week, at(0)), "nothing is known");
        state.since = Some(at(0));
        assert!(!state.is_due(week, at(1)));
        assert!(state.is_due(week, at(7 * 86_400)));
        assert!(!state.is_due(Duration::ZERO, at(0)), "never by itself");
        state.begin(at(0));
        assert!(state.is_due(Duration::ZERO, at(0)), "begun by hand, or before it was turned off");
        state.end(at(10)).unwrap();
        for (when, due) in
            [(10, false), (9 + 7 * 86_400, false), (10 + 7 * 86_400, true), (0, true)]
        {
            assert_eq!(state.is_due(week, at(when)), due, "{when}");
        }
        assert_eq!(state.end(at(11)), None);
    }

    #[test]
    fn what_is_saved_reads_back_and_what_is_damaged_is_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::below(root.path());
        state::prepare(&places).unwrap();
        let (first, damage) = ScrubState::load(&places);
        assert_eq!((first.round.clone(), damage), (None, None));
        assert!(first.since.is_some());
        assert_eq!(ScrubState::load(&places), (first, None));
        let mut kept = ScrubState::default();
        kept.begin(Timestamp::from_second(1_800_000_000).unwrap());
        kept.save(&places).unwrap();
        assert_eq!(ScrubState::load(&places), (kept.clone(), None));
        let file = path(&places);
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let (state, damage) = ScrubState::load(&places);
        assert_eq!(state, ScrubState::default());
        assert!(damage.is_some());
    }
}
