//! What is pinned, replaced whole, and whether denials hold.

use crate::mode::ModeCell;
use crate::state::pinned::Pinned;
use jiff::Timestamp;
use std::sync::{Arc, PoisonError, RwLock};

/// What is pinned, shared by those who act on it.
#[derive(Clone, Debug)]
pub struct PolicyCell {
    pinned: Arc<RwLock<Option<Arc<Pinned>>>>,
    mode: Arc<ModeCell>,
}

impl PolicyCell {
    /// Nothing is pinned yet.
    #[must_use]
    pub fn new(mode: Arc<ModeCell>) -> Self {
        Self { pinned: Arc::default(), mode }
    }

    /// What is pinned, if anything is.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Pinned>> {
        self.pinned.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces it.
    pub fn put(&self, pinned: Pinned) {
        *self.pinned.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(pinned));
    }

    /// Whether denials are written down only.
    #[must_use]
    pub fn observes(&self) -> bool {
        self.mode.observes(Timestamp::now())
    }
}
