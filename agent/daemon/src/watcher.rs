//! The watcher: whoever may read the store for the gate.
//!
//! It looks which store paths are toplevels and makes their entry points known, holds those shut that are not
//! admitted, reads the profile links again whenever something moved (an event is only a hint; a timer asks too),
//! sends new generations to be verified ahead, and moves rejected ones to where no boot loader looks.

mod links;
mod look;
mod marks;

pub use links::Memory;
pub use marks::Marks;

use crate::audit::{Announce, Notice};
use crate::engine::{Queue, Urgency};
use crate::gate::{Ask, Scans, Settings};
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
    /// What was said already of files that cannot be guarded.
    pub said: Mutex<BTreeSet<(StorePath, String)>>,
    /// What was ever admitted.
    pub admissions: Arc<Mutex<Admissions>>,
    /// What is remembered of the links.
    pub memory: Mutex<Memory>,
}

impl Watcher {
    /// Watches until nobody is left to ask.
    pub fn run(&self, asks: &Receiver<Ask>) {
        self.marks.look_for_essential(&self.places, &self.store);
        self.recover();
        self.scan();
        self.look_at_the_store(asks);
        self.scans.all_is_known();
        self.marks.ring();
        let mut looked_around = Instant::now();
        loop {
            match asks.recv_timeout(TICK) {
                Ok(first) => self.answer(std::iter::once(first).chain(asks.try_iter().take(1024))),
                Err(RecvTimeoutError::Timeout) => self.scan(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if looked_around.elapsed() >= TICK {
                looked_around = Instant::now();
                // Files may have been replaced by others of the same contents, as `nix store optimise` does.
                self.marks.look_for_essential(&self.places, &self.store);
                for path in self.table.known_toplevels() {
                    self.look(&path);
                }
            }
            self.marks.ring();
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
                Ask::Decide(path) => self.queue.want(path, Urgency::Waited),
                Ask::Settled(path) => {
                    self.look(&path);
                    scan = true;
                }
            }
        }
        if scan {
            self.scan();
        }
    }

    /// Every toplevel of the store, so that an interpreter cannot run one that no link leads to. Who waits meanwhile
    /// is heard.
    fn look_at_the_store(&self, asks: &Receiver<Ask>) {
        let directory = self.places.location.store_directory();
        let names = match std::fs::read_dir(&directory) {
            Ok(names) => names,
            Err(error) => {
                let what = format!("cannot list {}: {error}", directory.display());
                return self.announce.notice(&Notice::Failed { what });
            }
        };
        for name in names.filter_map(Result::ok).filter_map(|it| it.file_name().into_string().ok())
        {
            if let Ok(path) = StorePath::from_base_name(&name) {
                self.look(&path);
            }
            let waiting: Vec<Ask> = asks.try_iter().take(64).collect();
            if !waiting.is_empty() {
                self.answer(waiting.into_iter());
                self.marks.ring();
            }
        }
    }
}
