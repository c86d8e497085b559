//! A policy that is taken asks for something of every path; one that is refused says where.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use narwarden_core::policy::{Policy, PolicyFile};
use narwarden_core::store_path::StorePath;
use narwarden_core::trust::{KeySet, TrustSet};

const TRUST: &str = r#"
[keys]
a = { public = "a:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=" }
b = { public = "b:1vjoEzrqTUQ7lmWM57K7eXlS1RNTsyY0pbJB5bCFGcA=", community = true }
c = { public = "c:/FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU=", revoked = 2020-01-01 }
[roles]
r = { keys = ["a", "b", "c"], threshold = 2 }
"#;

fn trust() -> &'static TrustSet {
    static TRUST_SET: OnceLock<TrustSet> = OnceLock::new();
    TRUST_SET.get_or_init(|| TrustSet::parse(TRUST).unwrap().trust)
}

fuzz_target!(|text: &str| {
    let (policy, mut remarks) = match Policy::parse(text) {
        Ok(PolicyFile { policy, warnings }) => (Some(policy), warnings),
        Err(rejected) => (None, rejected.0),
    };
    match policy.map(|policy| policy.bind(trust())) {
        Some(Ok(bound)) => {
            remarks.extend(bound.warnings);
            for name in ["x", "nixos-system-host-26.05", "glibc-2.40"] {
                let path = StorePath::make("source", &[0; 32], name).unwrap();
                for rule in
                    [bound.rulebook.rule_for(&path), &bound.rulebook.rule_for_toplevel(&path)]
                {
                    assert!(rule.requirement.satisfied_by(KeySet::EMPTY).is_none());
                    let every = trust().every_key();
                    assert!(rule.requirement.satisfied_by(every).is_some());
                    assert!(!rule.requirement.to_string().is_empty());
                }
            }
        }
        Some(Err(rejected)) => remarks.extend(rejected.0),
        None => assert!(!remarks.is_empty()),
    }
    assert!(remarks.iter().all(|remark| text.get(remark.span.clone()).is_some()));
});
