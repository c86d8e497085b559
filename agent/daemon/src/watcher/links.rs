//! What the profile links say: what to verify ahead, what to move into quarantine, what stands in the way.
//!
//! What was admitted once stays where it is when nothing but the time or the rules speak against it, and what runs
//! stays in any case: nothing new is admitted, and what runs keeps running. Neither is in anybody's way, since what
//! would replace it could never be activated then.

mod memory;
mod view;

pub use memory::Memory;

use super::{PATIENCE, Watcher};
use crate::audit::Notice;
use crate::engine::Urgency;
use crate::generations::{self, Bootable, Link, Scan};
use crate::quarantine::{Moved, Quarantine, Rejection, Restorable, Staying};
use crate::state::pinned::Pinned;
use crate::table::Obstacle;
use jiff::Timestamp;
use narwarden_core::event::{Action, Event, EventKind, Field};
use narwarden_core::policy::OnReject;
use narwarden_linux::file_id::FileId;
use narwarden_store::agent::asked;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};
use view::{Judged, Place, View, views};

/// What reads entry points and never runs them, where NixOS has it: Nix, and the operator's own tool, which is what a
/// refusal sends them to.
const READERS: [&str; 3] = [
    "/run/current-system/sw/bin/nix",
    "/nix/var/nix/profiles/default/bin/nix",
    "/run/current-system/sw/bin/narwarden",
];

/// How many links of those that stand in the way are named.
const NAMED: usize = 3;

/// Whether the links are others than they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Links {
    Changed,
    Same,
}

impl Watcher {
    /// Reads the links, and draws all conclusions from them.
    pub(super) fn scan(&self) {
        let number = self.scans.begin();
        self.table.put_asked(asked(&self.places.location));
        let pinned = self.pinned.get();
        self.settings.set_readers(self.readers(pinned.as_deref()));
        let mut scan = generations::scan(&self.places);
        self.look_at_links(&scan);
        if let Some(pinned) = pinned.as_deref() {
            let quarantine = self.quarantine(pinned);
            let obstacle = match quarantine.staying() {
                Ok(staying) => {
                    let (views, restorable) = self.views(&scan, &quarantine, &staying);
                    match self.conclude(&scan, &views, &restorable, pinned, &quarantine) {
                        Links::Same => self.obstacle(&scan, &views),
                        Links::Changed => {
                            drop(views);
                            scan = generations::scan(&self.places);
                            self.look_at_links(&scan);
                            let (views, _) = self.views(&scan, &quarantine, &staying);
                            self.obstacle(&scan, &views)
                        }
                    }
                }
                Err(error) => Some(Obstacle::Standing(error.to_string().into())),
            };
            self.table.set_obstacle(obstacle);
        }
        *self.links.write().unwrap_or_else(PoisonError::into_inner) = scan.links;
        self.scans.finish(number);
        self.marks.ring();
    }

    pub(super) fn quarantine<'a>(&'a self, pinned: &'a Pinned) -> Quarantine<'a> {
        Quarantine::new(&self.places, pinned.grandfathered(), PATIENCE)
    }

    /// What a predecessor left half done.
    pub(super) fn recover(&self) {
        let Some(pinned) = self.pinned.get() else { return };
        if let Err(error) = self.quarantine(&pinned).recover(Timestamp::now()) {
            self.say(error.to_string());
        }
    }

    fn say(&self, what: String) {
        self.announce.notice(&Notice::Failed { what });
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nix, `narwarden`, and the programs that the policy lists, as they are now.
    fn readers(&self, pinned: Option<&Pinned>) -> Vec<FileId> {
        let listed = pinned.into_iter().flat_map(|pinned| &pinned.gate().readers);
        let paths = READERS.iter().map(Path::new).chain(listed.map(AsRef::as_ref));
        let physical = paths.map(|path| self.places.location.physical(path));
        physical.filter_map(|path| FileId::at(&path).ok()).collect()
    }

    /// What becomes known of the files may make an admission worth nothing, so it comes first. Those known already are
    /// looked at by the timer.
    fn look_at_links(&self, scan: &Scan) {
        let listed: BTreeSet<_> = scan.links.iter().filter_map(Link::store_path).collect();
        for toplevel in listed.iter().filter(|toplevel| !self.table.is_known(toplevel)) {
            self.look(toplevel);
        }
        self.queue.keep_ahead(|toplevel| listed.contains(toplevel));
        self.memory().note(&scan.links, || self.queue.pending());
    }

    fn views<'a>(
        &self,
        scan: &'a Scan,
        quarantine: &Quarantine<'_>,
        staying: &Staying<'_>,
    ) -> (Vec<View<'a>>, Restorable) {
        let admissions = self.admissions.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut views, restorable) =
            views(&scan.links, staying, &self.table, &admissions, &self.memory());
        drop(admissions);
        for view in &mut views {
            if view.refused().is_some() {
                view.stands = quarantine.must_stand(view.link, &scan.links, staying, &restorable);
            }
        }
        (views, restorable)
    }

    /// Verifies ahead what has no verdict, and moves away what was refused.
    fn conclude(
        &self,
        scan: &Scan,
        views: &[View<'_>],
        restorable: &Restorable,
        pinned: &Pinned,
        quarantine: &Quarantine<'_>,
    ) -> Links {
        self.verify_ahead(views);
        let mended = quarantine.mend(&scan.links, restorable, Timestamp::now());
        let mut links = self.tell(&mended);
        for (profile, link) in &mended.restored {
            let link = link.as_ref().map_or_else(|| "nothing".into(), |it| it.to_string_lossy());
            self.say(format!("{profile} led to a generation in quarantine: to {link} now"));
        }
        for view in views {
            if let (Some(denial), Some(because)) = (view.refused(), &view.stands) {
                let link = view.link.path.display();
                let what =
                    format!("{link} was refused and stays, since {because}: {}", denial.detail);
                self.say_once(view.link, &because.to_string(), what);
            }
        }
        match pinned.gate().on_reject {
            OnReject::Alert => views.iter().for_each(|view| self.alert(view)),
            OnReject::Quarantine if self.pinned.observes() => {}
            OnReject::Quarantine => {
                if self.reject(views, quarantine, restorable) == Links::Changed {
                    links = Links::Changed;
                }
            }
        }
        links
    }

    fn say_once(&self, link: &Link, about: &str, what: String) {
        let first = self.memory().says(link, about);
        if first {
            self.say(what);
        }
    }

    fn verify_ahead(&self, views: &[View<'_>]) {
        let mut memory = self.memory();
        let pending: BTreeSet<_> = self.queue.pending().into_iter().collect();
        // The newest first: that is the one which somebody wants.
        for view in views.iter().rev() {
            let denial = match (&view.judged, view.place) {
                // Whether what the profile leads to would be admitted is of interest, even if it stays.
                (Judged::Open(denial), Place::Free | Place::Leads | Place::StaysCurrent) => denial,
                (Judged::Open(_), Place::Stays) => continue,
                (Judged::Admitted | Judged::Kept | Judged::Refused(_) | Judged::Nowhere, _) => {
                    memory.is_judged(view.link);
                    continue;
                }
            };
            let Some(toplevel) = view.link.store_path() else { continue };
            if !pending.contains(toplevel) && memory.ask(view.link, denial.as_ref()) {
                self.queue.want(toplevel.clone(), Urgency::Ahead);
            }
        }
    }

    /// Says once that a link was refused, and that nothing else is done about it.
    fn alert(&self, view: &View<'_>) {
        let Some(denial) = view.refused() else { return };
        let first = self.memory().says(view.link, "alerted");
        let Some(toplevel) = view.link.store_path().filter(|_| first) else { return };
        let observes = self.pinned.observes();
        let kind = if observes { EventKind::WouldDeny } else { EventKind::Denied };
        let event = Event::new(kind)
            .with(Field::Verdict, "deny")
            .with(Field::Toplevel, toplevel)
            .with(Field::Generation, view.link.name().display())
            .with(Field::Reason, denial.reason.code())
            .with(Field::Detail, &denial.detail)
            .done(Action::Alerted);
        // The verdict itself was written down; what is lost here is counted.
        let _ = self.announce.announce(&event);
    }

    /// Moves refused links away.
    fn reject(
        &self,
        views: &[View<'_>],
        quarantine: &Quarantine<'_>,
        restorable: &Restorable,
    ) -> Links {
        let memory = self.memory();
        let refused =
            views.iter().filter(|view| view.stands.is_none() && memory.may_move(view.link));
        let rejections: Vec<_> = refused
            .filter_map(|view| {
                let reason = view.refused()?.detail.clone();
                Some(Rejection { link: view.link.clone(), reason })
            })
            .collect();
        drop(memory);
        if rejections.is_empty() {
            return Links::Same;
        }
        let links = match quarantine.reject(&rejections, restorable, Timestamp::now()) {
            Ok(moved) => self.tell(&moved),
            Err(error) => {
                self.say(error.to_string());
                Links::Same
            }
        };
        let mut memory = self.memory();
        for Rejection { link, .. } in &rejections {
            // What is gone is forgotten at the next look.
            memory.could_not_move(link);
        }
        links
    }

    fn tell(&self, moved: &Moved) -> Links {
        for record in &moved.records {
            self.announce.notice(&Notice::Quarantined { record });
        }
        for (profile, error) in &moved.failures {
            self.say(format!("{profile}: {error}"));
        }
        let same = moved.records.is_empty() && moved.restored.is_empty() && moved.left.is_empty();
        if same { Links::Same } else { Links::Changed }
    }

    /// Why nothing may be made bootable now.
    fn obstacle(&self, scan: &Scan, views: &[View<'_>]) -> Option<Obstacle> {
        let by_path: BTreeMap<&Path, &View<'_>> =
            views.iter().map(|view| (view.link.path.as_path(), view)).collect();
        let of = |link: &Link| by_path.get(link.path.as_path());
        let links = match scan.bootable(|link| of(link).is_some_and(|view| view.is_fine())) {
            Bootable::AdmittedOnly => return None,
            Bootable::Unadmitted(links) => links,
            Bootable::Unknown(gap) => return Some(Obstacle::Standing(gap.to_string().into())),
        };
        let (pending, refused): (Vec<_>, Vec<_>) =
            links.iter().partition(|link| of(link).is_some_and(|view| view.is_pending()));
        let named = |links: &[&Link]| {
            let names = links.iter().take(NAMED).map(|it| it.path.display().to_string());
            names.collect::<Vec<_>>().join(", ")
        };
        Some(if refused.is_empty() {
            let what = "would get a boot entry, and is still being verified";
            Obstacle::Pending(format!("{} {what}", named(&pending)).into())
        } else {
            let what = "is not admitted and would get a boot entry: narwarden status";
            Obstacle::Standing(format!("{} {what}", named(&refused)).into())
        })
    }
}
