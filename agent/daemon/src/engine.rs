//! The admission engine: one verification a toplevel, however many ask.
//!
//! ```text
//! Decide(toplevel) ─► queue ─► claims → plan → measure → verify → verdict ─► journal · receipt ─► table ─► gate
//! ```
//!
//! Whoever waits comes before what is verified ahead. A verdict is written down before it counts: one that could
//! not be is no admission.

use crate::table::{RulesInForce, Standing, Table};
use jiff::Timestamp;
use narwarden_core::closure::Closure;
use narwarden_core::plan::{Contents, Plan, Scope};
use narwarden_core::policy::Rulebook;
use narwarden_core::reason::Reason;
use narwarden_core::report::Report;
use narwarden_core::store_path::StorePath;
use narwarden_core::verdict::Verdict;
use narwarden_store::{Database, Judged, Location, Options, Progress, judge};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

/// How urgent a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Somebody waits for it.
    Waited,
    /// It may be wanted soon.
    Ahead,
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
    running: Option<(StorePath, Arc<Progress>)>,
    closed: bool,
}

/// How many toplevels may be queued; the rest are asked for again by whoever wants them.
const MOST_QUEUED: usize = 4096;

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wants a verdict on `toplevel`. Asking again only makes it more urgent.
    pub fn want(&self, toplevel: StorePath, urgency: Urgency) {
        let mut state = self.lock();
        if state.running.as_ref().is_some_and(|(running, _)| *running == toplevel)
            || state.waited.contains(&toplevel)
        {
            return;
        }
        let queued = state.ahead.contains(&toplevel);
        match urgency {
            Urgency::Waited => {
                state.ahead.retain(|other| *other != toplevel);
                state.waited.push_back(toplevel);
            }
            Urgency::Ahead if !queued && state.ahead.len() < MOST_QUEUED => {
                state.ahead.push_back(toplevel);
            }
            Urgency::Ahead => {}
        }
        self.changed.notify_all();
    }

    /// Nobody wants these any more: their links are gone. What is being measured is broken off.
    pub fn keep_ahead(&self, wanted: impl Fn(&StorePath) -> bool) {
        let mut state = self.lock();
        state.ahead.retain(|toplevel| wanted(toplevel));
    }

    /// Breaks off what is being measured, if it is `toplevel`.
    pub fn cancel(&self, toplevel: &StorePath) {
        let state = self.lock();
        if let Some((_, progress)) = state.running.as_ref().filter(|(running, _)| running == toplevel) {
            progress.cancel();
        }
    }

    /// What is queued or running, most urgent first.
    #[must_use]
    pub fn pending(&self) -> Vec<StorePath> {
        let state = self.lock();
        let running = state.running.iter().map(|(toplevel, _)| toplevel);
        running.chain(&state.waited).chain(&state.ahead).cloned().collect()
    }

    /// Ends the wait for more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// The next toplevel, most urgent first; `None` once the queue is closed.
    fn next(&self) -> Option<(StorePath, Arc<Progress>)> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(toplevel) = state.waited.pop_front().or_else(|| state.ahead.pop_front()) {
                let progress = Arc::new(Progress::default());
                state.running = Some((toplevel.clone(), Arc::clone(&progress)));
                return Some((toplevel, progress));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self) {
        self.lock().running = None;
    }
}

/// The rules to judge by, replaced whole.
#[derive(Clone, Debug, Default)]
pub struct RulesCell(Arc<RwLock<Option<Arc<Rulebook>>>>);

impl RulesCell {
    /// The rulebook in force, if there is one.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Rulebook>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a rulebook in force, in the table too.
    pub fn put(&self, rulebook: Rulebook, table: &Table) {
        let rules = in_force(&rulebook);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(rulebook));
        table.put_in_force(rules);
    }
}

fn in_force(rulebook: &Rulebook) -> RulesInForce {
    RulesInForce { trust: rulebook.trust().digest(), policy: rulebook.policy_digest() }
}

/// What came of a verification.
#[derive(Debug)]
pub struct Decided {
    /// What was verified.
    pub toplevel: StorePath,
    /// The report, where there was enough for one.
    pub report: Option<Report>,
    /// What was decided.
    pub standing: Standing,
}

/// Whoever must know of a verdict before it counts.
pub trait Audit: Send {
    /// Writes the verdict down.
    ///
    /// # Errors
    /// What kept it from being written; the verdict then does not admit.
    fn record(&mut self, decided: &Decided) -> std::io::Result<()>;
    /// What to do once it counts.
    fn settle(&mut self, decided: &Decided);
}

/// What the engine works with.
#[derive(Debug)]
pub struct Engine {
    /// Where the store is.
    pub location: Location,
    /// The rules.
    pub rules: RulesCell,
    /// Where verdicts go.
    pub table: Table,
    /// What to verify.
    pub queue: Arc<Queue>,
    /// How to measure.
    pub options: Options,
}

impl Engine {
    /// Verifies until the queue is closed.
    pub fn run(&self, audit: &mut dyn Audit) {
        while let Some((toplevel, progress)) = self.queue.next() {
            // A panic while judging is a toplevel that could not be judged, and the next one still can.
            let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                self.decide(&toplevel, &progress)
            }));
            let (rules, mut decided) = judged.unwrap_or_else(|_| {
                let detail = "judging it failed inside narwarden: this is a fault to report";
                (self.table.rules(), denied(&toplevel, Reason::Interrupted, detail.to_owned()))
            });
            if let Err(error) = audit.record(&decided) {
                let detail = format!("the verdict could not be written down: {error}");
                decided.standing = standing(Reason::Interrupted, detail);
            }
            let standing = std::mem::replace(&mut decided.standing, Standing::Pending);
            if let Some(rules) = rules {
                self.table.decide(rules, toplevel.clone(), standing);
            }
            self.queue.done();
            audit.settle(&decided);
        }
    }

    fn decide(
        &self,
        toplevel: &StorePath,
        progress: &Progress,
    ) -> (Option<RulesInForce>, Decided) {
        let Some(rulebook) = self.rules.get() else {
            let detail = "no rules are in force: narwarden enroll --pin";
            return (None, denied(toplevel, Reason::Interrupted, detail.to_owned()));
        };
        let rules = Some(in_force(&rulebook));
        let closure = match Database::at(&self.location).closure(toplevel) {
            Ok(read) => read.value,
            Err(error) => return (rules, denied(toplevel, Reason::Unreadable, error.to_string())),
        };
        (rules, self.judge(&closure, &rulebook, progress))
    }

    fn judge(&self, closure: &Closure, rulebook: &Rulebook, progress: &Progress) -> Decided {
        let now = Timestamp::now();
        let plan = Plan::new(closure, rulebook, Scope::Closure, Contents::Measured, now);
        let judged = judge(&self.location, &plan, self.options, progress);
        let report = judged.report(&plan);
        let Judged { verdict, .. } = judged;
        let standing = match verdict {
            Verdict::Admit(admission) => {
                Standing::Admitted { admission, until: rulebook.trust().next_change(now) }
            }
            Verdict::Deny(denial) => {
                let first = report.findings.first();
                let detail = first.map_or_else(String::new, |it| {
                    format!("{} {}: {}", it.reason.code(), it.store_path, it.detail)
                });
                standing(denial.first(), detail)
            }
            Verdict::Limited(_) => standing(Reason::Interrupted, "not all of it was judged".to_owned()),
        };
        Decided { toplevel: closure.toplevel().clone(), report: Some(report), standing }
    }
}

fn denied(toplevel: &StorePath, reason: Reason, detail: String) -> Decided {
    Decided { toplevel: toplevel.clone(), report: None, standing: standing(reason, detail) }
}

fn standing(reason: Reason, detail: String) -> Standing {
    Standing::Denied { reason, detail, decided: Timestamp::now() }
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
        queue.done();
        queue.keep_ahead(|_| false);
        assert_eq!(queue.pending(), []);
        queue.close();
        assert!(queue.next().is_none());
    }
}
