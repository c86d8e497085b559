//! The report: a verdict in the form that people and machines read. Its JSON is `narwarden.verdict/1`,
//! described field by field in `docs/json.md`.

use crate::plan::{Contents, Plan, Scope};
use crate::reason::Reason;
use crate::verdict::Verdict;
use crate::verify::{Finding, Judgement, Vouched};
use serde::Serialize;
use std::collections::BTreeMap;

/// The name and version of the JSON form. A field may be added to it; none changes its meaning.
pub const SCHEMA: &str = "narwarden.verdict/1";

/// A verdict with everything that explains it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// "admit" or "deny".
    pub verdict: Answer,
    /// What was not looked at; an "admit" with anything here proves no generation.
    pub limits: Vec<Limit>,
    /// The store path that was judged.
    pub subject: String,
    /// When, in RFC 3339.
    pub decided: String,
    /// The rules it was judged by.
    pub rules: Rules,
    /// The size of what was judged.
    pub closure: ClosureSize,
    /// How many paths are vouched for by what.
    pub vouched: VouchedCounts,
    /// How many paths each pinned key signed.
    pub keys: BTreeMap<String, u64>,
    /// Everything found, denials first.
    pub findings: Vec<ReportFinding>,
    /// What it took.
    pub measured: Effort,
}

/// The verdict in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Nothing speaks against it.
    Admit,
    /// Something does, or could not be found out.
    Deny,
}

/// A part that was not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// No byte was read: signatures were held against what the database claims.
    SignaturesOnly,
    /// The references of the path were not judged.
    PathOnly,
}

/// The rules a verdict was made by.
#[derive(Clone, Debug, Serialize)]
pub struct Rules {
    /// The trust set's own version number.
    pub trust_version: u64,
    /// SHA-256 of the trust set's file, in base 16.
    pub trust_digest: String,
    /// SHA-256 of the policy's file, in base 16.
    pub policy_digest: String,
}

/// The size of what was judged.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ClosureSize {
    /// How many store paths.
    pub paths: u64,
    /// The sizes of their NARs in bytes, measured where they were.
    pub nar_size: u64,
}

/// How many paths are vouched for by what.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct VouchedCounts {
    /// By signatures.
    pub signature: u64,
    /// By a content address alone.
    pub content_address: u64,
    /// By a release statement alone.
    pub statement: u64,
}

/// One finding, with the way from the toplevel to it.
#[derive(Clone, Debug, Serialize)]
pub struct ReportFinding {
    /// The stable reason code.
    #[serde(serialize_with = "reason_code")]
    pub reason: Reason,
    /// "deny" or "note".
    pub severity: &'static str,
    /// The store path it is about.
    pub store_path: String,
    /// What was expected and found; escaped.
    pub detail: String,
    /// A shortest chain of references from the subject to the path, both included; of a long one, its end.
    pub chain: Vec<String>,
    /// How many paths of the chain were left out after the subject.
    pub chain_omitted: u32,
    /// What to do next.
    pub next: String,
}

/// What the measurement took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Effort {
    /// Bytes of NARs that were hashed.
    pub hashed_bytes: u64,
    /// Paths whose seal still fitted, so that nothing was hashed.
    pub sealed_paths: u64,
    /// Wall clock seconds.
    pub seconds: f64,
}

// The shape of this function is given by serde.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn reason_code<S: serde::Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.code())
}

impl Report {
    /// Puts together what was found out.
    #[must_use]
    pub fn new(
        plan: &Plan<'_>,
        judgements: &[Judgement],
        verdict: &Verdict,
        findings: &[Finding],
        measured: Effort,
    ) -> Self {
        let trust = plan.rulebook().trust();
        let (answer, limits) = match verdict {
            Verdict::Admit(_) => (Answer::Admit, Vec::new()),
            Verdict::Limited(_) => (Answer::Admit, limits(plan)),
            Verdict::Deny(_) => (Answer::Deny, limits(plan)),
        };
        let mut vouched = VouchedCounts::default();
        let mut keys = BTreeMap::new();
        let mut nar_size = 0u64;
        for judgement in judgements {
            match judgement.vouched() {
                Some(Vouched::Signatures(_)) => vouched.signature += 1,
                Some(Vouched::ContentAddress) => vouched.content_address += 1,
                None => {}
            }
            for key in judgement.signers().valid.iter().filter_map(|key| trust.key(key)) {
                *keys.entry(key.id.clone()).or_insert(0) += 1;
            }
            let size = judgement.nar().map_or(0, |nar| nar.size.get());
            nar_size = nar_size.saturating_add(size);
        }
        Self {
            schema: SCHEMA,
            verdict: answer,
            limits,
            subject: plan.closure().toplevel().to_string(),
            decided: plan.now().to_string(),
            rules: Rules {
                trust_version: trust.version(),
                trust_digest: trust.digest().to_string(),
                policy_digest: plan.rulebook().policy_digest().to_string(),
            },
            closure: ClosureSize { paths: plan.checks().count() as u64, nar_size },
            vouched,
            keys,
            findings: findings.iter().map(|finding| explain(plan, finding)).collect(),
            measured,
        }
    }
}

fn limits(plan: &Plan<'_>) -> Vec<Limit> {
    let contents = match plan.contents() {
        Contents::Measured => None,
        Contents::Claimed => Some(Limit::SignaturesOnly),
    };
    let scope = match plan.scope() {
        Scope::Closure => None,
        Scope::Path(_) => Some(Limit::PathOnly),
    };
    contents.into_iter().chain(scope).collect()
}

fn explain(plan: &Plan<'_>, finding: &Finding) -> ReportFinding {
    let toplevel = plan.closure().toplevel().to_string();
    let chain = finding.path.map(|index| plan.closure().chain(index));
    let chain_omitted = chain.as_ref().map_or(0, |chain| chain.omitted);
    let chain: Vec<String> = chain
        .map(|chain| chain.paths.into_iter().map(ToString::to_string).collect())
        .unwrap_or_default();
    let store_path = chain.last().unwrap_or(&toplevel).clone();
    let next =
        finding.reason.next_step().replace("{path}", &store_path).replace("{top}", &toplevel);
    ReportFinding {
        reason: finding.reason,
        severity: finding.severity.code(),
        store_path,
        detail: finding.detail.clone(),
        chain: if chain.is_empty() { vec![toplevel] } else { chain },
        chain_omitted,
        next,
    }
}
