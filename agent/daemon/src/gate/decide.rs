//! What a request is answered, by what the table knows at this moment.

use super::passed::Passed;
use super::subject;
use super::{Ask, Gate, Origin, Waiting};
use crate::table::{Answer, Identity, Looked, Obstacle, Role};
use jiff::Timestamp;
use narwarden_core::store_path::StorePath;
use narwarden_linux::fanotify::{Access, Request};
use narwarden_linux::process::Process;
use std::collections::BTreeSet;
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

impl Gate {
    pub(super) fn decide(&self, one: &mut Waiting, passed: &mut Passed) -> Decision {
        let Waiting { request, from, scan, look, .. } = one;
        if request.pid() == std::process::id() {
            return Decision::Pass;
        }
        // A file that cannot be told from others is none that anybody made known, and may be any of them.
        let Ok(file) = Identity::of(request.file()) else {
            return Decision::Deny(None, "the file cannot be identified".into());
        };
        match (self.table.role(file), request.kind()) {
            (Some(Role::EntryPoint(_)), Access::Open) if self.may_read(request) => Decision::Pass,
            (Some(Role::EntryPoint(toplevels)), Access::Open | Access::Exec) => {
                self.activation(&toplevels, *scan.get_or_insert_with(|| self.ask_scan()))
            }
            (Some(Role::Shared), access) => self.shared(request, access, passed),
            // It was held for a reason that is not known yet.
            (None, _) if *from == Origin::Hold && !self.scans.is_all_known() => {
                Decision::wait(Ask::Scan, None, "narwardend has just started")
            }
            (None, Access::Open | Access::Exec) => self.unknown(request, look),
        }
    }

    /// What stands in the profiles now is what counts, so it is read after the request came.
    fn ask_scan(&self) -> u64 {
        let scan = self.scans.ask();
        self.ask(Ask::Scan);
        scan
    }

    fn activation(&self, toplevels: &BTreeSet<StorePath>, scan: u64) -> Decision {
        let Some(toplevel) = toplevels.first() else { return Decision::Ignore };
        match self.table.answer(toplevels, Timestamp::now()) {
            Answer::Denied(why) => Decision::Deny(Some(toplevel.clone()), why),
            Answer::Unknown => {
                Decision::wait(Ask::Decide(toplevel.clone()), Some(toplevel), "still verifying")
            }
            Answer::Admitted if !self.scans.is_done(scan) => {
                Decision::wait(Ask::Scan, Some(toplevel), "reading the profiles")
            }
            Answer::Admitted => match self.table.obstacle() {
                Some(Obstacle::Standing(why)) => Decision::Deny(Some(toplevel.clone()), why),
                Some(Obstacle::Pending(why)) => Decision::wait(Ask::Scan, Some(toplevel), why),
                None => Decision::Activate(toplevel.clone()),
            },
        }
    }

    /// The program behind all entry points runs for whoever came through an admitted one, and for users who could
    /// not activate anything with it. It may be read, but by a loader that would run it.
    fn shared(&self, request: &Request, access: Access, passed: &mut Passed) -> Decision {
        let process = Process::of(request);
        let is_loading = || process.executable().is_none_or(|it| self.table.is_loader(it));
        if process.uid().is_some_and(|uid| uid != 0)
            || passed.came_through(request, &process)
            || (access == Access::Open && !is_loading())
        {
            return Decision::Pass;
        }
        let why =
            "switch-to-configuration runs only through the entry point of an admitted generation";
        Decision::Deny(None, why.into())
    }

    /// A file that nobody made known. Its path is a hint at what to look at, and proves nothing; it is looked at
    /// each time, since a store path can be there before all of its files are.
    fn unknown(&self, request: &Request, look: &mut Option<u64>) -> Decision {
        let Some(path) = subject::hinted(request.file()) else { return Decision::Ignore };
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

    fn may_read(&self, request: &Request) -> bool {
        let executable = Process::of(request).executable();
        executable.is_some_and(|program| self.settings.may_read(program))
    }
}
