//! The admission engine: one verification a toplevel, however many ask.
//!
//! ```text
//! Decide(toplevel) ─► queue ─► claims → plan → measure → verify → verdict ─► journal · receipt ─► table ─► gate
//! ```
//!
//! Whoever waits comes before what is verified ahead. A verdict is written down before it counts: one that could
//! not be is no admission.

mod queue;

pub use queue::{Cancelled, Queue, Urgency, Work};

use crate::places::Places;
use crate::scrub::{Scrub, Tools};
use crate::table::{Begun, RulesInForce, Standing, Table};
use crate::temp_root::{TempRoot, TempRootError};
use jiff::Timestamp;
use narwarden_core::closure::Closure;
use narwarden_core::plan::{Contents, Plan, Scope};
use narwarden_core::policy::Rulebook;
use narwarden_core::reason::{Reason, Severity};
use narwarden_core::report::{Report, ReportFinding};
use narwarden_core::store_path::StorePath;
use narwarden_core::verdict::Verdict;
use narwarden_linux::boot::Clock;
use narwarden_store::{
    Belief, Database, Judged, NoSeals, Options, Progress, Seals, Shelf, judge_sealed,
};
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

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
    /// By which rules; `None` where there were none.
    pub rules: Option<RulesInForce>,
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
    fn record(&mut self, decided: &Decided) -> io::Result<()>;
    /// What to do once it counts.
    fn settle(&mut self, toplevel: &StorePath, report: Option<&Report>);
    /// A verification begins.
    fn begin(&mut self, toplevel: &StorePath);
    /// The garbage collector may take the closure away while it is being verified.
    fn unprotected(&mut self, toplevel: &StorePath, error: &TempRootError);
}

/// What the engine works with.
#[derive(Debug)]
pub struct Engine {
    /// Where everything is.
    pub places: Places,
    /// The rules.
    pub rules: RulesCell,
    /// Where verdicts go.
    pub table: Table,
    /// What to verify.
    pub queue: Arc<Queue>,
    /// How to measure.
    pub options: Options,
    /// Where the seals of what was measured are kept.
    pub shelf: Shelf,
    /// What to do when there is nothing to verify.
    pub scrub: Arc<Scrub>,
}

/// How long to wait for a garbage collector to take note of what is being verified.
const COLLECTOR: Duration = Duration::from_secs(5);

impl Engine {
    /// Verifies until the queue is closed.
    pub fn run(&self, audit: &mut dyn Audit) {
        while let Some(work) = self.queue.next() {
            let (toplevel, progress) = match work {
                Work::Verify(toplevel, progress) => (toplevel, progress),
                Work::Scrub(progress) => {
                    self.scrub(&progress);
                    continue;
                }
            };
            audit.begin(&toplevel);
            // Its references are kept with it. What is collected all the same is missing, and that denies.
            let root = TempRoot::hold(&self.places, std::slice::from_ref(&toplevel), COLLECTOR);
            if let Err(error) = &root {
                audit.unprotected(&toplevel, error);
            }
            // A panic while judging is a toplevel that could not be judged, and the next one still can.
            let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                self.decide(&toplevel, &progress)
            }));
            drop(root);
            let (begun, mut decided) = judged.unwrap_or_else(|_| {
                let detail = "judging it failed inside narwarden: this is a fault to report";
                (None, denied(&toplevel, None, Reason::Interrupted, detail.to_owned()))
            });
            if self.queue.done() == Cancelled::Yes {
                audit.settle(&toplevel, None);
                continue;
            }
            if let Err(error) = audit.record(&decided) {
                let detail = format!("the verdict could not be written down: {error}");
                decided.standing = standing(Reason::Interrupted, detail);
            }
            let Decided { toplevel, report, standing, .. } = decided;
            if let Some(begun) = begun {
                self.table.decide(begun, standing);
            }
            audit.settle(&toplevel, report.as_ref());
        }
    }

    /// Hashes on, until there is something to verify.
    fn scrub(&self, progress: &Progress) {
        let Self { table, queue, shelf, options, .. } = self;
        let tools = Tools { table, queue, shelf, options: *options };
        // What a panic left undone is done again at the next turn, which is not at once.
        let turn = || self.scrub.turn(&tools, progress);
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(turn));
        self.queue.scrubbed();
    }

    /// What is known before it is judged: what becomes an entry point afterwards is not what was judged.
    fn begin(&self, rules: RulesInForce, toplevel: &StorePath, closure: Option<&Closure>) -> Begun {
        let paths = closure.into_iter().flat_map(Closure::claims).map(|(_, claim)| &claim.path);
        self.table.begin(rules, toplevel, paths)
    }

    fn decide(&self, toplevel: &StorePath, progress: &Progress) -> (Option<Begun>, Decided) {
        let Some(rulebook) = self.rules.get() else {
            let detail = "no rules are in force: narwarden enroll --pin";
            return (None, denied(toplevel, None, Reason::Interrupted, detail.to_owned()));
        };
        let rules = in_force(&rulebook);
        match Database::at(&self.places.location).closure(toplevel) {
            Ok(closure) => {
                let begun = self.begin(rules, toplevel, Some(&closure.value));
                (Some(begun), self.judge(&closure.value, &rulebook, progress))
            }
            Err(error) => {
                let decided = denied(toplevel, Some(rules), Reason::Unreadable, error.to_string());
                (Some(self.begin(rules, toplevel, None)), decided)
            }
        }
    }

    /// What was measured in this boot, as far as it still holds.
    fn seals(&self) -> Option<Seals> {
        let clock = Clock::now().ok()?;
        let (shelf, owner) = (self.shelf.clone(), self.options.owner);
        match Seals::open(shelf, &self.places.location, owner, Belief::Fitting, clock) {
            Ok(seals) => Some(seals),
            Err(NoSeals::FileSystem(_) | NoSeals::NoMountIds) => None,
            Err(NoSeals::System(error)) => {
                self.complain(vec![error]);
                None
            }
        }
    }

    fn complain(&self, troubles: Vec<String>) {
        for trouble in troubles {
            self.scrub.trouble("keeping seals", &trouble);
        }
    }

    fn judge(&self, closure: &Closure, rulebook: &Rulebook, progress: &Progress) -> Decided {
        let now = Timestamp::now();
        let plan = Plan::new(closure, rulebook, Scope::Closure, Contents::Measured, now);
        let seals = self.seals();
        let judged =
            judge_sealed(&self.places.location, &plan, self.options, progress, seals.as_ref());
        let troubles = seals.map(|seals| seals.close().troubles).unwrap_or_default();
        self.complain(troubles);
        let report = judged.report(&plan);
        let Judged { verdict, .. } = judged;
        let standing = match verdict {
            Verdict::Admit(admission) => {
                Standing::Admitted { admission, until: rulebook.trust().next_change(now) }
            }
            Verdict::Deny(denial) => {
                // What the time took away comes back; bytes do not, so they are named first.
                let denies = |it: &&ReportFinding| it.severity == Severity::Deny.code();
                let lasting = |it: &&ReportFinding| it.reason.is_about_bytes_or_revocation();
                let mut denying = report.findings.iter().filter(denies);
                let first = denying.clone().find(lasting).or_else(|| denying.next());
                match first {
                    Some(it) => {
                        let detail =
                            format!("{} {}: {}", it.reason.code(), it.store_path, it.detail);
                        standing(it.reason, detail)
                    }
                    None => standing(denial.first(), String::new()),
                }
            }
            Verdict::Limited(_) => {
                standing(Reason::Interrupted, "not all of it was judged".to_owned())
            }
        };
        let rules = Some(in_force(rulebook));
        Decided { toplevel: closure.toplevel().clone(), rules, report: Some(report), standing }
    }
}

fn denied(
    toplevel: &StorePath,
    rules: Option<RulesInForce>,
    reason: Reason,
    detail: String,
) -> Decided {
    let standing = standing(reason, detail);
    Decided { toplevel: toplevel.clone(), rules, report: None, standing }
}

fn standing(reason: Reason, detail: String) -> Standing {
    Standing::Denied { reason, detail, decided: Timestamp::now() }
}
