//! The results on one screen: a line a fixture, and what no fixture depends on.

use super::Rules;
use super::suite::{Suite, Tested};
use crate::check::describe_gate;
use crate::terminal::{BAD, DIM, GOOD, NOTE, STRONG, counted, plain};
use narwarden_core::reason::{Reason, Severity};
use narwarden_core::report::Answer;
use narwarden_forge::fixture::{Observed, Place};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Of how many places a line speaks.
const SHOWN: usize = 3;

/// All of it. Writing to a string cannot fail, so results are dropped.
pub(super) fn results(rules: &Rules, suite: &Suite) -> String {
    let mut out = String::new();
    let names = suite.tested.iter().map(|it| plain(&it.case.name).chars().count());
    let width = names.max().unwrap_or(0).min(40);
    for tested in &suite.tested {
        line(&mut out, tested, width);
    }
    let all = counted(suite.tested.len() as u64, "fixture");
    let _ = match suite.failed() {
        0 => writeln!(out, "\n{GOOD}{all}: all as expected{GOOD:#}"),
        failed => writeln!(out, "\n{BAD}{all}: {failed} not as expected{BAD:#}"),
    };
    coverage(&mut out, suite);
    let trust = rules.trust_path.display().to_string();
    let _ = writeln!(
        out,
        "{DIM}Throw-away keys stood in for those of {}: rules were tested, not keys.{DIM:#}",
        plain(&trust)
    );
    let gate = describe_gate(rules.policy.gate());
    let _ = writeln!(out, "{DIM}What narwardend makes of a denial: {gate}.{DIM:#}");
    out
}

fn line(out: &mut String, tested: &Tested, width: usize) {
    let expected = tested.case.fixture.expected();
    let name = plain(&tested.case.name);
    let got = verdict(tested.outcome.verdict, &observed(tested));
    if tested.is_as_expected() {
        let _ = writeln!(out, "{GOOD}pass{GOOD:#}  {STRONG}{name:width$}{STRONG:#}  {got}");
        return;
    }
    let wanted = verdict(expected.verdict, &named(&expected.deny));
    let _ = writeln!(
        out,
        "{BAD}FAIL{BAD:#}  {STRONG}{name:width$}{STRONG:#}  expected {wanted}, got {got}"
    );
    let _ = writeln!(out, "      {DIM}{}{DIM:#}", plain(tested.case.fixture.about()));
    for (severity, wanted) in
        [(Severity::Deny, Some(&expected.deny)), (Severity::Note, expected.note.as_ref())]
    {
        let Some(wanted) = wanted else { continue };
        let found = tested.outcome.found(severity);
        for (place, reason) in wanted.difference(&found) {
            let _ = writeln!(
                out,
                "      missing     {} {}: {}",
                severity.code(),
                at(place),
                reason.code()
            );
        }
        for finding in tested.outcome.findings.iter().filter(|it| it.severity == severity) {
            if !wanted.contains(&(finding.place.clone(), finding.reason)) {
                let _ = writeln!(
                    out,
                    "      unexpected  {} {}: {} ({})",
                    severity.code(),
                    chain(finding),
                    finding.reason.code(),
                    plain(&finding.detail)
                );
            }
        }
    }
}

fn verdict(answer: Answer, because: &[String]) -> String {
    match (answer, because) {
        (Answer::Admit, []) => "admit".to_owned(),
        (Answer::Admit, because) => format!("admit  {}", short(because)),
        (Answer::Deny, because) => format!("deny  {}", short(because)),
    }
}

fn short(because: &[String]) -> String {
    let shown: Vec<&str> = because.iter().take(SHOWN).map(String::as_str).collect();
    let more = because.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{more}", shown.join("; "))
}

/// What was found, each place with the way to it.
fn observed(tested: &Tested) -> Vec<String> {
    let mut because: Vec<String> = Vec::new();
    for finding in &tested.outcome.findings {
        let note = match finding.severity {
            Severity::Deny => "",
            Severity::Note => " (note)",
        };
        let text = format!("{}: {}{note}", chain(finding), finding.reason.code());
        if !because.contains(&text) {
            because.push(text);
        }
    }
    because
}

fn named(expected: &BTreeSet<(Place, Reason)>) -> Vec<String> {
    expected.iter().map(|(place, reason)| format!("{}: {}", at(place), reason.code())).collect()
}

fn at(place: &Place) -> String {
    match place {
        Place::Whole => "the whole".to_owned(),
        Place::Path(label) => plain(label).into_owned(),
    }
}

/// The way to it, without the toplevel that all ways begin at.
fn chain(finding: &Observed) -> String {
    match (&finding.place, finding.chain.as_slice()) {
        (Place::Path(_), [_, rest @ ..]) if !rest.is_empty() => rest.join(" → "),
        (place @ (Place::Whole | Place::Path(_)), _) => at(place),
    }
}

fn coverage(out: &mut String, suite: &Suite) {
    if !suite.unnoticed.is_empty() {
        let _ = writeln!(
            out,
            "{NOTE}note{NOTE:#}  every fixture would come out the same if the policy were looser:"
        );
    }
    for loosening in &suite.unnoticed {
        let rule = loosening.origin().and_then(|it| suite.rules.iter().find(|r| r.origin == *it));
        let never = match rule {
            Some(rule) if rule.applied() == 0 => ", which no fixture has a path for",
            Some(_) | None => "",
        };
        let _ = writeln!(out, "        {loosening}{never}");
    }
    for rule in suite.unsatisfied() {
        let _ = writeln!(
            out,
            "{NOTE}note{NOTE:#}  no fixture has a path whose signatures satisfy {}",
            rule.origin
        );
    }
}
