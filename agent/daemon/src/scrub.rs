//! Scrubbing: everything that a boot could run is hashed again, from time to time, whatever its seals say.
//!
//! Seals rest on time stamps, and a disk that forgets a bit moves none. So the closures of what runs, of what was
//! booted and of every generation link are measured from their bytes, in the background: on the thread that
//! verifies, when there is nothing to verify, and it stops for whatever is. That one thread does both is what
//! keeps a verdict from resting on a seal that is refuted meanwhile.
//!
//! What differs from what the database says is *drift*: it is announced, its seal is removed, and every toplevel
//! that needs the path is judged again. No verdict is made here.

mod round;
pub(crate) mod state;

pub use state::{Last, Round, ScrubState};

use crate::audit::Announce;
use crate::engine::Queue;
use crate::places::Places;
use crate::state::Damage;
use crate::table::Table;
use jiff::Timestamp;
use narwarden_core::event::{Event, EventKind, Field};
use narwarden_core::interface as wire;
use narwarden_store::{Options, Shelf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Scrubs.
#[derive(Debug)]
pub struct Scrub {
    places: Places,
    state: Mutex<ScrubState>,
    announce: Arc<dyn Announce>,
}

/// What a round works with.
#[derive(Debug)]
pub struct Tools<'a> {
    /// What was decided, and may rest on what turns out to be drift.
    pub table: &'a Table,
    /// Where it is to be judged again.
    pub queue: &'a Queue,
    /// Where seals are.
    pub shelf: &'a Shelf,
    /// How to measure.
    pub options: Options,
}

impl Scrub {
    /// Goes on where it was when the daemon ended.
    #[must_use]
    pub fn load(places: &Places, announce: Arc<dyn Announce>) -> (Self, Option<Damage>) {
        let (state, damage) = ScrubState::load(places);
        (Self { places: places.clone(), state: Mutex::new(state), announce }, damage)
    }

    fn state(&self) -> MutexGuard<'_, ScrubState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is something to do: a round was begun, or the last one ended so long ago.
    #[must_use]
    pub fn is_due(&self, every: Duration, now: Timestamp) -> bool {
        self.state().is_due(every, now)
    }

    /// Begins a round now, whenever the last one was.
    pub fn begin(&self) {
        let mut state = self.state();
        state.begin(Timestamp::now());
        self.save(&state);
    }

    /// How far it is, for who asks.
    #[must_use]
    pub fn shown(&self) -> wire::Scrub {
        self.state().shown()
    }

    pub(crate) fn trouble(&self, what: &str, error: &str) {
        let event =
            Event::new(EventKind::Trouble).with(Field::What, what).with(Field::Error, error);
        let _ = self.announce.announce(&event);
    }

    fn save(&self, state: &ScrubState) {
        if let Err(error) = state.save(&self.places) {
            self.trouble("writing down how far the scrub is", &error.to_string());
        }
    }
}
