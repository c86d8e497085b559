use super::*;
use crate::diagnostic::Severity;
use ed25519_dalek::SigningKey;

fn public(name: &str, seed: u8) -> String {
    let key = SigningKey::from_bytes(&[seed; 32]).verifying_key();
    format!("{name}:{}", data_encoding::BASE64.encode(key.as_bytes()))
}

/// The text with `KEY1`, `KEY2`, … replaced by keys.
fn with_keys(text: &str) -> String {
    (1..=3).fold(text.to_owned(), |text, n| text.replace(&format!("KEY{n}"), &public("cache-1", n)))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn keys_alone_are_enough() {
    let text = with_keys("[keys]\nci = { public = \"KEY1\" }\nother = { public = \"KEY2\" }\n");
    let TrustFile { trust, warnings } = TrustSet::parse(&text).unwrap();
    assert_eq!(warnings, []);
    assert_eq!((trust.version(), trust.expires()), (0, None));
    assert_eq!(trust.role(ANY), Some(Role { keys: trust.every_key(), threshold: 1 }));
    // Two keys may carry one public name: which of them signed is decided by their bytes.
    assert_eq!(trust.every_key().len(), 2);
}

#[test]
fn what_cannot_be_meant_is_refused_where_it_stands() {
    for (text, at, message) in [
        ("", "", "no key is pinned"),
        (
            "[keys]\na = { public = \"KEY1\", comunity = true }",
            "comunity",
            "unknown field `comunity`",
        ),
        ("[key]\n", "key", "unknown field `key`"),
        (
            "[keys]\na = { public = \"KEY1\" }\nb = { public = \"KEY1\" }",
            "\"KEY1\"",
            "the same key as `a`",
        ),
        ("[keys]\na = { public = \"cache-1\" }", "\"cache-1\"", "colon"),
        ("[keys]\na = { public = \"x:AAAA\" }", "\"x:AAAA\"", ""),
        // The identity point, under which anybody can sign anything (RFC 8032, 8.9).
        (
            "[keys]\na = { public = \"x:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\" }",
            "\"x:AQ",
            "weak",
        ),
        ("[keys]\nany = { public = \"KEY1\" }", "any", "the role of every key"),
        ("[keys]\n\"a b\" = { public = \"KEY1\" }", "\"a b\"", "letters, digits"),
        ("[keys]\na = { public = \"KEY1\", reason = \"x\" }", "\"x\"", "not revoked"),
        (
            "[keys]\na = { public = \"KEY1\", not-before = 2026-02-01, not-after = 2026-01-01 }",
            "2026-01-01",
            "ends before it begins",
        ),
        (
            "[keys]\na = { public = \"KEY1\", not-after = 2026-01-01T10:00:00 }",
            "2026-01-01T10:00:00",
            "every host agrees",
        ),
        (
            "[keys]\na = { public = \"KEY1\", not-after = 10:00:00 }",
            "10:00:00",
            "every host agrees",
        ),
        ("expires = 2026-13-01\n[keys]\na = { public = \"KEY1\" }", "2026-13-01", ""),
        (
            "[keys]\na = { public = \"KEY1\" }\n[roles]\nr = { keys = [\"b\"] }",
            "\"b\"",
            "no usable key is called `b`",
        ),
        (
            "[keys]\na = { public = \"KEY1\" }\n[roles]\nr = { keys = [\"a\"], threshold = 0 }",
            "0",
            "asks for nothing",
        ),
        (
            "[keys]\na = { public = \"KEY1\" }\n[roles]\nr = { keys = [\"a\"], threshold = 2 }",
            "2 }",
            "2 keys are asked for, and the role has 1",
        ),
        (
            "[keys]\na = { public = \"KEY1\" }\n[roles]\nr = { keys = [\"a\", \"a\"], threshold = 2 }",
            "\"a\"], t",
            "would not count twice",
        ),
        (
            "[keys]\na = { public = \"KEY1\" }\n[roles]\nr = { keys = [], threshold = 1 }",
            "1 }",
            "the role has 0",
        ),
        ("[keys]\na = { public = \"KEY1\" }\n[roles]\nany = { keys = [\"a\"] }", "any", "built in"),
        (
            "[keys]\na = { public = \"KEY1\" }\n[roles]\na = { keys = [\"a\"] }",
            "a = { keys",
            "has this name already",
        ),
        ("version = -1\n[keys]\na = { public = \"KEY1\" }", "-1\n", ""),
    ] {
        let text = with_keys(text);
        let at = with_keys(at);
        let Rejected(remarks) = TrustSet::parse(&text).unwrap_err();
        let first = remarks.first().unwrap();
        assert_eq!(first.severity, Severity::Error, "{text}");
        assert!(first.message.contains(message), "{text}: {}", first.message);
        let found = text.get(first.span.clone()).unwrap();
        let wanted = text.rfind(&at).unwrap();
        assert!(
            at.is_empty() || first.span.start == wanted || first.span.contains(&wanted),
            "{text}: points at {found:?}"
        );
        assert!(!first.help.is_empty());
    }
}

#[test]
fn all_faults_are_reported_at_once() {
    let text = with_keys(
        "[keys]\na = { public = \"x\" }\nb = { public = \"y\" }\n[roles]\nr = { keys = [\"c\"] }\n",
    );
    let Rejected(remarks) = TrustSet::parse(&text).unwrap_err();
    assert_eq!(remarks.len(), 3, "{remarks:#?}"); // two keys and one unknown name
}

#[test]
fn a_revocation_is_never_refused_for_what_it_makes_impossible() {
    let text = with_keys(
        "[keys]\na = { public = \"KEY1\", revoked = 2026-10-01 }\nb = { public = \"KEY2\" }\n\
         [roles]\nboth = { keys = [\"a\", \"b\"], threshold = 2 }\n",
    );
    let TrustFile { warnings, .. } = TrustSet::parse(&text).unwrap();
    assert_eq!(warnings.first().map(|it| it.severity), Some(Severity::Warning));
}

#[test]
fn days_are_whole_and_revocation_does_not_ask_the_clock() {
    let text = with_keys(
        "expires = 2027-06-01T12:00:00+02:00\n[keys]\n\
         day = { public = \"KEY1\", not-before = 2026-02-01, not-after = 2026-02-28 }\n\
         gone = { public = \"KEY2\", revoked = 2099-01-01, reason = \"stolen\" }\n",
    );
    let trust = TrustSet::parse(&text).unwrap().trust;
    assert_eq!(trust.expires(), Some(at("2027-06-01T10:00:00Z")));
    let standing =
        |id, moment| trust.key(trust.key_named(id).unwrap()).unwrap().validity.standing(at(moment));
    for (moment, expected) in [
        ("2026-01-31T23:59:59Z", Standing::NotYetValid),
        ("2026-02-01T00:00:00Z", Standing::Valid),
        ("2026-02-28T23:59:59Z", Standing::Valid),
        ("2026-03-01T00:00:00Z", Standing::Expired),
    ] {
        assert_eq!(standing("day", moment), expected, "{moment}");
        assert_eq!(standing("gone", moment), Standing::Revoked);
    }
}

#[test]
fn keys_are_bounded() {
    use std::fmt::Write as _;
    let mut text = String::from("[keys]\n");
    for n in 0..=MAX_KEYS {
        let seed = u8::try_from(n + 1).unwrap();
        writeln!(text, "k{n} = {{ public = \"{}\" }}", public("x", seed)).unwrap();
    }
    let Rejected(remarks) = TrustSet::parse(&text).unwrap_err();
    assert!(remarks[0].message.contains("more than 64 keys"));
}
