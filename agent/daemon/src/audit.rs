//! What is written down: every verdict before it counts, every attempt as it happens.
//!
//! A verdict goes to the journal and to the receipts, in that order, and counts only when both took it. Attempts
//! go to the journal and to the terminal of whoever tried; they were answered already, so nothing waits for that.

use crate::engine::{Audit, Decided};
use crate::gate::{Action, Ask, Attempt};
use crate::quarantine::Record;
use crate::state::admissions::{Admissions, BootId, Key, Outcome, Summary};
use crate::state::receipts::{Receipt, Receipts};
use crate::table::{RulesInForce, Standing, Table};
use crate::temp_root::TempRootError;
use jiff::Timestamp;
use narwarden_core::event::{Event, EventKind, Field};
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
    /// Something could not be done.
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
            Self::Quarantined { record } => Event::new(EventKind::Quarantined)
                .with(Field::Generation, &record.was.link)
                .with(Field::Quarantined, record.id.as_str())
                .with(Field::Toplevel, record.toplevel.as_deref().unwrap_or("?"))
                .with(Field::Reason, &record.reason),
            Self::Overflowed => Event::new(EventKind::QueueOverflow),
            Self::Failed { what } => {
                Event::new(EventKind::ReloadFailed).with(Field::Error, what)
            }
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
    pub receipts: Receipts,
    /// What is remembered for those who ask later.
    pub admissions: Arc<Mutex<Admissions>>,
    /// This boot.
    pub boot: BootId,
    /// Which rules hold.
    pub table: Table,
    /// Tells the watcher that marks must follow.
    pub asks: SyncSender<Ask>,
    /// Who waits for a report.
    pub subscribers: Subscribers,
}

/// Those who wait for a report on a toplevel.
pub type Subscribers = Arc<Mutex<Vec<(StorePath, ReportSender)>>>;
/// Where a report goes.
pub type ReportSender = tokio::sync::oneshot::Sender<Result<serde_json::Value, crate::warden::Refusal>>;

impl Audit for Clerk {
    fn record(&mut self, decided: &Decided) -> io::Result<()> {
        let rules = self.table.rules();
        let digest = |get: fn(&RulesInForce) -> String| rules.as_ref().map(get).unwrap_or_default();
        let (trust, policy) = (digest(|it| it.trust.to_string()), digest(|it| it.policy.to_string()));
        self.announce.announce(&verdict_event(decided, &trust, &policy))?;
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
        self.receipts.append(now, &receipt).map_err(io::Error::other)?;
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
                Some(report) => serde_json::to_value(report).map_err(crate::warden::Refusal::refused),
                None => Err(crate::warden::Refusal::refused("it could not be judged: narwarden log")),
            };
            // Whoever asked may have gone.
            let _ = subscriber.send(report);
        }
    }

    fn unprotected(&mut self, toplevel: &StorePath, error: &TempRootError) {
        let what = format!("{toplevel} is not kept from the garbage collector: {error}");
        self.announce.notice(&Notice::Failed { what });
    }
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
        .with(Field::PolicyDigest, policy)
        .with(Field::Action, "judged");
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
pub fn attempts(announce: &dyn Announce, attempts: &Receiver<Attempt>) {
    let mut terminal = TokenBucket::full(5, Duration::from_secs(2), Instant::now());
    let mut journal = TokenBucket::full(100, Duration::from_millis(100), Instant::now());
    for attempt in attempts {
        let (kind, why) = match &attempt.action {
            Action::Allowed => continue,
            Action::Denied(why) => (EventKind::Denied, why),
            Action::WouldDeny(why) => (EventKind::WouldDeny, why),
        };
        let toplevel = attempt.toplevel.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
        let process = &attempt.process;
        let event = Event::new(kind)
            .with(Field::Verdict, "deny")
            .with(Field::Toplevel, &toplevel)
            .with(Field::Reason, "refused")
            .with(Field::Detail, why)
            .with(Field::Action, if kind == EventKind::Denied { "denied" } else { "allowed" })
            .with(Field::EntryPoint, attempt.file.as_deref().unwrap_or("?"))
            .with(Field::ProcessId, process.pid())
            .with(Field::ProcessUid, process.uid().map_or_else(|| "?".to_owned(), |uid| uid.to_string()));
        if journal.take(Instant::now()) {
            let _ = announce.announce(&event);
        }
        if let (EventKind::Denied, Some(tty), true) = (kind, process.tty(), terminal.take(Instant::now())) {
            let text = format!(
                "narwarden: refused to activate {toplevel}\r\n  {why}\r\n  next: {}\r\n",
                event.next_step()
            );
            let _ = tell(tty, &text);
        }
    }
}
