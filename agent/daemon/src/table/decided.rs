//! What was decided, how it enters the table, and what is told of it to those who draw conclusions.

use super::closures::Closure;
use super::{Identity, RulesInForce, Standing, Table};
use jiff::Timestamp;
use narwarden_core::reason::Reason;
use narwarden_core::store_path::StorePath;
use std::collections::{BTreeSet, HashMap};

/// What was known when a verification began.
#[derive(Clone, Debug)]
pub struct Begun {
    toplevel: StorePath,
    rules: RulesInForce,
    epoch: u64,
    /// The entry points of the toplevel and of those that its closure holds, its specialisations: what is proven of
    /// it is proven of them.
    entry_points: HashMap<StorePath, BTreeSet<Identity>>,
    closure: Closure,
}

/// A denial, for those who draw conclusions from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The first reason.
    pub reason: Reason,
    /// One line about it.
    pub detail: String,
    /// When it was decided.
    pub decided: Timestamp,
}

impl Table {
    /// What is known of a toplevel and the rest of its closure, before it is judged by `rules`.
    pub fn begin<'a>(
        &self,
        rules: RulesInForce,
        toplevel: &'a StorePath,
        closure: impl Iterator<Item = &'a StorePath>,
    ) -> Begun {
        let inner = self.lock();
        let of = |path: &StorePath| inner.owned.get(path).map(|it| (path.clone(), it.clone()));
        let paths: Vec<&StorePath> = closure.chain([toplevel]).collect();
        Begun {
            toplevel: toplevel.clone(),
            rules,
            epoch: inner.epoch,
            entry_points: paths.iter().copied().filter_map(of).collect(),
            closure: Closure::of(paths.into_iter()),
        }
    }

    /// Enters what was decided; by other rules than those in force, or about other files than are there now, it is
    /// worth nothing any more.
    pub fn decide(&self, begun: Begun, standing: Standing) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let Begun { toplevel, rules, epoch, entry_points, closure } = begun;
        let standing = match (standing, inner.flaws.get(&toplevel)) {
            (Standing::Admitted { .. }, Some(flaw)) => Standing::Denied {
                reason: Reason::TooLarge,
                detail: flaw.to_string(),
                decided: Timestamp::now(),
            },
            (standing, _) => standing,
        };
        if inner.rules != Some(rules) || inner.epoch != epoch {
            return;
        }
        match standing {
            Standing::Admitted { .. } => {
                let as_judged = |path: &StorePath| match inner.owned.get(path) {
                    Some(now) => entry_points.get(path).is_some_and(|then| now.is_subset(then)),
                    None => true,
                };
                if !as_judged(&toplevel) || !entry_points.keys().all(as_judged) {
                    return;
                }
                for path in entry_points.into_keys().filter(|path| *path != toplevel) {
                    inner.covered.entry(path).or_default().insert(toplevel.clone());
                }
                inner.closures.insert(toplevel.clone(), closure);
            }
            Standing::Denied { .. } => inner.forget(&toplevel),
        }
        inner.toplevels.insert(toplevel, standing);
    }

    /// The last verdict on the toplevel, if it was a denial, however old.
    #[must_use]
    pub fn denial(&self, toplevel: &StorePath) -> Option<Denial> {
        match self.lock().toplevels.get(toplevel) {
            Some(Standing::Denied { reason, detail, decided }) => {
                Some(Denial { reason: *reason, detail: detail.clone(), decided: *decided })
            }
            Some(Standing::Admitted { .. }) | None => None,
        }
    }

    /// Whether the last verdict on it was a denial, however old.
    #[must_use]
    pub fn was_denied(&self, toplevel: &StorePath) -> bool {
        matches!(self.lock().toplevels.get(toplevel), Some(Standing::Denied { .. }))
    }

    /// Whether the last verdict on it, by the rules in force, was an admission, however old.
    #[must_use]
    pub fn was_admitted(&self, toplevel: &StorePath) -> bool {
        matches!(self.lock().toplevels.get(toplevel), Some(Standing::Admitted { .. }))
    }
}
