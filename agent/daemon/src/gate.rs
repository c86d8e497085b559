//! The gate: a plain thread that answers the kernel.
//!
//! It reads requests, looks them up in the [`Table`] and answers. It opens no file of the store, asks no
//! database, waits for no lock that is held across either, and never starts a process. What it cannot answer it
//! sets aside and goes on; at the deadline it denies. A request that is dropped, for whatever reason, denies.
//!
//! Two groups (fanotify(7)): `watch` sees every execution on the store's file system and dies with the process,
//! so that nothing but activation can ever hang; `hold` sees every opening of the entry points of toplevels that
//! are not admitted, and outlives the process in systemd's descriptor store, so that those stay shut.

mod passed;
mod scans;
mod stats;
mod subject;

pub use scans::Scans;
pub use stats::{Snapshot, Stats};

use crate::mode::ModeCell;
use crate::table::{Answer, Identity, Looked, Role, Table};
use jiff::Timestamp;
use narwarden_core::store_path::StorePath;
use narwarden_linux::fanotify::{Access, Event, EventBuffer, Group, Lasting, Request};
use narwarden_linux::file_id::FileId;
use narwarden_linux::process::Process;
use narwarden_linux::wake::Wake;
use passed::Passed;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

/// What the gate asks of those who may read the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Look whether this store path is a toplevel, and make its entry points known.
    Look(StorePath),
    /// Decide about this toplevel now: somebody waits.
    Decide(StorePath),
    /// Read the profile links again.
    Scan,
    /// A verdict on this toplevel is in the table: its marks and links must follow.
    Settled(StorePath),
    /// Something new is in the store directory: look whether it is a toplevel.
    Appeared(StorePath),
}

impl Ask {
    /// The store path that it is about.
    #[must_use]
    pub fn subject(&self) -> Option<StorePath> {
        match self {
            Self::Look(path) | Self::Decide(path) | Self::Settled(path) | Self::Appeared(path) => {
                Some(path.clone())
            }
            Self::Scan => None,
        }
    }
}

impl Attempt {
    fn of(request: &Request, toplevel: Option<StorePath>, action: Action) -> Self {
        let file = subject::name(request.file()).map(|name| name.display().to_string());
        Self { toplevel, action, process: Process::of(request), file }
    }
}

/// What became of an attempt, for journal and terminal.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What was to be activated.
    pub toplevel: Option<StorePath>,
    /// What the gate did.
    pub action: Action,
    /// Who tried.
    pub process: Process,
    /// The file that was to be run or read, by the name that the kernel gives it.
    pub file: Option<String>,
}

/// What the gate did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Let it run.
    Allowed,
    /// Refused, and why.
    Denied(Arc<str>),
    /// Let it run although it would have been refused: the mode is observe.
    WouldDeny(Arc<str>),
}

/// Everything that the gate works with.
#[derive(Debug)]
pub struct Gate {
    /// What it knows.
    pub table: Table,
    /// Sees every execution.
    pub watch: Group,
    /// Sees every opening of what is not admitted.
    pub hold: Group,
    /// Rings when the table changed.
    pub wake: Arc<Wake>,
    /// Whether denials hold.
    pub mode: Arc<ModeCell>,
    /// Programs that may read what is not admitted: Nix itself.
    pub readers: Arc<std::sync::RwLock<Vec<FileId>>>,
    /// How long a request waits.
    pub deadline: Duration,
    /// To those who may read the store.
    pub asks: SyncSender<Ask>,
    /// To journal and terminal.
    pub attempts: SyncSender<Attempt>,
    /// Which scans of the profiles are done.
    pub scans: Arc<Scans>,
    /// What it counted.
    pub stats: Arc<Stats>,
}

/// How many requests may wait; another one is denied.
const MOST_WAITING: usize = 1024;
/// How long to sleep when nothing happens, so that the heart is seen to beat.
const BEAT: Duration = Duration::from_secs(1);

/// A request without an answer yet.
struct Waiting {
    request: Request,
    since: Instant,
    from: From,
    /// The scan that must be done before it may be allowed; none is asked for while the file is not known.
    scan: Option<u64>,
}

/// Which group a request came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Watch,
    /// So the file was an entry point of something unadmitted, now or in a predecessor's time.
    Hold,
}

/// What to do with a request now.
enum Decision {
    /// Let it through; it concerns nobody.
    Ignore,
    /// Let it through, and see the next one too.
    Read,
    /// An activation goes ahead.
    Activate(StorePath),
    Deny(Option<StorePath>, Arc<str>),
    Wait(Ask),
}

impl Gate {
    /// Answers until a group breaks; then every request is denied as it is dropped.
    ///
    /// # Errors
    /// What the kernel said of a group.
    pub fn run(self) -> std::io::Result<()> {
        let mut buffer = EventBuffer::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut passed = Passed::default();
        loop {
            self.sleep(&waiting)?;
            self.stats.beat();
            self.wake.clear();
            for (group, from) in [(&self.watch, From::Watch), (&self.hold, From::Hold)] {
                for event in group.read(&mut buffer)? {
                    match event {
                        Event::Request(request) => {
                            self.take(request, from, &mut waiting, &mut passed);
                        }
                        Event::Overflow => {
                            // Requests were answered by the kernel itself; what they were nobody knows.
                            self.stats.overflow();
                            self.ask(Ask::Scan);
                        }
                        Event::Garbled | Event::Notice => self.stats.garbled(),
                    }
                }
            }
            let held = std::mem::take(&mut waiting);
            for one in held {
                self.again(one, &mut waiting, &mut passed);
            }
        }
    }

    fn sleep(&self, waiting: &[Waiting]) -> std::io::Result<()> {
        let nearest = waiting.iter().map(|it| it.since + self.deadline).min();
        let rest =
            nearest.map_or(BEAT, |at| at.saturating_duration_since(Instant::now()).min(BEAT));
        let timeout = Timespec::try_from(rest).ok();
        let mut fds = [
            PollFd::new(&self.watch, PollFlags::IN),
            PollFd::new(&self.hold, PollFlags::IN),
            PollFd::new(&*self.wake, PollFlags::IN),
        ];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn take(&self, request: Request, from: From, waiting: &mut Vec<Waiting>, passed: &mut Passed) {
        let begin = Instant::now();
        self.again(Waiting { request, since: begin, from, scan: None }, waiting, passed);
        self.stats.answered(begin.elapsed());
    }

    /// Looks at a request, for the first time or once more.
    fn again(&self, mut one: Waiting, waiting: &mut Vec<Waiting>, passed: &mut Passed) {
        let decision = self.decide(&mut one, passed);
        let request = &one.request;
        match decision {
            Decision::Ignore => {
                // Should a mark fail, the next execution asks again.
                let _ = match one.from {
                    From::Watch => self.watch.ignore_file(request.file(), Lasting::Evictable),
                    From::Hold => self.hold.release_file(request.file()),
                };
                self.allow(one.request);
            }
            Decision::Read => self.allow(one.request),
            Decision::Activate(toplevel) => {
                let attempt = Attempt::of(request, Some(toplevel), Action::Allowed);
                passed.admit(request);
                self.allow(one.request);
                self.report(attempt);
            }
            Decision::Deny(toplevel, why) => self.refuse(one.request, toplevel, why),
            Decision::Wait(ask) if self.mode.observes(Timestamp::now()) => {
                self.ask(ask.clone());
                let why = Action::WouldDeny("not verified yet".into());
                let attempt = Attempt::of(request, ask.subject(), why);
                passed.admit(request);
                self.allow(one.request);
                if attempt.toplevel.is_some() {
                    self.report(attempt);
                }
            }
            Decision::Wait(ask) => self.wait(one, ask, waiting),
        }
    }

    fn wait(&self, one: Waiting, ask: Ask, waiting: &mut Vec<Waiting>) {
        let toplevel = ask.subject();
        if one.since.elapsed() >= self.deadline {
            let why = "still verifying, and the deadline is over: run it again in a moment";
            return self.refuse(one.request, toplevel, why.into());
        }
        if waiting.len() >= MOST_WAITING {
            return self.refuse(one.request, toplevel, "too many activations at once".into());
        }
        self.ask(ask);
        waiting.push(one);
    }

    fn decide(&self, one: &mut Waiting, passed: &mut Passed) -> Decision {
        let Waiting { request, from, scan, .. } = one;
        if request.pid() == std::process::id() {
            return Decision::Read;
        }
        // A file that cannot be told from others is none that anybody made known, and may be any of them.
        let Ok(file) = Identity::of(request.file()) else {
            return Decision::Deny(None, "the file cannot be identified".into());
        };
        match (self.table.role(file), request.kind()) {
            (Some(Role::EntryPoint(_)), Access::Open) if self.may_read(request) => Decision::Read,
            (Some(Role::EntryPoint(toplevels)), Access::Open | Access::Exec) => {
                self.activation(&toplevels, *scan.get_or_insert_with(|| self.ask_scan()))
            }
            (Some(Role::Shared), Access::Exec) => shared(request, passed),
            (Some(Role::Shared), Access::Open) => Decision::Read,
            // It was held for a reason that is not known yet.
            (None, _) if *from == From::Hold && !self.scans.is_all_known() => {
                Decision::Wait(Ask::Scan)
            }
            (None, Access::Open | Access::Exec) => self.unknown(request),
        }
    }

    /// What stands in the profiles now is what counts, so it is read after the request came.
    fn ask_scan(&self) -> u64 {
        let scan = self.scans.ask();
        self.ask(Ask::Scan);
        scan
    }

    fn activation(&self, toplevels: &BTreeSet<StorePath>, scan: u64) -> Decision {
        let Some(toplevel) = toplevels.first().cloned() else { return Decision::Ignore };
        match self.table.answer(toplevels, Timestamp::now()) {
            Answer::Denied(why) => Decision::Deny(Some(toplevel), why),
            Answer::Unknown => Decision::Wait(Ask::Decide(toplevel)),
            Answer::Admitted if !self.scans.is_done(scan) => Decision::Wait(Ask::Scan),
            Answer::Admitted => match self.table.obstacle() {
                Some(why) => Decision::Deny(Some(toplevel), why),
                None => Decision::Activate(toplevel),
            },
        }
    }

    /// A file that nobody made known. Its path is a hint at what to look at, and proves nothing.
    fn unknown(&self, request: &Request) -> Decision {
        let Some(path) = subject::hinted(request.file()) else { return Decision::Ignore };
        match self.table.looked(&path) {
            None => Decision::Wait(Ask::Look(path)),
            Some(Looked::NoToplevel) => Decision::Ignore,
            Some(Looked::Toplevel) => {
                let why = "the path is an entry point's, and the file is another one";
                Decision::Deny(Some(path), why.into())
            }
        }
    }

    fn may_read(&self, request: &Request) -> bool {
        let Some(executable) = Process::of(request).executable() else { return false };
        self.readers.read().is_ok_and(|readers| readers.contains(&executable))
    }

    fn allow(&self, request: Request) {
        self.stats.allowed();
        let _ = request.allow();
    }

    fn refuse(&self, request: Request, toplevel: Option<StorePath>, why: Arc<str>) {
        if self.mode.observes(Timestamp::now()) {
            let attempt = Attempt::of(&request, toplevel, Action::WouldDeny(why));
            self.allow(request);
            self.report(attempt);
        } else {
            let attempt = Attempt::of(&request, toplevel, Action::Denied(why));
            self.stats.denied();
            let _ = request.deny();
            self.report(attempt);
        }
    }

    /// A full queue means that the same is being asked already, over and over.
    fn ask(&self, ask: Ask) {
        if let Err(TrySendError::Disconnected(_)) = self.asks.try_send(ask) {
            self.stats.abandoned();
        }
    }

    fn report(&self, attempt: Attempt) {
        if self.attempts.try_send(attempt).is_err() {
            self.stats.unreported();
        }
    }
}

/// The program behind all entry points runs for whoever came through an admitted one, and for users who could
/// not activate anything with it.
fn shared(request: &Request, passed: &mut Passed) -> Decision {
    let process = Process::of(request);
    if process.uid().is_some_and(|uid| uid != 0) || passed.came_through(request, &process) {
        return Decision::Read;
    }
    let why = "switch-to-configuration runs only through the entry point of an admitted generation";
    Decision::Deny(None, why.into())
}
