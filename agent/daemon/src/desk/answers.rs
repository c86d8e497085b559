//! The answers, by the interface that the socket speaks.

use super::{Desk, pinned_mode};
use crate::engine::Urgency;
use crate::gate::Ask;
use crate::mode::Mode;
use crate::quarantine::{Held, Id};
use crate::state::admissions::Outcome;
use crate::state::pinned::{Change, Pinned};
use crate::state::receipts::Receipts;
use crate::warden::{
    Again, Caller, FindingSummary, PendingReport, ProposalReply, ProposedFile, QuarantineEntry,
    QuarantineRecord, ReceiptsChecked, Refusal, Status, VerdictSummary, Warden, What,
};
use jiff::Timestamp;
use narwarden_core::event::{Event, EventKind, Field};
use narwarden_core::interface as wire;
use narwarden_store::Target;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

impl Warden for Desk {
    fn status(&self) -> Status {
        let now = Timestamp::now();
        let pinned = self.pinned.get();
        let counts = self.stats.snapshot();
        let mode = shown(self.settings.mode.get(now), &self.settings.mode.policy(now));
        let connected = self.journal.is_connected();
        let damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let state = match (&pinned, connected) {
            (Some(_), true) if !self.scans.is_all_known() => wire::State::Starting,
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
            marks: wire::Marks { held_files: self.table.held(now) as u64, watched_filesystems: 1 },
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
            journal: if connected {
                wire::JournalState::Connected
            } else {
                wire::JournalState::Lost
            },
            damage,
            scrub: Some(self.scrub.shown()),
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
            let findings =
                summary.into_iter().flat_map(|it| &it.findings).map(|it| FindingSummary {
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

    fn scrub(&self, _: Caller) -> Result<(), Refusal> {
        let _ = self.pinned()?;
        self.scrub.begin();
        self.queue.restart_scrub();
        self.queue.want_scrub();
        Ok(())
    }

    fn reload(&self, caller: Caller) -> Result<(), Refusal> {
        self.reread(Some(caller))
    }

    fn observe(
        &self,
        caller: Caller,
        length: Duration,
        reason: &str,
    ) -> Result<Timestamp, Refusal> {
        let now = Timestamp::now();
        let longest = self.pinned()?.gate().observe_at_most;
        if longest.is_zero() {
            let why = "the policy forbids it (gate.observe-at-most): change the policy, narwarden policy accept";
            return Err(Refusal::refused(why));
        }
        let mode = Mode::observe(now, length.min(longest), reason.to_owned());
        let Mode::Observe { until, .. } = &mode else {
            return Err(Refusal::refused("no such time"));
        };
        let until = *until;
        if let Mode::Observe { until: later, .. } = self.settings.mode.policy(now)
            && later >= until
        {
            let why = format!("the policy itself observes until {later}, which is longer");
            return Err(Refusal::refused(why));
        }
        let event = Event::new(EventKind::ObserveStarted)
            .with(Field::Until, until)
            .with(Field::Why, reason)
            .with(Field::Mode, "observe");
        // Said before it holds: who cannot be heard may not let others through.
        self.say(&event, caller)?;
        self.settings.mode.set_operator(mode);
        Ok(until)
    }

    fn end_observe(&self, caller: Caller) -> Result<(), Refusal> {
        self.settings.mode.set_operator(Mode::Enforce);
        if let Mode::Observe { until, .. } = self.settings.mode.policy(Timestamp::now()) {
            return Err(Refusal::refused(format_args!(
                "the policy itself observes until {until}: write mode = \"enforce\" in policy.toml, then \
                 narwarden policy accept"
            )));
        }
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
                mode: first.pinned.map(|pinned| {
                    let mode = pinned_mode(&pinned, self.moment());
                    shown(mode.clone(), &mode)
                }),
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
            .with(
                Field::File,
                self.places.proposals.join(format!("{}.toml", what.word())).display(),
            )
            .with(Field::TrustDigest, accepted.trust().digest())
            .with(Field::PolicyDigest, accepted.policy_digest());
        self.settings.mode.set_policy(pinned_mode(&accepted, self.moment()));
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
        self.settings.mode.set_policy(pinned_mode(&pinned, self.moment()));
        self.put(pinned);
        self.say(&event, caller)
    }
}

/// What is in force, and what the policy alone says.
fn shown(mode: Mode, policy: &Mode) -> wire::Mode {
    let kind = |mode: &Mode| match mode {
        Mode::Enforce => wire::ModeKind::Enforce,
        Mode::Observe { .. } => wire::ModeKind::Observe,
    };
    let (in_force, policy) = (kind(&mode), Some(kind(policy)));
    let (until, reason) = match mode {
        Mode::Enforce => (None, None),
        Mode::Observe { until, reason, .. } => (Some(until.to_string()), Some(reason)),
    };
    wire::Mode { kind: in_force, until, reason, policy }
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
    line.and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0)
}
