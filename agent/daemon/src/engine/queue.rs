//! What is still to be verified: each toplevel once, those that somebody waits for before those that may be wanted.

use narwarden_core::store_path::StorePath;
use narwarden_store::{Pace, Progress};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How urgent a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Somebody waits for it.
    Waited,
    /// It may be wanted soon.
    Ahead,
}

impl Urgency {
    /// How fast to measure: what nobody waits for must not be felt.
    fn pace(self) -> Pace {
        match self {
            Self::Waited => Pace::Full,
            Self::Ahead => Pace::Background,
        }
    }
}

/// What is still to be verified.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waited: VecDeque<StorePath>,
    ahead: VecDeque<StorePath>,
    running: Option<Running>,
    closed: bool,
}

#[derive(Debug)]
struct Running {
    toplevel: StorePath,
    urgency: Urgency,
    progress: Arc<Progress>,
    /// It was broken off: what comes of it says nothing.
    cancelled: Cancelled,
}

/// Whether a verification was broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// Nobody wants it any more.
    Yes,
    /// It came to its end.
    No,
}

/// How many toplevels may be queued; the rest are asked for again by whoever wants them.
const MOST_QUEUED: usize = 4096;

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wants a verdict on `toplevel`. Asking again only makes it more urgent.
    pub fn want(&self, toplevel: StorePath, urgency: Urgency) {
        let mut guard = self.lock();
        let state = &mut *guard;
        if let Some(running) = state.running.as_mut().filter(|it| it.toplevel == toplevel)
            && running.cancelled == Cancelled::No
        {
            running.urgency = running.urgency.min(urgency);
            running.progress.set_pace(running.urgency.pace());
            return;
        }
        if state.waited.contains(&toplevel) {
            return;
        }
        let queued = state.ahead.contains(&toplevel);
        match urgency {
            Urgency::Waited if state.waited.len() < MOST_QUEUED => {
                state.ahead.retain(|other| *other != toplevel);
                state.waited.push_back(toplevel);
            }
            Urgency::Ahead if !queued && state.ahead.len() < MOST_QUEUED => {
                state.ahead.push_back(toplevel);
            }
            // Whoever wants it asks again.
            Urgency::Waited | Urgency::Ahead => {}
        }
        self.changed.notify_all();
    }

    /// Nobody wants those verified ahead that are not `wanted`: their links are gone. One that is being measured is
    /// broken off.
    pub fn keep_ahead(&self, wanted: impl Fn(&StorePath) -> bool) {
        let mut state = self.lock();
        state.ahead.retain(|toplevel| wanted(toplevel));
        if let Some(running) = state.running.as_mut()
            && running.urgency == Urgency::Ahead
            && !wanted(&running.toplevel)
        {
            running.cancel();
        }
    }

    /// The store path is gone: there is nothing left to verify.
    pub fn cancel(&self, toplevel: &StorePath) {
        let mut state = self.lock();
        state.ahead.retain(|other| other != toplevel);
        if let Some(running) = state.running.as_mut().filter(|it| it.toplevel == *toplevel) {
            running.cancel();
        }
    }

    /// What is queued or running, most urgent first.
    #[must_use]
    pub fn pending(&self) -> Vec<StorePath> {
        let state = self.lock();
        let running = state.running.iter().map(|running| &running.toplevel);
        running.chain(&state.waited).chain(&state.ahead).cloned().collect()
    }

    /// Ends the wait for more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// The next toplevel, most urgent first; `None` once the queue is closed.
    pub(super) fn next(&self) -> Option<(StorePath, Arc<Progress>)> {
        let mut guard = self.lock();
        loop {
            let state = &mut *guard;
            if state.closed {
                return None;
            }
            let waited = state.waited.pop_front().map(|it| (it, Urgency::Waited));
            let next = waited.or_else(|| state.ahead.pop_front().map(|it| (it, Urgency::Ahead)));
            if let Some((toplevel, urgency)) = next {
                let progress = Arc::new(Progress::default());
                progress.set_pace(urgency.pace());
                state.running = Some(Running {
                    toplevel: toplevel.clone(),
                    urgency,
                    progress: Arc::clone(&progress),
                    cancelled: Cancelled::No,
                });
                return Some((toplevel, progress));
            }
            guard = self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing is running any more; whether what was running was broken off.
    pub(super) fn done(&self) -> Cancelled {
        self.lock().running.take().map_or(Cancelled::No, |running| running.cancelled)
    }
}

impl Running {
    fn cancel(&mut self) {
        self.cancelled = Cancelled::Yes;
        self.progress.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> StorePath {
        StorePath::from_base_name(&format!("00000000000000000000000000000000-{name}")).unwrap()
    }

    #[test]
    fn each_toplevel_is_queued_once_and_the_waited_for_come_first() {
        let queue = Queue::default();
        for (name, urgency) in [
            ("a", Urgency::Ahead),
            ("b", Urgency::Ahead),
            ("a", Urgency::Ahead),
            ("b", Urgency::Waited),
            ("b", Urgency::Waited),
            ("b", Urgency::Ahead),
        ] {
            queue.want(path(name), urgency);
        }
        assert_eq!(queue.pending(), [path("b"), path("a")]);
        let (first, _) = queue.next().unwrap();
        assert_eq!(first, path("b"));
        // It is being verified: asking once more does not queue it again.
        queue.want(path("b"), Urgency::Waited);
        assert_eq!(queue.pending(), [path("b"), path("a")]);
        assert_eq!(queue.done(), Cancelled::No);
        queue.keep_ahead(|_| false);
        assert_eq!(queue.pending(), []);
        queue.close();
        assert!(queue.next().is_none());
    }

    #[test]
    fn what_nobody_wants_is_broken_off_unless_somebody_waits() {
        let queue = Queue::default();
        queue.want(path("a"), Urgency::Ahead);
        let _ = queue.next().unwrap();
        queue.keep_ahead(|_| true);
        assert_eq!(queue.done(), Cancelled::No);

        queue.want(path("a"), Urgency::Ahead);
        let _ = queue.next().unwrap();
        queue.keep_ahead(|_| false);
        // It comes back while it is being broken off: it is verified again.
        queue.want(path("a"), Urgency::Waited);
        assert_eq!(queue.done(), Cancelled::Yes);
        let (next, _) = queue.next().unwrap();
        assert_eq!(next, path("a"));

        // Somebody waits: that its link is gone is no reason any more.
        queue.keep_ahead(|_| false);
        assert_eq!(queue.done(), Cancelled::No);
        queue.want(path("b"), Urgency::Ahead);
        let _ = queue.next().unwrap();
        queue.want(path("b"), Urgency::Waited);
        queue.keep_ahead(|_| false);
        assert_eq!(queue.done(), Cancelled::No);
        // But a store path that is gone cannot be verified for anybody.
        queue.want(path("b"), Urgency::Waited);
        let _ = queue.next().unwrap();
        queue.cancel(&path("b"));
        assert_eq!(queue.done(), Cancelled::Yes);
    }
}
