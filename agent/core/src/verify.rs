//! Verify: evidence held against the plan, path by path.
//!
//! A path is vouched for by signatures of pinned keys over what was *measured*, or by a content address that
//! was recomputed. Whatever the database said is compared with that afterwards; where they differ, somebody
//! wrote to one of the two, and the path is refused even if something vouches for it.

mod agent;
mod content;
mod signers;
mod untrusted;

pub use agent::agent;
pub use signers::Signers;

use crate::claim::Claim;
use crate::closure::PathIndex;
use crate::evidence::{Evidence, Measured, MeasuredContent, MeasuredMetadata, Unmeasured};
use crate::fingerprint::fingerprint;
use crate::hash::NarHash;
use crate::plan::{Contents, Plan};
use crate::policy::{ContentAddressed, MetadataRule, PathRule, WeakContentAddress};
use crate::reason::{Reason, Severity};
use crate::sink::Executable;
use crate::trust::KeySet;
use content::{Proof, prove};
use signers::signers;
use std::num::NonZeroU64;

/// One thing found out about a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which kind of thing.
    pub reason: Reason,
    /// Whether the generation is refused for it.
    pub severity: Severity,
    /// The path; the toplevel for what is about the whole.
    pub path: Option<PathIndex>,
    /// What was expected and what was found; escaped.
    pub detail: String,
}

/// What vouches for a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vouched {
    /// Good signatures of these keys, which satisfy what is required.
    Signatures(KeySet),
    /// Its content address, recomputed.
    ContentAddress,
}

/// What is thought of one path. Made by [`judge`] alone.
#[derive(Clone, Debug)]
#[must_use]
pub struct Judgement {
    index: PathIndex,
    findings: Vec<Finding>,
    vouched: Option<Vouched>,
    signers: Signers,
    nar: Option<Nar>,
}

/// What signatures are held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nar {
    /// SHA-256 of the NAR.
    pub hash: NarHash,
    /// Its size in bytes.
    pub size: NonZeroU64,
}

impl Judgement {
    /// The path that it is about.
    #[must_use]
    pub fn index(&self) -> PathIndex {
        self.index
    }

    /// Everything that was found out.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What vouches for the path, if anything does.
    #[must_use]
    pub fn vouched(&self) -> Option<Vouched> {
        self.vouched
    }

    /// Who signed it.
    #[must_use]
    pub fn signers(&self) -> &Signers {
        &self.signers
    }

    /// What the signatures were held against, if there was anything.
    #[must_use]
    pub fn nar(&self) -> Option<Nar> {
        self.nar
    }
}

/// Judges the path at `index` by what was measured of it.
pub fn judge(plan: &Plan<'_>, index: PathIndex, measured: &Measured) -> Judgement {
    let mut judgement = Judgement {
        index,
        findings: Vec::new(),
        vouched: None,
        signers: Signers::default(),
        nar: None,
    };
    let Some(claim) = plan.closure().claim(index) else {
        judgement.deny(Reason::MissingPath, "it is not in the database");
        return judgement;
    };
    for defect in &claim.defects {
        judgement.deny(Reason::MalformedClaim, format!("{}: {}", defect.column, defect.problem));
    }
    match (measured, plan.contents()) {
        (Measured::Bytes(evidence), Contents::Measured) => {
            judgement.judge_evidence(plan, claim, evidence);
        }
        (Measured::Not(why), _) => judgement.unmeasured(why),
        (Measured::NotAsked, Contents::Claimed) => judgement.judge_claim(plan, claim),
        (Measured::NotAsked, Contents::Measured) | (Measured::Bytes(_), Contents::Claimed) => {
            judgement.unmeasured(&Unmeasured::Interrupted);
        }
    }
    judgement.hold_against_deny_list(plan, claim);
    judgement
}

impl Judgement {
    fn deny(&mut self, reason: Reason, detail: impl Into<String>) {
        self.find(reason, Severity::Deny, detail.into());
    }

    fn find(&mut self, reason: Reason, severity: Severity, detail: String) {
        self.findings.push(Finding { reason, severity, path: Some(self.index), detail });
    }

    fn judge_evidence(&mut self, plan: &Plan<'_>, claim: &Claim, evidence: &Evidence) {
        let nar = Nar { hash: evidence.nar_hash, size: evidence.nar_size };
        self.judge_metadata(plan.rulebook().metadata(), &evidence.metadata);
        let explained = self.judge_trust(plan, claim, nar, &evidence.content);
        let drifted = self.judge_drift(plan, claim, nar);
        self.explain_distrust(plan, claim, explained || drifted);
    }

    /// Without bytes, signatures and content addresses speak for what is claimed. No admission comes of it.
    fn judge_claim(&mut self, plan: &Plan<'_>, claim: &Claim) {
        match (claim.nar_hash, claim.nar_size.and_then(NonZeroU64::new)) {
            (Some(hash), Some(size)) => {
                let nar = Nar { hash, size };
                let explained = self.judge_trust(plan, claim, nar, &taken_at_its_word(claim));
                self.explain_distrust(plan, claim, explained);
            }
            (_, _) => self.deny(
                Reason::MalformedClaim,
                "the database does not say what its NAR is, and it was not measured",
            ),
        }
    }

    fn unmeasured(&mut self, why: &Unmeasured) {
        match why {
            Unmeasured::Missing => self.deny(Reason::MissingPath, "there is nothing on disk"),
            Unmeasured::Unreadable(detail) => self.deny(Reason::Unreadable, detail),
            Unmeasured::Changed(detail) => self.deny(Reason::ChangedWhileRead, detail),
            Unmeasured::UnsupportedFile(detail) => self.deny(Reason::UnsupportedFile, detail),
            Unmeasured::TooLarge(detail) => self.deny(Reason::TooLarge, detail),
            Unmeasured::ForeignMount(detail) => self.deny(Reason::MetadataDrift, detail),
            Unmeasured::Interrupted => self.deny(Reason::Interrupted, "it was not measured"),
        }
    }

    fn judge_metadata(&mut self, rule: MetadataRule, metadata: &MeasuredMetadata) {
        let severity = match rule {
            MetadataRule::Canonical => Severity::Deny,
            MetadataRule::Report => Severity::Note,
            MetadataRule::Ignore => return,
        };
        for (place, deviation) in metadata.listed() {
            self.find(Reason::MetadataDrift, severity, format!("{place} {deviation}"));
        }
        let more = metadata.total().saturating_sub(metadata.listed().len() as u64);
        if more > 0 {
            self.find(Reason::MetadataDrift, severity, format!("and {more} more of the kind"));
        }
    }

    /// Finds out what vouches for the path. Says whether a finding explains why nothing does.
    fn judge_trust(
        &mut self,
        plan: &Plan<'_>,
        claim: &Claim,
        nar: Nar,
        content: &MeasuredContent,
    ) -> bool {
        let rule = plan.rule(self.index);
        self.nar = Some(nar);
        self.signers = signed_by(plan, claim, self.index, nar);
        self.vouched = satisfied(rule, &self.signers).map(Vouched::Signatures);
        let Some(address) = &claim.content_address else { return false };
        if rule.content_addressed == ContentAddressed::Deny {
            self.deny(Reason::DeniedContentAddress, format!("it is {address}"));
        }
        let (references, to_itself) = plan.references(self.index);
        match prove(&claim.path, address, &references, to_itself, content) {
            Proof::None => false,
            Proof::Fails(why) => {
                self.deny(Reason::ContentAddressMismatch, why);
                claim.signatures.well_formed.is_empty()
            }
            Proof::Holds(weak) => {
                let taken = |weak: &WeakContentAddress| plan.rulebook().takes(*weak);
                let all_taken = weak.iter().all(taken);
                match (self.vouched, rule.content_addressed, all_taken) {
                    (None, ContentAddressed::Recompute, true) => {
                        self.vouched = Some(Vouched::ContentAddress);
                        false
                    }
                    (None, ContentAddressed::Recompute, false) => {
                        let kinds: Vec<_> = weak.iter().map(untrusted::weakness).collect();
                        self.deny(
                            Reason::WeakContentAddress,
                            format!("{address}: {}", kinds.join(", ")),
                        );
                        true
                    }
                    (Some(_), _, _)
                    | (None, ContentAddressed::Signed | ContentAddressed::Deny, _) => false,
                }
            }
        }
    }

    /// Compares what was measured with what the database says. Says whether the disk is to blame.
    fn judge_drift(&mut self, plan: &Plan<'_>, claim: &Claim, measured: Nar) -> bool {
        let hash = claim.nar_hash.filter(|claimed| *claimed != measured.hash);
        let size = claim.nar_size.filter(|claimed| *claimed != measured.size.get());
        if claim.nar_size.is_none() {
            let detail =
                format!("the database does not know its size; it is {} bytes", measured.size);
            self.find(Reason::DatabaseDrift, Severity::Note, detail);
        }
        let detail = match (hash, size) {
            (None, None) => return false,
            (Some(claimed), _) => format!("database {claimed}, measured {}", measured.hash),
            (None, Some(claimed)) => {
                format!("database {claimed} bytes, measured {}", measured.size)
            }
        };
        if self.vouched.is_some() {
            self.deny(Reason::DatabaseDrift, detail);
            return false;
        }
        self.deny(Reason::ContentDrift, detail);
        // Were the claimed contents vouched for, then only the bytes are wrong.
        let claimed = claim.nar_hash.zip(claim.nar_size.and_then(NonZeroU64::new));
        claimed.is_some_and(|(hash, size)| {
            let signers = signed_by(plan, claim, self.index, Nar { hash, size });
            satisfied(plan.rule(self.index), &signers).is_some()
        })
    }

    fn explain_distrust(&mut self, plan: &Plan<'_>, claim: &Claim, explained: bool) {
        if self.vouched.is_none() && !explained {
            let rule = plan.rule(self.index);
            for (reason, detail) in untrusted::why(plan, rule, claim, &self.signers) {
                self.deny(reason, detail);
            }
        }
    }

    fn hold_against_deny_list(&mut self, plan: &Plan<'_>, claim: &Claim) {
        let hash = self.nar.map(|nar| nar.hash);
        for denied in plan.rulebook().denied() {
            // The claimed hash counts too: a path that is said to be the denied one is denied.
            if denied.concerns(&claim.path, hash.as_ref())
                || denied.concerns(&claim.path, claim.nar_hash.as_ref())
            {
                self.deny(Reason::DeniedPath, denied.reason.escape_debug().to_string());
            }
        }
    }
}

fn taken_at_its_word(claim: &Claim) -> MeasuredContent {
    claim.content_address.as_ref().map_or(MeasuredContent::NotAsked, |address| {
        let strict = Some(address.hash);
        MeasuredContent::Hash { strict, legacy: None, executable: Executable::No }
    })
}

fn signed_by(plan: &Plan<'_>, claim: &Claim, index: PathIndex, nar: Nar) -> Signers {
    let references: Vec<_> = plan
        .closure()
        .references(index)
        .iter()
        .filter_map(|reference| plan.closure().claim(*reference))
        .map(|claim| claim.path.clone())
        .collect();
    let fingerprint = fingerprint(&claim.path, &nar.hash, nar.size, &references);
    signers(plan.rulebook().trust(), &fingerprint, &claim.signatures, plan.now())
}

fn satisfied(rule: &PathRule, signers: &Signers) -> Option<KeySet> {
    rule.requirement.satisfied_by(signers.valid.difference(rule.excluded))
}

#[cfg(test)]
#[path = "verify/tests.rs"]
mod tests;
