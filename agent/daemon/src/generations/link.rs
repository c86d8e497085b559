//! One link of a profile, and where it leads.

use crate::places::Places;
use crate::state::raw_name::encode;
use narwarden_core::store_path::{STORE_DIR, StorePath};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, FileType, readlinkat, statat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};
use thiserror::Error;

/// How many links of one directory lead to each other: `system` to `system-1-link` is one.
const MOST_HOPS: usize = 8;

/// A profile that generations belong to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// `/nix/var/nix/profiles/system`.
    System,
    /// `/nix/var/nix/profiles/system-profiles/NAME`, as `nixos-rebuild --profile-name` makes it.
    Named(OsString),
}

/// What a link stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The profile itself.
    Current,
    /// The generation of this number.
    Generation(u64),
    /// Named like a generation, with something else for a number: some boot loader installers take it for one.
    Unnumbered,
}

/// A link of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The profile that it belongs to.
    pub profile: Profile,
    /// What it stands for.
    pub kind: Kind,
    /// Where it lies.
    pub path: PathBuf,
    /// What it says, as it is.
    pub raw: OsString,
    /// The other link of the same directory that it leads through first.
    pub through: Option<OsString>,
    /// Where it leads in the end.
    pub target: Result<StorePath, LinkProblem>,
}

/// Why a link leads to no store path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LinkProblem {
    /// To one that is not there.
    #[error("it leads to {0}, which does not exist")]
    Dangling(StorePath),
    /// Past the store, or into the middle of a store path.
    #[error("it leads to {0:?}, which is not a store path")]
    Elsewhere(PathBuf),
    /// It is something else.
    #[error("it is {0}, not a symbolic link")]
    NotALink(&'static str),
    /// Through too many others.
    #[error("it leads through more than {MOST_HOPS} links")]
    TooManyLinks,
    /// The system refused.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

/// A link by what it was at some time: the same name leading elsewhere has another mark.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The profile, as [`Profile`] prints itself.
    pub profile: String,
    /// The name of the link.
    pub link: String,
    /// What it says.
    pub target: String,
}

impl Profile {
    /// The directory that its links lie in.
    #[must_use]
    pub fn directory(&self, places: &Places) -> PathBuf {
        match self {
            Self::System => places.profiles.clone(),
            Self::Named(_) => places.profiles.join("system-profiles"),
        }
    }

    /// What its links' names begin with.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        match self {
            Self::System => OsStr::new("system"),
            Self::Named(name) => name,
        }
    }

    /// The link to the current generation.
    #[must_use]
    pub fn current(&self, places: &Places) -> PathBuf {
        self.directory(places).join(self.name())
    }

    /// Reads what a profile prints itself as.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("system-profiles/") {
            Some(name) => {
                let name = crate::state::raw_name::decode(name)?;
                plain_name(name.as_bytes()).then_some(Self::Named(name))
            }
            None => (text == "system").then_some(Self::System),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Named(name) => write!(f, "system-profiles/{}", encode(name)),
        }
    }
}

impl Link {
    /// Its name in its directory.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// What it is now.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            profile: self.profile.to_string(),
            link: encode(self.name()),
            target: encode(&self.raw),
        }
    }

    /// The store path that it leads to, be it there or not.
    #[must_use]
    pub fn store_path(&self) -> Option<&StorePath> {
        match &self.target {
            Ok(path) | Err(LinkProblem::Dangling(path)) => Some(path),
            Err(
                LinkProblem::Elsewhere(_)
                | LinkProblem::NotALink(_)
                | LinkProblem::TooManyLinks
                | LinkProblem::Unreadable(_),
            ) => None,
        }
    }

    pub(super) fn order(&self) -> (&Profile, Kind, &Path) {
        (&self.profile, self.kind, &self.path)
    }
}

/// Whose link `name` is, in the directory of `system` or in that of the named profiles.
pub(crate) fn classify(profile: &Profile, name: &[u8]) -> Option<Kind> {
    let own = profile.name().as_bytes();
    if name == own {
        return Some(Kind::Current);
    }
    let number = name.strip_prefix(own)?.strip_prefix(b"-")?.strip_suffix(b"-link")?;
    Some(parse_number(number).map_or(Kind::Unnumbered, Kind::Generation))
}

/// A number as Nix writes it, so that the name follows from the number.
pub(super) fn parse_number(digits: &[u8]) -> Option<u64> {
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == digits).then_some(number)
}

/// Whether it is the name of a directory entry.
pub(super) fn plain_name(name: &[u8]) -> bool {
    !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/') && !name.contains(&0)
}

/// Reads one link of `directory`; `None` where there is none any more.
pub(crate) fn read(
    places: &Places,
    directory: impl AsFd,
    profile: Profile,
    kind: Kind,
    name: &OsStr,
) -> Option<Link> {
    let path = profile.directory(places).join(name);
    let (raw, through, target) = match readlinkat(&directory, name, Vec::new()) {
        Ok(raw) => {
            let raw = OsString::from_vec(raw.into_bytes());
            let (through, target) = follow(places, &directory, &profile, raw.clone());
            (raw, through, target)
        }
        Err(Errno::NOENT) => return None,
        Err(Errno::INVAL) => {
            (OsString::new(), None, Err(LinkProblem::NotALink(kind_of(&directory, name))))
        }
        Err(errno) => (OsString::new(), None, Err(unreadable(errno))),
    };
    Some(Link { profile, kind, path, raw, through, target })
}

fn follow(
    places: &Places,
    directory: impl AsFd,
    profile: &Profile,
    mut raw: OsString,
) -> (Option<OsString>, Result<StorePath, LinkProblem>) {
    let mut through = None;
    for _ in 0..MOST_HOPS {
        let sibling = match whither(profile, &raw) {
            Whither::Store(path) => return (through, there(places, path)),
            Whither::Elsewhere => return (through, Err(LinkProblem::Elsewhere(raw.into()))),
            Whither::Sibling(name) => name,
        };
        let next = match readlinkat(&directory, &sibling, Vec::new()) {
            Ok(next) => OsString::from_vec(next.into_bytes()),
            Err(Errno::NOENT | Errno::INVAL) => {
                return (Some(sibling), Err(LinkProblem::Elsewhere(raw.into())));
            }
            Err(errno) => return (Some(sibling), Err(unreadable(errno))),
        };
        through.get_or_insert(sibling);
        raw = next;
    }
    (through, Err(LinkProblem::TooManyLinks))
}

enum Whither {
    Store(StorePath),
    Sibling(OsString),
    Elsewhere,
}

/// Where a target points, going by its text alone: exactly as Nix writes it, or elsewhere.
fn whither(profile: &Profile, raw: &OsStr) -> Whither {
    let logical = match profile {
        Profile::System => "/nix/var/nix/profiles",
        Profile::Named(_) => "/nix/var/nix/profiles/system-profiles",
    };
    let below = |directory: &str| {
        raw.as_bytes().strip_prefix(directory.as_bytes()).and_then(|rest| rest.strip_prefix(b"/"))
    };
    if let Some(base_name) = below(STORE_DIR) {
        let base_name = std::str::from_utf8(base_name).ok();
        let path = base_name.and_then(|name| StorePath::from_base_name(name).ok());
        return path.map_or(Whither::Elsewhere, Whither::Store);
    }
    let name = below(logical).unwrap_or_else(|| raw.as_bytes());
    let single = Path::new(OsStr::from_bytes(name)).components().collect::<Vec<_>>();
    match single.as_slice() {
        [Component::Normal(only)] if plain_name(name) => Whither::Sibling(only.to_os_string()),
        _ => Whither::Elsewhere,
    }
}

fn there(places: &Places, path: StorePath) -> Result<StorePath, LinkProblem> {
    let at = places.location.store_directory().join(path.base_name());
    match statat(CWD, &at, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(path),
        Err(Errno::NOENT | Errno::NOTDIR) => Err(LinkProblem::Dangling(path)),
        Err(errno) => Err(unreadable(errno)),
    }
}

fn unreadable(errno: Errno) -> LinkProblem {
    LinkProblem::Unreadable(std::io::Error::from(errno).to_string())
}

fn kind_of(directory: impl AsFd, name: &OsStr) -> &'static str {
    let found = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
    found.map_or("gone", |found| described(FileType::from_raw_mode(found.st_mode)))
}

/// The kind of file in words.
pub(super) fn described(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "a file of unknown kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_generations() {
        let generation = Kind::Generation;
        let table = [
            ("system", Some(Kind::Current)),
            ("system-1-link", Some(generation(1))),
            ("system-18446744073709551615-link", Some(generation(u64::MAX))),
            ("system-18446744073709551616-link", Some(Kind::Unnumbered)),
            ("system-01-link", Some(Kind::Unnumbered)),
            ("system-+1-link", Some(Kind::Unnumbered)),
            ("system--1-link", Some(Kind::Unnumbered)),
            ("system--link", Some(Kind::Unnumbered)),
            ("system-evil-link", Some(Kind::Unnumbered)),
            ("system-link", None),
            ("system-profiles", None),
            ("system.lock", None),
            ("system-1-link.tmp", None),
            ("systemd-1-link", None),
            ("", None),
        ];
        for (name, kind) in table {
            assert_eq!(classify(&Profile::System, name.as_bytes()), kind, "{name}");
        }
        let odd = Profile::Named("a-1-link".into());
        assert_eq!(classify(&odd, b"a-1-link-2-link"), Some(generation(2)));
    }

    #[test]
    fn profiles_are_read_as_they_are_printed() {
        let odd = OsString::from_vec(b"a b\xff".to_vec());
        for profile in [Profile::System, Profile::Named("x".into()), Profile::Named(odd)] {
            assert_eq!(Profile::parse(&profile.to_string()), Some(profile));
        }
        for text in ["", "systemd", "system-profiles/", "system-profiles/..", "system-profiles/a/b"]
        {
            assert_eq!(Profile::parse(text), None, "{text}");
        }
    }
}
