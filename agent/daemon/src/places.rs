//! Where everything lies on this machine, or below another root in tests.
//!
//! Decides nothing. Every other module gets its paths from here, so that the whole daemon runs below a
//! temporary directory.

use narwarden_store::agent::RUNNING;
use narwarden_store::{Location, Shelf};
use std::path::{Path, PathBuf};

/// The directories of the daemon and of Nix, as they are on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The store.
    pub location: Location,
    /// Nix's profiles: `system`, its generations, `system-profiles`.
    pub profiles: PathBuf,
    /// Links of rejected generations. They are garbage collector roots, and no boot loader looks here.
    pub quarantine: PathBuf,
    /// What must survive a reboot.
    pub state: PathBuf,
    /// What must not.
    pub run: PathBuf,
    /// The trust set and policy that the running generation brought along: proposals, no more.
    pub proposals: PathBuf,
}

impl Places {
    /// The usual places on the system that `location` belongs to.
    #[must_use]
    pub fn new(location: Location) -> Self {
        let at = |path: &str| location.physical(Path::new(path));
        Self {
            profiles: at("/nix/var/nix/profiles"),
            quarantine: at("/nix/var/nix/gcroots/narwarden-quarantine"),
            state: at("/var/lib/narwarden"),
            run: at("/run/narwarden"),
            proposals: at("/etc/narwarden"),
            location,
        }
    }

    /// The usual places below `root`; `/` is this machine.
    #[must_use]
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self::new(Location::new(root))
    }

    /// Where processes write what the garbage collector must leave alone while they live.
    #[must_use]
    pub fn temp_roots(&self) -> PathBuf {
        self.location.physical(Path::new("/nix/var/nix/temproots"))
    }

    /// Held exclusively while garbage is collected.
    #[must_use]
    pub fn gc_lock(&self) -> PathBuf {
        self.location.physical(Path::new("/nix/var/nix/gc.lock"))
    }

    /// Where a running garbage collector takes in roots.
    #[must_use]
    pub fn gc_socket(&self) -> PathBuf {
        self.location.physical(Path::new("/nix/var/nix/gc-socket/socket"))
    }

    /// Where the seals of what was measured are kept. Without the token, which is beside the socket, they count for
    /// nothing.
    #[must_use]
    pub fn seals(&self) -> Shelf {
        Shelf::with_token(self.state.join("seals"), self.run.join("seals-token"))
    }

    /// The links to the generation that runs and to the one that was booted.
    #[must_use]
    pub fn running(&self) -> [PathBuf; 2] {
        RUNNING.map(|link| self.location.physical(Path::new(link)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_below_the_root() {
        let places = Places::below("/somewhere");
        let below = [
            places.location.store_directory(),
            places.profiles.clone(),
            places.quarantine.clone(),
            places.state.clone(),
            places.run.clone(),
            places.proposals.clone(),
            places.temp_roots(),
            places.gc_lock(),
            places.gc_socket(),
        ];
        assert!(below.iter().chain(&places.running()).all(|path| path.starts_with("/somewhere")));
        assert_eq!(Places::below("/").state, Path::new("/var/lib/narwarden"));
    }
}
