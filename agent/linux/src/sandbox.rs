//! Takes from this thread, and from every thread it starts afterwards, what its work does not need:
//! files (Landlock), capabilities, gains by execve(2), core dumps. Tells what took effect.
//!
//! In: [`Rules`]. Out: [`Enforced`], for the log; a kernel that lacks something gives less, never an
//! error.
//!
//! Threads started *before* stay free, and one must: Landlock holds for the opening that fanotify(7)
//! does for its reader, so a restricted reader denies every exec of the host that its rules do not
//! cover; and /proc/PID/exe of other processes is closed to a restricted thread whatever its
//! capabilities, ptrace(2). So first start the thread that answers, and the one that may replace
//! this program by execve(2) (a new program begins with what its thread had left), then restrict.
//!
//! landlock(7), capabilities(7), prctl(2) `PR_SET_NO_NEW_PRIVS` and `PR_SET_DUMPABLE`, core(5).
//!
//! ```no_run
//! use narwarden_linux::sandbox::{Access, Capability, Rules, restrict};
//!
//! let enforced = restrict(&Rules {
//!     paths: vec![
//!         ("/nix".into(), Access::Read),
//!         ("/var/lib/narwarden".into(), Access::Change),
//!         ("/dev/pts".into(), Access::Write),
//!         ("/run/systemd".into(), Access::Connect),
//!     ],
//!     capabilities: vec![Capability::CAP_DAC_READ_SEARCH],
//!     ..Rules::default()
//! });
//! assert!(enforced.no_new_privs);
//! ```

mod capabilities;
mod paths;

use std::fmt;
use std::path::PathBuf;

use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
use rustix::thread::{no_new_privs, set_no_new_privs};

pub use caps::Capability;

pub use self::paths::Access;

/// What is left to this thread. The default leaves nothing.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Files and directories with all below, links followed, and what may be done there.
    pub paths: Vec<(PathBuf, Access)>,
    /// Whether abstract sockets of others may be connected to.
    pub abstract_sockets: AbstractSockets,
    /// The capabilities to keep of those this thread has.
    pub capabilities: Vec<Capability>,
}

/// Abstract Unix sockets that were made outside of the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AbstractSockets {
    /// Out of reach, from Linux 6.12 on.
    #[default]
    Deny,
    /// Within reach: for a service manager that is notified at one.
    Allow,
}

/// How much of the Landlock rules took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landlock {
    /// All that this program knows of.
    Full,
    /// What the kernel knows of; it has this version of Landlock.
    Part(u32),
    /// Nothing: not built in, not switched on, or see [`Enforced::problems`].
    Nothing,
}

/// What is in force, asked back from the kernel where it can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Enforced {
    /// The rules for files, TCP, abstract sockets and signals.
    pub landlock: Landlock,
    /// Whether execve(2) can gain nothing any more.
    pub no_new_privs: bool,
    /// Whether the process is closed to core dumps and to being traced. A core dump runs a helper:
    /// its execve(2) would wait for the answer of the very process that is being dumped.
    pub no_core_dumps: bool,
    /// The capabilities in effect, sorted; `None` if they cannot be told.
    pub capabilities: Option<Vec<Capability>>,
    /// Paths of the rules that do not exist, and are out of reach should they come to.
    pub missing: Vec<PathBuf>,
    /// What went wrong, each a sentence.
    pub problems: Vec<String>,
}

/// Restricts this thread, and all threads it starts from now on.
///
/// Each call adds to the calls before; after 16 the kernel takes no more Landlock rules, execve(2)
/// keeps them, and those in force stay.
pub fn restrict(rules: &Rules) -> Enforced {
    let mut problems = Vec::new();
    let mut note = |what: &str, error: &dyn fmt::Display| problems.push(format!("{what}: {error}"));

    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        note("cannot switch off core dumps", &error);
    }
    if let Err(error) = set_no_new_privs(true) {
        note("cannot set no_new_privs", &error);
    }
    let mut missing = Vec::new();
    let landlock = paths::restrict(rules, &mut missing, &mut note);
    capabilities::keep(&rules.capabilities, &mut note);

    Enforced {
        landlock,
        no_new_privs: no_new_privs().unwrap_or(false),
        no_core_dumps: dumpable_behavior().is_ok_and(|it| it == DumpableBehavior::NotDumpable),
        capabilities: capabilities::in_effect(),
        missing,
        problems,
    }
}

impl fmt::Display for Landlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("landlock"),
            Self::Part(version) => write!(f, "landlock (version {version})"),
            Self::Nothing => f.write_str("no landlock"),
        }
    }
}

/// One line for the log; paths are escaped.
impl fmt::Display for Enforced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = |on, what| if on { format!("no {what}") } else { format!("{what} possible") };
        write!(f, "{}, ", self.landlock)?;
        write!(f, "{}, ", with(self.no_new_privs, "new privileges"))?;
        write!(f, "{}, ", with(self.no_core_dumps, "core dumps"))?;
        match &self.capabilities {
            None => f.write_str("capabilities unknown")?,
            Some(held) if held.is_empty() => f.write_str("no capabilities")?,
            Some(held) => {
                f.write_str("capabilities")?;
                held.iter().try_for_each(|capability| write!(f, " {capability}"))?;
            }
        }
        self.missing.iter().try_for_each(|path| write!(f, "; {path:?} does not exist"))?;
        self.problems.iter().try_for_each(|problem| write!(f, "; {problem}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_it_all() {
        let mut enforced = Enforced {
            landlock: Landlock::Part(7),
            no_new_privs: true,
            no_core_dumps: false,
            capabilities: Some(vec![Capability::CAP_DAC_READ_SEARCH, Capability::CAP_SYS_PTRACE]),
            missing: vec!["/a\nb".into()],
            problems: vec!["cannot x: y".to_owned()],
        };
        let expected = "landlock (version 7), no new privileges, core dumps possible, capabilities \
            CAP_DAC_READ_SEARCH CAP_SYS_PTRACE; \"/a\\nb\" does not exist; cannot x: y";
        assert_eq!(enforced.to_string(), expected);
        enforced.landlock = Landlock::Nothing;
        enforced.capabilities = Some(Vec::new());
        assert!(enforced.to_string().starts_with("no landlock, "));
        assert!(enforced.to_string().contains(", no capabilities; "));
    }
}
