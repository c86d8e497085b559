//! The closures of what was admitted: paths whose files are what was signed, and nobody's entry points but their own.

use narwarden_core::store_path::StorePath;
use std::collections::{HashSet, VecDeque};

/// How many closures are kept; of a closure of a thousand paths, some hundred kilobytes.
const MOST: usize = 64;

/// The store paths of a closure, by their whole names: whoever writes to a store can make another path with the hash
/// part of one.
#[derive(Clone, Debug, Default)]
pub(super) struct Closure(HashSet<StorePath>);

impl Closure {
    pub(super) fn of<'a>(paths: impl Iterator<Item = &'a StorePath>) -> Self {
        Self(paths.cloned().collect())
    }
}

/// Those of the last admissions.
#[derive(Debug, Default)]
pub(super) struct Closures(VecDeque<(StorePath, Closure)>);

impl Closures {
    pub(super) fn insert(&mut self, toplevel: StorePath, closure: Closure) {
        self.remove(&toplevel);
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((toplevel, closure));
    }

    pub(super) fn remove(&mut self, toplevel: &StorePath) {
        self.0.retain(|(other, _)| other != toplevel);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The toplevels whose closure holds the path.
    pub(super) fn toplevels_with(&self, path: &StorePath) -> Vec<StorePath> {
        let with = self.0.iter().filter(|(_, closure)| closure.0.contains(path));
        with.map(|(toplevel, _)| toplevel.clone()).collect()
    }

    pub(super) fn contain(&self, path: &StorePath) -> bool {
        self.0.iter().any(|(_, closure)| closure.0.contains(path))
    }
}
