//! The admission table: what the gate knows.
//!
//! Files are known by inode, toplevels by what was decided about them. There is no key here, no policy and no
//! database: only [`Admission`]s, which nothing but a verdict can make, and the digests of the rules that hold.
//! Every lock is held for the time of a lookup; nobody waits for anything while holding it.

use jiff::{SignedDuration, Timestamp};
use narwarden_core::reason::Reason;
use narwarden_core::store_path::StorePath;
use narwarden_core::trust::RulesDigest;
use narwarden_core::verdict::Admission;
use narwarden_linux::file_id::FileId;
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, StatxFlags, statx};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// Nothing yet; somebody is at it.
    Pending,
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

/// A file, by what it will never share with another one: the number of an inode is used again when the file is
/// gone, the moment of its birth is not (statx(2), `STATX_BTIME`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    file: FileId,
    born: Option<(i64, u32)>,
}

impl Identity {
    /// The identity of an open file.
    ///
    /// # Errors
    /// What the system says of it.
    pub fn of(file: impl AsFd) -> io::Result<Self> {
        let found = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::BTIME)?;
        let known = found.stx_mask & StatxFlags::BTIME.bits() != 0;
        let born = known.then_some((found.stx_btime.tv_sec, found.stx_btime.tv_nsec));
        Ok(Self { file: FileId::of(file)?, born })
    }
}

/// What a file that activates is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// An entry point of these toplevels. There are several where `nix store optimise` gave equal files one
    /// inode; then they are the same program, and it may run if one of them may.
    EntryPoint(BTreeSet<StorePath>),
    /// The program that the entry points of many toplevels lead to.
    Shared,
}

/// What a store path turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// A toplevel; its entry points are known.
    Toplevel,
    /// Something else.
    NoToplevel,
}

const MOST_LOOKED: usize = 1 << 16;

#[derive(Debug, Default)]
struct Inner {
    looked: HashMap<StorePath, Looked>,
    rules: Option<RulesInForce>,
    toplevels: HashMap<StorePath, Standing>,
    files: HashMap<Identity, Role>,
    /// Specialisations, and the toplevels whose closure holds them.
    covered: HashMap<StorePath, BTreeSet<StorePath>>,
    /// Why no generation may be made bootable now: another one, unadmitted, would be with it.
    obstacle: Option<Arc<str>>,
}

impl Inner {
    fn answer(&self, toplevel: &StorePath, now: Timestamp) -> Answer {
        match self.toplevels.get(toplevel) {
            None | Some(Standing::Pending) => Answer::Unknown,
            // What was wrong may have been put right: signed, fetched again, made readable.
            Some(Standing::Denied { decided, .. }) if !is_young(*decided, now) => Answer::Unknown,
            Some(Standing::Denied { detail, .. }) => Answer::Denied(Arc::from(detail.as_str())),
            Some(Standing::Admitted { admission, until }) => {
                match self.rules.filter(|rules| holds(admission, *until, toplevel, *rules, now)) {
                    Some(_) => Answer::Admitted,
                    None => Answer::Unknown,
                }
            }
        }
    }
}

/// The table, shared by those who fill it and the gate.
#[derive(Clone, Debug, Default)]
pub struct Table(Arc<Mutex<Inner>>);

impl Table {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked between two statements here left nothing half done: each is one insertion.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts rules in force. What was decided by others no longer holds.
    pub fn put_in_force(&self, rules: RulesInForce) {
        let mut inner = self.lock();
        if inner.rules != Some(rules) {
            inner.rules = Some(rules);
            inner.toplevels.clear();
        }
    }

    /// The rules in force, if there are any.
    #[must_use]
    pub fn rules(&self) -> Option<RulesInForce> {
        self.lock().rules
    }

    /// Makes an entry point of `toplevel` known. One that was not there when the toplevel was admitted is not what
    /// was admitted: it is decided afresh.
    pub fn know_entry_point(&self, file: Identity, toplevel: StorePath) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let new = match inner.files.entry(file).or_insert_with(|| Role::EntryPoint(BTreeSet::new()))
        {
            Role::EntryPoint(toplevels) => toplevels.insert(toplevel.clone()),
            // What is shared by all belongs to none.
            Role::Shared => false,
        };
        if new {
            let covering = inner.covered.get(&toplevel).into_iter().flatten();
            for changed in std::iter::once(&toplevel).chain(covering) {
                if matches!(inner.toplevels.get(changed), Some(Standing::Admitted { .. })) {
                    inner.toplevels.remove(changed);
                }
            }
        }
    }

    /// Makes the program that entry points lead to known.
    pub fn know_shared(&self, file: Identity) {
        self.lock().files.insert(file, Role::Shared);
    }

    /// `toplevel` holds `specialisation` in its closure, so an admission of the one covers the other.
    pub fn cover(&self, specialisation: StorePath, toplevel: StorePath) {
        self.lock().covered.entry(specialisation).or_default().insert(toplevel);
    }

    /// What the file is, if it is one that activates.
    #[must_use]
    pub fn role(&self, file: Identity) -> Option<Role> {
        self.lock().files.get(&file).cloned()
    }

    /// Forgets a toplevel that is gone, with its files.
    pub fn forget_path(&self, toplevel: &StorePath) {
        let mut inner = self.lock();
        inner.toplevels.remove(toplevel);
        inner.looked.remove(toplevel);
        inner.covered.remove(toplevel);
        inner.files.retain(|_, role| match role {
            Role::Shared => true,
            Role::EntryPoint(toplevels) => {
                toplevels.remove(toplevel);
                !toplevels.is_empty()
            }
        });
    }

    /// How many files are known.
    #[must_use]
    pub fn files(&self) -> usize {
        self.lock().files.len()
    }

    /// Enters what was decided by `rules`; by others than those in force, it is worth nothing any more.
    pub fn decide(&self, rules: RulesInForce, toplevel: StorePath, standing: Standing) {
        let mut inner = self.lock();
        if inner.rules == Some(rules) {
            inner.toplevels.insert(toplevel, standing);
        }
    }

    /// Forgets what was decided, so that it is decided afresh.
    pub fn forget(&self, toplevel: &StorePath) {
        self.lock().toplevels.remove(toplevel);
    }

    /// Forgets everything that was decided: the clock was moved.
    pub fn forget_all(&self) {
        self.lock().toplevels.clear();
    }

    /// Notes what a store path turned out to be when its files were looked at.
    pub fn looked_at(&self, path: StorePath, found: Looked) {
        let mut inner = self.lock();
        // A cache: what falls out is looked at again.
        if inner.looked.len() >= MOST_LOOKED {
            inner.looked.clear();
        }
        inner.looked.insert(path, found);
    }

    /// What a store path turned out to be, if somebody looked.
    #[must_use]
    pub fn looked(&self, path: &StorePath) -> Option<Looked> {
        self.lock().looked.get(path).copied()
    }

    /// Forgets what store paths turned out to be: they may have been replaced.
    pub fn look_again(&self) {
        self.lock().looked.clear();
    }

    /// Says what stands in the way of making any generation bootable, or that nothing does.
    pub fn set_obstacle(&self, obstacle: Option<String>) {
        self.lock().obstacle = obstacle.map(Arc::from);
    }

    /// What stands in the way of making any generation bootable.
    #[must_use]
    pub fn obstacle(&self) -> Option<Arc<str>> {
        self.lock().obstacle.clone()
    }

    /// The answer to a request for any of `toplevels`, which share a file, at `now`.
    #[must_use]
    pub fn answer(&self, toplevels: &BTreeSet<StorePath>, now: Timestamp) -> Answer {
        let inner = self.lock();
        if inner.rules.is_none() {
            return Answer::Denied("no rules are in force: narwarden enroll --pin".into());
        }
        let mut denied = None;
        let mut unknown = toplevels.is_empty();
        for toplevel in toplevels {
            let covering = inner.covered.get(toplevel).into_iter().flatten();
            for candidate in std::iter::once(toplevel).chain(covering) {
                match inner.answer(candidate, now) {
                    Answer::Admitted => return Answer::Admitted,
                    Answer::Denied(why) if candidate == toplevel => denied = Some(why),
                    // What a covering toplevel lacks says nothing about this one.
                    Answer::Denied(_) => {}
                    Answer::Unknown => unknown |= candidate == toplevel,
                }
            }
        }
        match denied {
            Some(why) if !unknown => Answer::Denied(why),
            Some(_) | None => Answer::Unknown,
        }
    }

    /// Why the toplevel was denied, if it was.
    #[must_use]
    pub fn denial(&self, toplevel: &StorePath) -> Option<String> {
        match self.lock().toplevels.get(toplevel) {
            // What could not be found out is no reason to take a generation away.
            Some(Standing::Denied { reason, detail, .. }) if !reason.is_unknown() => {
                Some(detail.clone())
            }
            Some(Standing::Denied { .. } | Standing::Pending | Standing::Admitted { .. })
            | None => None,
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

    /// The one of `candidates` that was admitted last.
    pub fn last_admitted<'a>(
        &self,
        candidates: impl Iterator<Item = &'a StorePath>,
    ) -> Option<StorePath> {
        let inner = self.lock();
        let admitted = candidates.filter_map(|toplevel| match inner.toplevels.get(toplevel) {
            Some(Standing::Admitted { admission, .. }) => Some((admission.decided(), toplevel)),
            Some(Standing::Pending | Standing::Denied { .. }) | None => None,
        });
        admitted.max().map(|(_, toplevel)| toplevel.clone())
    }

    /// What is known of every toplevel, for those who look.
    pub fn for_each(&self, mut look: impl FnMut(&StorePath, &Standing)) {
        let inner = self.lock();
        inner.toplevels.iter().for_each(|(toplevel, standing)| look(toplevel, standing));
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
