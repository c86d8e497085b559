//! Landlock: which paths, TCP ports, sockets and signals are left.
//!
//! Rules hold for what a path leads to now, links followed. What the kernel does not know of it does
//! not enforce; everything it knows of and no rule allows is denied.

use std::fmt::Display;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope,
};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::{Errno, retry_on_intr};

use super::{AbstractSockets, Landlock, Rules};

/// The newest version whose rights these rules were written for. Raise it only with a look at what
/// the new rights deny.
const VERSION: ABI = ABI::V9;

/// What may be done with a path and all below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read files, list directories.
    Read,
    /// As `Read`, and execve(2).
    Run,
    /// As `Read`, and create, write, rename, also across directories (from Linux 5.19 on; before,
    /// Landlock always refuses that with `EXDEV`), and remove. No devices, no execve(2).
    Change,
    /// Write to files that exist: terminals.
    Write,
    /// Connect to sockets, which needs a rule from Linux 7.1 on.
    Connect,
}

impl Access {
    fn rights(self) -> BitFlags<AccessFs> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        match self {
            Self::Read => read,
            Self::Run => read | AccessFs::Execute,
            Self::Change => {
                let devices = AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
                let write = AccessFs::from_write(VERSION);
                read | (write & !devices & !BitFlags::from(AccessFs::ResolveUnix))
            }
            Self::Write => AccessFs::WriteFile.into(),
            Self::Connect => AccessFs::ResolveUnix.into(),
        }
    }
}

/// Restricts this thread by `rules`; what is missing or fails is noted, and the rest enforced.
pub(super) fn restrict(
    rules: &Rules,
    missing: &mut Vec<std::path::PathBuf>,
    note: &mut impl FnMut(&str, &dyn Display),
) -> Landlock {
    let mut ruleset = match begin(rules.abstract_sockets) {
        Ok(ruleset) => ruleset,
        Err(error) => {
            note("cannot make Landlock rules", &error);
            return Landlock::Nothing;
        }
    };
    for (path, access) in &rules.paths {
        let rule = match beneath(path, *access) {
            Ok(rule) => rule,
            Err(Errno::NOENT) => {
                missing.push(path.clone());
                continue;
            }
            Err(errno) => {
                note(&format!("cannot open {path:?} for a Landlock rule"), &errno);
                continue;
            }
        };
        // The set is taken and given back; a failure takes it for good.
        ruleset = match ruleset.add_rule(rule) {
            Ok(ruleset) => ruleset,
            Err(error) => {
                note(&format!("cannot add a Landlock rule for {path:?}"), &error);
                return Landlock::Nothing;
            }
        };
    }
    match ruleset.restrict_self() {
        Ok(status) => enforced(&status),
        Err(error) if is_too_many(&error) => {
            note("no more Landlock rules", &"16 calls before this one are in force");
            Landlock::Nothing
        }
        Err(error) => {
            note("cannot enforce Landlock rules", &error);
            Landlock::Nothing
        }
    }
}

fn begin(abstract_sockets: AbstractSockets) -> Result<RulesetCreated, RulesetError> {
    let scopes = match abstract_sockets {
        AbstractSockets::Deny => Scope::from_all(VERSION),
        AbstractSockets::Allow => Scope::Signal.into(),
    };
    Ruleset::default()
        .handle_access(AccessFs::from_all(VERSION))?
        .handle_access(AccessNet::from_all(VERSION))?
        .scope(scopes)?
        .create()
}

fn beneath(path: &Path, access: Access) -> Result<PathBeneath<OwnedFd>, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file = retry_on_intr(|| open(path, flags, Mode::empty()))?;
    let kind = FileType::from_raw_mode(fstat(&file)?.st_mode);
    // The kernel refuses rights of directories for anything else.
    let rights = match kind == FileType::Directory {
        true => access.rights(),
        false => access.rights() & AccessFs::from_file(VERSION),
    };
    Ok(PathBeneath::new(file, rights))
}

fn enforced(status: &RestrictionStatus) -> Landlock {
    let version = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi as u32,
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => return Landlock::Nothing,
    };
    match status.ruleset {
        RulesetStatus::FullyEnforced => Landlock::Full,
        RulesetStatus::PartiallyEnforced => Landlock::Part(version),
        RulesetStatus::NotEnforced => Landlock::Nothing,
    }
}

/// `E2BIG`: the kernel stacks 16 sets of rules.
fn is_too_many(error: &RulesetError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.raw_os_error() == Some(Errno::TOOBIG.raw_os_error());
        }
        cause = error.source();
    }
    false
}
