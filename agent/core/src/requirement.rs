//! What must vouch for a path: a tree of thresholds over keys and roles.
//!
//! A key counts once in the whole tree. Where two branches name the same key, each needs a signature of
//! its own: `all = ["cache", "release"]` with one key in both roles is not satisfied by that key alone.
//! So the tree is satisfied exactly if its leaves can be given *different* keys that signed.

use crate::trust::{KeyIndex, KeySet, Role};
use std::collections::BTreeSet;
use std::fmt;

/// How many different ways of satisfying it a requirement may have. A bound on the operator's files, not on
/// an attacker: `threshold = 6, of = [12 keys]` has 924.
pub const MAX_WAYS: u64 = 4096;

/// A tree of thresholds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// This key must have signed.
    Key {
        /// Its name in the trust set.
        id: String,
        /// The key.
        key: KeyIndex,
    },
    /// As many keys of this role as its threshold says must have signed.
    Role {
        /// Its name in the trust set, `any` among them.
        name: String,
        /// The role.
        role: Role,
    },
    /// As many of the branches as `needed` says must be satisfied, by different keys.
    Threshold {
        /// How many, at least 1.
        needed: u32,
        /// The branches.
        of: Vec<Requirement>,
    },
}

impl Requirement {
    /// Keys among `signers` that satisfy it together, if there are any.
    #[must_use]
    pub fn satisfied_by(&self, signers: KeySet) -> Option<KeySet> {
        self.ways(signers).first().copied()
    }

    /// Every key that it names.
    #[must_use]
    pub fn keys(&self) -> KeySet {
        match self {
            Self::Key { key, .. } => KeySet::of(*key),
            Self::Role { role, .. } => role.keys,
            Self::Threshold { of, .. } => {
                of.iter().map(Self::keys).fold(KeySet::EMPTY, KeySet::union)
            }
        }
    }

    /// In at most how many ways it can be satisfied; saturates.
    #[must_use]
    pub fn most_ways(&self) -> u64 {
        match self {
            Self::Key { .. } => 1,
            Self::Role { role, .. } => choices(role.threshold, (0..role.keys.len()).map(|_| 1)),
            Self::Threshold { needed, of } => choices(*needed, of.iter().map(Self::most_ways)),
        }
    }

    /// The sets of exactly as many of the signers as it takes.
    fn ways(&self, signers: KeySet) -> BTreeSet<KeySet> {
        let single = |key| if signers.contains(key) { vec![KeySet::of(key)] } else { Vec::new() };
        match self {
            Self::Key { key, .. } => single(*key).into_iter().collect(),
            Self::Role { role, .. } => combine(role.threshold, role.keys.iter().map(single)),
            Self::Threshold { needed, of } => {
                combine(*needed, of.iter().map(|branch| branch.ways(signers).into_iter().collect()))
            }
        }
    }
}

/// Every union of ways of `needed` branches that share no key.
fn combine(needed: u32, branches: impl Iterator<Item = Vec<KeySet>>) -> BTreeSet<KeySet> {
    // reached[n]: the unions of n branches so far.
    let mut reached: Vec<BTreeSet<KeySet>> = vec![BTreeSet::from([KeySet::EMPTY])];
    for ways in branches {
        let mut next = reached.clone();
        next.resize_with(reached.len() + 1, BTreeSet::new);
        for (taken, sets) in reached.iter().enumerate() {
            if let Some(more) = next.get_mut(taken + 1) {
                more.extend(sets.iter().flat_map(|set| {
                    let apart = ways.iter().filter(|way| set.intersection(**way).is_empty());
                    apart.map(|way| set.union(*way))
                }));
            }
        }
        // Taking more branches than needed satisfies nothing that fewer do not.
        next.truncate(usize::try_from(needed).unwrap_or(usize::MAX).saturating_add(1));
        reached = next;
    }
    let index = usize::try_from(needed).unwrap_or(usize::MAX);
    reached.into_iter().nth(index).unwrap_or_default()
}

/// The sum over all choices of `needed` branches of the product of their ways: what [`combine`] can yield.
fn choices(needed: u32, branches: impl Iterator<Item = u64>) -> u64 {
    let mut reached: Vec<u64> = vec![1];
    for ways in branches {
        let mut next = reached.clone();
        next.push(0);
        for (taken, count) in reached.iter().enumerate() {
            if let Some(more) = next.get_mut(taken + 1) {
                *more = more.saturating_add(count.saturating_mul(ways));
            }
        }
        reached = next;
    }
    // The steps on the way are bounded with the result.
    let index = usize::try_from(needed).unwrap_or(usize::MAX);
    reached.iter().take(index.saturating_add(1)).copied().fold(0, u64::max)
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { id, .. } => f.write_str(id),
            Self::Role { name, role } if role.threshold == 1 => f.write_str(name),
            Self::Role { name, role } => write!(f, "{name} ({} keys of it)", role.threshold),
            Self::Threshold { needed, of } => {
                let whole = u32::try_from(of.len()).is_ok_and(|len| len == *needed);
                match (*needed, whole) {
                    (_, true) => f.write_str("all of (")?,
                    (1, false) => f.write_str("one of (")?,
                    (needed, false) => write!(f, "{needed} of (")?,
                }
                for (position, branch) in of.iter().enumerate() {
                    if position > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{branch}")?;
                }
                f.write_str(")")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(position: usize) -> KeyIndex {
        KeyIndex::new(position).unwrap()
    }

    fn keys(positions: &[usize]) -> KeySet {
        positions.iter().map(|position| key(*position)).collect()
    }

    fn role(positions: &[usize], threshold: u32) -> Requirement {
        Requirement::Role { name: "r".into(), role: Role { keys: keys(positions), threshold } }
    }

    fn of(needed: u32, of: Vec<Requirement>) -> Requirement {
        Requirement::Threshold { needed, of }
    }

    #[test]
    fn a_key_counts_once_in_the_whole_tree() {
        let both = of(2, vec![role(&[0, 1], 1), role(&[1], 1)]);
        for (signers, expected) in [
            (&[][..], false),
            (&[0], false),
            (&[1], false), // in both roles, and still one key
            (&[0, 1], true),
        ] {
            assert_eq!(both.satisfied_by(keys(signers)).is_some(), expected, "{signers:?}");
        }
    }

    #[test]
    fn the_assignment_is_found_where_a_greedy_one_would_miss_it() {
        // Giving key 0 to the first branch would leave the second without one.
        let tree = of(3, vec![role(&[0, 1], 1), role(&[0], 1), role(&[0, 1, 2], 1)]);
        assert!(tree.satisfied_by(keys(&[0, 1, 2])).is_some());
        assert!(tree.satisfied_by(keys(&[0, 1])).is_none());
        assert!(tree.satisfied_by(keys(&[1, 2])).is_none());
    }

    #[test]
    fn thresholds_nest() {
        let tree = of(1, vec![of(2, vec![role(&[0], 1), role(&[1, 2, 3], 2)]), role(&[9], 1)]);
        assert!(tree.satisfied_by(keys(&[0, 1])).is_none());
        assert!(tree.satisfied_by(keys(&[0, 1, 3])).is_some());
        assert!(tree.satisfied_by(keys(&[9])).is_some());
        assert_eq!(tree.keys(), keys(&[0, 1, 2, 3, 9]));
    }

    #[test]
    fn the_bound_holds_for_what_is_computed() {
        let all: Vec<usize> = (0..12).collect();
        let half = role(&all, 6);
        assert_eq!(half.most_ways(), 924);
        assert_eq!(half.ways(keys(&all)).len(), 924);
        assert!(role(&(0..64).collect::<Vec<_>>(), 32).most_ways() > MAX_WAYS);
        assert!(of(40, vec![role(&all, 6); 40]).most_ways() == u64::MAX);
    }
}
