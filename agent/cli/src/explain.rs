//! `narwarden explain`: everything about one path of a closure.

use crate::arguments::Explain;
use crate::check::describe_key;
use crate::files;
use crate::outcome::{Exit, Failure};
use crate::progress::{Show, judge_shown};
use crate::terminal::{self, BAD, GOOD, NOTE, STRONG, plain};
use crate::verify::{closure, options, resolve};
use jiff::Timestamp;
use narwarden_core::claim::Claim;
use narwarden_core::closure::{Closure, PathIndex};
use narwarden_core::evidence::{Measured, MeasuredContent};
use narwarden_core::plan::{Contents, Plan, Scope};
use narwarden_core::reason::Severity;
use narwarden_core::verdict::Verdict;
use narwarden_core::verify::{Judgement, Vouched};
use narwarden_store::{Judged, Location, Target};
use std::fmt::Write as _;

pub(crate) fn run(arguments: &Explain) -> Result<Exit, Failure> {
    let rulebook = files::rulebook(&arguments.rules)?;
    let location = Location::new(&arguments.store.root);
    let closure = closure(&location, &resolve(&arguments.target, &location)?)?;
    let index = find(&closure, &arguments.path, &location)?;
    let scope = Scope::Path(index);
    let plan = Plan::new(&closure, &rulebook, scope, Contents::Measured, Timestamp::now());
    let judged = judge_shown(&location, &plan, options(&arguments.store), Show::Progress, None);
    let mut out = String::new();
    if let (Some(claim), Some(judgement)) = (closure.claim(index), judged.judgements.first()) {
        describe(&mut out, &plan, claim, judgement, judged.measured.get(&index));
    }
    findings(&mut out, &judged);
    terminal::print(&out)?;
    Ok(match judged.verdict {
        Verdict::Admit(_) | Verdict::Limited(_) => Exit::Admitted,
        Verdict::Deny(_) => Exit::Denied,
    })
}

fn find(closure: &Closure, wanted: &str, location: &Location) -> Result<PathIndex, Failure> {
    let named: Vec<_> =
        closure.claims().filter(|(_, claim)| claim.path.name() == wanted).take(2).collect();
    match named.as_slice() {
        [(only, _)] => return Ok(*only),
        [_, _, ..] => {
            return Err(Failure::usage(format_args!(
                "several paths of the closure are called {wanted}: give the whole store path"
            )));
        }
        [] => {}
    }
    let path = Target::parse(wanted).resolve(location).map_err(Failure::usage)?;
    let found = closure.claims().find(|(_, claim)| claim.path == path).map(|(index, _)| index);
    found.ok_or_else(|| {
        Failure::usage(format_args!("{path} is not in the closure of {}", closure.toplevel()))
    })
}

fn describe(
    out: &mut String,
    plan: &Plan<'_>,
    claim: &Claim,
    judgement: &Judgement,
    measured: Option<&Measured>,
) {
    let index = judgement.index();
    let chain = plan.closure().chain(index);
    let mut names: Vec<_> = chain.paths.iter().map(|path| path.name().to_owned()).collect();
    if chain.omitted > 0 {
        names.insert(1, format!("… {} more …", chain.omitted));
    }
    let rule = plan.rule(index);
    let _ = writeln!(out, "{STRONG}{}{STRONG:#}", claim.path);
    let _ = writeln!(out, "  reached   {}", names.join(" → "));
    let community =
        if rule.excluded.is_empty() { "" } else { ", without keys of community caches" };
    let _ = writeln!(out, "  required  {} ({}){community}", rule.requirement, rule.origin);
    signed(out, plan, claim, judgement);
    let unknown = || "nothing".to_owned();
    let size = claim.nar_size.map_or_else(|| "?".to_owned(), |size| size.to_string());
    let hash = claim.nar_hash.map_or_else(unknown, |hash| hash.to_string());
    let _ = writeln!(out, "  claimed   {hash}, {size} bytes");
    if let Some(address) = &claim.content_address {
        let _ = writeln!(out, "            content address {address}");
    }
    match measured {
        Some(Measured::Bytes(evidence)) => {
            let _ = writeln!(out, "  measured  {}, {} bytes", evidence.nar_hash, evidence.nar_size);
            if let MeasuredContent::Hash { strict: Some(hash), .. } = evidence.content {
                let _ = writeln!(out, "            content address from {hash}");
            }
        }
        Some(Measured::Not(_) | Measured::NotAsked) | None => {
            let _ = writeln!(out, "  measured  {BAD}nothing{BAD:#}");
        }
    }
    let _ = match judgement.vouched() {
        Some(Vouched::Signatures(keys)) => {
            let trust = plan.rulebook().trust();
            let ids: Vec<_> =
                keys.iter().filter_map(|key| trust.key(key)).map(|key| key.id.as_str()).collect();
            writeln!(out, "  vouched   {GOOD}by signature{GOOD:#} of {}", ids.join(" and "))
        }
        Some(Vouched::ContentAddress) => {
            writeln!(out, "  vouched   {GOOD}by its content address{GOOD:#}, recomputed")
        }
        None => writeln!(out, "  vouched   {BAD}by nothing that counts{BAD:#}"),
    };
}

fn signed(out: &mut String, plan: &Plan<'_>, claim: &Claim, judgement: &Judgement) {
    let trust = plan.rulebook().trust();
    let signers = judgement.signers();
    let good = signers.valid.union(signers.lapsed_keys());
    for key in good.iter().filter_map(|key| trust.key(key)) {
        let _ = writeln!(out, "  signed    by {}", describe_key(key, plan.now()));
    }
    if good.is_empty() {
        let _ = writeln!(out, "  signed    by no pinned key");
    }
    for (count, what) in [
        (signers.failed, "under a pinned name, not over what was measured"),
        (signers.unknown, "under names that are not pinned"),
        (signers.malformed, "malformed"),
    ] {
        if count > 0 {
            let _ = writeln!(out, "  {NOTE}ignored{NOTE:#}   {count} {what}");
        }
    }
    let pinned = |it: &&narwarden_core::signature::Signature| {
        trust.keys().any(|(_, key)| key.public.name() == it.key_name())
    };
    let unknown = claim.signatures.well_formed.iter().filter(|it| !pinned(it)).take(5);
    for signature in unknown {
        let _ = writeln!(out, "            {}", plain(&signature.key_name().to_string()));
    }
}

fn findings(out: &mut String, judged: &Judged) {
    for finding in &judged.findings {
        let style = match finding.severity {
            Severity::Deny => BAD,
            Severity::Note => NOTE,
        };
        let _ = writeln!(
            out,
            "  {style}{}{style:#}  {}",
            finding.reason.code(),
            plain(&finding.detail)
        );
    }
    let _ = match &judged.verdict {
        Verdict::Deny(_) => writeln!(out, "{BAD}DENY{BAD:#}"),
        Verdict::Admit(_) | Verdict::Limited(_) => {
            writeln!(out, "{GOOD}nothing speaks against this path{GOOD:#}")
        }
    };
}
