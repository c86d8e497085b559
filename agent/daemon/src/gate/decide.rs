//! What a request is answered, by what the table knows at this moment.

use super::passed::Passed;
use super::subject;
use super::{Ask, Gate, Origin, Waiting};
use crate::entry_points::UNSHARED;
use crate::table::{Answer, Identity, Looked, Obstacle, Role, Shared};
use jiff::Timestamp;
use narwarden_core::store_path::StorePath;
use narwarden_linux::fanotify::{Access, Request};
use narwarden_linux::process::{Privilege, Process};
use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// What to do with a request now.
pub(super) enum Decision {
    /// Let it through; it concerns nobody.
    Ignore,
    /// Let it through, and see the next one too.
    Pass,
    /// An activation goes ahead.
    Activate(StorePath),
    /// Refuse it.
    Deny(Option<StorePath>, Arc<str>),
    /// It cannot be told yet.
    Wait {
        /// Who can tell.
        ask: Ask,
        /// What would be activated, if that is known.
        toplevel: Option<StorePath>,
        /// What is waited for.
        why: Arc<str>,
    },
}

impl Decision {
    fn wait(ask: Ask, toplevel: Option<&StorePath>, why: impl Into<Arc<str>>) -> Self {
        Self::Wait { ask, toplevel: toplevel.cloned(), why: why.into() }
    }
}

/// How many toplevels may be activated by a file, where its name does not say which is meant: each is looked up while
/// others wait.
const MOST_OWNERS: usize = 64;

/// Whether other store paths may have the file too.
fn shares(file: BorrowedFd<'_>) -> bool {
    // What cannot be told is looked at.
    rustix::fs::fstat(file).map_or(true, |found| found.st_nlink > UNSHARED)
}

impl Gate {
    pub(super) fn decide(&self, one: &mut Waiting, passed: &mut Passed) -> Decision {
        let Waiting { request, from, scan, look, process, .. } = one;
        if request.pid() == std::process::id() {
            return Decision::Pass;
        }
        // A file that cannot be told from others is none that anybody made known, and may be any of them.
        let Ok(file) = Identity::of(request.file()) else {
            return Decision::Deny(None, "the file cannot be identified".into());
        };
        let role = self.table.role(file);
        let hint = subject::hinted(request.file());
        if role.is_none() && hint.is_none() && (*from == Origin::Watch || self.scans.is_all_known())
        {
            return Decision::Ignore;
        }
        let process = process.get_or_insert_with(|| Process::of(request));
        match process.privilege() {
            // An ordinary user activates nothing by running or reading it, and must not keep others waiting.
            Privilege::None => return Decision::Pass,
            Privilege::Unknown => {
                let why = "it has too many threads to be sure that it is an ordinary user's";
                return Decision::Deny(hint, why.into());
            }
            Privilege::Capable | Privilege::Root => {}
        }
        let privilege = process.privilege();
        let mut role = role;
        let reads = request.kind() == Access::Open
            && process.executable().is_some_and(|program| self.settings.may_read(program));
        let came_through = role.as_ref().is_some_and(|role| role.shared.is_some())
            && passed.came_through(request, process);
        // It would be refused. What is a file of the running system by its name is not asked about again.
        if let Some(Role { owners, shared, .. }) = &role
            && (!owners.is_empty() || shared.is_some())
            && !reads
            && !came_through
            && shares(request.file())
            && hint.as_ref().is_none_or(|hint| !owners.contains(hint))
        {
            let before = *look.get_or_insert_with(|| self.table.begin_look());
            if !self.table.looked_who_shares_since(file, before) {
                let why = "looking whether the running system has the file too";
                return Decision::wait(Ask::Shared(file, before), owners.first(), why);
            }
            role = self.table.role(file);
        }
        let decision = match role {
            Some(_) if reads => Decision::Pass,
            Some(Role { meant, .. }) if hint.as_ref().is_some_and(|hint| meant.contains(hint)) => {
                self.activation(meant, hint, *scan.get_or_insert_with(|| self.ask_scan()))
            }
            Some(Role { shared: Some(_), .. }) if came_through => Decision::Pass,
            Some(Role { owners, .. }) if !owners.is_empty() => {
                self.activation(owners, hint, *scan.get_or_insert_with(|| self.ask_scan()))
            }
            Some(Role { shared: Some(shared), .. }) => self.shared(shared, request, process),
            // By this name it is a part of the system that runs. By the other it is asked about, so it is not ignored.
            Some(Role { meant, .. }) if !meant.is_empty() => Decision::Pass,
            // It was held for a reason that is not known yet.
            Some(_) | None if *from == Origin::Hold && !self.scans.is_all_known() => {
                Decision::wait(Ask::Scan, None, "narwardend has just started")
            }
            Some(_) | None => self.unknown(hint, look),
        };
        match (privilege, decision) {
            // Anybody has capabilities in a namespace of their own, and must not have things verified, nor keep others
            // waiting by their number.
            (Privilege::Capable, Decision::Wait { ask: Ask::Decide(toplevel), .. }) => {
                let why = "it has no verdict, and only root can have it verified";
                Decision::Deny(Some(toplevel), why.into())
            }
            (
                Privilege::None | Privilege::Capable | Privilege::Root | Privilege::Unknown,
                decision,
            ) => decision,
        }
    }

    /// What stands in the profiles now is what counts, so it is read after the request came.
    fn ask_scan(&self) -> u64 {
        let scan = self.scans.ask();
        self.ask(Ask::Scan);
        scan
    }

    /// Several toplevels may own the file, and then it is the same program in all of them. Where the path says which
    /// of them is meant, that one counts; else it may run if one of them may.
    fn activation(
        &self,
        mut owners: Arc<BTreeSet<StorePath>>,
        hint: Option<StorePath>,
        scan: u64,
    ) -> Decision {
        if let Some(meant) = hint.filter(|hint| owners.contains(hint)) {
            owners = Arc::new(BTreeSet::from([meant]));
        }
        let now = Timestamp::now();
        let first = owners.first().cloned();
        if owners.len() > MOST_OWNERS {
            return Decision::Deny(first, "too many toplevels are activated by it".into());
        }
        match self.table.answer(&owners, now) {
            Answer::Denied(why) => Decision::Deny(first, why),
            Answer::Unknown => match self.table.undecided(&owners, now).or(first) {
                Some(toplevel) => Decision::wait(
                    Ask::Decide(toplevel.clone()),
                    Some(&toplevel),
                    "still verifying",
                ),
                None => Decision::Ignore,
            },
            Answer::Admitted if !self.scans.is_done(scan) => {
                Decision::wait(Ask::Scan, first.as_ref(), "reading the profiles")
            }
            Answer::Admitted => match (self.table.obstacle(), first) {
                (Some(Obstacle::Standing(why)), first) => Decision::Deny(first, why),
                (Some(Obstacle::Pending(why)), first) => {
                    Decision::wait(Ask::Scan, first.as_ref(), why)
                }
                (None, Some(toplevel)) => Decision::Activate(toplevel),
                (None, None) => Decision::Ignore,
            },
        }
    }

    /// The program behind all entry points runs for whoever came through an admitted one. It may be read, but by what
    /// would run it.
    fn shared(&self, shared: Shared, request: &Request, process: &Process) -> Decision {
        let is_loader = || process.executable().is_none_or(|it| self.table.is_loader(it));
        match (request.kind(), shared) {
            (Access::Open, Shared::Program(_)) if !is_loader() => Decision::Pass,
            (Access::Open, Shared::Program(_) | Shared::Script) | (Access::Exec, _) => {
                let why = "switch-to-configuration runs only through the entry point of an \
                           admitted generation";
                Decision::Deny(None, why.into())
            }
        }
    }

    /// A file that nobody made known. Its path is a hint at what to look at, and proves nothing; it is looked at
    /// each time, since a store path can be there before all of its files are.
    fn unknown(&self, hint: Option<StorePath>, look: &mut Option<u64>) -> Decision {
        let Some(path) = hint else { return Decision::Ignore };
        let before = *look.get_or_insert_with(|| self.table.begin_look());
        match self.table.looked_since(&path, before) {
            None => Decision::wait(Ask::Look(path), None, "looking what it activates"),
            Some(Looked::NoToplevel) => Decision::Pass,
            Some(Looked::Toplevel) => {
                let why = "the path is an entry point's, and the file is another one";
                Decision::Deny(Some(path), why.into())
            }
        }
    }
}
