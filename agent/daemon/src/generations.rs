//! Which generations could be booted or switched to: the links in Nix's profile directories.
//!
//! In: the directories as they are now. Out: every link that a boot loader installer would look at (`system`,
//! `system-*-link`, all of `system-profiles/`), with the store path it leads to or why it leads to none, and what
//! kept the listing from being complete. Links change at any time, by programs that take no lock
//! (`nix-env --set`), so a directory is listed until it holds still, a few times at most. A listing that did not
//! come to rest or was cut off says so, and then nobody may conclude that something is not there.
//!
//! readlink(2), getdents64(2); Nix `src/libstore/profiles.cc`; nixpkgs `install-grub.pl`,
//! `systemd-boot-builder.py`.

mod link;
mod list;

pub use link::{Kind, Link, LinkProblem, Mark, Profile};
pub(crate) use link::{classify, read};

use crate::places::Places;
use std::collections::BTreeSet;
use std::path::PathBuf;
use thiserror::Error;

/// How many links are looked at. A boot loader takes a hundred.
pub const MOST_LINKS: usize = 1 << 16;

/// How many names are read of one directory, links or not.
const MOST_NAMES: usize = 1 << 20;

/// How often a directory that changes meanwhile is listed.
const ATTEMPTS: usize = 3;

/// Everything found, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Scan {
    /// The links, by profile, in the order of their numbers.
    pub links: Vec<Link>,
    /// Why there may be more of them; empty where there are not.
    pub gaps: Vec<Gap>,
}

/// Why a listing may lack something.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Gap {
    /// It is no directory of its own.
    #[error("{path:?} must be a directory, but is {found}: find out who replaced it")]
    NotADirectory {
        /// What should be one.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// There is more than anybody needs.
    #[error("{path:?} holds more than {limit} names: nix-env --delete-generations, or rm")]
    TooMany {
        /// The directory.
        path: PathBuf,
        /// How many are looked at.
        limit: usize,
    },
    /// It changed each time it was listed.
    #[error("{path:?} keeps changing: find out what changes it, then run this again")]
    Unsettled {
        /// The directory.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot list {path:?}: {found}")]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        found: String,
    },
}

/// Whether a generation that nobody admitted would become bootable with a good one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Bootable {
    /// None would.
    AdmittedOnly,
    /// These would.
    Unadmitted(Vec<Link>),
    /// The listing is not complete, so nobody knows.
    Unknown(Gap),
}

/// Lists all links.
pub fn scan(places: &Places) -> Scan {
    let mut scan = Scan::default();
    list::directory(places, list::Which::System, &mut scan);
    list::directory(places, list::Which::Named, &mut scan);
    scan.links.sort_by(|one, other| one.order().cmp(&other.order()));
    scan
}

impl Scan {
    /// Whether boot loader installers would make a generation bootable that is not `admitted`. A link that leads
    /// nowhere, or out of the store, counts as a generation: an installer may follow where this did not.
    pub fn bootable(&self, admitted: impl Fn(&Link) -> bool) -> Bootable {
        if let Some(gap) = self.gaps.first() {
            return Bootable::Unknown(gap.clone());
        }
        match unadmitted_bootable(&self.links, admitted) {
            none if none.is_empty() => Bootable::AdmittedOnly,
            some => Bootable::Unadmitted(some),
        }
    }
}

/// The links that would get a boot entry and are not `admitted`. A profile's current link counts only where it
/// leads past the generations listed.
#[must_use]
pub fn unadmitted_bootable(links: &[Link], admitted: impl Fn(&Link) -> bool) -> Vec<Link> {
    let listed: BTreeSet<_> = links.iter().map(|link| link.path.as_path()).collect();
    let by_itself = |link: &Link| match (&link.kind, &link.through) {
        (Kind::Generation(_) | Kind::Unnumbered, _) => true,
        // What else lies among the named profiles is no profile.
        (Kind::Current, None) => !matches!(
            (&link.profile, &link.target),
            (Profile::Named(_), Err(LinkProblem::NotALink(_)))
        ),
        (Kind::Current, Some(through)) => {
            !listed.contains(link.path.with_file_name(through).as_path())
        }
    };
    links.iter().filter(|link| by_itself(link) && !admitted(link)).cloned().collect()
}
