//! The closures of what was admitted: paths whose files are what was signed, and nobody's entry points but their own.

use narwarden_core::store_path::StorePath;
use std::collections::{HashSet, VecDeque};

/// How many closures are kept; of a closure of a thousand paths, some forty kilobytes.
const MOST: usize = 64;

/// The hash parts of the store paths of a closure.
#[derive(Clone, Debug, Default)]
pub(super) struct Closure(HashSet<[u8; 32]>);

impl Closure {
    pub(super) fn of<'a>(paths: impl Iterator<Item = &'a StorePath>) -> Self {
        Self(paths.filter_map(hash_part).collect())
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
        let Some(hash) = hash_part(path) else { return Vec::new() };
        let with = self.0.iter().filter(|(_, closure)| closure.0.contains(&hash));
        with.map(|(toplevel, _)| toplevel.clone()).collect()
    }

    pub(super) fn contain(&self, path: &StorePath) -> bool {
        hash_part(path).is_some_and(|hash| self.0.iter().any(|(_, it)| it.0.contains(&hash)))
    }
}

/// The part of the name that no two store paths share.
fn hash_part(path: &StorePath) -> Option<[u8; 32]> {
    path.base_name().as_bytes().first_chunk().copied()
}
