//! Files that are more than one thing: the program behind many entry points, and what `nix store optimise` made one.

use super::{ByPath, Identity, MOST_LOOKED, Shared, Table};
use narwarden_core::store_path::StorePath;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Table {
    /// Makes the program that entry points lead to known, which is all that `path` holds.
    pub fn know_shared(&self, path: StorePath, file: Identity, shared: Shared) {
        let mut inner = self.lock();
        inner.programs.insert(path);
        inner.files.entry(file).or_default().shared = Some(shared);
        match shared {
            Shared::Program(loader) => inner.loaders.extend(loader),
            Shared::Script => {}
        }
    }

    /// The file is a program that the running system cannot do without, and no other.
    pub fn is_not_shared(&self, file: Identity) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        if let Some(role) = inner.files.get_mut(&file) {
            role.shared = None;
            if role.is_none() {
                inner.files.remove(&file);
            }
        }
    }

    /// The store path is gone, or holds none. What its program was stays: it may have other names.
    pub fn forget_program(&self, path: &StorePath) {
        self.lock().programs.remove(path);
    }

    /// The store paths that hold such programs.
    #[must_use]
    pub fn programs(&self) -> BTreeSet<StorePath> {
        self.lock().programs.clone()
    }

    /// The store paths with files that are held, or may be: entry points, and the program behind them.
    #[must_use]
    pub fn looked_after(&self) -> BTreeSet<StorePath> {
        let inner = self.lock();
        inner.owned.keys().chain(&inner.programs).cloned().collect()
    }

    /// The file is one of the running system's too: it activates these toplevels where the path says so, and no more.
    pub fn mean_by_path(&self, file: Identity, which: ByPath) -> BTreeSet<StorePath> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let Some(role) = inner.files.get_mut(&file) else { return BTreeSet::new() };
        let (moved, kept) = role.owners.iter().cloned().partition(|it| match which {
            ByPath::All => true,
            ByPath::OwnFiles => !inner.leading.contains(it),
        });
        role.owners = Arc::new(kept);
        Arc::make_mut(&mut role.meant).extend(BTreeSet::iter(&moved).cloned());
        moved
    }

    /// Notes that the look `number` found out whether the running system has the file.
    pub fn looked_who_shares(&self, file: Identity, number: u64) {
        let mut inner = self.lock();
        if inner.sharing.len() >= MOST_LOOKED {
            inner.sharing.clear();
        }
        inner.sharing.insert(file, number);
    }

    /// Whether somebody found that out after `number` was given out.
    #[must_use]
    pub fn looked_who_shares_since(&self, file: Identity, number: u64) -> bool {
        self.lock().sharing.get(&file).is_some_and(|at| *at > number)
    }
}
