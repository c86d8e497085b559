//! Which links are moved, and where their profile leads then.

use super::exchange::Directory;
use super::{Left, LeftBecause, Moved, Rejection, Restorable};
use crate::entry_points::{entry_points, open_store};
use crate::generations::{self, Kind, Link, Profile, scan};
use crate::places::Places;
use crate::quarantine::{Quarantine, QuarantineError, Staying};
use narwarden_core::store_path::StorePath;
use narwarden_store::Target;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

/// What is to be done with a profile.
pub(super) struct Selected {
    pub(super) chosen: Vec<Rejection>,
    pub(super) restore: Option<Restore>,
}

/// Where the profile is to lead.
pub(super) struct Restore {
    /// What it says now.
    pub(super) instead_of: OsString,
    /// The link that it is to lead through; none where it is to be no profile any more.
    pub(super) link: Option<OsString>,
}

pub(super) fn select(
    quarantine: &Quarantine<'_>,
    profile: &Profile,
    directory: &Directory,
    rejections: &[&Rejection],
    restorable: &Restorable,
    moved: &mut Moved,
) -> Result<Selected, QuarantineError> {
    let places = quarantine.places;
    let staying = quarantine.staying()?;
    let running = running(places);
    let mut chosen: Vec<Rejection> = Vec::new();
    for rejection in rejections {
        let before = &rejection.link;
        let now = generations::read(places, directory, profile.clone(), before.kind, before.name());
        let because = match now.map(|now| through(places, directory, now)) {
            None => LeftBecause::Gone,
            Some(now) if now.1.raw != before.raw => LeftBecause::Changed,
            Some((link, _)) if staying.grandfathered.contains(&link) => LeftBecause::Grandfathered,
            Some((link, _)) if staying.released.contains(&link.mark()) => LeftBecause::Released,
            Some((link, _)) if link.raw.is_empty() => LeftBecause::NotALink,
            Some((link, _)) if is_one_of(&link, &running) => LeftBecause::Running,
            Some((link, _)) => {
                if chosen.iter().all(|it| it.link.path != link.path) {
                    chosen.push(Rejection { link, reason: rejection.reason.clone() });
                }
                continue;
            }
        };
        moved.left.push(Left { link: before.clone(), because });
    }
    let goals = Goals { places, staying: &staying, restorable };
    let restore = goals.restore(profile, directory, &mut chosen, moved);
    Ok(Selected { chosen, restore })
}

/// The link that is to be moved for the one that was rejected, which comes second: a current link stands for the
/// generation that it leads through.
fn through(places: &Places, directory: &Directory, link: Link) -> (Link, Link) {
    let generation = match (link.kind, &link.through) {
        (Kind::Current, Some(name)) => {
            let kind = generations::classify(&link.profile, name.as_encoded_bytes());
            let kind = kind.filter(|kind| *kind != Kind::Current).unwrap_or(Kind::Unnumbered);
            generations::read(places, directory, link.profile.clone(), kind, name)
        }
        (Kind::Current | Kind::Generation(_) | Kind::Unnumbered, _) => None,
    };
    (generation.unwrap_or_else(|| link.clone()), link)
}

/// Where profiles may lead.
pub(in crate::quarantine) struct Goals<'g> {
    pub(in crate::quarantine) places: &'g Places,
    pub(in crate::quarantine) staying: &'g Staying<'g>,
    pub(in crate::quarantine) restorable: &'g Restorable,
}

/// How well a generation will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It stays where it is, whatever is thought of it.
    Stays,
    Admitted,
}

impl Goals<'_> {
    /// Where the profile is to lead instead, if it leads to a link that is chosen. Where there is nothing, that link
    /// is not chosen any more: a host always has a system.
    fn restore(
        &self,
        profile: &Profile,
        directory: &Directory,
        chosen: &mut Vec<Rejection>,
        moved: &mut Moved,
    ) -> Option<Restore> {
        let (places, name) = (self.places, profile.name());
        let current = generations::read(places, directory, profile.clone(), Kind::Current, name)?;
        let led_to = |link: &Link| {
            link.path == current.path || current.through.as_deref() == Some(link.name())
        };
        let rejected = chosen.iter().find(|it| led_to(&it.link))?.link.kind;
        let names: BTreeSet<OsString> = chosen.iter().map(|it| it.link.name().to_owned()).collect();
        let links = scan(places).links;
        let found = self.find(&links, profile, rejected, &names);
        // Nobody needs a named profile, and a boot loader lists what is in it.
        if found.is_none() && *profile == Profile::System {
            chosen.retain(|it| {
                let led_to = led_to(&it.link);
                if led_to {
                    let because = LeftBecause::NothingToRestore;
                    moved.left.push(Left { link: it.link.clone(), because });
                }
                !led_to
            });
        }
        match found {
            None if *profile == Profile::System => None,
            found => {
                let link = found.map(|link| link.name().to_owned());
                Some(Restore { instead_of: current.raw, link })
            }
        }
    }

    /// The generation of `profile` that it is to lead to instead of the one that was `rejected`: the one that runs,
    /// else the newest admitted one before it, else the newest admitted one at all, else the newest one that stays.
    /// Nothing is made bootable here that was not, so it is one of the links, and none of those that go.
    pub(in crate::quarantine) fn find<'l>(
        &self,
        links: &'l [Link],
        profile: &Profile,
        rejected: Kind,
        but: &BTreeSet<OsString>,
    ) -> Option<&'l Link> {
        let own =
            links.iter().filter(|link| link.profile == *profile && !but.contains(link.name()));
        let fits: Vec<(Fit, Kind, &Link)> =
            own.filter_map(|link| Some((self.fit(link)?, link.kind, link))).collect();
        let newest = |fits: &mut dyn Iterator<Item = &(Fit, Kind, &'l Link)>| {
            fits.max_by_key(|(_, kind, _)| *kind).map(|(_, _, link)| *link)
        };
        let now: BTreeSet<StorePath> =
            resolve(self.places, "/run/current-system").into_iter().collect();
        let direct = |link: &Link| link.target.as_ref().is_ok_and(|path| now.contains(path));
        let admitted = || fits.iter().filter(|(fit, _, _)| *fit == Fit::Admitted);
        newest(&mut fits.iter().filter(|(_, _, link)| direct(link)))
            .or_else(|| newest(&mut fits.iter().filter(|it| runs(self.places, it.2, &now))))
            .or_else(|| newest(&mut admitted().filter(|(_, kind, _)| *kind < rejected)))
            .or_else(|| newest(&mut admitted()))
            .or_else(|| newest(&mut fits.iter()))
    }

    fn fit(&self, link: &Link) -> Option<Fit> {
        let Kind::Generation(_) = link.kind else { return None };
        let path = link.target.as_ref().ok()?;
        if self.restorable.admitted.contains(path) {
            return Some(Fit::Admitted);
        }
        let stays = self.staying.contains(link) || self.restorable.kept.contains(path);
        stays.then_some(Fit::Stays)
    }
}

/// The name that Nix would give to the next generation.
pub(crate) fn next_generation(profile: &Profile, links: &[Link]) -> Option<OsString> {
    let own = links.iter().filter(|link| link.profile == *profile);
    let highest = own.filter_map(|link| match link.kind {
        Kind::Generation(number) => Some(number),
        Kind::Current | Kind::Unnumbered => None,
    });
    let next = highest.max().unwrap_or(0).checked_add(1)?;
    let mut name = profile.name().to_owned();
    name.push(OsStr::new(&format!("-{next}-link")));
    Some(name)
}

/// The store paths that run or were booted.
pub(in crate::quarantine) fn running(places: &Places) -> BTreeSet<StorePath> {
    let links = ["/run/current-system", "/run/booted-system"];
    links.into_iter().filter_map(|link| resolve(places, link)).collect()
}

fn resolve(places: &Places, link: &str) -> Option<StorePath> {
    Target::Path(link.into()).resolve(&places.location).ok()
}

/// Whether the link leads to one of them. That a refused generation has one of them as a specialisation is its own word.
pub(in crate::quarantine) fn is_one_of(link: &Link, running: &BTreeSet<StorePath>) -> bool {
    link.target.as_ref().is_ok_and(|toplevel| running.contains(toplevel))
}

/// Whether the link, which stays, leads to one of them, or to one that has a specialisation among them.
fn runs(places: &Places, link: &Link, running: &BTreeSet<StorePath>) -> bool {
    let Ok(toplevel) = &link.target else { return false };
    if running.is_empty() {
        return false;
    }
    if running.contains(toplevel) {
        return true;
    }
    let surface = open_store(&places.location.store_directory())
        .ok()
        .and_then(|store| entry_points(store, toplevel).ok());
    surface.is_some_and(|it| it.specialisations.iter().any(|path| running.contains(path)))
}
