//! The watcher: whoever may read the store for the gate.
//!
//! It looks which store paths are toplevels and makes their entry points known, holds those shut that are not
//! admitted, reads the profile links again whenever something moved (an event is only a hint; a timer asks too),
//! sends new generations to be verified ahead, and moves rejected ones to where no boot loader looks.

use crate::audit::{Announce, Notice};
use crate::engine::{Queue, Urgency};
use crate::entry_points::{self, EntryPoint, Role};
use crate::gate::{Ask, Scans};
use crate::generations::{self, Bootable, Link, Scan};
use crate::places::Places;
use crate::policy_cell::PolicyCell;
use crate::quarantine::{Quarantine, Rejection};
use crate::table::{Answer, Identity, Looked, Table};
use jiff::Timestamp;
use narwarden_core::policy::OnReject;
use narwarden_core::store_path::StorePath;
use narwarden_linux::fanotify::Group;
use narwarden_linux::wake::Wake;
use rustix::fd::{AsFd as _, OwnedFd};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

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
    /// Sees every execution.
    pub watch: Group,
    /// Sees every opening of what is not admitted.
    pub hold: Group,
    /// Rings the gate.
    pub wake: Arc<Wake>,
    /// Which scans are done.
    pub scans: Arc<Scans>,
    /// What is pinned beside the rules.
    pub pinned: PolicyCell,
    /// Where events go.
    pub announce: Arc<dyn Announce>,
    /// The last listing, for those who look.
    pub links: Arc<std::sync::RwLock<Vec<Link>>>,
}

impl Watcher {
    /// Watches until nobody is left to ask.
    pub fn run(&self, asks: &Receiver<Ask>) {
        self.scan();
        self.look_at_the_store();
        self.scans.all_is_known();
        self.wake.ring();
        loop {
            match asks.recv_timeout(TICK) {
                Ok(first) => {
                    let mut scan = false;
                    for ask in std::iter::once(first).chain(asks.try_iter().take(1024)) {
                        match ask {
                            Ask::Scan => scan = true,
                            Ask::Look(path) | Ask::Appeared(path) => self.look(&path),
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
                Err(RecvTimeoutError::Timeout) => self.scan(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.wake.ring();
        }
    }

    /// Every toplevel of the store, so that an interpreter cannot run one that no link leads to.
    fn look_at_the_store(&self) {
        let Ok(names) = std::fs::read_dir(self.places.location.store_directory()) else { return };
        for name in names.filter_map(Result::ok).filter_map(|it| it.file_name().into_string().ok())
        {
            if let Ok(path) = StorePath::from_base_name(&name) {
                self.look(&path);
            }
        }
    }

    /// Looks at one store path, and holds it shut if it is a toplevel without an admission.
    fn look(&self, path: &StorePath) {
        let found = match entry_points::role(&self.store, path.base_name()) {
            Ok(Role::Toplevel) => self.know(path),
            Ok(Role::SwitchProgram) => self.know_shared(path),
            Ok(Role::Other) => Looked::NoToplevel,
            Err(error) => {
                self.announce.notice(&Notice::MarksFailed { path, error: error.to_string() });
                // Whoever waits for it is denied at the deadline rather than let through.
                return;
            }
        };
        if found == Looked::NoToplevel {
            self.table.forget_path(path);
        }
        self.table.looked_at(path.clone(), found);
    }

    fn know(&self, toplevel: &StorePath) -> Looked {
        let surface = match entry_points::entry_points(&self.store, toplevel) {
            Ok(surface) => surface,
            Err(error) => {
                self.announce
                    .notice(&Notice::MarksFailed { path: toplevel, error: error.to_string() });
                return Looked::Toplevel;
            }
        };
        for shared in &surface.shared {
            if let Ok(file) = Identity::of(&shared.file) {
                self.table.know_shared(file);
                self.heed(toplevel, shared);
            }
        }
        for entry in &surface.entry_points {
            self.know_entry(toplevel, entry);
        }
        for specialisation in &surface.specialisations {
            self.table.cover(specialisation.clone(), toplevel.clone());
            if self.table.looked(specialisation).is_none() {
                self.look(specialisation);
            }
        }
        Looked::Toplevel
    }

    /// The program behind the entry points of toplevels, in a store path of its own.
    fn know_shared(&self, path: &StorePath) -> Looked {
        match entry_points::entry_points(&self.store, path) {
            Ok(surface) => {
                for program in surface.entry_points.iter().chain(&surface.shared) {
                    if let Ok(file) = Identity::of(&program.file) {
                        self.table.know_shared(file);
                        self.heed(path, program);
                    }
                }
            }
            Err(error) => {
                self.announce.notice(&Notice::MarksFailed { path, error: error.to_string() });
            }
        }
        Looked::Toplevel
    }

    fn know_entry(&self, toplevel: &StorePath, entry: &EntryPoint) {
        let Ok(file) = Identity::of(&entry.file) else { return };
        self.table.know_entry_point(file, toplevel.clone());
        self.heed(toplevel, entry);
        let owners = match self.table.role(file) {
            Some(crate::table::Role::EntryPoint(owners)) => owners,
            Some(crate::table::Role::Shared) | None => return,
        };
        let marked = match self.table.answer(&owners, Timestamp::now()) {
            Answer::Admitted => self.hold.release_file(entry.file.as_fd()),
            Answer::Denied(_) | Answer::Unknown => self.hold.hold_file(entry.file.as_fd()),
        };
        if let Err(error) = marked {
            self.announce.notice(&Notice::MarksFailed { path: toplevel, error: error.to_string() });
        }
    }

    fn heed(&self, toplevel: &StorePath, entry: &EntryPoint) {
        if let Err(error) = self.watch.heed_file(entry.file.as_fd()) {
            self.announce.notice(&Notice::MarksFailed { path: toplevel, error: error.to_string() });
        }
    }

    /// Reads the links, and draws all conclusions from them.
    fn scan(&self) {
        let number = self.scans.begin();
        self.table.look_again();
        let Scan { links, gaps } = generations::scan(&self.places);
        for toplevel in links.iter().filter_map(Link::store_path) {
            self.look(toplevel);
            let one = BTreeSet::from([toplevel.clone()]);
            if self.table.answer(&one, Timestamp::now()) == Answer::Unknown
                && !self.table.was_denied(toplevel)
            {
                self.queue.want(toplevel.clone(), Urgency::Ahead);
            }
        }
        let listed: BTreeSet<_> = links.iter().filter_map(Link::store_path).collect();
        self.queue.keep_ahead(|toplevel| listed.contains(toplevel));
        let scan = self.quarantine(Scan { links, gaps });
        self.table.set_obstacle(self.obstacle(&scan));
        *self.links.write().unwrap_or_else(std::sync::PoisonError::into_inner) = scan.links;
        self.scans.finish(number);
        self.wake.ring();
    }

    /// Moves denied links away, where the policy says so; gives the listing as it is then.
    fn quarantine(&self, scan: Scan) -> Scan {
        let Some(pinned) = self.pinned.get() else { return scan };
        if pinned.gate().on_reject != OnReject::Quarantine || self.pinned.observes() {
            return scan;
        }
        let quarantine = Quarantine::new(&self.places, pinned.grandfathered(), PATIENCE);
        let mut rejections = Vec::new();
        for link in &scan.links {
            let Some(toplevel) = link.store_path() else { continue };
            let Some(reason) = self.table.denial(toplevel) else { continue };
            match quarantine.stays(link) {
                Ok(true) => {}
                Ok(false) => rejections.push(Rejection { link: link.clone(), reason }),
                Err(error) => self.announce.notice(&Notice::Failed { what: error.to_string() }),
            }
        }
        if rejections.is_empty() {
            return scan;
        }
        let last = self.table.last_admitted(scan.links.iter().filter_map(Link::store_path));
        match quarantine.reject(&rejections, last.as_ref(), Timestamp::now()) {
            Ok(moved) => {
                for record in &moved.records {
                    self.announce.notice(&Notice::Quarantined { record });
                }
                for (profile, error) in &moved.failures {
                    let what = format!("{profile}: {error}");
                    self.announce.notice(&Notice::Failed { what });
                }
            }
            Err(error) => self.announce.notice(&Notice::Failed { what: error.to_string() }),
        }
        generations::scan(&self.places)
    }

    /// Why nothing may be made bootable now.
    fn obstacle(&self, scan: &Scan) -> Option<String> {
        let pinned = self.pinned.get()?;
        let quarantine = Quarantine::new(&self.places, pinned.grandfathered(), PATIENCE);
        let now = Timestamp::now();
        let fine = |link: &Link| {
            let admitted = link.store_path().is_some_and(|toplevel| {
                self.table.answer(&BTreeSet::from([toplevel.clone()]), now) == Answer::Admitted
                    || self.table.was_admitted(toplevel)
            });
            admitted || quarantine.stays(link).unwrap_or(false)
        };
        match scan.bootable(fine) {
            Bootable::AdmittedOnly => None,
            Bootable::Unadmitted(links) => {
                let names: Vec<_> =
                    links.iter().take(3).map(|link| link.path.display().to_string()).collect();
                let names = names.join(", ");
                Some(format!(
                    "{names} is not admitted and would get a boot entry: narwarden status"
                ))
            }
            Bootable::Unknown(gap) => Some(gap.to_string()),
        }
    }
}
