//! What an operator means by a target: a store path, a generation's number, or a link that leads to one.

use crate::location::Location;
use narwarden_core::store_path::{STORE_DIR, StorePath};
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
    #[error("{} does not exist", path.display())]
    Missing {
        /// Where a link was looked for.
        path: PathBuf,
    },
    /// It is neither a store path nor a link to one.
    #[error("{} is neither a store path nor a link that leads to one", path.display())]
    NotALink {
        /// Where the chain of links ended.
        path: PathBuf,
    },
    /// It leads to something in the store directory that is no store path.
    #[error("{} leads to no store path: {error}", path.display())]
    NotAStorePath {
        /// Where it leads.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// Links lead to links for too long.
    #[error("{} leads through more than {MAX_LINKS} links", path.display())]
    TooManyLinks {
        /// Where it began.
        path: PathBuf,
    },
    /// The system refused to read a link.
    #[error("cannot read {}: {error}", path.display())]
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
    /// whatever links say.
    ///
    /// # Errors
    /// See [`TargetError`]. A store path need not exist: whether it does is for the verdict to say.
    pub fn resolve(&self, location: &Location) -> Result<StorePath, TargetError> {
        let start = match self {
            Self::Generation(number) => PathBuf::from(format!("{SYSTEM_PROFILE}-{number}-link")),
            Self::Path(path) => path.clone(),
        };
        let mut path = start.clone();
        for _ in 0..MAX_LINKS {
            if let Ok(inside) = normal(&path).strip_prefix(STORE_DIR) {
                return store_path(inside, &path);
            }
            let physical = if path.is_absolute() { location.physical(&path) } else { path.clone() };
            let target = match std::fs::read_link(&physical) {
                Ok(target) => target,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(TargetError::Missing { path: physical });
                }
                Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
                    return Err(TargetError::NotALink { path: physical });
                }
                Err(error) => return Err(TargetError::Io { path: physical, error }),
            };
            path = path
                .parent()
                .map_or_else(|| Path::new("/").join(&target), |parent| parent.join(&target));
        }
        Err(TargetError::TooManyLinks { path: start })
    }
}

fn store_path(inside: &Path, whole: &Path) -> Result<StorePath, TargetError> {
    let error = |error: String| TargetError::NotAStorePath { path: whole.to_owned(), error };
    let Some(Component::Normal(base_name)) = inside.components().next() else {
        return Err(error("it is the store directory itself".to_owned()));
    };
    let base_name = base_name.to_str().ok_or_else(|| error("its name is not UTF-8".to_owned()))?;
    StorePath::from_base_name(base_name).map_err(|problem| error(problem.to_string()))
}

/// `path` without `.` and `..`, taken literally: what lies between is no link when Nix wrote it.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                normal.push(component);
            }
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const PATH: &str = "/nix/store/00000000000000000000000000000000-nixos-system-test-24.05";

    #[test]
    fn links_are_followed_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        let location = Location::new(root.path());
        let profiles = root.path().join("nix/var/nix/profiles");
        std::fs::create_dir_all(&profiles).unwrap();
        std::fs::create_dir_all(root.path().join("run")).unwrap();
        symlink(PATH, profiles.join("system-12-link")).unwrap();
        symlink("system-12-link", profiles.join("system")).unwrap();
        symlink(
            "/nix/var/nix/profiles/../profiles/./system",
            root.path().join("run/current-system"),
        )
        .unwrap();
        symlink("loop", root.path().join("run/loop")).unwrap();
        symlink("/etc/passwd", root.path().join("run/outside")).unwrap();
        for text in [
            "12",
            "/nix/var/nix/profiles/system",
            "/run/current-system",
            PATH,
            &format!("{PATH}/bin/x"),
        ] {
            let found = Target::parse(text).resolve(&location).unwrap();
            assert_eq!(found.to_string(), PATH, "{text}");
        }
        for (text, expected) in [
            ("13", "does not exist"),
            ("/run/loop", "more than 40 links"),
            ("/run/outside", "does not exist"),
            ("/run", "neither a store path nor a link"),
            ("/nix/store", "the store directory itself"),
            ("/nix/store/evil\u{1b}[2J", "leads to no store path"),
            ("/nix/store/../store/x", "leads to no store path"),
        ] {
            let error = Target::parse(text).resolve(&location).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
