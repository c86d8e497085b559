//! A warden that does nothing but remember what it was asked, behind the real server.

use jiff::Timestamp;
use narwarden_core::interface as i;
use narwardend::ipc;
use narwardend::warden::{
    Again, Caller, FindingSummary, PendingReport, ProposalReply, ProposedFile, QuarantineEntry,
    QuarantineRecord, ReceiptsChecked, Refusal, Status, VerdictSummary, Warden, What,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;

/// What a file name, a key or an operator may hold.
pub(crate) const EVIL: &str =
    "evil\u{1b}]0;owned\u{7}\u{9b}31m\r\nADMIT  forged\u{202e}\u{2028}end";
/// A store path.
pub(crate) const GOOD: &str = "/nix/store/00000000000000000000000000000000-nixos-system-good-26.11";
/// Another one.
pub(crate) const BAD: &str = "/nix/store/11111111111111111111111111111111-nixos-system-bad-26.11";

/// The warden.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    /// What changing methods were called, with their arguments.
    pub(crate) asked: Mutex<Vec<String>>,
    /// How often it was asked for its status.
    pub(crate) statuses: AtomicUsize,
    /// The status, if not the usual one.
    pub(crate) status: Mutex<Option<Status>>,
    /// Verdicts that came later.
    pub(crate) later: Mutex<Vec<VerdictSummary>>,
    /// What was proposed, if anything.
    pub(crate) proposal: Mutex<ProposalReply>,
    /// Where the chain of receipts is broken.
    pub(crate) broken: Mutex<Option<i::ChainBreak>>,
    /// Verifications that never end.
    pub(crate) held: Mutex<Vec<oneshot::Sender<Result<serde_json::Value, Refusal>>>>,
}

impl Fake {
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn note(&self, caller: Caller, what: impl std::fmt::Display) {
        assert_eq!(caller.uid, 0, "{what}");
        self.asked.lock().unwrap().push(what.to_string());
    }

    /// Serves until the process ends.
    pub(crate) fn serve(self: &Arc<Self>, path: &Path) -> PathBuf {
        let listener = ipc::bind(path).unwrap();
        let warden = Arc::clone(self);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(ipc::serve(listener, warden)).unwrap();
        });
        path.to_owned()
    }
}

/// The usual status.
pub(crate) fn status() -> Status {
    let generation = |link: &str, toplevel: Option<&str>, standing| i::Generation {
        link: link.to_owned(),
        toplevel: toplevel.map(str::to_owned),
        standing,
        problem: toplevel.is_none().then(|| EVIL.to_owned()),
    };
    Status {
        version: "0.1.0".into(),
        state: i::State::Ready,
        mode: i::Mode { kind: i::ModeKind::Enforce, until: None, reason: None, policy: None },
        trust: Some(i::Trust {
            version: 7,
            digest: "aa".repeat(32),
            expires: Some("2027-06-01T00:00:00Z".into()),
        }),
        policy: Some(i::Policy { digest: "bb".repeat(32) }),
        marks: i::Marks { held_files: 12, watched_filesystems: 1 },
        generations: vec![
            generation("system-40-link", Some(GOOD), i::Standing::Grandfathered),
            generation("system-41-link", Some(GOOD), i::Standing::Admitted),
            generation("system-42-link", Some(BAD), i::Standing::Denied),
            generation(EVIL, None, i::Standing::Pending),
        ],
        generations_omitted: 0,
        pending: vec![BAD.into()],
        gate: i::Gate {
            requests: 1234,
            allowed: 1230,
            denied: 4,
            histogram: vec![
                i::Bin { upper_us: Some(100), count: 1200 },
                i::Bin { upper_us: Some(1000), count: 30 },
                i::Bin { upper_us: None, count: 4 },
            ],
            max_us: 1500,
        },
        memory_kib: 9000,
        journal: i::JournalState::Connected,
        damage: Vec::new(),
        scrub: Some(i::Scrub {
            round: Some(i::ScrubRound {
                begun: "2026-11-22T12:00:00Z".into(),
                paths: 700,
                total: 1265,
                bytes: 1 << 30,
                drift: 1,
            }),
            last: Some(i::ScrubDone {
                begun: "2026-11-15T12:00:00Z".into(),
                ended: "2026-11-15T12:05:00Z".into(),
                paths: 1258,
                bytes: 6 << 30,
                drift: 0,
            }),
        }),
    }
}

/// A verdict.
pub(crate) fn verdict(toplevel: &str, verdict: i::Answer) -> VerdictSummary {
    VerdictSummary {
        toplevel: toplevel.into(),
        generation: Some("system-42-link".into()),
        verdict,
        decided: "2026-11-22T12:00:00Z".into(),
        in_force: verdict == i::Answer::Deny,
        reasons: match verdict {
            i::Answer::Admit => Vec::new(),
            i::Answer::Deny => vec![i::ReasonCount { code: "unsigned".into(), count: 3 }],
        },
        trust_digest: "aa".repeat(32),
        policy_digest: "bb".repeat(32),
    }
}

/// A file in /etc/narwarden.
pub(crate) fn proposed(file: &str, digest: &str, pinned: Option<&str>) -> ProposedFile {
    ProposedFile {
        file: file.into(),
        digest: digest.repeat(32),
        pinned_digest: pinned.map(|it| it.repeat(32)),
        difference: format!("-version = 7\n+version = 8\n # {EVIL}\n"),
        problem: None,
    }
}

fn entry() -> QuarantineEntry {
    QuarantineEntry {
        name: "system-42-20261122".into(),
        profile: "system".into(),
        generation: "system-42-link".into(),
        toplevel: BAD.into(),
        moved: "2026-11-22T12:00:00Z".into(),
        reason: format!("unsigned {EVIL}"),
    }
}

fn known(name: &str) -> Result<(), Refusal> {
    if name == entry().name { Ok(()) } else { Err(Refusal::NotFound { name: name.into() }) }
}

impl Warden for Fake {
    fn status(&self) -> Status {
        self.statuses.fetch_add(1, Ordering::SeqCst);
        self.status.lock().unwrap().clone().unwrap_or_else(status)
    }

    fn verdicts(&self, limit: usize) -> Vec<VerdictSummary> {
        let mut verdicts = self.later.lock().unwrap().clone();
        verdicts.push(verdict(BAD, i::Answer::Deny));
        verdicts.push(verdict(&format!("{GOOD}{EVIL}"), i::Answer::Admit));
        verdicts.truncate(limit);
        verdicts
    }

    fn quarantine_list(&self) -> Result<Vec<QuarantineEntry>, Refusal> {
        Ok(vec![entry()])
    }

    fn quarantine_show(&self, name: &str) -> Result<QuarantineRecord, Refusal> {
        known(name)?;
        let finding = FindingSummary {
            reason: "unsigned".into(),
            store_path: BAD.into(),
            detail: EVIL.into(),
        };
        Ok(QuarantineRecord { entry: entry(), findings: vec![finding] })
    }

    fn check_receipts(&self, caller: Caller) -> Result<ReceiptsChecked, Refusal> {
        self.note(caller, "check receipts");
        let broken = self.broken.lock().unwrap().clone();
        let head = broken.is_none().then(|| "cc".repeat(32));
        Ok(ReceiptsChecked { receipts: 17, head, broken })
    }

    fn verify(&self, caller: Caller, target: &str, again: Again) -> Result<PendingReport, Refusal> {
        self.note(caller, format_args!("verify {target} {again:?}"));
        let (sender, receiver) = oneshot::channel();
        match target {
            "panic" => panic!("as asked"),
            "hang" => self.held.lock().unwrap().push(sender),
            "lost" => drop(sender),
            "huge" => {
                let report = serde_json::json!({ "text": "x".repeat(i::LONGEST_REPORT) });
                sender.send(Ok(report)).unwrap();
            }
            _ => {
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(50));
                    // Who asked may have gone.
                    let _ = sender.send(Ok(serde_json::json!({ "verdict": "deny" })));
                });
            }
        }
        Ok(receiver)
    }

    fn scrub(&self, caller: Caller) -> Result<(), Refusal> {
        self.note(caller, "scrub");
        Ok(())
    }

    fn reload(&self, caller: Caller) -> Result<(), Refusal> {
        self.note(caller, "reload");
        Err(Refusal::refused(format_args!("policy.toml:3: {EVIL}")))
    }

    fn observe(
        &self,
        caller: Caller,
        length: Duration,
        reason: &str,
    ) -> Result<Timestamp, Refusal> {
        self.note(caller, format_args!("observe {} {reason}", length.as_secs()));
        // The policy allows no more than an hour.
        let length = length.min(Duration::from_secs(3600));
        Ok(Timestamp::now() + length)
    }

    fn end_observe(&self, caller: Caller) -> Result<(), Refusal> {
        self.note(caller, "end observe");
        Ok(())
    }

    fn quarantine_release(&self, caller: Caller, name: &str) -> Result<(), Refusal> {
        self.note(caller, format_args!("release {name}"));
        known(name)
    }

    fn quarantine_drop(&self, caller: Caller, name: &str) -> Result<(), Refusal> {
        self.note(caller, format_args!("drop {name}"));
        known(name)
    }

    fn proposal(&self, caller: Caller) -> Result<ProposalReply, Refusal> {
        assert_eq!(caller.uid, 0);
        Ok(self.proposal.lock().unwrap().clone())
    }

    fn accept(&self, caller: Caller, what: What, digest: &str) -> Result<(), Refusal> {
        self.note(caller, format_args!("accept {} {digest}", what.word()));
        Ok(())
    }

    fn pin(&self, caller: Caller, trust_digest: &str, policy_digest: &str) -> Result<(), Refusal> {
        self.note(caller, format_args!("pin {trust_digest} {policy_digest}"));
        Ok(())
    }
}
