//! Which links are moved, and where their profile leads then.

use super::exchange::Directory;
use super::{Left, LeftBecause, Moved, Rejection};
use crate::entry_points::{entry_points, open_store};
use crate::generations::{self, Kind, Link, Profile, scan};
use crate::places::Places;
use crate::quarantine::{Quarantine, QuarantineError};
use narwarden_core::store_path::StorePath;
use narwarden_store::Target;
use rustix::fs::{AtFlags, CWD, statat};
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
    /// The link that it is to lead through.
    pub(super) link: OsString,
    /// Where that link leads, if it has to be made first.
    pub(super) make: Option<StorePath>,
}

pub(super) fn select(
    quarantine: &Quarantine<'_>,
    profile: &Profile,
    directory: &Directory,
    rejections: &[&Rejection],
    last_admitted: Option<&StorePath>,
    moved: &mut Moved,
) -> Result<Selected, QuarantineError> {
    let places = quarantine.places;
    let released = quarantine.released()?;
    let running = running(places);
    let mut chosen: Vec<Rejection> = Vec::new();
    for rejection in rejections {
        let before = &rejection.link;
        let now = generations::read(places, directory, profile.clone(), before.kind, before.name());
        let because = match now.map(|now| through(places, directory, now)) {
            None => LeftBecause::Gone,
            Some(now) if now.1.raw != before.raw => LeftBecause::Changed,
            Some((link, _)) if quarantine.grandfathered.contains(&link) => {
                LeftBecause::Grandfathered
            }
            Some((link, _)) if released.contains(&link.mark()) => LeftBecause::Released,
            Some((link, _)) if link.raw.is_empty() => LeftBecause::NotALink,
            Some((link, _)) if runs(places, &link, &running) => LeftBecause::Running,
            Some((link, _)) => {
                if chosen.iter().all(|it| it.link.path != link.path) {
                    chosen.push(Rejection { link, reason: rejection.reason.clone() });
                }
                continue;
            }
        };
        moved.left.push(Left { link: before.clone(), because });
    }
    let restore = restore(places, profile, directory, &mut chosen, last_admitted, moved);
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

/// Where the profile is to lead instead, if it leads to a link that is chosen. Where there is nothing, that link is
/// not chosen any more.
fn restore(
    places: &Places,
    profile: &Profile,
    directory: &Directory,
    chosen: &mut Vec<Rejection>,
    last_admitted: Option<&StorePath>,
    moved: &mut Moved,
) -> Option<Restore> {
    let current = profile.name();
    let current = generations::read(places, directory, profile.clone(), Kind::Current, current)?;
    let led_to =
        |link: &Link| link.path == current.path || current.through.as_deref() == Some(link.name());
    if !chosen.iter().any(|it| led_to(&it.link)) {
        return None;
    }
    let names: BTreeSet<OsString> = chosen.iter().map(|it| it.link.name().to_owned()).collect();
    let found = last_admitted.and_then(|path| generation_of(places, profile, path, &names));
    if found.is_none() {
        chosen.retain(|it| {
            let led_to = led_to(&it.link);
            if led_to {
                let because = LeftBecause::NothingToRestore;
                moved.left.push(Left { link: it.link.clone(), because });
            }
            !led_to
        });
    }
    found.map(|(link, make)| Restore { instead_of: current.raw, link, make })
}

/// The newest link of the profile that leads to `path`, or the name for one that has to be made.
fn generation_of(
    places: &Places,
    profile: &Profile,
    path: &StorePath,
    but: &BTreeSet<OsString>,
) -> Option<(OsString, Option<StorePath>)> {
    let links = scan(places).links;
    let own = links.iter().filter(|link| link.profile == *profile);
    let fits = own.filter(|link| match link.kind {
        Kind::Generation(_) => link.target.as_ref() == Ok(path) && !but.contains(link.name()),
        Kind::Current | Kind::Unnumbered => false,
    });
    if let Some(link) = fits.max_by_key(|link| link.kind) {
        return Some((link.name().to_owned(), None));
    }
    let at = places.location.store_directory().join(path.base_name());
    statat(CWD, &at, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some((next_generation(profile, &links)?, Some(path.clone())))
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
fn running(places: &Places) -> BTreeSet<StorePath> {
    let links = ["/run/current-system", "/run/booted-system"];
    let resolve = |link: &str| Target::Path(link.into()).resolve(&places.location).ok();
    links.into_iter().filter_map(resolve).collect()
}

fn runs(places: &Places, link: &Link, running: &BTreeSet<StorePath>) -> bool {
    let Ok(toplevel) = &link.target else { return false };
    if running.contains(toplevel) {
        return true;
    }
    let surface = open_store(&places.location.store_directory())
        .ok()
        .and_then(|store| entry_points(store, toplevel).ok());
    surface.is_some_and(|it| it.specialisations.iter().any(|path| running.contains(path)))
}
