//! A fixture that is taken comes to a verdict; one that is refused says where. Of every trust set that is taken, the
//! one with stand-in keys is taken too, and other in nothing but the keys.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use narwarden_core::policy::{Policy, Rulebook};
use narwarden_core::report::Answer;
use narwarden_core::trust::{TrustFile, TrustSet};
use narwarden_forge::fixture::{Fixture, TrustTexts, Use};

const TRUST: &str = r#"
expires = 2029-12-31
[keys]
a = { public = "a:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=" }
b = { public = "b:1vjoEzrqTUQ7lmWM57K7eXlS1RNTsyY0pbJB5bCFGcA=", community = true }
c = { public = "c:/FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU=", revoked = 2020-01-01 }
"#;
const POLICY: &str = "[require]\ndefault = \"any\"\n[[deny]]\nname = \"d*\"\nreason = \"x\"\n";

fn rules() -> &'static (TrustTexts, Rulebook) {
    static RULES: OnceLock<(TrustTexts, Rulebook)> = OnceLock::new();
    RULES.get_or_init(|| {
        let trust = TrustTexts::parse(TRUST).unwrap();
        let policy = Policy::parse(POLICY).unwrap().policy;
        let rulebook = policy.bind(trust.stand_ins.trust()).unwrap().rulebook;
        (trust, rulebook)
    })
}

fn trust_set(text: &str) {
    let Ok(TrustFile { trust, .. }) = TrustSet::parse(text) else {
        assert!(TrustTexts::parse(text).is_err());
        return;
    };
    let like = TrustTexts::parse(text).unwrap().stand_ins;
    let like = like.trust();
    assert_eq!((trust.version(), trust.expires()), (like.version(), like.expires()));
    assert!(trust.roles().eq(like.roles()));
    assert_eq!(trust.every_key(), like.every_key());
    for ((_, key), (_, other)) in trust.keys().zip(like.keys()) {
        assert_eq!(
            (&key.id, key.community, &key.validity),
            (&other.id, other.community, &other.validity)
        );
        assert_eq!(key.public.name(), other.public.name());
        assert_ne!(key.public.as_bytes(), other.public.as_bytes());
    }
}

fuzz_target!(|text: &str| {
    let (trust, rulebook) = rules();
    match Fixture::parse(text, &trust.stand_ins) {
        Ok(fixture) => {
            let outcome = fixture.judge(rulebook);
            let refused = outcome.uses.iter().any(|(_, used)| *used == Use::Refused);
            assert!(!(refused && outcome.verdict == Answer::Admit));
            assert_eq!(outcome, fixture.judge(rulebook));
        }
        Err(rejected) => {
            assert!(!rejected.0.is_empty());
            assert!(rejected.0.iter().all(|remark| text.get(remark.span.clone()).is_some()));
        }
    }
    trust_set(text);
});
