//! The desk: what is asked through the socket, answered from what the warden knows.

mod answers;
mod observing;

pub use observing::{no_earlier_than_decided, pinned_mode};

use crate::audit::{Announce, JournalVoice, Subscribers};
use crate::engine::{Queue, RulesCell};
use crate::gate::{Ask, Scans, Settings, Stats};
use crate::generations::Link;
use crate::mode::{Ended, Mode};
use crate::places::Places;
use crate::policy_cell::PolicyCell;
use crate::quarantine::Quarantine;
use crate::scrub::Scrub;
use crate::state::admissions::Admissions;
use crate::state::pinned::Pinned;
use crate::table::{Answer, Table};
use crate::warden::{Caller, Refusal, What};
use jiff::Timestamp;
use narwarden_core::event::{Event, EventKind, Field};
use narwarden_core::interface as wire;
use narwarden_store::Shelf;
use std::collections::BTreeSet;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// Everything that answers are made of.
#[derive(Debug)]
pub struct Desk {
    /// Where everything is.
    pub places: Places,
    /// What was decided.
    pub table: Table,
    /// What is being decided.
    pub queue: Arc<Queue>,
    /// The rules to judge by.
    pub rules: RulesCell,
    /// What is pinned.
    pub pinned: PolicyCell,
    /// Whether denials hold, and what else the gate goes by.
    pub settings: Arc<Settings>,
    /// What the gate counted.
    pub stats: Arc<Stats>,
    /// The journal.
    pub journal: Arc<JournalVoice>,
    /// Verdicts of the past.
    pub admissions: Arc<Mutex<Admissions>>,
    /// Who waits for reports.
    pub subscribers: Subscribers,
    /// To the watcher.
    pub asks: SyncSender<Ask>,
    /// The last listing.
    pub links: Arc<RwLock<Vec<Link>>>,
    /// Whether everything was looked at once.
    pub scans: Arc<Scans>,
    /// Where seals are.
    pub shelf: Shelf,
    /// Hashing everything again.
    pub scrub: Arc<Scrub>,
    /// What of the state was damaged.
    pub damage: Arc<Mutex<Vec<String>>>,
}

impl Desk {
    /// Puts what is pinned in force; everything is judged again by it.
    pub fn put(&self, pinned: Pinned) {
        self.rules.put(pinned.rulebook().clone(), &self.table);
        self.pinned.put(pinned);
        // What is known must be held again by what it is now, at once and not at the next tick.
        self.scans.lose();
        // The watcher looks at all links anyway.
        let _ = self.asks.try_send(Ask::Scan);
    }

    /// Says that the host is guarded, and how.
    pub fn has_started(&self) {
        let mut event = Event::new(EventKind::Started)
            .with(Field::Version, env!("CARGO_PKG_VERSION"))
            .with(Field::Count, self.links.read().unwrap_or_else(PoisonError::into_inner).len());
        event = match self.settings.mode.get(Timestamp::now()) {
            Mode::Enforce => event.with(Field::Mode, "enforce"),
            Mode::Observe { until, .. } => event
                .with(Field::Mode, format_args!("observe until {until}"))
                .with(Field::Until, until),
        };
        if let Some(pinned) = self.pinned.get() {
            event = event
                .with(Field::TrustVersion, pinned.trust().version())
                .with(Field::TrustDigest, pinned.trust().digest())
                .with(Field::PolicyDigest, pinned.policy_digest());
        }
        // Nothing depends on it.
        let _ = self.journal.announce(&event);
        let old = self.pinned.get().map_or(0, |pinned| pinned.grandfathered().len());
        if old > 0 {
            let event = Event::new(EventKind::Grandfathered).with(Field::Count, old);
            let _ = self.journal.announce(&event);
        }
        let _ = self.reread(None);
    }

    /// Reads what is proposed, and the links. What is pinned stays in force, whatever is found.
    ///
    /// # Errors
    /// What is wrong with a proposal.
    pub fn reread(&self, caller: Option<Caller>) -> Result<(), Refusal> {
        let _ = self.asks.try_send(Ask::Scan);
        let pid = caller.and_then(|caller| caller.pid);
        let say = |mut event: Event| {
            if let Some(pid) = pid {
                event = event.with(Field::CallerPid, pid);
            }
            self.journal.announce(&event)
        };
        let Some(pinned) = self.pinned.get() else { return Ok(()) };
        let proposal = pinned.proposal(&self.places).inspect_err(|error| {
            let _ = say(Event::new(EventKind::ReloadFailed).with(Field::Error, error));
        });
        let proposal = proposal.map_err(Refusal::refused)?.unwrap_or_default();
        for (change, what) in [(proposal.trust, What::Trust), (proposal.policy, What::Policy)] {
            let Some(change) = change else { continue };
            let file = self.places.proposals.join(format!("{}.toml", what.word()));
            let event = Event::new(EventKind::RulesProposed)
                .with(Field::What, what.word())
                .with(Field::File, file.display())
                .with(Field::Difference, change.difference);
            let _ = say(event);
        }
        let event = Event::new(EventKind::Reloaded)
            .with(Field::TrustDigest, pinned.trust().digest())
            .with(Field::PolicyDigest, pinned.policy_digest());
        let said = say(event);
        said.map_err(|error| {
            Refusal::refused(format_args!("it could not be written down: {error}"))
        })
    }

    /// Everything is judged again: keys and trust sets end by the clock.
    pub fn clock_was_set(&self) {
        // Before what was decided is forgotten: what is decided afterwards finds no seal.
        if let Err(error) = self.shelf.revoke() {
            self.trouble("removing seals", &error);
        }
        self.table.forget_all();
        self.scans.lose();
        let _ = self.journal.announce(&Event::new(EventKind::ClockChanged));
        let _ = self.asks.try_send(Ask::Scan);
    }

    /// Has everything hashed again when it is time for it.
    pub fn look_at_the_scrub(&self) {
        let Some(pinned) = self.pinned.get() else { return };
        if self.scrub.is_due(pinned.gate().scrub_every, Timestamp::now()) {
            self.queue.want_scrub();
        }
    }

    /// Says when observing has come to its end.
    pub fn look_at_the_mode(&self) {
        if self.settings.mode.take_end(Timestamp::now()) == Ended::ByItself {
            let event = Event::new(EventKind::ObserveEnded).with(Field::Mode, "enforce");
            let _ = self.journal.announce(&event);
        }
    }

    /// Says that something could not be done.
    pub fn trouble(&self, what: &str, error: &dyn std::fmt::Display) {
        let event =
            Event::new(EventKind::Trouble).with(Field::What, what).with(Field::Error, error);
        // What is lost is counted where it is lost.
        let _ = self.journal.announce(&event);
    }

    fn pinned(&self) -> Result<Arc<Pinned>, Refusal> {
        let nothing = "nothing is pinned: narwarden enroll --pin";
        self.pinned.get().ok_or_else(|| Refusal::refused(nothing))
    }

    /// The moment that a mode is worked out for.
    fn moment(&self) -> Timestamp {
        let admissions = self.admissions.lock().unwrap_or_else(PoisonError::into_inner);
        no_earlier_than_decided(Timestamp::now(), &admissions)
    }

    fn with_quarantine<T>(
        &self,
        work: impl FnOnce(&Quarantine<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let pinned = self.pinned()?;
        work(&Quarantine::new(&self.places, pinned.grandfathered(), PATIENCE))
    }

    fn say(&self, event: &Event, caller: Caller) -> Result<(), Refusal> {
        let pid = caller.pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
        let event = event.clone().with(Field::CallerPid, pid);
        self.journal.announce(&event).map_err(|error| {
            Refusal::refused(format_args!("it could not be written down: {error}"))
        })
    }

    fn generations(&self) -> Vec<wire::Generation> {
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        let pinned = self.pinned.get();
        let now = Timestamp::now();
        links
            .iter()
            .map(|link| {
                let old = pinned.as_ref().is_some_and(|it| it.grandfathered().contains(link));
                let standing = match link.store_path() {
                    Some(path) => match self.table.answer(&BTreeSet::from([path.clone()]), now) {
                        Answer::Admitted => wire::Standing::Admitted,
                        _ if self.table.was_admitted(path) => wire::Standing::Admitted,
                        _ if old => wire::Standing::Grandfathered,
                        _ if self.table.was_denied(path) => wire::Standing::Denied,
                        Answer::Denied(_) | Answer::Unknown => wire::Standing::Pending,
                    },
                    None => wire::Standing::Denied,
                };
                wire::Generation {
                    link: link
                        .path
                        .strip_prefix(&self.places.profiles)
                        .unwrap_or(&link.path)
                        .display()
                        .to_string(),
                    toplevel: link.store_path().map(ToString::to_string),
                    standing,
                    problem: link.target.as_ref().err().map(ToString::to_string),
                }
            })
            .collect()
    }
}
