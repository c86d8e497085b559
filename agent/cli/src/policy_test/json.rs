//! The results for machines: `narwarden.policy-test/1`, described in `docs/policy-test.md`.

use super::Rules;
use super::suite::{Suite, Tested};
use narwarden_core::reason::Reason;
use narwarden_forge::fixture::{Fixture, Place};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The name and version of the JSON form. A field may be added to it; none changes its meaning.
const SCHEMA: &str = "narwarden.policy-test/1";

pub(super) fn results(rules: &Rules, suite: &Suite) -> Value {
    let count = |what: &dyn Fn(&Tested) -> bool| suite.tested.iter().filter(|it| what(it)).count();
    let uses = suite.rules.iter().map(|rule| {
        json!({
            "rule": rule.origin.to_string(),
            "satisfied": rule.satisfied,
            "by_content_address": rule.by_content_address,
            "refused": rule.refused,
        })
    });
    let unnoticed = suite.unnoticed.iter().map(ToString::to_string);
    json!({
        "schema": SCHEMA,
        "as_expected": suite.failed() == 0,
        "thorough": suite.is_thorough(),
        "policy": {
            "file": rules.policy_path.display().to_string(),
            "digest": rules.policy.digest().to_string(),
        },
        "trust": {
            "file": rules.trust_path.display().to_string(),
            "digest": rules.trust.digest().to_string(),
            "version": rules.trust.version(),
            "keys": "stand-ins",
        },
        "counts": {
            "fixtures": suite.tested.len(),
            "as_expected": count(&|it| it.is_as_expected()),
            "not_as_expected": suite.failed(),
        },
        "fixtures": suite.tested.iter().map(fixture).collect::<Vec<_>>(),
        "rules": uses.collect::<Vec<_>>(),
        "unnoticed": unnoticed.collect::<Vec<_>>(),
    })
}

fn fixture(tested: &Tested) -> Value {
    let fixture = &tested.case.fixture;
    let expected = fixture.expected();
    let findings = tested.outcome.findings.iter().map(|finding| {
        json!({
            "reason": finding.reason.code(),
            "severity": finding.severity.code(),
            "path": finding.place.to_string(),
            "store_path": fixture.store_path(&finding.place),
            "detail": finding.detail,
            "chain": finding.chain,
        })
    });
    json!({
        "fixture": tested.case.name,
        "about": fixture.about(),
        "now": fixture.now().to_string(),
        "as_expected": tested.is_as_expected(),
        "expected": {
            "verdict": expected.verdict,
            "deny": reasons(fixture, &expected.deny),
            "note": expected.note.as_ref().map(|note| reasons(fixture, note)),
        },
        "got": {
            "verdict": tested.outcome.verdict,
            "findings": findings.collect::<Vec<_>>(),
        },
    })
}

fn reasons(fixture: &Fixture, reasons: &BTreeSet<(Place, Reason)>) -> Vec<Value> {
    let each = reasons.iter().map(|(place, reason)| {
        json!({
            "reason": reason.code(),
            "path": place.to_string(),
            "store_path": fixture.store_path(place),
        })
    });
    each.collect()
}
