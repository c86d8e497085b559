//! The admission table: what the gate knows.
//!
//! Files are known by inode, toplevels by what was decided about them. There is no key here, no policy and no
//! database: only [`Admission`](narwarden_core::verdict::Admission)s, which nothing but a verdict can make, and the
//! digests of the rules that hold. Every lock is held for the time of a lookup; nobody waits for anything while
//! holding it.

mod closures;
mod decided;
mod identity;
mod sharing;
mod standing;

pub use decided::{Begun, Denial};
pub use identity::{ByPath, Identity, Known, Looked, Role, Shared};
pub use standing::{Answer, RulesInForce, Standing};

use closures::Closures;
use jiff::Timestamp;
use narwarden_core::store_path::StorePath;
use narwarden_linux::file_id::FileId;
use narwarden_store::agent::Asked;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many answers to "is this a toplevel?" are kept for those who asked.
const MOST_LOOKED: usize = 1 << 10;

/// Why nothing may be made bootable now: another generation would be with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It is still being judged.
    Pending(Arc<str>),
    /// It was refused, or cannot be told.
    Standing(Arc<str>),
}

#[derive(Debug, Default)]
struct Inner {
    rules: Option<RulesInForce>,
    /// Whether generations must bring the daemon's unit, by what runs.
    agent: Option<Asked>,
    /// Rises when everything that was decided is forgotten.
    epoch: u64,
    toplevels: HashMap<StorePath, Standing>,
    files: HashMap<Identity, Role>,
    /// The reverse of the entry points in `files`.
    owned: HashMap<StorePath, BTreeSet<Identity>>,
    /// Toplevels, and the admitted ones whose closure they were proven with.
    covered: HashMap<StorePath, BTreeSet<StorePath>>,
    closures: Closures,
    /// Toplevels with entry points that lie in other store paths.
    leading: BTreeSet<StorePath>,
    /// Store paths that hold the program behind the entry points of many, and nothing else.
    programs: BTreeSet<StorePath>,
    /// Programs that can be given the shared program to run: its ELF interpreters.
    loaders: BTreeSet<FileId>,
    /// Toplevels of which not everything that activates could be told.
    flaws: HashMap<StorePath, Arc<str>>,
    /// What store paths turned out to be, and the number of the look that found it.
    looked: HashMap<StorePath, (Looked, u64)>,
    /// Files of which it was found out whether the running system has them, and the number of that look.
    sharing: HashMap<Identity, u64>,
    looks: u64,
    obstacle: Option<Obstacle>,
}

impl Inner {
    fn answer(&self, toplevel: &StorePath, now: Timestamp) -> Answer {
        if let Some(flaw) = self.flaws.get(toplevel) {
            return Answer::Denied(Arc::clone(flaw));
        }
        let standing = self.toplevels.get(toplevel);
        standing.map_or(Answer::Unknown, |standing| standing.answer(toplevel, self.rules, now))
    }

    /// What a covering toplevel lacks says nothing about this one; a flaw is its own.
    fn answer_with_covering(&self, toplevel: &StorePath, now: Timestamp) -> Answer {
        let own = self.answer(toplevel, now);
        let mut covering = self.covered.get(toplevel).into_iter().flatten();
        let is_covered = !self.flaws.contains_key(toplevel)
            && covering.any(|it| self.answer(it, now) == Answer::Admitted);
        if is_covered { Answer::Admitted } else { own }
    }

    fn forget_all(&mut self) {
        self.epoch += 1;
        self.toplevels.clear();
        self.covered.clear();
        self.closures.clear();
    }

    fn forget(&mut self, toplevel: &StorePath) {
        self.toplevels.remove(toplevel);
        self.closures.remove(toplevel);
        self.covered.retain(|_, covering| {
            covering.remove(toplevel);
            !covering.is_empty()
        });
    }
}

/// The table, shared by those who fill it and the gate.
#[derive(Clone, Debug, Default)]
pub struct Table(Arc<Mutex<Inner>>);

impl Table {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked between two statements here left nothing that admits more than before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts rules in force. What was decided by others no longer holds.
    pub fn put_in_force(&self, rules: RulesInForce) {
        let mut inner = self.lock();
        if inner.rules != Some(rules) {
            inner.rules = Some(rules);
            inner.forget_all();
        }
    }

    /// Notes whether what runs asks for the daemon's unit. What was decided while it was otherwise no longer holds.
    pub fn put_asked(&self, asked: Asked) {
        // For a moment it could not be told: whoever judges in it finds out for themselves, and denies.
        if matches!(asked, Asked::Unknown(_)) {
            return;
        }
        let mut inner = self.lock();
        if inner.agent.as_ref() != Some(&asked) {
            inner.agent = Some(asked);
            inner.forget_all();
        }
    }

    /// The rules in force, if there are any.
    #[must_use]
    pub fn rules(&self) -> Option<RulesInForce> {
        self.lock().rules
    }

    /// Makes an entry point of `toplevel` known. One that was not there when the toplevel was admitted is not what
    /// was admitted: it is decided afresh.
    pub fn know_entry_point(&self, file: Identity, toplevel: StorePath, known: Known) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let role = inner.files.entry(file).or_default();
        let (set, other) = match known {
            Known::ByInode => (&mut role.owners, &mut role.meant),
            Known::ByPath => (&mut role.meant, &mut role.owners),
        };
        let moved = Arc::make_mut(other).remove(&toplevel);
        if !Arc::make_mut(set).insert(toplevel.clone()) || moved {
            return;
        }
        for admitted in inner.covered.remove(&toplevel).into_iter().flatten() {
            inner.forget(&admitted);
        }
        if matches!(inner.toplevels.get(&toplevel), Some(Standing::Admitted { .. })) {
            inner.forget(&toplevel);
        }
        inner.owned.entry(toplevel).or_default().insert(file);
    }

    /// The file is no entry point of `toplevel` after all: it is a part of what was admitted or runs.
    pub fn disown(&self, file: Identity, toplevel: &StorePath) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        if let Some(role) = inner.files.get_mut(&file) {
            Arc::make_mut(&mut role.owners).remove(toplevel);
            Arc::make_mut(&mut role.meant).remove(toplevel);
            if role.is_none() {
                inner.files.remove(&file);
            }
        }
        // The toplevel stays known, with no file that it owns.
        inner.owned.entry(toplevel.clone()).or_default().remove(&file);
    }

    /// Notes that entry points of `toplevel` lie in other store paths.
    pub fn leads_elsewhere(&self, toplevel: &StorePath) {
        self.lock().leading.insert(toplevel.clone());
    }

    /// The toplevels of which that was noted.
    #[must_use]
    pub fn leading(&self) -> Vec<StorePath> {
        self.lock().leading.iter().cloned().collect()
    }

    /// Whether the path is in the closure of something admitted: its files are what was signed.
    #[must_use]
    pub fn is_in_admitted_closure(&self, path: &StorePath) -> bool {
        self.lock().closures.contain(path)
    }

    /// Notes that not everything that activates a toplevel could be told, or that by now it can: until then it is
    /// refused, whatever vouches for it.
    pub fn set_flaw(&self, toplevel: &StorePath, flaw: Option<String>) {
        let mut inner = self.lock();
        match flaw {
            Some(flaw) => {
                inner.flaws.insert(toplevel.clone(), flaw.into());
                if matches!(inner.toplevels.get(toplevel), Some(Standing::Admitted { .. })) {
                    inner.forget(toplevel);
                }
            }
            None => {
                inner.flaws.remove(toplevel);
            }
        }
    }

    /// Whether the program is one that the shared program can be given to.
    #[must_use]
    pub fn is_loader(&self, program: FileId) -> bool {
        self.lock().loaders.contains(&program)
    }

    /// What the file is, if it is one that activates.
    #[must_use]
    pub fn role(&self, file: Identity) -> Option<Role> {
        self.lock().files.get(&file).cloned()
    }

    /// Forgets a toplevel that is gone, with its files. What was decided about a path that never was one stays, lest it
    /// be decided again and again.
    pub fn forget_path(&self, toplevel: &StorePath) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let Some(files) = inner.owned.remove(toplevel) else { return };
        inner.forget(toplevel);
        inner.covered.remove(toplevel);
        inner.flaws.remove(toplevel);
        inner.leading.remove(toplevel);
        for file in files {
            if let Some(role) = inner.files.get_mut(&file) {
                Arc::make_mut(&mut role.owners).remove(toplevel);
                Arc::make_mut(&mut role.meant).remove(toplevel);
                if role.is_none() {
                    inner.files.remove(&file);
                }
            }
        }
    }

    /// How many files are asked about each time that somebody opens them.
    #[must_use]
    pub fn held(&self, now: Timestamp) -> usize {
        let inner = self.lock();
        let is_held = |role: &&Role| {
            let mut owners = role.owners.iter();
            role.shared.is_some()
                || !role.owners.is_empty()
                    && owners
                        .all(|owner| inner.answer_with_covering(owner, now) != Answer::Admitted)
        };
        inner.files.values().filter(is_held).count()
    }

    /// Whether entry points of the store path are known.
    #[must_use]
    pub fn is_known(&self, path: &StorePath) -> bool {
        self.lock().owned.contains_key(path)
    }

    /// Forgets what was decided, so that it is decided afresh.
    pub fn forget(&self, toplevel: &StorePath) {
        self.lock().forget(toplevel);
    }

    /// Forgets what was decided of every toplevel that was admitted with one of `paths` in its closure, so that it is
    /// decided afresh; which these are. What is being decided meanwhile is worth nothing.
    pub fn forget_containing<'a>(
        &self,
        paths: impl Iterator<Item = &'a StorePath>,
    ) -> BTreeSet<StorePath> {
        let mut inner = self.lock();
        inner.epoch += 1;
        let affected: BTreeSet<StorePath> =
            paths.flat_map(|path| inner.closures.toplevels_with(path)).collect();
        for toplevel in &affected {
            inner.forget(toplevel);
        }
        affected
    }

    /// Forgets everything that was decided: the clock was set, and it may have been wrong before.
    pub fn forget_all(&self) {
        self.lock().forget_all();
    }

    /// The number of a look that begins now; what an earlier one found may have changed since.
    #[must_use]
    pub fn begin_look(&self) -> u64 {
        let mut inner = self.lock();
        inner.looks += 1;
        inner.looks
    }

    /// Notes what the look `number` found a store path to be.
    pub fn looked_at(&self, path: StorePath, found: Looked, number: u64) {
        let mut inner = self.lock();
        // What falls out is looked at again.
        if inner.looked.len() >= MOST_LOOKED {
            inner.looked.clear();
        }
        inner.looked.insert(path, (found, number));
    }

    /// What a store path turned out to be, if somebody looked after `number` was given out. A path that is being
    /// written is no toplevel until it is one.
    #[must_use]
    pub fn looked_since(&self, path: &StorePath, number: u64) -> Option<Looked> {
        let inner = self.lock();
        inner.looked.get(path).filter(|(_, at)| *at > number).map(|(found, _)| *found)
    }

    /// Says what stands in the way of making any generation bootable, or that nothing does.
    pub fn set_obstacle(&self, obstacle: Option<Obstacle>) {
        self.lock().obstacle = obstacle;
    }

    /// What stands in the way of making any generation bootable.
    #[must_use]
    pub fn obstacle(&self) -> Option<Obstacle> {
        self.lock().obstacle.clone()
    }

    /// The answer to a request for any of `toplevels`, which share a file, at `now`.
    #[must_use]
    pub fn answer(&self, toplevels: &BTreeSet<StorePath>, now: Timestamp) -> Answer {
        let inner = self.lock();
        if inner.rules.is_none() {
            return Answer::Denied("no rules are in force: narwarden enroll --pin".into());
        }
        let mut answer = Answer::Unknown;
        let mut unknown = toplevels.is_empty();
        for toplevel in toplevels {
            match inner.answer_with_covering(toplevel, now) {
                Answer::Admitted => return Answer::Admitted,
                denied @ Answer::Denied(_) => answer = denied,
                Answer::Unknown => unknown = true,
            }
        }
        if unknown { Answer::Unknown } else { answer }
    }

    /// The first of `toplevels` that nothing is known of.
    #[must_use]
    pub fn undecided(&self, toplevels: &BTreeSet<StorePath>, now: Timestamp) -> Option<StorePath> {
        let inner = self.lock();
        let mut unknown =
            toplevels.iter().filter(|it| inner.answer_with_covering(it, now) == Answer::Unknown);
        unknown.next().cloned()
    }
}
