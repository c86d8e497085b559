//! What is remembered of links from one look to the next.
//!
//! A verdict says something about a link only if it was begun after the link was there: what a link leads to may have
//! been signed, or fetched again, in between. When a verification began nobody tells; but one whose toplevel was
//! neither queued nor running at some moment after the link was seen, and which ended later, began later too.

use crate::generations::Link;
use crate::table::Denial;
use jiff::{SignedDuration, Timestamp};
use narwarden_core::store_path::StorePath;
use rustix::fs::{AtFlags, CWD, statat};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long to wait before what failed is tried again.
pub(super) const AGAIN: Duration = Duration::from_secs(10);

/// How often in a row a verdict is asked for that does not come, before it is waited in between: an admission may be
/// forgotten right after it was made, when more becomes known of its files.
const AT_ONCE: u32 = 3;

/// The links, by their place.
#[derive(Debug, Default)]
pub struct Memory(BTreeMap<PathBuf, Seen>);

#[derive(Debug)]
struct Seen {
    identity: Identity,
    /// When its toplevel was not being verified any more.
    calm: Option<Timestamp>,
    /// How often a verdict was asked for since there was one, and when last.
    asked: Option<(u32, Instant)>,
    /// When it was last tried in vain to move it.
    tried: Option<Instant>,
    said: BTreeSet<String>,
}

/// A link that was made again is another one, and so is one whose store path came to be.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    raw: OsString,
    inode: Option<[i128; 4]>,
    leads_somewhere: bool,
}

impl Identity {
    fn of(link: &Link) -> Self {
        let stat = statat(CWD, &link.path, AtFlags::SYMLINK_NOFOLLOW).ok();
        let inode = stat.map(|it| {
            [it.st_dev.into(), it.st_ino.into(), it.st_ctime.into(), it.st_ctime_nsec.into()]
        });
        Self { raw: link.raw.clone(), inode, leads_somewhere: link.target.is_ok() }
    }
}

impl Memory {
    /// Takes note of what links there are, and then asks what is being verified.
    pub(super) fn note(&mut self, links: &[Link], pending: impl FnOnce() -> Vec<StorePath>) {
        let mut before = std::mem::take(&mut self.0);
        for link in links {
            let identity = Identity::of(link);
            let known = before.remove(&link.path).filter(|seen| seen.identity == identity);
            let seen = known.unwrap_or_else(|| Seen {
                identity,
                calm: None,
                asked: None,
                tried: None,
                said: BTreeSet::new(),
            });
            self.0.insert(link.path.clone(), seen);
        }
        let pending: BTreeSet<StorePath> = pending().into_iter().collect();
        let now = Timestamp::now();
        for link in links {
            let quiet = link.store_path().is_some_and(|toplevel| !pending.contains(toplevel));
            let Some(seen) = self.0.get_mut(&link.path) else { continue };
            // A clock that was set back would make every verdict an old one.
            seen.calm = seen.calm.or_else(|| quiet.then_some(now)).map(|calm| calm.min(now));
        }
    }

    /// Whether the denial was begun after the link was there.
    pub(super) fn is_younger(&self, denial: &Denial, link: &Link) -> bool {
        let calm = self.0.get(&link.path).and_then(|seen| seen.calm);
        calm.is_some_and(|calm| denial.decided > calm)
    }

    /// There is a verdict that says something about the link.
    pub(super) fn is_judged(&mut self, link: &Link) {
        if let Some(seen) = self.0.get_mut(&link.path) {
            seen.asked = None;
        }
    }

    /// Whether to ask for a verdict now; it is assumed to be done then.
    pub(super) fn ask(&mut self, link: &Link, denial: Option<&Denial>) -> bool {
        let now = Instant::now();
        let Some(seen) = self.0.get_mut(&link.path) else { return false };
        let often = seen.asked.is_some_and(|(times, at)| {
            times >= AT_ONCE && now.saturating_duration_since(at) < AGAIN
        });
        // What could not be found out a moment ago cannot be found out now.
        let soon = denial.is_some_and(|denial| denial.reason.is_unknown() && is_recent(denial));
        if often || soon {
            return false;
        }
        let times = seen.asked.map_or(0, |(times, _)| times);
        seen.asked = Some((times.saturating_add(1), now));
        true
    }

    /// Whether it is time to try to move the link.
    pub(super) fn may_move(&self, link: &Link) -> bool {
        let tried = self.0.get(&link.path).and_then(|seen| seen.tried);
        tried.is_none_or(|at| at.elapsed() >= AGAIN)
    }

    /// The link was to be moved, and is still there.
    pub(super) fn could_not_move(&mut self, link: &Link) {
        if let Some(seen) = self.0.get_mut(&link.path) {
            seen.tried = Some(Instant::now());
        }
    }

    /// Whether that was not said of the link yet; it is assumed to be said then.
    pub(super) fn says(&mut self, link: &Link, what: &str) -> bool {
        self.0.get_mut(&link.path).is_some_and(|seen| seen.said.insert(what.to_owned()))
    }
}

fn is_recent(denial: &Denial) -> bool {
    let age = Timestamp::now().duration_since(denial.decided);
    !age.is_negative() && age < SignedDuration::try_from(AGAIN).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generations::{Kind, Profile};
    use narwarden_core::reason::Reason;
    use std::os::unix::fs::symlink;

    fn path() -> StorePath {
        StorePath::from_base_name("00000000000000000000000000000000-nixos").unwrap()
    }

    fn link(directory: &std::path::Path) -> Link {
        let at = directory.join("system-2-link");
        let _ = std::fs::remove_file(&at);
        symlink(path().to_string(), &at).unwrap();
        Link {
            profile: Profile::System,
            kind: Kind::Generation(2),
            path: at,
            raw: path().to_string().into(),
            through: None,
            target: Ok(path()),
        }
    }

    fn denial(reason: Reason) -> Denial {
        Denial { reason, detail: String::new(), decided: Timestamp::now() }
    }

    #[test]
    fn a_verdict_is_younger_than_the_link_only_if_it_was_begun_later() {
        let directory = tempfile::tempdir().unwrap();
        let (mut memory, old) = (Memory::default(), denial(Reason::Unsigned));
        let one = link(directory.path());
        memory.note(std::slice::from_ref(&one), Vec::new);
        assert!(!memory.is_younger(&old, &one));
        assert!(memory.is_younger(&denial(Reason::Unsigned), &one), "control");
        // The same name and target, made again: what was decided of the first says nothing.
        let (before, two) = (denial(Reason::Unsigned), link(directory.path()));
        memory.note(std::slice::from_ref(&two), || vec![path()]);
        assert!(!memory.is_younger(&before, &two));
        // It was being verified when it appeared: nor does what comes of that.
        let (meanwhile, _) =
            (denial(Reason::Unsigned), memory.note(std::slice::from_ref(&two), Vec::new));
        assert!(!memory.is_younger(&meanwhile, &two));
        assert!(memory.is_younger(&denial(Reason::Unsigned), &two), "control");
        // Still there: nothing changes by looking again.
        let after = denial(Reason::Unsigned);
        memory.note(std::slice::from_ref(&two), Vec::new);
        assert!(memory.is_younger(&after, &two));
    }

    #[test]
    fn what_could_not_be_found_out_is_asked_again_but_not_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let (mut memory, link) = (Memory::default(), link(directory.path()));
        memory.note(std::slice::from_ref(&link), Vec::new);
        let mut unknown = denial(Reason::Unreadable);
        assert!(!memory.ask(&link, Some(&unknown)));
        unknown.decided -= SignedDuration::from_secs(11);
        assert!(memory.ask(&link, Some(&unknown)));
        // A clock that was set back keeps nothing from being tried.
        unknown.decided += SignedDuration::from_hours(1);
        assert!(memory.ask(&link, Some(&unknown)));
        // One that never gets a verdict does not keep the verifier busy.
        assert!(memory.ask(&link, None) && !memory.ask(&link, None));
        memory.is_judged(&link);
        assert!(memory.ask(&link, None), "control");
    }

    #[test]
    fn what_was_said_is_said_once_and_what_failed_waits() {
        let directory = tempfile::tempdir().unwrap();
        let (mut memory, one) = (Memory::default(), link(directory.path()));
        memory.note(std::slice::from_ref(&one), Vec::new);
        assert!(memory.says(&one, "running") && !memory.says(&one, "running"));
        assert!(memory.says(&one, "other") && memory.may_move(&one));
        memory.could_not_move(&one);
        assert!(!memory.may_move(&one));
        let two = link(directory.path());
        memory.note(std::slice::from_ref(&two), Vec::new);
        assert!(memory.may_move(&two) && memory.says(&two, "running"), "another link");
    }
}
