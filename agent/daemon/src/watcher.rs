//! The watcher: whoever may read the store for the gate.
//!
//! It looks which store paths are toplevels and makes their entry points known, holds those shut that are not
//! admitted, reads the profile links again whenever something moved (an event is only a hint; a timer asks too),
//! sends new generations to be verified ahead, and moves rejected ones to where no boot loader looks.

mod links;
mod look;
mod marks;
mod vital;

pub use links::Memory;
pub use marks::Marks;
pub use vital::Vital;

use vital::Doubt;

use crate::audit::{Announce, Notice};
use crate::engine::{Queue, Urgency};
use crate::gate::{Ask, Loss, Scans, Settings};
use crate::generations::Link;
use crate::places::Places;
use crate::policy_cell::PolicyCell;
use crate::state::admissions::Admissions;
use crate::table::Table;
use narwarden_core::store_path::StorePath;
use rustix::fd::OwnedFd;
use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

/// How long to wait for other programs that hold a profile.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often to look when nothing happens.
const TICK: Duration = Duration::from_secs(30);

/// What the watcher works with.
#[derive(Debug)]
pub struct Watcher {
    /// Where everything is.
    pub places: Places,
    /// The directory of store paths.
    pub store: OwnedFd,
    /// What the gate knows.
    pub table: Table,
    /// What is to be verified.
    pub queue: Arc<Queue>,
    /// The groups and who is rung.
    pub marks: Marks,
    /// Which scans are done.
    pub scans: Arc<Scans>,
    /// What is pinned beside the rules.
    pub pinned: PolicyCell,
    /// What the gate may be told.
    pub settings: Arc<Settings>,
    /// Where events go.
    pub announce: Arc<dyn Announce>,
    /// The last listing, for those who look.
    pub links: Arc<RwLock<Vec<Link>>>,
    /// What the running system consists of.
    pub vital: Mutex<Vital>,
    /// What was said already of files that cannot be guarded.
    pub said: Mutex<BTreeSet<(String, String)>>,
    /// What was ever admitted.
    pub admissions: Arc<Mutex<Admissions>>,
    /// What is remembered of the links.
    pub memory: Mutex<Memory>,
}

/// Between two looks at what was made one, and how much longer than a look that is at least.
const RELINKED: Duration = Duration::from_secs(1);
const RESTS: u32 = 4;

impl Watcher {
    /// Watches until nobody is left to ask.
    pub fn run(&self, asks: &Receiver<Ask>) {
        self.recover();
        self.scan();
        let mut looked_around = Instant::now();
        let mut relinked = Relinked::default();
        let mut whole = self.look_at_the_store(asks);
        loop {
            if whole == Coverage::Whole {
                self.scans.all_is_known();
            }
            self.marks.ring();
            let patience = if self.scans.are_relinked() { relinked.pause() } else { TICK };
            match asks.recv_timeout(patience) {
                Ok(first) => self.answer(std::iter::once(first).chain(asks.try_iter().take(1024))),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let lost = self.scans.take_loss();
            if looked_around.elapsed() >= TICK || lost == Loss::Some {
                looked_around = Instant::now();
                self.doubt(relinked.doubt(lost));
                self.scan();
                if whole == Coverage::Part || lost == Loss::Some {
                    whole = self.look_at_the_store(asks);
                } else {
                    // Files may have been replaced by others of the same contents, as `nix store optimise` does.
                    let _ = self.look_at_all(self.table.looked_after().into_iter(), asks);
                }
            } else if self.scans.are_relinked() && relinked.pause().is_zero() {
                self.scans.forget_relinked();
                relinked.look(|| {
                    self.doubt(Doubt::Essential);
                    let _ = self.look_at_all(self.table.looked_after().into_iter(), asks);
                });
            }
        }
    }

    fn answer(&self, asks: impl Iterator<Item = Ask>) {
        let mut scan = false;
        let mut looked = BTreeSet::new();
        for ask in asks {
            match ask {
                Ask::Scan => scan = true,
                Ask::Overflowed => {
                    self.announce.notice(&Notice::Overflowed);
                    scan = true;
                }
                // Many may ask about the same one at once.
                Ask::Look(path) => {
                    if looked.insert(path.clone()) {
                        self.look_and_tell(path);
                    }
                }
                Ask::Appeared(path) => {
                    self.look(&path);
                }
                // Many may ask at once, and again while they wait.
                Ask::Shared(file, before) if self.table.looked_who_shares_since(file, before) => {}
                Ask::Shared(file, _) => self.look_who_shares(file),
                // It is noted, and the loop sees to it.
                Ask::Relinked => {}
                Ask::Decide(path) => self.queue.want(path, Urgency::Waited),
                Ask::Settled(path) => {
                    self.look(&path);
                    // What was proven with it is nobody's entry point any more.
                    for leading in self.table.leading() {
                        self.look(&leading);
                    }
                    scan = true;
                }
            }
        }
        if scan {
            self.scan();
        }
    }

    /// Every toplevel of the store, so that an interpreter cannot run one that no link leads to.
    fn look_at_the_store(&self, asks: &Receiver<Ask>) -> Coverage {
        let directory = self.places.location.store_directory();
        let names = match std::fs::read_dir(&directory) {
            Ok(names) => names,
            Err(error) => {
                let what = format!("cannot list {}: {error}", directory.display());
                self.announce.notice(&Notice::Failed { what });
                return Coverage::Part;
            }
        };
        let mut unread = Coverage::Whole;
        let paths = names.filter_map(|name| match name {
            Ok(name) => StorePath::from_base_name(name.file_name().to_str()?).ok(),
            Err(_) => {
                unread = Coverage::Part;
                None
            }
        });
        let looked = self.look_at_all(paths, asks);
        if unread == Coverage::Part { unread } else { looked }
    }

    /// Looks at each; who waits meanwhile is heard.
    fn look_at_all(
        &self,
        paths: impl Iterator<Item = StorePath>,
        asks: &Receiver<Ask>,
    ) -> Coverage {
        let mut coverage = Coverage::Whole;
        for path in paths {
            if self.look(&path).is_none() {
                coverage = Coverage::Part;
            }
            let waiting: Vec<Ask> = asks.try_iter().take(64).collect();
            if !waiting.is_empty() {
                self.answer(waiting.into_iter());
                self.marks.ring();
            }
        }
        coverage
    }
}

/// Looks at what may have become one file with something of the running system: soon, and not all the time, since
/// anybody may have a store optimised.
#[derive(Debug)]
struct Relinked {
    not_before: Option<Instant>,
    /// What has not been found out anew since.
    doubt: Doubt,
}

impl Default for Relinked {
    fn default() -> Self {
        Self { not_before: None, doubt: Doubt::Essential }
    }
}

impl Relinked {
    /// How long to wait for the next look.
    fn pause(&self) -> Duration {
        self.not_before.map_or(Duration::ZERO, |it| it.saturating_duration_since(Instant::now()))
    }

    /// What to find out anew when it is time to look around: a whole closure is walked for it, so only if there is a
    /// reason.
    fn doubt(&mut self, lost: Loss) -> Doubt {
        let doubt = std::mem::replace(&mut self.doubt, Doubt::Essential);
        match lost {
            Loss::None => doubt,
            Loss::Some => Doubt::Everything,
        }
    }

    fn look(&mut self, look: impl FnOnce()) {
        self.doubt = Doubt::Everything;
        let begin = Instant::now();
        look();
        let pause = RELINKED.max(begin.elapsed().saturating_mul(RESTS));
        self.not_before = Instant::now().checked_add(pause);
    }
}

/// How much of the store was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coverage {
    /// Every path.
    Whole,
    /// Not all: something could not be read.
    Part,
}
