//! What is pinned, replaced whole, and whether denials hold.

use crate::gate::Settings;
use crate::state::pinned::Pinned;
use jiff::Timestamp;
use std::sync::{Arc, PoisonError, RwLock};

/// What is pinned, shared by those who act on it.
#[derive(Clone, Debug)]
pub struct PolicyCell {
    pinned: Arc<RwLock<Option<Arc<Pinned>>>>,
    settings: Arc<Settings>,
}

impl PolicyCell {
    /// Nothing is pinned yet.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        Self { pinned: Arc::default(), settings }
    }

    /// What is pinned, if anything is.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Pinned>> {
        self.pinned.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces it, and what the gate goes by.
    pub fn put(&self, pinned: Pinned) {
        self.settings.set_deadline(pinned.gate().deadline);
        *self.pinned.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(pinned));
    }

    /// Whether denials are written down only.
    #[must_use]
    pub fn observes(&self) -> bool {
        self.settings.mode.observes(Timestamp::now())
    }
}
