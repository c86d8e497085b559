//! What the profile links say: what to verify ahead, what to move into quarantine, what stands in the way.

use super::{PATIENCE, Watcher};
use crate::audit::Notice;
use crate::engine::Urgency;
use crate::generations::{self, Bootable, Kind, Link, Scan};
use crate::quarantine::{Quarantine, QuarantineError, Rejection, Staying};
use crate::state::pinned::Pinned;
use crate::table::Obstacle;
use jiff::Timestamp;
use narwarden_core::policy::OnReject;
use narwarden_linux::file_id::FileId;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::PoisonError;

/// Nix, where NixOS has it.
const NIX: [&str; 2] = ["/run/current-system/sw/bin/nix", "/nix/var/nix/profiles/default/bin/nix"];

/// How many links of those that stand in the way are named.
const NAMED: usize = 3;

impl Watcher {
    /// Reads the links, and draws all conclusions from them.
    pub(super) fn scan(&self) {
        let number = self.scans.begin();
        let pinned = self.pinned.get();
        self.settings.set_readers(self.readers(pinned.as_deref()));
        let mut scan = generations::scan(&self.places);
        let quarantine = pinned.as_deref().map(|it| self.quarantine(it));
        let staying = quarantine.as_ref().map(Quarantine::staying).transpose();
        self.verify_ahead(&scan, &staying);
        if let (Some(pinned), Some(quarantine), Ok(Some(staying))) =
            (&pinned, &quarantine, &staying)
            && pinned.gate().on_reject == OnReject::Quarantine
            && !self.pinned.observes()
            && self.reject(&scan, quarantine, staying)
        {
            scan = generations::scan(&self.places);
        }
        if pinned.is_some() {
            self.table.set_obstacle(self.obstacle(&scan, &staying));
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
            self.announce.notice(&Notice::Failed { what: error.to_string() });
        }
    }

    /// Nix itself, and the programs that the policy lists, as they are now.
    fn readers(&self, pinned: Option<&Pinned>) -> Vec<FileId> {
        let listed = pinned.into_iter().flat_map(|pinned| &pinned.gate().readers);
        let paths = NIX.iter().map(Path::new).chain(listed.map(AsRef::as_ref));
        let physical = paths.map(|path| self.places.location.physical(path));
        physical.filter_map(|path| FileId::at(&path).ok()).collect()
    }

    fn verify_ahead(&self, scan: &Scan, staying: &Result<Option<Staying<'_>>, QuarantineError>) {
        let stays = |link: &Link| match staying {
            Ok(Some(staying)) => staying.contains(link),
            Ok(None) | Err(_) => false,
        };
        // The newest first: that is the one which somebody wants.
        for link in scan.links.iter().rev() {
            let Some(toplevel) = link.store_path() else { continue };
            let judged = self.table.was_admitted(toplevel) || self.table.was_denied(toplevel);
            self.look(toplevel);
            // What stays is judged where it is current: an operator wants to know whether it would be admitted.
            if !judged && (!stays(link) || link.kind == Kind::Current) {
                self.queue.want(toplevel.clone(), Urgency::Ahead);
            }
        }
        let listed: BTreeSet<_> = scan.links.iter().filter_map(Link::store_path).collect();
        self.queue.keep_ahead(|toplevel| listed.contains(toplevel));
    }

    /// Moves denied links away; whether any was to be moved.
    fn reject(&self, scan: &Scan, quarantine: &Quarantine<'_>, staying: &Staying<'_>) -> bool {
        let denied = scan.links.iter().filter(|link| !staying.contains(link)).filter_map(|link| {
            let reason = self.table.denial(link.store_path()?)?;
            Some(Rejection { link: link.clone(), reason })
        });
        let rejections: Vec<_> = denied.collect();
        if rejections.is_empty() {
            return false;
        }
        let last = self.table.last_admitted(scan.links.iter().filter_map(Link::store_path));
        match quarantine.reject(&rejections, last.as_ref(), Timestamp::now()) {
            Ok(moved) => {
                for record in &moved.records {
                    self.announce.notice(&Notice::Quarantined { record });
                }
                for (profile, error) in &moved.failures {
                    self.announce.notice(&Notice::Failed { what: format!("{profile}: {error}") });
                }
            }
            Err(error) => self.announce.notice(&Notice::Failed { what: error.to_string() }),
        }
        true
    }

    /// Why nothing may be made bootable now.
    fn obstacle(
        &self,
        scan: &Scan,
        staying: &Result<Option<Staying<'_>>, QuarantineError>,
    ) -> Option<Obstacle> {
        let staying = match staying {
            Ok(staying) => staying.as_ref(),
            Err(error) => return Some(Obstacle::Standing(error.to_string().into())),
        };
        let fine = |link: &Link| {
            let admitted = link.store_path().is_some_and(|it| self.table.was_admitted(it));
            admitted || staying.is_some_and(|staying| staying.contains(link))
        };
        let links = match scan.bootable(fine) {
            Bootable::AdmittedOnly => return None,
            Bootable::Unadmitted(links) => links,
            Bootable::Unknown(gap) => return Some(Obstacle::Standing(gap.to_string().into())),
        };
        let pending = |link: &&Link| {
            link.store_path().is_some_and(|toplevel| !self.table.was_denied(toplevel))
        };
        let named = |links: &mut dyn Iterator<Item = &Link>| {
            let names: Vec<_> = links.take(NAMED).map(|it| it.path.display().to_string()).collect();
            names.join(", ")
        };
        Some(match links.iter().find(|link| !pending(link)) {
            Some(_) => {
                let names = named(&mut links.iter().filter(|link| !pending(link)));
                let what = "is not admitted and would get a boot entry: narwarden status";
                Obstacle::Standing(format!("{names} {what}").into())
            }
            None => {
                let names = named(&mut links.iter());
                let what = "would get a boot entry, and is still being verified";
                Obstacle::Pending(format!("{names} {what}").into())
            }
        })
    }
}
