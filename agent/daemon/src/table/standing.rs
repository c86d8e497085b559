//! What was decided about a toplevel, and for how long that holds.

use jiff::{SignedDuration, Timestamp};
use narwarden_core::reason::Reason;
use narwarden_core::store_path::StorePath;
use narwarden_core::trust::RulesDigest;
use narwarden_core::verdict::Admission;
use std::sync::Arc;

/// How long an admission holds. What happens to a store afterwards is for the next verification to find.
const FRESH: SignedDuration = SignedDuration::from_mins(30);

/// How long a refusal is repeated without looking again.
const REFUSED: SignedDuration = SignedDuration::from_secs(10);

/// The rules that hold now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulesInForce {
    /// The trust set.
    pub trust: RulesDigest,
    /// The policy.
    pub policy: RulesDigest,
}

/// What was decided about a toplevel.
#[derive(Debug)]
pub enum Standing {
    /// It may run, for as long as the admission holds.
    Admitted {
        /// The proof.
        admission: Admission,
        /// The first moment at which one of the keys or the trust set may count otherwise.
        until: Option<Timestamp>,
    },
    /// It may not.
    Denied {
        /// The first reason.
        reason: Reason,
        /// What to tell whoever tried, one line.
        detail: String,
        /// When that was decided.
        decided: Timestamp,
    },
}

/// What the gate may do with a request for a toplevel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Let it run.
    Admitted,
    /// Do not.
    Denied(Arc<str>),
    /// Ask for a verdict and wait.
    Unknown,
}

impl Standing {
    /// What that means for a request for `toplevel` at `now`, by the rules in force.
    pub(super) fn answer(
        &self,
        toplevel: &StorePath,
        rules: Option<RulesInForce>,
        now: Timestamp,
    ) -> Answer {
        match self {
            // What was wrong may have been put right: signed, fetched again, made readable.
            Self::Denied { decided, .. } if !is_young(*decided, now) => Answer::Unknown,
            Self::Denied { detail, .. } => Answer::Denied(Arc::from(detail.as_str())),
            Self::Admitted { admission, until } => {
                match rules.filter(|rules| holds(admission, *until, toplevel, *rules, now)) {
                    Some(_) => Answer::Admitted,
                    None => Answer::Unknown,
                }
            }
        }
    }
}

fn is_young(decided: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(decided);
    !age.is_negative() && age < REFUSED
}

/// An admission holds for its own toplevel, by the rules in force, and for a while: neither before it was made
/// (a clock that was set back proves nothing) nor after a key may have changed its worth.
fn holds(
    admission: &Admission,
    until: Option<Timestamp>,
    toplevel: &StorePath,
    rules: RulesInForce,
    now: Timestamp,
) -> bool {
    let age = now.duration_since(admission.decided());
    admission.toplevel() == toplevel
        && admission.trust() == rules.trust
        && admission.policy() == rules.policy
        && !age.is_negative()
        && age < FRESH
        && until.is_none_or(|until| now < until)
}
