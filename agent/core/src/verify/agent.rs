//! Whether the generation leaves the daemon where it is.

use super::Finding;
use crate::agent::{Agent, Removed, UNIT, Unit};
use crate::closure::PathIndex;
use crate::plan::{AgentAsk, Plan};
use crate::reason::{Reason, Severity};

/// How many of its places are named: what else is to be said of a generation needs room too.
const MOST_NAMED: usize = 8;

/// Holds what was found of the daemon's unit against the plan.
#[must_use]
pub fn agent(plan: &Plan<'_>, agent: &Agent) -> Vec<Finding> {
    let finding = |reason, detail| Finding {
        reason,
        severity: Severity::Deny,
        path: Some(PathIndex::TOPLEVEL),
        detail,
    };
    match (plan.agent_ask(), agent) {
        (AgentAsk::Nothing, _) | (AgentAsk::Unit, Agent::NotAsked) => Vec::new(),
        (AgentAsk::Unit, Agent::Unknown(why)) => vec![finding(Reason::Unreadable, why.clone())],
        (AgentAsk::Unit, Agent::Asked { toplevel, specialisations }) => {
            let own = std::iter::once((UNIT.to_owned(), toplevel));
            let others = specialisations.iter().map(|(at, unit)| (format!("{at}/{UNIT}"), unit));
            let mut against: Vec<_> =
                own.chain(others).filter_map(|(at, unit)| against(plan, &at, unit)).collect();
            let more = against.split_off(against.len().min(MOST_NAMED));
            against.extend(
                more.first().map(|(reason, _)| {
                    (*reason, format!("and {} specialisations more", more.len()))
                }),
            );
            against.into_iter().map(|(reason, detail)| finding(reason, detail)).collect()
        }
    }
}

fn against(plan: &Plan<'_>, at: &str, unit: &Unit) -> Option<(Reason, String)> {
    let removed = |what: &str| {
        let detail = format!("expected {at}, since the running system brings narwardend: {what}");
        Some((Reason::AgentRemoved, detail))
    };
    match unit {
        // What lies elsewhere is vouched for by nobody, and may be gone tomorrow.
        Unit::In(owner) if plan.closure().claims().all(|(_, claim)| claim.path != *owner) => {
            removed(&format!("it lies in {owner}, outside of the closure"))
        }
        Unit::In(_) => None,
        Unit::Removed(
            how @ (Removed::Missing | Removed::LeadsOut(_) | Removed::NoFile(_) | Removed::Empty),
        ) => removed(&how.to_string()),
        Unit::Unknown(why) => Some((Reason::Unreadable, format!("{at}: {why}"))),
    }
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
