//! How many may be connected: no user can take all places, and all users together cannot take root's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places for one user other than root.
pub const FOR_ONE_USER: usize = 8;
/// Places for all users other than root.
pub const FOR_OTHERS: usize = 48;
/// Places for root, which nobody else gets.
pub const FOR_ROOT: usize = 16;

/// The places at the socket.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(Arc<Mutex<HashMap<u32, usize>>>);

/// A place that somebody has. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    uid: u32,
}

impl Seats {
    /// A place for this user, if there is one.
    pub(super) fn take(&self, uid: u32) -> Option<Seat> {
        let mut taken = self.lock();
        let own = taken.get(&uid).copied().unwrap_or(0);
        let free = if uid == 0 {
            own < FOR_ROOT
        } else {
            let others: usize = taken.iter().filter(|(it, _)| **it != 0).map(|(_, n)| n).sum();
            own < FOR_ONE_USER && others < FOR_OTHERS
        };
        if !free {
            return None;
        }
        taken.insert(uid, own + 1);
        Some(Seat { seats: self.clone(), uid })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        if let Some(own) = taken.get_mut(&self.uid) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_user_takes_all_places_and_all_users_leave_roots() {
        let seats = Seats::default();
        let first: Vec<_> = (0..100).filter_map(|_| seats.take(1000)).collect();
        assert_eq!(first.len(), FOR_ONE_USER);
        let rest: Vec<_> = (0..10_000).filter_map(|uid| seats.take(2000 + uid)).collect();
        assert_eq!(first.len() + rest.len(), FOR_OTHERS);
        let root: Vec<_> = (0..100).filter_map(|_| seats.take(0)).collect();
        assert_eq!(root.len(), FOR_ROOT);
        // Root's full house shuts nobody else out.
        drop(first);
        assert!(seats.take(1000).is_some());
        drop((rest, root));
        assert!(seats.lock().is_empty(), "nothing is kept of users who left");
    }
}
