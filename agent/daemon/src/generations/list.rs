//! Lists one directory of links until it holds still.

use super::link::{self, Kind, Link, Profile, classify, described, parse_number, plain_name};
use super::{ATTEMPTS, Gap, MOST_LINKS, MOST_NAMES, Scan};
use crate::places::Places;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, statat};
use rustix::io::{Errno, retry_on_intr};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Which of the two directories.
#[derive(Clone, Copy)]
pub(super) enum Which {
    System,
    Named,
}

/// Adds what the directory holds to `scan`.
pub(super) fn directory(places: &Places, which: Which, scan: &mut Scan) {
    let path = match which {
        Which::System => places.profiles.clone(),
        Which::Named => places.profiles.join("system-profiles"),
    };
    let mut links = BTreeMap::new();
    for _ in 0..ATTEMPTS {
        match attempt(places, which, &path) {
            Ok(Listing { links: settled, settled: Settled::Yes }) => {
                scan.links.extend(settled.into_values());
                return;
            }
            // What was there once during the listing is not left out: it may be there again.
            Ok(Listing { links: seen, settled: Settled::No }) => links.extend(seen),
            Err(Failure { links: seen, gap }) => {
                links.extend(seen);
                scan.links.extend(links.into_values());
                scan.gaps.extend(gap);
                return;
            }
        }
    }
    scan.links.extend(links.into_values().take(MOST_LINKS));
    scan.gaps.push(Gap::Unsettled { path });
}

type Links = BTreeMap<PathBuf, Link>;

struct Listing {
    links: Links,
    settled: Settled,
}

enum Settled {
    Yes,
    No,
}

/// Why there is no going on; nothing is wrong where there is no gap.
struct Failure {
    links: Links,
    gap: Option<Gap>,
}

impl Failure {
    fn of(gap: Gap) -> Self {
        Self { links: Links::new(), gap: Some(gap) }
    }

    fn io(path: &Path) -> impl FnOnce(Errno) -> Self {
        let path = path.to_owned();
        move |errno| {
            Self::of(Gap::Unreadable { path, found: std::io::Error::from(errno).to_string() })
        }
    }
}

fn attempt(places: &Places, which: Which, path: &Path) -> Result<Listing, Failure> {
    let (directory, before) = open(which, path)?;
    let mut links = Links::new();
    let mut add = |name: &OsStr| {
        if let Some((profile, kind)) = owners(which, name)
            && let Some(link) = link::read(places, &directory, profile, kind, name)
        {
            links.insert(link.path.clone(), link);
        }
        links.len() > MOST_LINKS
    };
    let too_many = |limit| Gap::TooMany { path: path.to_owned(), limit };
    let mut gap = None;
    let mut names = 0_usize;
    let mut entries = Dir::read_from(&directory).map_err(Failure::io(path))?;
    while let Some(entry) = entries.read() {
        let entry = entry.map_err(Failure::io(path))?;
        names += 1;
        if names > MOST_NAMES {
            gap = Some(too_many(MOST_NAMES));
            break;
        }
        if add(OsStr::from_bytes(entry.file_name().to_bytes())) {
            gap = Some(too_many(MOST_LINKS));
            break;
        }
    }
    // A name that is renamed over and over may be missed by getdents64(2); this one must not be.
    if matches!(which, Which::System) {
        add(OsStr::new("system"));
    }
    if let Some(gap) = gap {
        return Err(Failure { links, gap: Some(gap) });
    }
    let after = fstat(&directory).map_err(Failure::io(path))?;
    let settled = match statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) if same(&before, &after) && same(&after, &there) => Settled::Yes,
        Ok(_) | Err(_) => Settled::No,
    };
    Ok(Listing { links, settled })
}

fn open(which: Which, path: &Path) -> Result<(OwnedFd, Stat), Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty())) {
        Ok(directory) => {
            let before = fstat(&directory).map_err(Failure::io(path))?;
            Ok((directory, before))
        }
        // Nobody needs to have named profiles.
        Err(Errno::NOENT) if matches!(which, Which::Named) => {
            Err(Failure { links: Links::new(), gap: None })
        }
        Err(Errno::NOTDIR | Errno::LOOP) => {
            let found = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW);
            let found = found.map_or("gone", |it| described(FileType::from_raw_mode(it.st_mode)));
            Err(Failure::of(Gap::NotADirectory { path: path.to_owned(), found }))
        }
        Err(errno) => Err(Failure::io(path)(errno)),
    }
}

/// Whether the directory is the same one, and no name in it changed in between.
fn same(one: &Stat, other: &Stat) -> bool {
    let of = |it: &Stat| {
        (it.st_dev, it.st_ino, it.st_mtime, it.st_mtime_nsec, it.st_ctime, it.st_ctime_nsec)
    };
    of(one) == of(other)
}

/// Which profile's link `name` is, and what it stands for there.
fn owners(which: Which, name: &OsStr) -> Option<(Profile, Kind)> {
    match which {
        Which::System => {
            classify(&Profile::System, name.as_bytes()).map(|kind| (Profile::System, kind))
        }
        Which::Named => named(name.as_bytes()),
    }
}

/// Everything there is a profile or one of its generations: installers differ in which names they leave out.
fn named(name: &[u8]) -> Option<(Profile, Kind)> {
    if !plain_name(name) {
        return None;
    }
    let profile = |name: &[u8]| Profile::Named(OsString::from(OsStr::from_bytes(name)));
    let generation = name.strip_suffix(b"-link").and_then(|rest| {
        let dash = rest.iter().rposition(|byte| *byte == b'-')?;
        let (own, number) = rest.split_at_checked(dash)?;
        let number = parse_number(number.strip_prefix(b"-")?)?;
        plain_name(own).then(|| (profile(own), Kind::Generation(number)))
    });
    Some(generation.unwrap_or_else(|| (profile(name), Kind::Current)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_named_profiles() {
        let profile = |name: &str| Profile::Named(name.into());
        let table = [
            ("comin", Some((profile("comin"), Kind::Current))),
            ("comin-7-link", Some((profile("comin"), Kind::Generation(7)))),
            ("a-1-link-2-link", Some((profile("a-1-link"), Kind::Generation(2)))),
            ("a-evil-link", Some((profile("a-evil-link"), Kind::Current))),
            ("-3-link", Some((profile("-3-link"), Kind::Current))),
            ("comin.lock", Some((profile("comin.lock"), Kind::Current))),
            ("comin.lock-1-link", Some((profile("comin.lock"), Kind::Generation(1)))),
            (".hidden", Some((profile(".hidden"), Kind::Current))),
            ("..-2-link", Some((profile("..-2-link"), Kind::Current))),
            (".", None),
            ("..", None),
        ];
        for (name, expected) in table {
            assert_eq!(named(name.as_bytes()), expected, "{name}");
        }
    }
}
