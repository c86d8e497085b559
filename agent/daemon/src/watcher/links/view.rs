//! What is thought of a link at one moment.

use super::memory::Memory;
use crate::generations::{Kind, Link, Profile};
use crate::quarantine::{LeftBecause, Restorable, Staying};
use crate::state::admissions::Admissions;
use crate::table::{Denial, Table};
use narwarden_core::reason::Cause;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

/// Everything that conclusions are drawn from.
pub(super) struct View<'a> {
    pub(super) link: &'a Link,
    pub(super) judged: Judged,
    pub(super) place: Place,
    /// Why it would be left where it is, were it to be moved.
    pub(super) stands: Option<LeftBecause>,
}

/// What is thought of the toplevel that a link leads to.
#[derive(Debug)]
pub(super) enum Judged {
    Admitted,
    /// It was, and only the time or the rules speak against it now: nothing new is admitted, and what is there stays.
    Kept,
    /// That is not known, or not of the link as it is now.
    Open(Option<Denial>),
    Refused(Denial),
    /// It leads to none, or to one that is not there.
    Nowhere,
}

/// Where a link has its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The operator, or the enrolment, left it there; the profile leads to it, or it is what that says.
    StaysCurrent,
    /// The same, and it is one of the others.
    Stays,
    /// The profile, which leads to one of the other links: what is to be done about it is done about that one.
    Leads,
    /// It is there as long as nothing speaks against it.
    Free,
}

/// All links as they are thought of now, and where profiles may lead.
pub(super) fn views<'a>(
    links: &'a [Link],
    staying: &Staying<'_>,
    table: &Table,
    admissions: &Admissions,
    memory: &Memory,
) -> (Vec<View<'a>>, Restorable) {
    let mut restorable = Restorable::default();
    let profiles = Profiles::of(links);
    let view = |link| {
        let judged = judge(link, table, admissions, memory);
        View { link, judged, place: profiles.place(link, staying), stands: None }
    };
    let views: Vec<View<'a>> = links.iter().map(view).collect();
    for view in &views {
        let Some(toplevel) = view.link.store_path() else { continue };
        match view.judged {
            Judged::Admitted => restorable.admitted.insert(toplevel.clone()),
            Judged::Kept => restorable.kept.insert(toplevel.clone()),
            Judged::Open(_) | Judged::Refused(_) | Judged::Nowhere => continue,
        };
    }
    (views, restorable)
}

fn judge(link: &Link, table: &Table, admissions: &Admissions, memory: &Memory) -> Judged {
    // There is nothing to be found out about what is not there.
    let Ok(toplevel) = &link.target else { return Judged::Nowhere };
    if table.was_admitted(toplevel) {
        return Judged::Admitted;
    }
    match table.denial(toplevel) {
        None => Judged::Open(None),
        Some(denial) if denial.reason.is_unknown() || !memory.is_younger(&denial, link) => {
            Judged::Open(Some(denial))
        }
        Some(denial) if is_kept(&toplevel.to_string(), &denial, table, admissions) => Judged::Kept,
        Some(denial) => Judged::Refused(denial),
    }
}

/// Whether it was admitted once, and nothing but the time, other rules or another system that runs speak against it.
fn is_kept(toplevel: &str, denial: &Denial, table: &Table, admissions: &Admissions) -> bool {
    let Some(last) = admissions.last(toplevel) else { return false };
    let (Some(by), Some(rules)) = (last.admitted_by(), table.rules()) else { return false };
    // By the same rules, only the time makes a difference: a signature that is gone now was taken away.
    let same = by.trust == rules.trust.to_string() && by.policy == rules.policy.to_string();
    let speaks_against = |cause| match cause {
        Cause::Drift | Cause::Revocation => true,
        Cause::Rules => same,
        Cause::Time | Cause::Host | Cause::Unknown => false,
    };
    let mut causes = last.reasons().chain([denial.reason]).map(|reason| reason.cause());
    !causes.any(speaks_against)
}

/// Which links lead to which.
struct Profiles<'a> {
    current: BTreeMap<&'a Profile, &'a Link>,
    others: BTreeSet<(&'a Profile, &'a OsStr)>,
}

impl<'a> Profiles<'a> {
    fn of(links: &'a [Link]) -> Self {
        let (current, others): (Vec<_>, Vec<_>) =
            links.iter().partition(|link| link.kind == Kind::Current);
        Self {
            current: current.into_iter().map(|link| (&link.profile, link)).collect(),
            others: others.into_iter().map(|link| (&link.profile, link.name())).collect(),
        }
    }

    fn place(&self, link: &Link, staying: &Staying<'_>) -> Place {
        let stays = staying.contains(link);
        let through = |of: &'a Link| of.through.as_deref();
        let leads_here = match self.current.get(&link.profile) {
            Some(current) if current.path == link.path => {
                let led_to = through(current);
                if led_to.is_some_and(|name| self.others.contains(&(&link.profile, name))) {
                    return Place::Leads;
                }
                true
            }
            Some(current) => through(current) == Some(link.name()),
            None => false,
        };
        match (stays, leads_here) {
            (true, true) => Place::StaysCurrent,
            (true, false) => Place::Stays,
            (false, _) => Place::Free,
        }
    }
}

impl View<'_> {
    pub(super) fn stays(&self) -> bool {
        matches!(self.place, Place::Stays | Place::StaysCurrent)
    }

    /// What it is to be moved away for.
    pub(super) fn refused(&self) -> Option<&Denial> {
        match (&self.judged, self.place) {
            (Judged::Refused(denial), Place::Free) => Some(denial),
            (
                Judged::Refused(_)
                | Judged::Admitted
                | Judged::Kept
                | Judged::Open(_)
                | Judged::Nowhere,
                _,
            ) => None,
        }
    }

    /// Whether nothing is said against a boot entry for it: it is admitted, or is what was there anyway.
    pub(super) fn is_fine(&self) -> bool {
        let known = match self.judged {
            Judged::Admitted | Judged::Kept => true,
            Judged::Open(_) | Judged::Refused(_) | Judged::Nowhere => false,
        };
        known || self.stays() || self.stands.is_some()
    }

    pub(super) fn is_pending(&self) -> bool {
        matches!(self.judged, Judged::Open(_))
    }
}
