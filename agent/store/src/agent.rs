//! What the running system and a candidate have in the place of the daemon's unit.
//!
//! Names are followed as [`resolve`] does, so a link to `/dev/null` leads out of the store, on whatever root it lies.

use crate::location::Location;
use crate::resolve::{Found, MOST_SPECIALISATIONS, ResolveError, Steps, names_in, resolve};
use crate::target::{Target, TargetError};
use narwarden_core::agent::{Agent, Removed, UNIT, Unit};
use narwarden_core::plan::{AgentAsk, Plan};
use narwarden_core::store_path::StorePath;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, retry_on_intr};
use std::collections::VecDeque;

/// The links to the generation that runs and to the one that was booted.
pub const RUNNING: [&str; 2] = ["/run/current-system", "/run/booted-system"];

/// Names of which a system has one; what activates something else has none: a profile of packages that a tool
/// activates, a user's home.
const TELLING: [&str; 5] = [
    "nixos-version",
    "init",
    "dry-activate",
    "prepare-root",
    "bin/.switch-to-configuration-wrapped",
];

/// Or it has all of these.
const TELLING_TOGETHER: [&str; 2] = ["activate", "bin/switch-to-configuration"];

/// Whether a generation must bring the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// What runs or was booted brings it.
    Yes,
    /// Neither does: narwarden was installed in another way, or runs nowhere here.
    No,
    /// It cannot be told. The text is escaped.
    Unknown(String),
}

/// Whether the systems that run below this root bring the unit.
#[must_use]
pub fn asked(location: &Location) -> Asked {
    let mut asked = Asked::No;
    for link in RUNNING {
        let system = match Target::Path(link.into()).resolve(location) {
            Ok(system) => system,
            // Whoever has it lead elsewhere could as well remove it.
            Err(
                TargetError::Missing { .. }
                | TargetError::NotALink { .. }
                | TargetError::NotAStorePath { .. }
                | TargetError::TooManyLinks { .. },
            ) => continue,
            Err(error @ TargetError::Io { .. }) => {
                asked = Asked::Unknown(error.to_string());
                continue;
            }
        };
        let unit = match hold_store(location) {
            Ok(store) => unit(&store, &system, UNIT),
            Err(Errno::NOENT) => continue,
            Err(errno) => Unit::Unknown(format!("cannot open the store: {errno}")),
        };
        match unit {
            Unit::In(_) => return Asked::Yes,
            Unit::Removed(
                Removed::Missing | Removed::LeadsOut(_) | Removed::NoFile(_) | Removed::Empty,
            ) => {}
            Unit::Unknown(why) => asked = Asked::Unknown(format!("{link}/{UNIT}: {why}")),
        }
    }
    asked
}

/// What the subject of `plan` has in the place of the unit, where that is asked.
pub fn look(location: &Location, plan: &Plan<'_>) -> Agent {
    let asked = match plan.agent_ask() {
        AgentAsk::Nothing => return Agent::NotAsked,
        AgentAsk::Unit => asked(location),
    };
    if asked == Asked::No {
        return Agent::NotAsked;
    }
    let toplevel = plan.closure().toplevel();
    let units = match hold_store(location) {
        Ok(store) => units(&store, toplevel),
        Err(errno) => Err(ResolveError::io("open", errno)),
    };
    match (asked, units) {
        (_, Ok(None)) | (Asked::No, _) => Agent::NotAsked,
        (Asked::Unknown(why), _) => Agent::Unknown(why),
        (Asked::Yes, Ok(Some((toplevel, specialisations)))) => {
            Agent::Asked { toplevel, specialisations }
        }
        (Asked::Yes, Err(error)) => Agent::Unknown(format!("{toplevel}: {error}")),
    }
}

fn hold_store(location: &Location) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    retry_on_intr(|| open(location.store_directory(), flags, Mode::empty()))
}

type Units = (Unit, Vec<(String, Unit)>);

/// The units of a system and its specialisations; none where it is no system.
fn units(store: impl AsFd, toplevel: &StorePath) -> Result<Option<Units>, ResolveError> {
    if !is_system(&store, toplevel)? {
        return Ok(None);
    }
    let own = unit(&store, toplevel, UNIT);
    let mut found = Vec::new();
    let mut ahead = VecDeque::from(specialisations(&store, toplevel, "")?);
    while let Some(at) = ahead.pop_front() {
        if found.len() == MOST_SPECIALISATIONS {
            return Err(ResolveError::TooManySpecialisations { most: MOST_SPECIALISATIONS });
        }
        ahead.extend(specialisations(&store, toplevel, &format!("{at}/"))?);
        let unit = unit(&store, toplevel, &format!("{at}/{UNIT}"));
        found.push((at, unit));
    }
    Ok(Some((own, found)))
}

fn is_system(store: impl AsFd, path: &StorePath) -> Result<bool, ResolveError> {
    let there = |name: &&str| match resolve(&store, path, name) {
        Err(ResolveError::Missing) => Ok(false),
        Err(error @ ResolveError::Io { .. }) => Err(error),
        // Wherever it leads: it is called so.
        Ok(_)
        | Err(
            ResolveError::Escape { .. }
            | ResolveError::ForeignMount
            | ResolveError::NoProgram { .. }
            | ResolveError::TooManySpecialisations { .. }
            | ResolveError::TooManySteps,
        ) => Ok(true),
    };
    for name in &TELLING {
        if there(name)? {
            return Ok(true);
        }
    }
    for name in &TELLING_TOGETHER {
        if !there(name)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn unit(store: impl AsFd, path: &StorePath, name: &str) -> Unit {
    match resolve(store, path, name).and_then(Found::into_file) {
        Ok(Found { size: 0, .. }) => Unit::Removed(Removed::Empty),
        Ok(Found { owner, .. }) => Unit::In(owner),
        Err(ResolveError::Missing) => Unit::Removed(Removed::Missing),
        Err(ResolveError::Escape { target }) => {
            Unit::Removed(Removed::LeadsOut(target.escape_ascii().to_string()))
        }
        Err(ResolveError::NoProgram { found, .. }) => Unit::Removed(Removed::NoFile(found)),
        Err(
            error @ (ResolveError::ForeignMount
            | ResolveError::Io { .. }
            | ResolveError::TooManySpecialisations { .. }
            | ResolveError::TooManySteps),
        ) => Unit::Unknown(error.to_string()),
    }
}

/// The places of the specialisations below a toplevel's `prefix`.
fn specialisations(
    store: impl AsFd,
    toplevel: &StorePath,
    prefix: &str,
) -> Result<Vec<String>, ResolveError> {
    let place = format!("{prefix}specialisation");
    let most = MOST_SPECIALISATIONS + 1;
    let names = match names_in(store, toplevel, &place, most, &mut Steps::of_one_name()) {
        Ok(names) if names.len() > MOST_SPECIALISATIONS => {
            return Err(ResolveError::TooManySpecialisations { most: MOST_SPECIALISATIONS });
        }
        Ok(names) => names,
        Err(ResolveError::Missing) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    // Nix would not make a name that is no text.
    let text = |name| String::from_utf8(name).map_err(|_| ResolveError::TooManySteps);
    names.into_iter().map(|name| Ok(format!("{place}/{}", text(name)?))).collect()
}
