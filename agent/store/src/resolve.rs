//! Follows a name from a store path to a file, link by link, without ever leaving the store.
//!
//! The kernel cannot do it in one step: links in the store are absolute, and the store may lie below another root.
//! So each name is opened by itself, `O_PATH` and without following, and what a link says is taken apart here:
//! `/nix/store/…` goes on from the held store directory, another absolute target is an escape, and so is a `..` from
//! that directory. Mounts inside the store are not entered. path_resolution(7), openat2(2).

use narwarden_core::store_path::{STORE_DIR, StorePath};
use narwarden_linux::file_id::FileId;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat2, readlinkat};
use rustix::io::{Errno, retry_on_intr};
use std::collections::VecDeque;
use std::io;
use thiserror::Error;

/// How many specialisations a toplevel may have; with more it is refused.
pub const MOST_SPECIALISATIONS: usize = 256;

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;
/// More names than the longest path has.
const MOST_NAMES: usize = 4096;

/// How many steps are still gone: whoever makes a store path can make each name of it lead through thousands.
#[derive(Debug)]
pub struct Steps(usize);

impl Steps {
    /// So many.
    #[must_use]
    pub fn at_most(steps: usize) -> Self {
        Self(steps)
    }

    /// As many as one name may take.
    #[must_use]
    pub fn of_one_name() -> Self {
        Self(MOST_NAMES)
    }

    /// Whether there are none left.
    #[must_use]
    pub fn are_over(&self) -> bool {
        self.0 == 0
    }
}

const ONE_STEP: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_XDEV)
    .union(ResolveFlags::NO_MAGICLINKS);

/// What a name leads to.
#[derive(Debug)]
pub struct Found {
    /// The file or directory, held without being open.
    pub file: OwnedFd,
    /// What it is known by.
    pub id: FileId,
    /// The store path that it lies in.
    pub owner: StorePath,
    /// Its name in there; empty for the store path itself.
    pub inside: Vec<u8>,
    /// How many names it has.
    pub links: u64,
    /// How many bytes.
    pub size: u64,
    kind: FileType,
}

/// Why a name leads to nothing that could be held.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// There is no such name.
    #[error("it does not exist")]
    Missing,
    /// It leads out of the store.
    #[error("it leads out of the store, to \"{}\"", target.escape_ascii())]
    Escape {
        /// What the last link says.
        target: Vec<u8>,
    },
    /// Something is mounted on the way.
    #[error("another file system is mounted on the way")]
    ForeignMount,
    /// It leads to something that cannot be run, or not be looked into.
    #[error("it leads to {found}, not to {expected}")]
    NoProgram {
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// It leads on for too long.
    #[error("it leads through too many links or names")]
    TooManySteps,
    /// There are more than are looked at.
    #[error("there are more than {most} specialisations: narwarden looks at no more")]
    TooManySpecialisations {
        /// How many are looked at.
        most: usize,
    },
    /// The system refused.
    #[error("cannot {operation} it: {error}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl ResolveError {
    /// What the system refused to do.
    #[must_use]
    pub fn io(operation: &'static str, errno: Errno) -> Self {
        Self::Io { operation, error: errno.into() }
    }
}

impl Found {
    /// Itself, if it is a regular file.
    ///
    /// # Errors
    /// [`ResolveError::NoProgram`], with what it is instead.
    pub fn into_file(self) -> Result<Self, ResolveError> {
        self.of_kind(FileType::RegularFile, "a file")
    }

    /// Its descriptor, if it is a directory.
    ///
    /// # Errors
    /// [`ResolveError::NoProgram`], with what it is instead.
    pub fn into_directory(self) -> Result<OwnedFd, ResolveError> {
        Ok(self.of_kind(FileType::Directory, "a directory")?.file)
    }

    fn of_kind(self, kind: FileType, expected: &'static str) -> Result<Self, ResolveError> {
        if self.kind == kind {
            return Ok(self);
        }
        Err(ResolveError::NoProgram { expected, found: described(self.kind) })
    }
}

fn described(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Symlink | FileType::Unknown => "something else",
    }
}

/// Follows `name`, below `path`, in the held directory `store`.
///
/// # Errors
/// Where it leads to nothing that could be held.
pub fn resolve(store: impl AsFd, path: &StorePath, name: &str) -> Result<Found, ResolveError> {
    resolve_within(store, path, name, &mut Steps::of_one_name())
}

/// The same, as long as there are steps left.
///
/// # Errors
/// The same; [`ResolveError::TooManySteps`] where there are none left.
pub fn resolve_within(
    store: impl AsFd,
    path: &StorePath,
    name: &str,
    steps: &mut Steps,
) -> Result<Found, ResolveError> {
    let mut way = Way { here: Vec::new(), ahead: VecDeque::new() };
    way.ahead.push_back(path.base_name().as_bytes().to_vec());
    way.ahead.extend(parts(name.as_bytes()));
    let mut links = 0;
    let mut target = Vec::new();
    let most = steps.0.min(MOST_NAMES);
    for _ in 0..most {
        steps.0 = steps.0.saturating_sub(1);
        let Some(next) = way.ahead.pop_front() else { return way.found(target) };
        if next == b".." {
            // From a store path, that is the store directory; from there, it is the way out.
            if way.here.pop().is_none() {
                return Err(ResolveError::Escape { target });
            }
            continue;
        }
        let file = match way.here.last() {
            Some((_, directory)) => step(directory, &next),
            None => step(&store, &next),
        }?;
        let kind = FileType::from_raw_mode(stat(&file)?.st_mode);
        if kind == FileType::Symlink {
            links += 1;
            if links > MOST_LINKS {
                return Err(ResolveError::TooManySteps);
            }
            target = read(&file)?;
            way.turn(&target)?;
        } else if kind != FileType::Directory && !way.ahead.is_empty() {
            return Err(ResolveError::Missing);
        } else {
            way.here.push((next, file));
        }
    }
    Err(ResolveError::TooManySteps)
}

/// The names in the directory that `name` leads to, sorted; where there are more than `most`, some `most` of them.
///
/// # Errors
/// Where it leads to no directory, or the system refuses to tell.
pub fn names_in(
    store: impl AsFd,
    path: &StorePath,
    name: &str,
    most: usize,
    steps: &mut Steps,
) -> Result<Vec<Vec<u8>>, ResolveError> {
    let directory = resolve_within(store, path, name, steps)?.into_directory()?;
    let failed = |operation| move |errno| ResolveError::io(operation, errno);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || openat2(&directory, ".", flags, Mode::empty(), ResolveFlags::BENEATH);
    let mut entries =
        Dir::new(retry_on_intr(open).map_err(failed("open"))?).map_err(failed("list"))?;
    let mut names = Vec::new();
    while names.len() < most {
        let Some(entry) = entries.read() else { break };
        let entry = entry.map_err(failed("list"))?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Where one is, and what is still to be gone.
struct Way {
    here: Vec<(Vec<u8>, OwnedFd)>,
    ahead: VecDeque<Vec<u8>>,
}

impl Way {
    /// Goes on where a link says.
    fn turn(&mut self, target: &[u8]) -> Result<(), ResolveError> {
        let mut ahead: VecDeque<Vec<u8>> = parts(target).collect();
        if target.starts_with(b"/") {
            self.here.clear();
            for expected in parts(STORE_DIR.as_bytes()) {
                if ahead.pop_front() != Some(expected) {
                    return Err(ResolveError::Escape { target: target.to_vec() });
                }
            }
        }
        ahead.append(&mut self.ahead);
        self.ahead = ahead;
        if self.ahead.len() > MOST_NAMES { Err(ResolveError::TooManySteps) } else { Ok(()) }
    }

    fn found(mut self, target: Vec<u8>) -> Result<Found, ResolveError> {
        let names: Vec<Vec<u8>> = self.here.iter().map(|(name, _)| name.clone()).collect();
        let owner = names.first().and_then(|first| std::str::from_utf8(first).ok());
        let owner = owner.and_then(|base_name| StorePath::from_base_name(base_name).ok());
        let (Some(owner), Some((_, file))) = (owner, self.here.pop()) else {
            return Err(ResolveError::Escape { target });
        };
        let id =
            FileId::of(&file).map_err(|error| ResolveError::Io { operation: "look at", error })?;
        let stat = stat(&file)?;
        let inside = names.get(1..).unwrap_or_default().join(&b'/');
        let kind = FileType::from_raw_mode(stat.st_mode);
        // The kernel gives no negative size.
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        Ok(Found { file, id, owner, inside, links: stat.st_nlink, size, kind })
    }
}

fn parts(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/');
    parts.filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec)
}

fn step(directory: impl AsFd, name: &[u8]) -> Result<OwnedFd, ResolveError> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match retry_on_intr(|| openat2(&directory, name, flags, Mode::empty(), ONE_STEP)) {
        Ok(file) => Ok(file),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => Err(ResolveError::Missing),
        Err(Errno::XDEV) => Err(ResolveError::ForeignMount),
        Err(errno) => Err(ResolveError::io("open", errno)),
    }
}

fn stat(file: &OwnedFd) -> Result<rustix::fs::Stat, ResolveError> {
    fstat(file).map_err(|errno| ResolveError::io("look at", errno))
}

fn read(link: &OwnedFd) -> Result<Vec<u8>, ResolveError> {
    let target = readlinkat(link, c"", Vec::new());
    Ok(target.map_err(|errno| ResolveError::io("read", errno))?.into_bytes())
}
