//! Which files of a toplevel, when run, activate it.
//!
//! In: the store directory, held open, and a store path. Out: what the names in [`NAMES`] resolve to inside the
//! store, by inode, so that a hard link, another mount namespace or another way there makes no difference. What lies
//! under such a name in another toplevel is that one's entry point and not this one's: whoever can add a store path
//! can let its links lead anywhere, and must not take part in what becomes of the files of others.
//!
//! `init` is not among the names: it can be systemd itself, and with `auto-optimise-store` it shares its inode even
//! where it is a copy. A link that leads out of the store is refused, never followed. Files are held with `O_PATH`,
//! which opens nothing: no reader is made to wait, and no permission event is raised.
//!
//! nixpkgs `nixos/modules/system/activation/{top-level,activatable-system,switchable-system}.nix`; open(2),
//! openat2(2).

mod essential;

pub use essential::essential;
pub use narwarden_store::resolve::{Found, ResolveError};

use narwarden_core::store_path::StorePath;
use narwarden_linux::file_id::FileId;
use narwarden_store::resolve::{MOST_SPECIALISATIONS, Steps, names_in, resolve_within};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;
use std::io;
use std::path::Path;

/// What activates a toplevel, below it.
pub const NAMES: [&str; 8] = [
    "activate",
    "activate-rs",
    "bin/.switch-to-configuration-wrapped",
    "bin/apply",
    "bin/switch-to-configuration",
    "deploy-rs-activate",
    "dry-activate",
    "prepare-root",
];

/// The program that the wrappers of all generations run, in its own store path.
const SWITCH: &str = "bin/switch-to-configuration";

/// How many are looked at all the same, so that the rest of them is shut too. Each takes eight descriptors.
const MOST_LOOKED_AT: usize = 512;

/// How many names and links are followed for the specialisations of one store path, which anybody may have made: some
/// tenths of a second, in which no other is looked at. A system takes some hundred.
const MOST_STEPS: usize = 200_000;

/// Enough for the names of a toplevel itself, however it was made: each of them, and what tells of the path that it
/// leads to.
const OWN_STEPS: usize = NAMES.len() * 10 * 4096;

/// How many names a file has that no other store path shares: its own, and the one that `nix store optimise` gives it
/// in `.links`.
pub const UNSHARED: u64 = 2;

/// What a store path is to the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It can be activated.
    Toplevel,
    /// It holds nothing but the program that activates others.
    SwitchProgram,
    /// Neither.
    Other,
}

/// A file that activates.
#[derive(Debug)]
pub struct EntryPoint {
    /// Its name below the toplevel, as it would be called.
    pub name: String,
    /// The file, held without being open.
    pub file: OwnedFd,
    /// What it is known by.
    pub id: FileId,
    /// Where it lies.
    pub lies: Lies,
    /// How many names the file has. More than one: other paths may have the same contents and share the inode.
    pub links: u64,
}

/// Where an entry point lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lies {
    /// In the toplevel itself.
    Here,
    /// In a store path that is no toplevel: it may be anybody's program.
    In(StorePath),
}

/// All that can be run to activate a store path.
#[derive(Debug, Default)]
#[must_use]
pub struct Surface {
    /// Its own entry points, and those that lie in store paths that are no toplevels.
    pub entry_points: Vec<EntryPoint>,
    /// The toplevels of its specialisations, which have entry points of their own.
    pub specialisations: Vec<StorePath>,
    /// Names that are there and lead to nothing that could be held.
    pub refused: Vec<Refused>,
}

/// A name that leads to nothing that could be held.
#[derive(Debug)]
pub struct Refused {
    /// The name below the toplevel.
    pub name: String,
    /// Why.
    pub error: ResolveError,
}

/// Holds the directory of store paths.
///
/// # Errors
/// Those of open(2).
pub fn open_store(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?)
}

/// What the store path of this base name is.
///
/// # Errors
/// When that cannot be found out.
pub fn role(store: impl AsFd, base_name: &str) -> Result<Role, ResolveError> {
    role_within(store, base_name, &mut Steps::at_most(MOST_STEPS))
}

fn role_within(store: impl AsFd, base_name: &str, steps: &mut Steps) -> Result<Role, ResolveError> {
    /// A program may be called `bin/apply`; none lies at the root of its store path under one of these names.
    const TELLING: [&str; 6] = [
        "nixos-version",
        "activate",
        "activate-rs",
        "deploy-rs-activate",
        "dry-activate",
        "prepare-root",
    ];
    let Ok(path) = StorePath::from_base_name(base_name) else { return Ok(Role::Other) };
    for name in TELLING {
        if present(&store, &path, name, steps)? == Presence::There {
            return Ok(Role::Toplevel);
        }
    }
    if present(&store, &path, "bin/.switch-to-configuration-wrapped", steps)? == Presence::There {
        return Ok(Role::Toplevel);
    }
    match resolve_within(&store, &path, SWITCH, steps).and_then(Found::into_file) {
        Ok(found) if found.owner == path && found.inside == SWITCH.as_bytes() => {
            Ok(Role::SwitchProgram)
        }
        Err(ResolveError::Missing) => Ok(Role::Other),
        Err(error @ ResolveError::Io { .. }) => Err(error),
        // A link: whatever it leads to is run by its name.
        Ok(_)
        | Err(
            ResolveError::Escape { .. }
            | ResolveError::ForeignMount
            | ResolveError::NoProgram { .. }
            | ResolveError::TooManySpecialisations { .. }
            | ResolveError::TooManySteps,
        ) => Ok(Role::Toplevel),
    }
}

/// Whether the store path of this base name can be activated.
///
/// # Errors
/// When that cannot be found out.
pub fn is_toplevel(store: impl AsFd, base_name: &str) -> Result<bool, ResolveError> {
    Ok(role(store, base_name)? == Role::Toplevel)
}

/// Everything that activates `toplevel`.
///
/// # Errors
/// When the system refuses to tell. What it tells of single names is in [`Surface::refused`].
pub fn entry_points(store: impl AsFd, toplevel: &StorePath) -> Result<Surface, ResolveError> {
    let mut surface = Surface::default();
    let mut steps = Steps::at_most(OWN_STEPS);
    let mut ahead = vec![String::new()];
    let mut specialisations_seen = 0;
    // Specialisations are toplevels of their own; where one is not, what activates it lies in here.
    while let Some(prefix) = ahead.pop() {
        for name in NAMES {
            surface.look_at(&store, toplevel, format!("{prefix}{name}"), &mut steps)?;
        }
        if prefix.is_empty() {
            steps = Steps::at_most(MOST_STEPS);
        }
        for name in specialisations(&store, toplevel, &prefix, &mut surface, &mut steps)? {
            specialisations_seen += 1;
            if specialisations_seen == MOST_SPECIALISATIONS + 1 {
                surface.refused.push(too_many(name.clone()));
            }
            if specialisations_seen > MOST_LOOKED_AT {
                return Ok(surface);
            }
            if steps.are_over() {
                surface.refused.push(Refused { name, error: ResolveError::TooManySteps });
                return Ok(surface);
            }
            match resolve_within(&store, toplevel, &name, &mut steps) {
                Ok(Found { owner, inside, .. })
                    if inside.is_empty()
                        && role_within(&store, owner.base_name(), &mut steps)?
                            == Role::Toplevel =>
                {
                    surface.specialisations.push(owner);
                }
                // In here, or anywhere else: it is run by this name.
                Ok(_) => ahead.push(format!("{name}/")),
                Err(error) => surface.refuse(name, error)?,
            }
        }
    }
    if steps.are_over() {
        let (name, error) = ("specialisation".to_owned(), ResolveError::TooManySteps);
        surface.refused.push(Refused { name, error });
    }
    Ok(surface)
}

/// The program of a store path that holds nothing else ([`Role::SwitchProgram`]).
///
/// # Errors
/// When there is none, or the system refuses to tell.
pub fn switch_program(store: impl AsFd, path: &StorePath) -> Result<EntryPoint, ResolveError> {
    let found = resolve_within(store, path, SWITCH, &mut Steps::of_one_name())?;
    let Found { file, id, links, .. } = found.into_file()?;
    Ok(EntryPoint { name: SWITCH.to_owned(), file, id, lies: Lies::Here, links })
}

impl Surface {
    fn look_at(
        &mut self,
        store: impl AsFd,
        toplevel: &StorePath,
        name: String,
        steps: &mut Steps,
    ) -> Result<(), ResolveError> {
        let found = resolve_within(&store, toplevel, &name, steps).and_then(Found::into_file);
        let found = match found {
            Ok(found) => found,
            Err(error) => return self.refuse(name, error),
        };
        let Found { file, id, owner, inside, links, .. } = found;
        let lies = if owner == *toplevel {
            Lies::Here
        } else {
            let own = str::from_utf8(&inside).is_ok_and(is_entry_point);
            match role_within(&store, owner.base_name(), steps)? {
                // What it is was not found out, so nobody else is known to answer for it.
                _ if steps.are_over() => Lies::In(owner),
                Role::Toplevel if own => return Ok(()),
                Role::SwitchProgram if inside == SWITCH.as_bytes() => return Ok(()),
                Role::Toplevel | Role::SwitchProgram | Role::Other => Lies::In(owner),
            }
        };
        self.entry_points.push(EntryPoint { name, file, id, lies, links });
        Ok(())
    }

    /// Takes down why a name leads nowhere; that there is none is nothing to take down.
    fn refuse(&mut self, name: String, error: ResolveError) -> Result<(), ResolveError> {
        match error {
            ResolveError::Missing => Ok(()),
            ResolveError::Io { .. } => Err(error),
            ResolveError::Escape { .. }
            | ResolveError::ForeignMount
            | ResolveError::NoProgram { .. }
            | ResolveError::TooManySpecialisations { .. }
            | ResolveError::TooManySteps => {
                self.refused.push(Refused { name, error });
                Ok(())
            }
        }
    }
}

fn too_many(name: String) -> Refused {
    Refused { name, error: ResolveError::TooManySpecialisations { most: MOST_SPECIALISATIONS } }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    There,
    Missing,
}

/// Whether a file of this name, below a toplevel or one of its specialisations, activates it.
#[must_use]
pub fn is_entry_point(name: &str) -> bool {
    let mut name = name;
    while let Some(rest) = name.strip_prefix("specialisation/") {
        let Some((_, below)) = rest.split_once('/') else { return false };
        name = below;
    }
    NAMES.contains(&name)
}

/// Whether there is such a name, wherever it leads.
fn present(
    store: impl AsFd,
    path: &StorePath,
    name: &str,
    steps: &mut Steps,
) -> Result<Presence, ResolveError> {
    match resolve_within(store, path, name, steps) {
        Err(ResolveError::Missing) => Ok(Presence::Missing),
        Err(error @ ResolveError::Io { .. }) => Err(error),
        Ok(_)
        | Err(
            ResolveError::Escape { .. }
            | ResolveError::ForeignMount
            | ResolveError::NoProgram { .. }
            | ResolveError::TooManySpecialisations { .. }
            | ResolveError::TooManySteps,
        ) => Ok(Presence::There),
    }
}

/// The names below a `specialisation/`.
fn specialisations(
    store: impl AsFd,
    toplevel: &StorePath,
    prefix: &str,
    surface: &mut Surface,
    steps: &mut Steps,
) -> Result<Vec<String>, ResolveError> {
    let place = format!("{prefix}specialisation");
    let mut names = match names_in(store, toplevel, &place, MOST_LOOKED_AT + 1, steps) {
        Ok(names) => names,
        Err(error) => return surface.refuse(place, error).map(|()| Vec::new()),
    };
    if names.len() > MOST_LOOKED_AT {
        names.truncate(MOST_LOOKED_AT);
        surface.refused.push(too_many(place.clone()));
    }
    let mut whole = Vec::new();
    for name in names {
        match String::from_utf8(name) {
            Ok(name) => whole.push(format!("{place}/{name}")),
            // Nix would not make such a name: whoever did has to say so to an operator.
            Err(error) => {
                let name = format!("{place}/{}", error.as_bytes().escape_ascii());
                surface.refused.push(Refused { name, error: ResolveError::TooManySteps });
            }
        }
    }
    Ok(whole)
}
