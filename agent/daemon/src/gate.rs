//! The gate: a plain thread that answers the kernel.
//!
//! It reads requests, looks them up in the [`Table`] and answers. It opens no file of the store, asks no
//! database, waits for no lock that is held across either, and never starts a process. What it cannot answer it
//! sets aside and goes on; at the deadline it denies. A request that is dropped, for whatever reason, denies.
//!
//! Two groups (fanotify(7)): `watch` sees every execution on the store's file system and dies with the process,
//! so that nothing but activation can ever hang; `hold` sees every opening of the entry points of toplevels that
//! are not admitted, and outlives the process in systemd's descriptor store, so that those stay shut.

mod attempt;
mod decide;
mod passed;
mod pause;
mod scans;
mod settings;
mod stats;
mod subject;

pub use attempt::{Action, Attempt};
pub use pause::Pause;
pub use scans::{Loss, Noted, Scans};
pub use settings::Settings;
pub use stats::{Snapshot, Stats};

use crate::table::{Identity, Table};
use decide::Decision;
use jiff::Timestamp;
use narwarden_core::store_path::StorePath;
use narwarden_linux::fanotify::{Event, EventBuffer, Group, Lasting, Request};
use narwarden_linux::process::Process;
use narwarden_linux::wake::{Rung, Wake};
use passed::Passed;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

/// What the gate asks of those who may read the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Look whether this store path is a toplevel, and make its entry points known: somebody waits.
    Look(StorePath),
    /// Look whether the running system has this file too, unless somebody did after this number was given out: whoever
    /// called it by another name waits.
    Shared(Identity, u64),
    /// Files of the store were made one.
    Relinked,
    /// Decide about this toplevel now: somebody waits.
    Decide(StorePath),
    /// Read the profile links again.
    Scan,
    /// The kernel's queue was full: requests were answered without us, and nobody knows which.
    Overflowed,
    /// A verdict on this toplevel is in the table: its marks and links must follow.
    Settled(StorePath),
    /// Something changed in the store directory: look whether it is, or was, a toplevel.
    Appeared(StorePath),
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
    /// Whether denials hold, and for how long a request waits.
    pub settings: Arc<Settings>,
    /// To those who may read the store.
    pub asks: SyncSender<Ask>,
    /// To journal and terminal.
    pub attempts: SyncSender<Attempt>,
    /// Which scans of the profiles are done.
    pub scans: Arc<Scans>,
    /// When to stand still.
    pub pause: Arc<Pause>,
    /// What it counted.
    pub stats: Arc<Stats>,
}

/// How many requests may wait; another one is denied.
const MOST_WAITING: usize = 1024;
/// How many events in a row may find no descriptor, with no request that has any.
const MOST_UNREAD: u32 = 16;
/// How long to sleep when nothing happens, so that the heart is seen to beat.
const BEAT: Duration = Duration::from_secs(1);
/// How long those that waited are looked at again, before new requests are.
const SLICE: Duration = Duration::from_millis(5);
/// When a question is asked once more: it may have been lost in a full queue.
const AGAIN: Duration = Duration::from_secs(1);

/// A request without an answer yet.
struct Waiting {
    request: Request,
    since: Instant,
    from: Origin,
    /// The scan that must be done before it may be allowed; none is asked for while the file is not known.
    scan: Option<u64>,
    /// The last look that began before the request came; what it found may have changed since.
    look: Option<u64>,
    asked: Option<(Ask, Instant)>,
    /// Who asks, once that mattered.
    process: Option<Process>,
}

/// Which group a request came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Watch,
    /// So the file was an entry point of something unadmitted, now or in a predecessor's time.
    Hold,
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
        let (mut unread, mut due) = (0, VecDeque::new());
        loop {
            self.sleep(&waiting, &due)?;
            self.pause.keep();
            self.stats.beat();
            let rung = self.wake.clear();
            for (group, from) in [(&self.watch, Origin::Watch), (&self.hold, Origin::Hold)] {
                for event in group.read(&mut buffer)? {
                    match event {
                        Event::Request(request) => {
                            unread = 0;
                            self.take(request, from, &mut waiting, &mut passed);
                        }
                        Event::Overflow => {
                            self.stats.overflow();
                            self.ask(Ask::Overflowed);
                        }
                        Event::NoDescriptor => {
                            self.stats.garbled();
                            unread += 1;
                        }
                        Event::Garbled | Event::Notice => self.stats.garbled(),
                    }
                }
            }
            // Requests that wait end, and give theirs back. Whatever else took them all does not: the host would be
            // refused everything until the next start, which has as many as its unit says.
            if unread >= MOST_UNREAD && waiting.is_empty() && due.is_empty() {
                return Err(Errno::MFILE.into());
            }
            // Only what was learned, or time, can change an answer: else each execution would cost as many looks as
            // there are requests that wait.
            let deadline = self.settings.deadline();
            let is_due = |one: &Waiting| {
                let asked = one.asked.as_ref().is_none_or(|(_, at)| at.elapsed() >= AGAIN);
                rung == Rung::Yes || asked || one.since.elapsed() >= deadline
            };
            let (now_due, rest): (Vec<_>, _) =
                std::mem::take(&mut waiting).into_iter().partition(is_due);
            waiting = rest;
            due.extend(now_due);
            // However many they are, who asks for the first time does not wait for all of them.
            let begin = Instant::now();
            while begin.elapsed() < SLICE
                && let Some(one) = due.pop_front()
            {
                self.again(one, &mut waiting, &mut passed);
            }
        }
    }

    fn sleep(&self, waiting: &[Waiting], due: &VecDeque<Waiting>) -> std::io::Result<()> {
        let deadline = self.settings.deadline();
        let nearest = waiting.iter().map(|it| it.since + deadline).min();
        let rest = if due.is_empty() {
            nearest.map_or(BEAT, |at| at.saturating_duration_since(Instant::now()).min(BEAT))
        } else {
            Duration::ZERO
        };
        let timeout = Timespec::try_from(rest).ok();
        let mut fds = [
            PollFd::new(&self.watch, PollFlags::IN),
            PollFd::new(&self.hold, PollFlags::IN),
            PollFd::new(&*self.wake, PollFlags::IN),
        ];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn take(
        &self,
        request: Request,
        from: Origin,
        waiting: &mut Vec<Waiting>,
        passed: &mut Passed,
    ) {
        let since = Instant::now();
        let one =
            Waiting { request, since, from, scan: None, look: None, asked: None, process: None };
        self.again(one, waiting, passed);
        self.stats.answered(since.elapsed());
    }

    /// Looks at a request, for the first time or once more.
    fn again(&self, mut one: Waiting, waiting: &mut Vec<Waiting>, passed: &mut Passed) {
        match self.decide(&mut one, passed) {
            Decision::Ignore => {
                self.ignore(&one);
                self.allow(one.request);
            }
            Decision::Pass => self.allow(one.request),
            Decision::Activate(toplevel) => {
                passed.admit(&one.request);
                self.let_through(one, Some(toplevel), Action::Allowed);
            }
            Decision::Deny(toplevel, why) => self.refuse(one, toplevel, why, passed),
            Decision::Wait { ask, toplevel, why } => {
                self.wait(one, ask, toplevel, why, waiting, passed);
            }
        }
    }

    fn ignore(&self, one: &Waiting) {
        let file = one.request.file();
        // The mark stays with the file, under whatever name it comes into the store: what others than root write may
        // become an entry point yet.
        if one.from == Origin::Watch && !is_settled(file) {
            return;
        }
        // Should a mark fail, the next execution asks again.
        let _ = match one.from {
            Origin::Watch => self.watch.ignore_file(file, Lasting::Evictable),
            Origin::Hold => self.hold.release_file(file),
        };
        // It may have become an entry point between the look and the mark.
        if Identity::of(file).is_ok_and(|file| self.table.role(file).is_some()) {
            let _ = self.watch.heed_file(file);
            let _ = self.hold.hold_file(file);
        }
    }

    fn wait(
        &self,
        mut one: Waiting,
        ask: Ask,
        toplevel: Option<StorePath>,
        why: Arc<str>,
        waiting: &mut Vec<Waiting>,
        passed: &mut Passed,
    ) {
        // Asked once: whoever answers rings, and each answer leads here again.
        let asked = one.asked.as_ref();
        if asked.is_none_or(|(before, at)| *before != ask || at.elapsed() >= AGAIN) {
            self.ask(ask.clone());
            one.asked = Some((ask, Instant::now()));
        }
        if self.settings.mode.observes(Timestamp::now()) {
            // Whether a file activates at all is found out even so: else nobody would know what would be denied.
            match toplevel {
                Some(_) => return self.refuse(one, toplevel, why, passed),
                None if one.since.elapsed() >= OBSERVED => return self.allow(one.request),
                None => {}
            }
        }
        if one.since.elapsed() >= self.settings.deadline() {
            let why = format!("{why}, and the deadline is over: run it again in a moment");
            return self.answer_no(one, toplevel, Action::Late(why.into()));
        }
        if waiting.len() >= MOST_WAITING {
            return self.refuse(one, toplevel, "too many activations at once".into(), passed);
        }
        waiting.push(one);
    }

    fn refuse(
        &self,
        one: Waiting,
        toplevel: Option<StorePath>,
        why: Arc<str>,
        passed: &mut Passed,
    ) {
        if self.settings.mode.observes(Timestamp::now()) {
            // What it goes on to run is part of it.
            passed.admit(&one.request);
            return self.let_through(one, toplevel, Action::WouldDeny(why));
        }
        self.answer_no(one, toplevel, Action::Denied(why));
    }

    fn answer_no(&self, one: Waiting, toplevel: Option<StorePath>, action: Action) {
        let attempt = Attempt::of(&one.request, toplevel, action, one.since.elapsed());
        self.stats.denied();
        let _ = one.request.deny();
        self.report(attempt);
    }

    fn let_through(&self, one: Waiting, toplevel: Option<StorePath>, action: Action) {
        let attempt = Attempt::of(&one.request, toplevel, action, one.since.elapsed());
        self.allow(one.request);
        self.report(attempt);
    }

    fn allow(&self, request: Request) {
        self.stats.allowed();
        let _ = request.allow();
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

/// Whether nobody but root can make another file of it.
fn is_settled(file: BorrowedFd<'_>) -> bool {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    rustix::fs::fstat(file)
        .is_ok_and(|found| found.st_uid == 0 && found.st_mode & WRITABLE_BY_OTHERS == 0)
}

/// How long an execution waits, where denials do not hold, for what it would have to be told.
const OBSERVED: Duration = Duration::from_secs(1);
