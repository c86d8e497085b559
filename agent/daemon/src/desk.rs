//! The desk: what is asked through the socket, answered from what the warden knows.

use crate::audit::{Announce, JournalVoice, Subscribers};
use crate::engine::{Queue, RulesCell, Urgency};
use crate::gate::{Ask, Stats};
use crate::generations::Link;
use crate::mode::{Mode, ModeCell};
use crate::places::Places;
use crate::policy_cell::PolicyCell;
use crate::quarantine::{Held, Id, Quarantine};
use crate::state::admissions::{Admissions, Outcome};
use crate::state::pinned::{Change, Pinned};
use crate::state::receipts::Receipts;
use crate::table::{Answer, Table};
use crate::warden::{
    Again, Caller, FindingSummary, PendingReport, ProposalReply, ProposedFile, QuarantineEntry,
    QuarantineRecord, ReceiptsChecked, Refusal, Status, VerdictSummary, Warden, What,
};
use jiff::Timestamp;
use narwarden_core::event::{Event, EventKind, Field};
use narwarden_core::interface as wire;
use narwarden_core::policy::Mode as PolicyMode;
use narwarden_core::store_path::StorePath;
use narwarden_store::Target;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// The longest that an operator may observe at a time.
const LONGEST_OBSERVE: Duration = Duration::from_secs(24 * 3600);
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
    /// Whether denials hold.
    pub mode: Arc<ModeCell>,
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
    /// What of the state was damaged.
    pub damage: Arc<Mutex<Vec<String>>>,
}

impl Desk {
    /// Puts what is pinned in force; everything is judged again by it.
    pub fn put(&self, pinned: Pinned) {
        self.rules.put(pinned.rulebook().clone(), &self.table);
        self.pinned.put(pinned);
        // The watcher looks at all links anyway.
        let _ = self.asks.try_send(Ask::Scan);
    }

    fn pinned(&self) -> Result<Arc<Pinned>, Refusal> {
        let nothing = "nothing is pinned: narwarden enroll --pin";
        self.pinned.get().ok_or_else(|| Refusal::refused(nothing))
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
        self.journal
            .announce(&event)
            .map_err(|error| Refusal::refused(format_args!("it could not be written down: {error}")))
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
                    link: link.path.strip_prefix(&self.places.profiles).unwrap_or(&link.path).display().to_string(),
                    toplevel: link.store_path().map(ToString::to_string),
                    standing,
                    problem: link.target.as_ref().err().map(ToString::to_string),
                }
            })
            .collect()
    }
}

impl Warden for Desk {
    fn status(&self) -> Status {
        let now = Timestamp::now();
        let pinned = self.pinned.get();
        let counts = self.stats.snapshot();
        let mode = shown(self.mode.get(now));
        let connected = self.journal.is_connected();
        let damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let state = match (&pinned, connected) {
            (Some(_), true) => wire::State::Ready,
            (None, _) | (_, false) => wire::State::Degraded,
        };
        let bins = counts.histogram.iter();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state,
            mode,
            trust: pinned.as_ref().map(|pinned| wire::Trust {
                version: pinned.trust().version(),
                digest: pinned.trust().digest().to_string(),
                expires: pinned.trust().expires().map(|end| end.to_string()),
            }),
            policy: pinned
                .as_ref()
                .map(|pinned| wire::Policy { digest: pinned.policy_digest().to_string() }),
            marks: wire::Marks { held_files: self.table.files() as u64, watched_filesystems: 1 },
            generations: self.generations(),
            generations_omitted: 0,
            pending: self.queue.pending().iter().map(ToString::to_string).collect(),
            gate: wire::Gate {
                requests: counts.allowed + counts.denied,
                allowed: counts.allowed,
                denied: counts.denied,
                histogram: bins
                    .map(|(bound, count)| wire::Bin { upper_us: *bound, count: *count })
                    .collect(),
                max_us: counts.slowest,
            },
            memory_kib: memory_kib(),
            journal: if connected { wire::JournalState::Connected } else { wire::JournalState::Lost },
            damage,
        }
        .bounded()
    }

    fn verdicts(&self, limit: usize) -> Vec<VerdictSummary> {
        let admissions = self.admissions.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = self.table.rules();
        let summaries = admissions.latest().take(limit).map(|summary| {
            let mut reasons = BTreeMap::<String, u64>::new();
            for finding in &summary.findings {
                if let Some(code) = finding.get("reason").and_then(|it| it.as_str()) {
                    *reasons.entry(code.to_owned()).or_insert(0) += 1;
                }
            }
            VerdictSummary {
                toplevel: summary.key.toplevel.clone(),
                generation: None,
                verdict: match summary.outcome {
                    Outcome::Admitted => wire::Answer::Admit,
                    Outcome::Denied => wire::Answer::Deny,
                },
                decided: summary.decided.to_string(),
                in_force: rules.is_some_and(|rules| {
                    rules.trust.to_string() == summary.key.trust
                        && rules.policy.to_string() == summary.key.policy
                }),
                reasons: reasons
                    .into_iter()
                    .map(|(code, count)| wire::ReasonCount { code, count })
                    .collect(),
                trust_digest: summary.key.trust.clone(),
                policy_digest: summary.key.policy.clone(),
            }
        });
        summaries.collect()
    }

    fn quarantine_list(&self) -> Result<Vec<QuarantineEntry>, Refusal> {
        self.with_quarantine(|quarantine| {
            let (held, _) = quarantine.list().map_err(Refusal::refused)?;
            Ok(held.iter().map(entry).collect())
        })
    }

    fn quarantine_show(&self, name: &str) -> Result<QuarantineRecord, Refusal> {
        let id = identified(name)?;
        self.with_quarantine(|quarantine| {
            let held = quarantine.show(&id).map_err(Refusal::refused)?;
            let entry = entry(&held);
            let admissions = self.admissions.lock().unwrap_or_else(PoisonError::into_inner);
            let summary = admissions.latest().find(|it| it.key.toplevel == entry.toplevel);
            let text = |finding: &serde_json::Value, key: &str| {
                finding.get(key).and_then(|it| it.as_str()).unwrap_or_default().to_owned()
            };
            let findings = summary.into_iter().flat_map(|it| &it.findings).map(|it| FindingSummary {
                reason: text(it, "reason"),
                store_path: text(it, "store_path"),
                detail: text(it, "detail"),
            });
            Ok(QuarantineRecord { findings: findings.collect(), entry })
        })
    }

    fn check_receipts(&self, _: Caller) -> Result<ReceiptsChecked, Refusal> {
        Ok(Receipts::check(&self.places))
    }

    fn verify(&self, _: Caller, target: &str, again: Again) -> Result<PendingReport, Refusal> {
        let toplevel = Target::parse(target)
            .resolve(&self.places.location)
            .map_err(|error| Refusal::NotFound { name: error.to_string() })?;
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        if subscribers.len() >= 64 {
            return Err(Refusal::Busy);
        }
        subscribers.push((toplevel.clone(), sender));
        drop(subscribers);
        match again {
            Again::Always => self.table.forget(&toplevel),
            Again::IfUnknown => {}
        }
        self.queue.want(toplevel, Urgency::Waited);
        Ok(receiver)
    }

    fn reload(&self, caller: Caller) -> Result<(), Refusal> {
        let _ = self.asks.try_send(Ask::Scan);
        self.say(&Event::new(EventKind::Reloaded), caller)
    }

    fn observe(&self, caller: Caller, length: Duration, reason: &str) -> Result<Timestamp, Refusal> {
        let now = Timestamp::now();
        let mode = Mode::observe(now, length.min(LONGEST_OBSERVE), reason.to_owned());
        let Mode::Observe { until, .. } = &mode else {
            return Err(Refusal::refused("no such time"));
        };
        let until = *until;
        let event = Event::new(EventKind::ObserveStarted)
            .with(Field::Until, until)
            .with(Field::Why, reason)
            .with(Field::Mode, "observe");
        // Said before it holds: who cannot be heard may not let others through.
        self.say(&event, caller)?;
        self.mode.set(mode);
        Ok(until)
    }

    fn end_observe(&self, caller: Caller) -> Result<(), Refusal> {
        self.mode.set(Mode::Enforce);
        let event = Event::new(EventKind::ObserveEnded).with(Field::Mode, "enforce");
        self.say(&event, caller)
    }

    fn quarantine_release(&self, caller: Caller, name: &str) -> Result<(), Refusal> {
        let id = identified(name)?;
        self.with_quarantine(|it| it.release(&id, Timestamp::now()).map_err(Refusal::refused))?;
        let _ = self.asks.try_send(Ask::Scan);
        self.say(&Event::new(EventKind::QuarantineReleased).with(Field::Quarantined, name), caller)
    }

    fn quarantine_drop(&self, caller: Caller, name: &str) -> Result<(), Refusal> {
        let id = identified(name)?;
        self.with_quarantine(|it| it.discard(&id).map_err(Refusal::refused))?;
        self.say(&Event::new(EventKind::QuarantineDropped).with(Field::Quarantined, name), caller)
    }

    fn proposal(&self, _: Caller) -> Result<ProposalReply, Refusal> {
        let now = Timestamp::now();
        let file = |change: Change, name: &str, pinned: Option<String>| ProposedFile {
            file: self.places.proposals.join(name).display().to_string(),
            digest: change.digest.to_string(),
            pinned_digest: pinned,
            difference: change.difference,
            problem: change.problem,
        };
        let Some(pinned) = self.pinned.get() else {
            let first = Pinned::first_proposal(&self.places, now).map_err(Refusal::refused)?;
            return Ok(ProposalReply {
                trust: first.trust.map(|it| file(it, "trust.toml", None)),
                policy: first.policy.map(|it| file(it, "policy.toml", None)),
                mode: first.pinned.map(|pinned| shown(first_mode(&pinned, now))),
            });
        };
        let Some(proposal) = pinned.proposal(&self.places).map_err(Refusal::refused)? else {
            return Ok(ProposalReply::default());
        };
        let (trust, policy) = (pinned.trust().digest(), pinned.policy_digest());
        Ok(ProposalReply {
            trust: proposal.trust.map(|it| file(it, "trust.toml", Some(trust.to_string()))),
            policy: proposal.policy.map(|it| file(it, "policy.toml", Some(policy.to_string()))),
            mode: None,
        })
    }

    fn accept(&self, caller: Caller, what: What, digest: &str) -> Result<(), Refusal> {
        let pinned = self.pinned()?;
        let now = Timestamp::now();
        let accepted = match what {
            What::Trust => pinned.accept_trust(&self.places, digest, now),
            What::Policy => pinned.accept_policy(&self.places, digest, now),
        };
        let accepted = accepted.map_err(Refusal::refused)?;
        let event = Event::new(EventKind::RulesAccepted)
            .with(Field::What, what.word())
            .with(Field::TrustDigest, accepted.trust().digest())
            .with(Field::PolicyDigest, accepted.policy_digest());
        self.put(accepted);
        self.say(&event, caller)
    }

    fn pin(&self, caller: Caller, trust_digest: &str, policy_digest: &str) -> Result<(), Refusal> {
        let read = |name: &str| {
            narwarden_linux::trusted_file::read(&self.places.proposals.join(name), 1 << 20)
                .map_err(Refusal::refused)
        };
        let (trust, policy) = (read("trust.toml")?.text, read("policy.toml")?.text);
        let digest = |text: &str| narwarden_core::trust::RulesDigest::of(text).to_string();
        if digest(&trust) != trust_digest || digest(&policy) != policy_digest {
            return Err(Refusal::refused("the files are others by now: look at them again"));
        }
        let pinned = Pinned::pin(&self.places, &trust, &policy, Timestamp::now())
            .map_err(Refusal::refused)?;
        let event = Event::new(EventKind::RulesPinned)
            .with(Field::TrustVersion, pinned.trust().version())
            .with(Field::TrustDigest, trust_digest)
            .with(Field::PolicyDigest, policy_digest);
        self.mode.set(first_mode(&pinned, Timestamp::now()));
        self.put(pinned);
        self.say(&event, caller)
    }
}

/// A first installation observes for a week, unless its policy says otherwise.
#[must_use]
pub fn first_mode(pinned: &Pinned, now: Timestamp) -> Mode {
    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
    let gate = pinned.gate();
    let rest = |end: Timestamp| Duration::try_from(end.duration_since(now)).unwrap_or_default();
    match gate.mode {
        PolicyMode::Enforce => Mode::Enforce,
        PolicyMode::Observe => {
            let length = gate.observe_until.map_or(WEEK, rest);
            Mode::observe(now, length, "the policy says so".to_owned())
        }
    }
}

fn shown(mode: Mode) -> wire::Mode {
    match mode {
        Mode::Enforce => wire::Mode { kind: wire::ModeKind::Enforce, until: None, reason: None },
        Mode::Observe { until, reason, .. } => wire::Mode {
            kind: wire::ModeKind::Observe,
            until: Some(until.to_string()),
            reason: Some(reason),
        },
    }
}

fn identified(name: &str) -> Result<Id, Refusal> {
    Id::parse(name).ok_or_else(|| Refusal::NotFound { name: name.to_owned() })
}

fn entry(held: &Held) -> QuarantineEntry {
    let record = held.record.as_ref();
    let of = |get: fn(&crate::quarantine::Record) -> String| record.map(get).unwrap_or_default();
    QuarantineEntry {
        name: held.id.as_str().to_owned(),
        profile: of(|it| it.was.profile.clone()),
        generation: of(|it| it.was.link.clone()),
        toplevel: of(|it| it.toplevel.clone().unwrap_or_default()),
        moved: of(|it| it.rejected.to_string()),
        reason: of(|it| it.reason.clone()),
    }
}

fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

/// The toplevels that a change of the clock makes unknown again.
pub fn forget_by_clock(table: &Table, queue: &Queue, toplevels: impl Iterator<Item = StorePath>) {
    table.forget_all();
    toplevels.for_each(|toplevel| queue.want(toplevel, Urgency::Ahead));
}
