//! A closure as the database claims it: a toplevel, and every path that it can reach by references.

use crate::claim::Claim;
use crate::store_path::StorePath;
use std::collections::VecDeque;
use thiserror::Error;

/// The place of a path in its closure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathIndex(u32);

impl PathIndex {
    /// Where the toplevel stands.
    pub const TOPLEVEL: Self = Self(0);

    /// The places in a list of one's own, which is no closure.
    pub fn of_a_list() -> impl Iterator<Item = Self> {
        (0..).map(Self)
    }

    /// The position among the closure's claims.
    #[must_use]
    pub fn position(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// A toplevel with everything that it refers to, directly or not.
#[derive(Debug)]
pub struct Closure {
    toplevel: StorePath,
    claims: Vec<Claim>,
    /// References of all paths, one path after the other; `starts` says where each path's begin.
    references: Vec<PathIndex>,
    starts: Vec<usize>,
    /// From which path each one was first reached from the toplevel, and in how many steps.
    reached_from: Vec<Option<(PathIndex, u32)>>,
    dangling: Vec<Dangling>,
}

/// A way from the toplevel to a path, by references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain<'a> {
    /// The toplevel, the path itself, and what lies between: all of it, or the part next to the path.
    pub paths: Vec<&'a StorePath>,
    /// How many paths were left out after the toplevel.
    pub omitted: u32,
}

/// A reference that leads to no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dangling {
    /// The path that refers.
    pub referrer: PathIndex,
    /// What it refers to instead of a path, escaped.
    pub target: String,
}

/// What was read from the database for a closure, before it is one.
#[derive(Debug, Default)]
pub struct ClosureParts {
    /// The rows; the toplevel's is the first. Empty when the toplevel has none.
    pub claims: Vec<Claim>,
    /// Pairs of referrer and reference, as positions in `claims`.
    pub references: Vec<(u32, u32)>,
    /// Pairs of referrer and what stands where its reference should be.
    pub dangling: Vec<(u32, String)>,
}

/// Why parts make no closure.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClosureError {
    /// The first row is about another path.
    #[error("the first path of the closure is not its toplevel")]
    WrongToplevel,
    /// A reference leads out of the rows.
    #[error("a reference leads to a row that was not read")]
    OutOfRange,
    /// There are rows that no reference leads to.
    #[error("{0} cannot be reached from the toplevel")]
    Unreachable(StorePath),
}

impl Closure {
    /// Puts a closure together.
    ///
    /// # Errors
    /// Parts that are not the closure of `toplevel`.
    pub fn new(toplevel: StorePath, mut parts: ClosureParts) -> Result<Self, ClosureError> {
        if parts.claims.first().is_some_and(|first| first.path != toplevel) {
            return Err(ClosureError::WrongToplevel);
        }
        let count = parts.claims.len();
        let index = |position: u32| {
            let index = PathIndex(position);
            (index.position() < count).then_some(index).ok_or(ClosureError::OutOfRange)
        };
        parts.references.sort_unstable();
        parts.references.dedup();
        let mut starts = Vec::with_capacity(count + 1);
        let mut references = Vec::with_capacity(parts.references.len());
        for (referrer, reference) in parts.references {
            let referrer = index(referrer)?;
            while starts.len() <= referrer.position() {
                starts.push(references.len());
            }
            references.push(index(reference)?);
        }
        starts.resize(count + 1, references.len());
        let dangling = parts.dangling.into_iter().map(|(referrer, target)| {
            index(referrer).map(|referrer| Dangling { referrer, target })
        });
        let dangling = dangling.collect::<Result<_, _>>()?;
        let mut closure = Self {
            toplevel,
            claims: parts.claims,
            references,
            starts,
            reached_from: Vec::new(),
            dangling,
        };
        closure.reached_from = closure.reach()?;
        Ok(closure)
    }

    /// Walks breadth first, so that every chain from the toplevel is one of the shortest.
    fn reach(&self) -> Result<Vec<Option<(PathIndex, u32)>>, ClosureError> {
        let mut seen = vec![false; self.claims.len()];
        let mut reached_from = vec![None; self.claims.len()];
        let mut queue = VecDeque::new();
        if let Some(first) = seen.first_mut() {
            *first = true;
            queue.push_back((PathIndex::TOPLEVEL, 0u32));
        }
        while let Some((referrer, steps)) = queue.pop_front() {
            for reference in self.references(referrer) {
                let position = reference.position();
                let (Some(seen), Some(from)) =
                    (seen.get_mut(position), reached_from.get_mut(position))
                else {
                    return Err(ClosureError::OutOfRange);
                };
                if !*seen {
                    *seen = true;
                    *from = Some((referrer, steps));
                    queue.push_back((*reference, steps.saturating_add(1)));
                }
            }
        }
        match seen.iter().zip(&self.claims).find(|(seen, _)| !**seen) {
            Some((_, claim)) => Err(ClosureError::Unreachable(claim.path.clone())),
            None => Ok(reached_from),
        }
    }

    /// The path that the closure is of.
    #[must_use]
    pub fn toplevel(&self) -> &StorePath {
        &self.toplevel
    }

    /// The claims with their indices, the toplevel's first; none where the toplevel is not registered.
    pub fn claims(&self) -> impl ExactSizeIterator<Item = (PathIndex, &Claim)> {
        self.claims.iter().enumerate().map(|(position, claim)| {
            (PathIndex(u32::try_from(position).unwrap_or(u32::MAX)), claim)
        })
    }

    /// The claim at `index`; `None` for an index of another closure.
    #[must_use]
    pub fn claim(&self, index: PathIndex) -> Option<&Claim> {
        self.claims.get(index.position())
    }

    /// What the path at `index` refers to, itself included where it does.
    #[must_use]
    pub fn references(&self, index: PathIndex) -> &[PathIndex] {
        let position = index.position();
        let range = self.starts.get(position).zip(self.starts.get(position + 1));
        range.and_then(|(start, end)| self.references.get(*start..*end)).unwrap_or_default()
    }

    /// The references that lead to no path.
    #[must_use]
    pub fn dangling(&self) -> &[Dangling] {
        &self.dangling
    }

    /// How many paths of a chain are kept: a hostile database may chain a million, and name each of them in
    /// a finding.
    pub const CHAIN: usize = 16;

    /// A shortest chain of references from the toplevel to the path at `index`.
    #[must_use]
    pub fn chain(&self, index: PathIndex) -> Chain<'_> {
        let mut paths = Vec::new();
        let mut omitted = 0;
        let mut next = Some(index);
        while let Some(index) = next {
            paths.extend(self.claim(index).map(|claim| &claim.path));
            let from = self.reached_from.get(index.position()).copied().flatten();
            next = match from {
                Some((_, steps)) if steps > 0 && paths.len() + 1 == Self::CHAIN => {
                    omitted = steps;
                    Some(PathIndex::TOPLEVEL)
                }
                from => from.map(|(referrer, _)| referrer),
            };
        }
        paths.reverse();
        Chain { paths, omitted }
    }
}

#[cfg(test)]
#[path = "closure_tests.rs"]
mod tests;
