//! The verdict: may this generation run?
//!
//! [`Verdict::of`] is the only function that makes an [`Admission`], and it makes one only where every path of
//! the closure was judged by its bytes and nothing at all was found against any, nor against the whole. There is no default verdict
//! and no way to set one.

use crate::agent::Agent;
use crate::closure::PathIndex;
use crate::plan::{Contents, Plan, Scope};
use crate::reason::{Reason, Severity};
use crate::store_path::StorePath;
use crate::trust::RulesDigest;
use crate::verify::{self, Finding, Judgement};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// The answer, with what it rests on.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// Everything vouches for it.
    Admit(Admission),
    /// Nothing speaks against it, and not everything was looked at: this proves no generation.
    Limited(Limited),
    /// Something speaks against it, or could not be found out.
    Deny(Denial),
}

/// The proof that a generation may run: its whole closure was measured, and all of it vouched for.
#[derive(Debug)]
pub struct Admission {
    toplevel: StorePath,
    trust: RulesDigest,
    policy: RulesDigest,
    decided: Timestamp,
}

/// Nothing was found against the part that was looked at.
#[derive(Debug)]
pub struct Limited {
    /// How much of the closure was judged.
    pub scope: Scope,
    /// What signatures were held against.
    pub contents: Contents,
}

/// The reasons for a refusal; there is at least one.
#[derive(Debug)]
pub struct Denial {
    first: Reason,
    findings: usize,
}

impl Admission {
    /// What may run.
    #[must_use]
    pub fn toplevel(&self) -> &StorePath {
        &self.toplevel
    }

    /// The trust set that it was judged by.
    #[must_use]
    pub fn trust(&self) -> RulesDigest {
        self.trust
    }

    /// The policy that it was judged by.
    #[must_use]
    pub fn policy(&self) -> RulesDigest {
        self.policy
    }

    /// When.
    #[must_use]
    pub fn decided(&self) -> Timestamp {
        self.decided
    }
}

impl Denial {
    /// The first reason, for those who have room for one.
    #[must_use]
    pub fn first(&self) -> Reason {
        self.first
    }

    /// How many findings deny.
    #[must_use]
    pub fn findings(&self) -> usize {
        self.findings
    }
}

impl Verdict {
    /// Decides, by what is thought of each path and what was found of the daemon's own unit. Gives the verdict and all findings, denials first and in the order of the closure.
    pub fn of(plan: &Plan<'_>, judgements: &[Judgement], agent: &Agent) -> (Self, Vec<Finding>) {
        let mut findings = about_the_whole(plan);
        findings.extend(judgements.iter().flat_map(Judgement::findings).cloned());
        findings.extend(unjudged(plan, judgements));
        // After what else is said of the toplevel: an unsigned one is unsigned in the first place.
        findings.extend(verify::agent(plan, agent));
        findings.sort_by_key(|finding| (finding.severity, finding.path));
        let against = findings.iter().filter(|it| it.severity == Severity::Deny).count();
        let verdict = match (findings.first(), plan.scope(), plan.contents()) {
            (Some(Finding { reason, severity: Severity::Deny, .. }), _, _) => {
                Self::Deny(Denial { first: *reason, findings: against })
            }
            (
                Some(Finding { severity: Severity::Note, .. }) | None,
                Scope::Closure,
                Contents::Measured,
            ) => Self::Admit(Admission {
                toplevel: plan.closure().toplevel().clone(),
                trust: plan.rulebook().trust().digest(),
                policy: plan.rulebook().policy_digest(),
                decided: plan.now(),
            }),
            (
                Some(Finding { severity: Severity::Note, .. }) | None,
                scope @ (Scope::Closure | Scope::Path(_)),
                contents @ (Contents::Measured | Contents::Claimed),
            ) => Self::Limited(Limited { scope, contents }),
        };
        (verdict, findings)
    }
}

fn about_the_whole(plan: &Plan<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut deny = |reason, path, detail| {
        findings.push(Finding { reason, severity: Severity::Deny, path, detail });
    };
    if let Some(end) = plan.rulebook().trust().expires().filter(|end| plan.now() >= *end) {
        deny(
            Reason::ExpiredTrustSet,
            None,
            format!("it expired at {end}, and it is {}", plan.now()),
        );
    }
    if plan.closure().claims().len() == 0 {
        deny(Reason::MissingPath, None, "it is not in the database".to_owned());
    }
    let dangling = plan.closure().dangling().iter();
    let dangling = dangling.filter(|reference| plan.scope().includes(reference.referrer));
    for reference in dangling {
        let detail = format!("it refers to {}", reference.target);
        deny(Reason::MissingReference, Some(reference.referrer), detail);
    }
    findings
}

/// Every path must have been judged, and vouched for unless it was refused: what nobody judged is refused.
fn unjudged(plan: &Plan<'_>, judgements: &[Judgement]) -> Vec<Finding> {
    let refused = |it: &Judgement| it.findings().iter().any(|it| it.severity == Severity::Deny);
    let decided: BTreeSet<PathIndex> = judgements
        .iter()
        .filter(|judgement| judgement.vouched().is_some() || refused(judgement))
        .map(Judgement::index)
        .collect();
    plan.checks()
        .map(|(index, _)| index)
        .filter(|index| !decided.contains(index))
        .map(|index| Finding {
            reason: Reason::Interrupted,
            severity: Severity::Deny,
            path: Some(index),
            detail: "nothing was found out about it".to_owned(),
        })
        .collect()
}
