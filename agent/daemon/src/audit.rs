//! What is written down: every verdict before it counts, every attempt as it happens.
//!
//! A verdict goes to the journal and to the receipts, in that order, and counts only when both took it. Attempts
//! go to the journal and to the terminal of whoever tried; they were answered already, so nothing waits for that.

mod ledger;

pub use ledger::Ledger;

use crate::engine::{Audit, Decided};
use crate::gate::{Action, Ask, Attempt};
use crate::quarantine::Record;
use crate::state::admissions::{Admissions, BootId, Key, Outcome, Summary};
use crate::state::receipts::{Next, Receipt, ReceiptError};
use crate::table::{RulesInForce, Standing};
use crate::temp_root::TempRootError;
use jiff::Timestamp;
use narwarden_core::event::{Action as Done, Event, EventKind, Field};
use narwarden_core::reason::Reason;
use narwarden_core::report::{Answer, Report};
use narwarden_core::store_path::StorePath;
use narwarden_linux::journal::{Journal, Priority};
use narwarden_linux::terminal::{TokenBucket, tell};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where events go.
pub trait Announce: std::fmt::Debug + Send + Sync {
    /// Writes an event down.
    ///
    /// # Errors
    /// What kept it from being written.
    fn announce(&self, event: &Event) -> io::Result<()>;

    /// Writes something down that nothing depends on.
    fn notice(&self, notice: &Notice<'_>) {
        // What is lost is counted where it is lost.
        let _ = self.announce(&notice.event());
    }
}

/// Things that happen on the side.
#[derive(Debug)]
pub enum Notice<'a> {
    /// A file could not be guarded.
    MarksFailed {
        /// Of which store path.
        path: &'a StorePath,
        /// What the system said.
        error: String,
    },
    /// A link was moved into quarantine.
    Quarantined {
        /// The record of it.
        record: &'a Record,
    },
    /// The kernel's queue was full.
    Overflowed,
    /// Something went wrong, and how.
    Trouble {
        /// What was being done.
        what: String,
        /// What went wrong.
        error: &'a str,
    },
    /// Something could not be done on the side.
    Failed {
        /// What, and why.
        what: String,
    },
}

impl Notice<'_> {
    fn event(&self) -> Event {
        match self {
            Self::MarksFailed { path, error } => Event::new(EventKind::MarksFailed)
                .with(Field::File, path)
                .with(Field::Toplevel, path)
                .with(Field::Error, error),
            Self::Quarantined { record } => {
                let event = Event::new(EventKind::Quarantined)
                    .with(Field::Generation, &record.was.link)
                    .with(Field::Quarantined, record.id.as_str())
                    .with(Field::Toplevel, record.toplevel.as_deref().unwrap_or("?"))
                    .with(Field::Detail, &record.reason)
                    .done(Done::Quarantined);
                because(event, &record.reason)
            }
            Self::Overflowed => Event::new(EventKind::QueueOverflow),
            Self::Trouble { what, error } => {
                Event::new(EventKind::Trouble).with(Field::What, what).with(Field::Error, error)
            }
            Self::Failed { what } => Event::new(EventKind::Trouble)
                .with(Field::What, "looking after the store and the profiles")
                .with(Field::Error, what),
        }
    }
}

/// The journal, with what could not be sent to it counted.
#[derive(Debug)]
pub struct JournalVoice {
    journal: Journal,
    lost: AtomicU64,
    connected: AtomicBool,
}

impl JournalVoice {
    /// Speaks to `journal`.
    #[must_use]
    pub fn new(journal: Journal) -> Self {
        Self { journal, lost: AtomicU64::new(0), connected: AtomicBool::new(true) }
    }

    /// Whether the last event was taken.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    fn send(&self, event: &Event) -> io::Result<()> {
        // Who reads the journal was promised these fields and no others.
        debug_assert_eq!(event.strays(), [], "{event:?}");
        let priority = Priority::from_number(event.priority().number()).unwrap_or(Priority::Error);
        self.journal.send(priority, &event.message(), &event.fields())
    }
}

impl Announce for JournalVoice {
    fn announce(&self, event: &Event) -> io::Result<()> {
        if let Err(error) = self.send(event) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.connected.store(false, Ordering::Relaxed);
            return Err(error);
        }
        self.connected.store(true, Ordering::Relaxed);
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let event = Event::new(EventKind::JournalLost)
                .with(Field::Count, lost)
                .with(Field::Error, "it is back");
            let _ = self.send(&event);
        }
        Ok(())
    }
}

/// Writes verdicts down.
#[derive(Debug)]
pub struct Clerk {
    /// The journal.
    pub announce: Arc<dyn Announce>,
    /// The chain of receipts.
    pub ledger: Ledger,
    /// What is remembered for those who ask later.
    pub admissions: Arc<Mutex<Admissions>>,
    /// This boot.
    pub boot: BootId,
    /// Tells the watcher that marks must follow.
    pub asks: SyncSender<Ask>,
    /// Who waits for a report.
    pub subscribers: Subscribers,
}

/// Those who wait for a report on a toplevel.
pub type Subscribers = Arc<Mutex<Vec<(StorePath, ReportSender)>>>;
/// Where a report goes.
pub type ReportSender =
    tokio::sync::oneshot::Sender<Result<serde_json::Value, crate::warden::Refusal>>;

impl Audit for Clerk {
    fn record(&mut self, decided: &Decided) -> io::Result<()> {
        let rules = decided.rules;
        let digest = |get: fn(&RulesInForce) -> String| rules.as_ref().map(get).unwrap_or_default();
        let (trust, policy) =
            (digest(|it| it.trust.to_string()), digest(|it| it.policy.to_string()));
        let now = Timestamp::now();
        let mut reasons: Vec<String> = decided
            .report
            .iter()
            .flat_map(|report| &report.findings)
            .map(|finding| finding.reason.code().to_owned())
            .collect();
        reasons.dedup();
        reasons.truncate(16);
        let admits = matches!(decided.standing, Standing::Admitted { .. });
        let toplevel = decided.toplevel.to_string();
        let receipt = Receipt {
            verdict: if admits { "admit" } else { "deny" },
            toplevel: toplevel.clone(),
            trust: trust.clone(),
            policy: policy.clone(),
            boot: self.boot.to_string(),
            reasons,
        };
        let next = self.ledger.next(now, &receipt).map_err(io::Error::other)?;
        let event = verdict_event(decided, &trust, &policy);
        self.announce.announce(&event.with(Field::Receipt, &next.head().digest))?;
        self.append(next)?;
        let findings = decided.report.iter().flat_map(|report| &report.findings);
        let findings = findings.take(16).filter_map(|it| serde_json::to_value(it).ok()).collect();
        let outcome = if admits { Outcome::Admitted } else { Outcome::Denied };
        let key = Key { toplevel, trust, policy, boot: self.boot.clone() };
        let mut admissions = self.admissions.lock().unwrap_or_else(PoisonError::into_inner);
        admissions.record(Summary::new(key, now, outcome, findings)).map_err(io::Error::other)?;
        Ok(())
    }

    fn settle(&mut self, toplevel: &StorePath, report: Option<&Report>) {
        // A full queue is worked off by a watcher that will look at all links anyway.
        let _ = self.asks.try_send(Ask::Settled(toplevel.clone()));
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        let (ours, others): (Vec<_>, Vec<_>) =
            subscribers.drain(..).partition(|(wanted, _)| wanted == toplevel);
        *subscribers = others;
        for (_, subscriber) in ours {
            let report = match report {
                Some(report) => {
                    serde_json::to_value(report).map_err(crate::warden::Refusal::refused)
                }
                None => {
                    Err(crate::warden::Refusal::refused("it could not be judged: narwarden log"))
                }
            };
            // Whoever asked may have gone.
            let _ = subscriber.send(report);
        }
    }

    fn begin(&mut self, toplevel: &StorePath) {
        let event = Event::new(EventKind::VerificationStarted).with(Field::Toplevel, toplevel);
        // Nothing depends on it.
        let _ = self.announce.announce(&event);
    }

    fn unprotected(&mut self, toplevel: &StorePath, error: &TempRootError) {
        let what = format!("{toplevel} is not kept from the garbage collector: {error}");
        self.announce.notice(&Notice::Failed { what });
    }
}

impl Clerk {
    /// Writes the receipt that the journal knows of already; if that fails, the journal is told so, lest the receipt
    /// be missed.
    fn append(&mut self, next: Next) -> io::Result<()> {
        let digest = next.head().digest.clone();
        let Err(error) = self.ledger.append(next) else { return Ok(()) };
        let _ = self.announce.announce(&unwritten(&error, &digest));
        Err(io::Error::other(error))
    }
}

fn unwritten(error: &ReceiptError, digest: &str) -> Event {
    let event = match error {
        ReceiptError::Changed { path } => {
            Event::new(EventKind::ReceiptsBroken).with(Field::File, path.display())
        }
        ReceiptError::State(_) | ReceiptError::Line(_) | ReceiptError::Overtaken { .. } => {
            Event::new(EventKind::Trouble).with(Field::What, "writing the receipt of a verdict")
        }
    };
    event.with(Field::Error, error).with(Field::Receipt, digest)
}

fn verdict_event(decided: &Decided, trust: &str, policy: &str) -> Event {
    let (kind, word) = match &decided.standing {
        Standing::Admitted { .. } => (EventKind::Admitted, "admit"),
        Standing::Denied { .. } => (EventKind::Denied, "deny"),
    };
    let mut event = Event::new(kind)
        .with(Field::Verdict, word)
        .with(Field::Toplevel, &decided.toplevel)
        .with(Field::TrustDigest, trust)
        .with(Field::PolicyDigest, policy);
    if let Standing::Denied { reason, detail, .. } = &decided.standing {
        event = event.with(Field::Reason, reason.code()).with(Field::Detail, detail);
    }
    let Some(report) = &decided.report else { return event };
    match (report.verdict, report.findings.first()) {
        (Answer::Admit, _) | (Answer::Deny, None) => event
            .with(Field::Paths, report.closure.paths)
            .with(Field::Seconds, format_args!("{:.2}", report.measured.seconds)),
        (Answer::Deny, Some(first)) => event
            .with(Field::StorePath, &first.store_path)
            .with(Field::Chain, first.chain.join(" "))
            .with(Field::Findings, report.findings.len()),
    }
}

/// Writes attempts down until nobody makes any.
///
/// What is allowed has a bucket of its own: whoever activates what is admitted over and over cannot keep a refusal
/// out of the journal by that.
pub fn attempts(announce: &dyn Announce, attempts: &Receiver<Attempt>) {
    let begin = Instant::now();
    let mut terminal = TokenBucket::full(5, Duration::from_secs(2), begin);
    let bucket = || TokenBucket::full(100, Duration::from_millis(100), begin);
    let (mut allowed, mut refused) = (bucket(), bucket());
    let mut left_out = 0_u64;
    for attempt in attempts {
        let event = attempt_event(&attempt);
        let bucket = match &attempt.action {
            Action::Allowed => &mut allowed,
            Action::Denied(_) | Action::Late(_) | Action::WouldDeny(_) => &mut refused,
        };
        if bucket.take(Instant::now()) {
            if left_out > 0 {
                let what = format!("writing down attempts: {left_out} were left out");
                announce.notice(&Notice::Trouble { what, error: "too many at once" });
                left_out = 0;
            }
            let _ = announce.announce(&event);
        } else {
            left_out += 1;
        }
        let (Action::Denied(why) | Action::Late(why)) = &attempt.action else { continue };
        if let (Some(tty), true) = (attempt.process.tty(), terminal.take(Instant::now())) {
            let next = match event.value(Field::StorePath) {
                Some(_) => event.next_step(),
                None => "narwarden status".to_owned(),
            };
            let text = format!(
                "narwarden: refused to activate {}\n  {why}\n  next: {next}\n",
                event.value(Field::Toplevel).unwrap_or("?"),
            );
            let _ = tell(tty, &text);
        }
    }
}

fn attempt_event(attempt: &Attempt) -> Event {
    let Attempt { toplevel, action, process, file, waited } = attempt;
    let who = Who { pid: process.pid(), uid: process.uid() };
    let event = tried(toplevel.as_ref(), action, file.as_deref(), who);
    event.with(Field::WaitedMs, waited.as_millis())
}

#[derive(Clone, Copy, Debug)]
struct Who {
    pid: u32,
    uid: Option<u32>,
}

fn tried(toplevel: Option<&StorePath>, action: &Action, file: Option<&str>, who: Who) -> Event {
    let (kind, done, why) = match action {
        Action::Allowed => (EventKind::Activated, Done::Allowed, None),
        Action::Denied(why) => (EventKind::Denied, Done::Refused, Some(why)),
        Action::Late(_) => (EventKind::AnsweredByDeadline, Done::Refused, None),
        Action::WouldDeny(why) => (EventKind::WouldDeny, Done::Allowed, Some(why)),
    };
    let unknown = || "?".to_owned();
    let event = Event::new(kind)
        .with(Field::Toplevel, toplevel.map_or_else(unknown, ToString::to_string))
        .with(Field::EntryPoint, file.map_or("?", |file| entry_point(file, toplevel)))
        .with(Field::ProcessId, who.pid)
        .with(Field::ProcessUid, who.uid.map_or_else(unknown, |uid| uid.to_string()))
        .done(done);
    let Some(why) = why else { return event };
    because(event.with(Field::Verdict, "deny").with(Field::Detail, why), why)
}

/// The entry point's name within the toplevel, if it has one there.
fn entry_point<'a>(file: &'a str, toplevel: Option<&StorePath>) -> &'a str {
    let inside = toplevel.and_then(|it| file.rsplit_once(&format!("/{}/", it.base_name())));
    inside.map_or(file, |(_, name)| name)
}

/// The event with the reason and the path at fault, where `why` begins with them.
fn because(event: Event, why: &str) -> Event {
    match cause(why) {
        Some((reason, path)) => {
            event.with(Field::Reason, reason.code()).with(Field::StorePath, path)
        }
        None => event,
    }
}

/// What a denial begins with where it is a finding's: `reason path: …`.
fn cause(why: &str) -> Option<(Reason, &str)> {
    let (code, rest) = why.split_once(' ')?;
    let reason = Reason::ALL.iter().copied().find(|reason| reason.code() == code)?;
    let (path, _) = rest.split_once(": ")?;
    StorePath::parse(path).ok()?;
    Some((reason, path))
}

#[cfg(test)]
mod tests;
