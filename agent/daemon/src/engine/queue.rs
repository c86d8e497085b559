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
    scrub: ScrubWanted,
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

/// What there is to do.
#[derive(Debug)]
pub enum Work {
    /// A toplevel to verify.
    Verify(StorePath, Arc<Progress>),
    /// Nothing else, so what was verified is hashed again until there is.
    Scrub(Arc<Progress>),
}

/// Whether to scrub where there is nothing else to do.
#[derive(Clone, Debug, Default)]
enum ScrubWanted {
    #[default]
    No,
    Yes,
    /// It is being done.
    Running(Arc<Progress>),
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
        // Whoever waits, waits for what is being verified now as well.
        if let (Urgency::Waited, Some(running)) = (urgency, &state.running) {
            running.progress.set_pace(Urgency::Waited.pace());
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
        // It gives way, and goes on where it was.
        if let ScrubWanted::Running(progress) = &state.scrub {
            progress.cancel();
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

    /// Has everything hashed again as soon as there is nothing else to do.
    pub fn want_scrub(&self) {
        let mut state = self.lock();
        if let ScrubWanted::No = state.scrub {
            state.scrub = ScrubWanted::Yes;
            self.changed.notify_all();
        }
    }

    /// Breaks a scrub off, so that it begins anew.
    pub fn restart_scrub(&self) {
        match &self.lock().scrub {
            ScrubWanted::Running(progress) => progress.cancel(),
            ScrubWanted::No | ScrubWanted::Yes => {}
        }
    }

    /// A turn of it is over; it is wanted again by whoever knows that it is not done.
    pub(super) fn scrubbed(&self) {
        self.lock().scrub = ScrubWanted::No;
    }

    /// Ends the wait for more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// The next toplevel, most urgent first; `None` once the queue is closed.
    pub(super) fn next(&self) -> Option<Work> {
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
                return Some(Work::Verify(toplevel, progress));
            }
            if let ScrubWanted::Yes = state.scrub {
                let progress = Arc::new(Progress::default());
                progress.set_pace(Pace::Background);
                state.scrub = ScrubWanted::Running(Arc::clone(&progress));
                return Some(Work::Scrub(progress));
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

    /// The next toplevel, where that is what there is to do.
    fn verified(queue: &Queue) -> Option<(StorePath, Arc<Progress>)> {
        match queue.next()? {
            Work::Verify(toplevel, progress) => Some((toplevel, progress)),
            Work::Scrub(_) => panic!("nobody wants a scrub"),
        }
    }

    #[test]
    fn a_scrub_is_done_when_there_is_nothing_else_and_gives_way() {
        let queue = Queue::default();
        queue.want_scrub();
        queue.want(path("a"), Urgency::Ahead);
        assert_eq!(verified(&queue).unwrap().0, path("a"));
        queue.done();
        let Some(Work::Scrub(progress)) = queue.next() else { panic!("a scrub") };
        assert!(!progress.is_cancelled());
        // Wanted once more while it runs: nothing changes.
        queue.want_scrub();
        assert!(!progress.is_cancelled());
        queue.want(path("b"), Urgency::Ahead);
        assert!(progress.is_cancelled());
        queue.scrubbed();
        assert_eq!(verified(&queue).unwrap().0, path("b"));
        queue.done();
        queue.close();
        assert!(queue.next().is_none(), "it is wanted again by whoever knows that it is not done");
    }

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
        let (first, _) = verified(&queue).unwrap();
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
    fn what_somebody_waits_for_is_measured_at_full_speed_also_while_it_runs() {
        let queue = Queue::default();
        queue.want(path("a"), Urgency::Ahead);
        let (_, progress) = verified(&queue).unwrap();
        assert_eq!(progress.pace(), Pace::Background);
        // Somebody who is in no hurry says nothing about it.
        queue.want(path("b"), Urgency::Ahead);
        queue.want(path("a"), Urgency::Ahead);
        assert_eq!(progress.pace(), Pace::Background);
        queue.want(path("a"), Urgency::Waited);
        assert_eq!(progress.pace(), Pace::Full);
        queue.want(path("a"), Urgency::Ahead);
        assert_eq!(progress.pace(), Pace::Full);
        let _ = queue.done();
        let (next, progress) = verified(&queue).unwrap();
        assert_eq!((next, progress.pace()), (path("b"), Pace::Background));
    }

    /// Else a user who keeps all cores busy could have an activation wait behind what never gets a turn.
    #[test]
    fn who_waits_for_another_does_not_wait_behind_a_slow_one() {
        let queue = Queue::default();
        queue.want(path("a"), Urgency::Ahead);
        let (_, progress) = verified(&queue).unwrap();
        assert_eq!(progress.pace(), Pace::Background);
        queue.want(path("b"), Urgency::Waited);
        assert_eq!(progress.pace(), Pace::Full);
        // It is still nobody's: without its link it is broken off.
        queue.keep_ahead(|_| false);
        assert!(progress.is_cancelled());
        let _ = queue.done();
        let (next, progress) = verified(&queue).unwrap();
        assert_eq!((next, progress.pace()), (path("b"), Pace::Full));
    }

    #[test]
    fn what_nobody_wants_is_broken_off_unless_somebody_waits() {
        let queue = Queue::default();
        queue.want(path("a"), Urgency::Ahead);
        let _ = verified(&queue).unwrap();
        queue.keep_ahead(|_| true);
        assert_eq!(queue.done(), Cancelled::No);

        queue.want(path("a"), Urgency::Ahead);
        let _ = verified(&queue).unwrap();
        queue.keep_ahead(|_| false);
        // It comes back while it is being broken off: it is verified again.
        queue.want(path("a"), Urgency::Waited);
        assert_eq!(queue.done(), Cancelled::Yes);
        let (next, _) = verified(&queue).unwrap();
        assert_eq!(next, path("a"));

        // Somebody waits: that its link is gone is no reason any more.
        queue.keep_ahead(|_| false);
        assert_eq!(queue.done(), Cancelled::No);
        queue.want(path("b"), Urgency::Ahead);
        let _ = verified(&queue).unwrap();
        queue.want(path("b"), Urgency::Waited);
        queue.keep_ahead(|_| false);
        assert_eq!(queue.done(), Cancelled::No);
        // But a store path that is gone cannot be verified for anybody.
        queue.want(path("b"), Urgency::Waited);
        let _ = verified(&queue).unwrap();
        queue.cancel(&path("b"));
        assert_eq!(queue.done(), Cancelled::Yes);
    }
}
