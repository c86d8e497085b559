//! What an operator means by a target: a store path, a generation's number, or a link that leads to one.
//!
//! Links are followed by the kernel, one at a time and as if the location's root were `/` (openat2(2),
//! `RESOLVE_IN_ROOT`), so that what is judged is what running the link would run. A link that leads into the
//! middle of a store path, or past it and back, is no target: another program would come to another place.

use crate::location::Location;
use narwarden_core::store_path::{STORE_DIR, StorePath};
use rustix::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2, readlinkat};
use rustix::io::Errno;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};
use thiserror::Error;

/// How many links are followed to a store path, as many as the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;
const SYSTEM_PROFILE: &str = "/nix/var/nix/profiles/system";

/// What the operator wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A number: the generation of the system profile that has it.
    Generation(u64),
    /// A store path, or a link to one: a profile, a generation's link, `./result`.
    Path(PathBuf),
}

/// Why a target leads to no store path.
#[derive(Debug, Error)]
pub enum TargetError {
    /// There is nothing of that name.
    #[error("{path:?} does not exist")]
    Missing {
        /// Where a link was looked for.
        path: PathBuf,
    },
    /// It is neither a store path nor a link to one.
    #[error("{path:?} is neither a store path nor a link that leads to one")]
    NotALink {
        /// Where the chain of links ended.
        path: PathBuf,
    },
    /// It leads to something in the store directory that is no store path.
    #[error("{path:?} leads to no store path: {error}")]
    NotAStorePath {
        /// Where it leads.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// Links lead to links for too long.
    #[error("{path:?} leads through more than {MAX_LINKS} links")]
    TooManyLinks {
        /// Where it began.
        path: PathBuf,
    },
    /// The system refused to read a link.
    #[error("cannot read {path:?}: {error}")]
    Io {
        /// The link.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

impl Target {
    /// Reads what an operator wrote: digits are a generation, everything else a path.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(generation) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Self::Generation(generation)
            }
            Ok(_) | Err(_) => Self::Path(PathBuf::from(text)),
        }
    }

    /// The store path that it leads to. Absolute paths are looked up below the location's root, and so is
    /// whatever links say; a relative path begins where the operator stands.
    ///
    /// # Errors
    /// See [`TargetError`]. A store path need not exist: whether it does is for the verdict to say.
    pub fn resolve(&self, location: &Location) -> Result<StorePath, TargetError> {
        let start = match self {
            Self::Generation(number) => PathBuf::from(format!("{SYSTEM_PROFILE}-{number}-link")),
            Self::Path(path) => path.clone(),
        };
        let root = open_root(location)?;
        let mut path = start.clone();
        for _ in 0..MAX_LINKS {
            if let Some(base_name) = direct_child(&path) {
                return store_path(&base_name, &path);
            }
            let found = open(&root, &path)?;
            if kind(&found, &path)? != FileType::Symlink {
                return place(&root, &found, &path);
            }
            let text = readlinkat(&found, "", Vec::new()).map_err(io(&path))?;
            let text = PathBuf::from(OsString::from_vec(text.into_bytes()));
            // What lies before the link's name may be links too: the kernel resolves both together.
            path = match path.parent() {
                Some(parent) => parent.join(text),
                None => text,
            };
        }
        Err(TargetError::TooManyLinks { path: start })
    }
}

fn open_root(location: &Location) -> Result<OwnedFd, TargetError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(location.root(), flags, Mode::empty()).map_err(io(location.root()))
}

/// Holds what is at `path`, without following a link that is there itself.
fn open(root: &OwnedFd, path: &Path) -> Result<OwnedFd, TargetError> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = if path.is_absolute() {
        openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
    } else {
        rustix::fs::openat(CWD, path, flags, Mode::empty())
    };
    opened.map_err(|errno| match errno {
        Errno::NOENT | Errno::NOTDIR => TargetError::Missing { path: path.to_owned() },
        errno => io(path)(errno),
    })
}

fn kind(file: &OwnedFd, path: &Path) -> Result<FileType, TargetError> {
    Ok(FileType::from_raw_mode(fstat(file).map_err(io(path))?.st_mode))
}

/// The store path that something which is no link is, by the name that the kernel has for it.
fn place(root: &OwnedFd, found: &OwnedFd, path: &Path) -> Result<StorePath, TargetError> {
    let name = |file: &OwnedFd| {
        std::fs::read_link(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))
            .map_err(|error| TargetError::Io { path: path.to_owned(), error })
    };
    let (root, found) = (name(root)?, name(found)?);
    let inside = found.strip_prefix(&root).map(|inside| Path::new("/").join(inside));
    let Ok(inside) = inside else { return Err(TargetError::NotALink { path: path.to_owned() }) };
    match direct_child(&inside) {
        Some(base_name) => store_path(&base_name, path),
        None if inside.starts_with(STORE_DIR) => Err(TargetError::NotAStorePath {
            path: path.to_owned(),
            error: format!("it leads to {inside:?}, not to a store path itself"),
        }),
        None => Err(TargetError::NotALink { path: path.to_owned() }),
    }
}

/// The one name below the store directory, if the path is exactly that.
fn direct_child(path: &Path) -> Option<OsString> {
    let mut inside = path.strip_prefix(STORE_DIR).ok()?.components();
    match (inside.next(), inside.next()) {
        (Some(Component::Normal(base_name)), None) => Some(base_name.to_owned()),
        (_, _) => None,
    }
}

fn store_path(base_name: &OsString, whole: &Path) -> Result<StorePath, TargetError> {
    let error = |error: String| TargetError::NotAStorePath { path: whole.to_owned(), error };
    let base_name = base_name.to_str().ok_or_else(|| error("its name is not UTF-8".to_owned()))?;
    StorePath::from_base_name(base_name).map_err(|problem| error(problem.to_string()))
}

fn io(path: &Path) -> impl Fn(Errno) -> TargetError {
    let path = path.to_owned();
    move |errno| TargetError::Io { path: path.clone(), error: errno.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const PATH: &str = "/nix/store/00000000000000000000000000000000-nixos-system-test-24.05";
    const OTHER: &str = "/nix/store/11111111111111111111111111111111-nixos-system-evil";

    #[test]
    fn links_are_followed_below_the_root_as_the_kernel_would() {
        let root = tempfile::tempdir().unwrap();
        let location = Location::new(root.path());
        let profiles = root.path().join("nix/var/nix/profiles");
        std::fs::create_dir_all(&profiles).unwrap();
        std::fs::create_dir_all(root.path().join("run")).unwrap();
        for store_path in [PATH, OTHER] {
            std::fs::create_dir_all(location.physical(Path::new(store_path)).join("bin")).unwrap();
        }
        symlink(OTHER, location.physical(Path::new(PATH)).join("sw")).unwrap();
        let link = |to: &str, at: &str| symlink(to, root.path().join(at)).unwrap();
        link(PATH, "nix/var/nix/profiles/system-12-link");
        link("system-12-link", "nix/var/nix/profiles/system");
        link("/nix/var/nix/profiles/../profiles/./system", "run/current-system");
        link("/nix/store/22222222222222222222222222222222-gone", "run/dangling");
        link("loop", "run/loop");
        link("/etc/passwd", "run/outside");
        // By its text this leads to PATH; the kernel goes through the link to OTHER and back up.
        link(&format!("{PATH}/sw/../{}", PATH.rsplit('/').next().unwrap()), "run/back");
        link(&format!("{PATH}/sw"), "run/sw");
        link(&format!("{PATH}/bin"), "run/inside");
        for (text, expected) in [
            ("12", PATH),
            ("/nix/var/nix/profiles/system", PATH),
            ("/run/current-system", PATH),
            (PATH, PATH),
            ("/run/back", PATH),
            ("/run/sw", OTHER),
            (&format!("{PATH}/"), PATH),
            ("/run/dangling", "/nix/store/22222222222222222222222222222222-gone"),
        ] {
            let found = Target::parse(text).resolve(&location).unwrap();
            assert_eq!(found.to_string(), expected, "{text}");
        }
        for (text, expected) in [
            ("13", "does not exist"),
            ("/run/loop", "more than 40 links"),
            ("/run/outside", "does not exist"),
            ("/run", "neither a store path nor a link"),
            ("/run/inside", "not to a store path itself"),
            ("/nix/store", "not to a store path itself"),
            (&format!("{PATH}/bin"), "not to a store path itself"),
            ("/nix/store/evil\u{1b}[2J", "leads to no store path"),
        ] {
            let error = Target::parse(text).resolve(&location).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
