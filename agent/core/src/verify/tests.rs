use super::*;
use crate::agent::Agent;
use crate::closure::{Closure, ClosureParts};
use crate::content_address::{ContentAddress, Method, SelfReference};
use crate::evidence::MeasuredMetadata;
use crate::hash::Hash;
use crate::metadata::Deviation;
use crate::plan::Scope;
use crate::policy::{Policy, Rulebook};
use crate::signature::Signatures;
use crate::sink::Executable;
use crate::store_path::StorePath;
use crate::trust::TrustSet;
use crate::verdict::Verdict;
use ed25519_dalek::{Signer as _, SigningKey};
use jiff::Timestamp;
use std::slice::from_ref;

const NOW: &str = "2026-11-22T00:00:00Z";
const HASH: NarHash = NarHash::from_bytes([7; 32]);
const OTHER: NarHash = NarHash::from_bytes([8; 32]);
const SIZE: u64 = 128;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> String {
    data_encoding::BASE64.encode(key(seed).verifying_key().as_bytes())
}

/// A trust set of one key `k`, made from seed 1, with more said about it, bound to a policy.
fn rules(key: &str, policy: &str) -> Rulebook {
    let trust = format!("[keys]\nk = {{ public = \"k-1:{}\"{key} }}\n", public(1));
    let trust = TrustSet::parse(&trust).unwrap().trust;
    Policy::parse(policy).unwrap().policy.bind(&trust).unwrap().rulebook
}

fn path() -> StorePath {
    StorePath::from_base_name("00000000000000000000000000000000-nixos-system-x").unwrap()
}

/// A signature under `name` by the key of `seed` over contents with this hash.
fn signature(name: &str, seed: u8, hash: &NarHash) -> String {
    let message = fingerprint(&path(), hash, NonZeroU64::new(SIZE).unwrap(), &[]);
    let signature = key(seed).sign(message.as_bytes()).to_bytes();
    format!("{name}:{}", data_encoding::BASE64.encode(&signature))
}

fn claim(signatures: &[String]) -> Claim {
    Claim {
        path: path(),
        nar_hash: Some(HASH),
        nar_size: Some(SIZE),
        content_address: None,
        signatures: Signatures::parse_column(&signatures.join(" ")),
        defects: Vec::new(),
    }
}

fn evidence(nar_hash: NarHash) -> Evidence {
    Evidence {
        nar_hash,
        nar_size: NonZeroU64::new(SIZE).unwrap(),
        content: MeasuredContent::NotAsked,
        metadata: MeasuredMetadata::default(),
    }
}

/// The reasons that deny, or "admit".
fn judged(rules: &Rulebook, claim: Claim, measured: &Measured) -> Vec<&'static str> {
    let parts = ClosureParts { claims: vec![claim], ..ClosureParts::default() };
    let closure = Closure::new(path(), parts).unwrap();
    let now: Timestamp = NOW.parse().unwrap();
    let plan = Plan::new(&closure, rules, Scope::Closure, Contents::Measured, now);
    let judgement = judge(&plan, PathIndex::TOPLEVEL, measured);
    match Verdict::of(&plan, &[judgement], &Agent::NotAsked) {
        (Verdict::Admit(_), _) => vec!["admit"],
        (Verdict::Limited(_), _) => vec!["limited"],
        (Verdict::Deny(_), findings) => {
            let deny = findings.iter().filter(|it| it.severity == Severity::Deny);
            deny.map(|it| it.reason.code()).collect()
        }
    }
}

const ANY: &str = "[require]\ndefault = \"any\"\n";

#[test]
fn only_a_good_signature_by_a_key_that_counts_now_vouches() {
    let good = signature("k-1", 1, &HASH);
    for (key, signatures, expected) in [
        ("", vec![good.clone()], "admit"),
        ("", vec![], "unsigned"),
        ("", vec!["junk".to_owned()], "unsigned"),
        ("", vec!["junk".to_owned(), good.clone()], "admit"),
        ("", vec![signature("k-2", 1, &HASH)], "unknown-key"), // right key, another name
        ("", vec![signature("k-1", 2, &HASH)], "bad-signature"), // right name, another key
        ("", vec![signature("k-1", 1, &OTHER)], "bad-signature"),
        ("", vec![signature("k-1", 2, &HASH), good.clone()], "admit"),
        (", revoked = 2026-10-01", vec![good.clone()], "revoked-key"),
        (", revoked = 2099-10-01", vec![good.clone()], "revoked-key"),
        (", not-after = 2026-11-21", vec![good.clone()], "expired-key"),
        (", not-after = 2026-11-22", vec![good.clone()], "admit"),
        (", not-before = 2026-11-23", vec![good.clone()], "not-yet-valid-key"),
        (", not-before = 2026-11-22", vec![good.clone()], "admit"),
        (", community = true", vec![good.clone()], "community-key"),
    ] {
        let found = judged(&rules(key, ANY), claim(&signatures), &Measured::Bytes(evidence(HASH)));
        assert_eq!(found, [expected], "{key} {signatures:?}");
    }
}

#[test]
fn signatures_are_held_against_what_was_measured() {
    let rules = rules("", ANY);
    let good = signature("k-1", 1, &HASH);
    // The bytes changed: what the database claims would still be signed.
    let found = judged(&rules, claim(from_ref(&good)), &Measured::Bytes(evidence(OTHER)));
    assert_eq!(found, ["content-drift"]);
    // The bytes are those that were signed, and the database says otherwise.
    let lies = Claim { nar_hash: Some(OTHER), ..claim(from_ref(&good)) };
    assert_eq!(judged(&rules, lies, &Measured::Bytes(evidence(HASH))), ["database-drift"]);
    let lies = Claim { nar_size: Some(SIZE + 8), ..claim(from_ref(&good)) };
    assert_eq!(judged(&rules, lies, &Measured::Bytes(evidence(HASH))), ["database-drift"]);
    // Bytes and database changed together.
    let both = Claim { nar_hash: Some(OTHER), ..claim(&[good]) };
    assert_eq!(judged(&rules, both, &Measured::Bytes(evidence(OTHER))), ["bad-signature"]);
}

#[test]
fn what_could_not_be_measured_denies_with_a_reason_of_its_own() {
    let rules = rules("", ANY);
    let text = || String::from("x");
    for (why, expected) in [
        (Unmeasured::Missing, "missing-path"),
        (Unmeasured::Unreadable(text()), "unreadable"),
        (Unmeasured::Changed(text()), "changed-while-read"),
        (Unmeasured::UnsupportedFile(text()), "unsupported-file"),
        (Unmeasured::TooLarge(text()), "too-large"),
        (Unmeasured::ForeignMount(text()), "metadata-drift"),
        (Unmeasured::Interrupted, "interrupted"),
    ] {
        let signed = claim(&[signature("k-1", 1, &HASH)]);
        assert_eq!(judged(&rules, signed, &Measured::Not(why)), [expected]);
    }
    // Evidence that nobody gathered is none, though the claim alone would satisfy.
    let signed = claim(&[signature("k-1", 1, &HASH)]);
    assert_eq!(judged(&rules, signed, &Measured::NotAsked), ["interrupted"]);
}

#[test]
fn metadata_denies_notes_or_passes_as_the_policy_says() {
    let mut odd = evidence(HASH);
    for mode in 0..20 {
        odd.metadata.add(Deviation::SpecialBits { found: 0o4000 + mode }, || "bin/su".to_owned());
    }
    assert_eq!(odd.metadata.listed().len(), MeasuredMetadata::LISTED);
    let signed = || claim(&[signature("k-1", 1, &HASH)]);
    for (rule, expected) in
        [("canonical", "metadata-drift"), ("report", "admit"), ("ignore", "admit")]
    {
        let policy = format!("{ANY}metadata = \"{rule}\"\n");
        let found = judged(&rules("", &policy), signed(), &Measured::Bytes(odd.clone()));
        assert_eq!(found.first(), Some(&expected), "{rule}");
    }
}

#[test]
fn the_deny_list_is_above_every_signature() {
    for entry in [
        format!("path = \"{}\"", path()),
        format!("nar-hash = \"{HASH}\""),
        "name = \"nixos-*\"".to_owned(),
    ] {
        let policy = format!("{ANY}[[deny]]\n{entry}\nreason = \"no\"\n");
        let signed = claim(&[signature("k-1", 1, &HASH)]);
        let found = judged(&rules("", &policy), signed, &Measured::Bytes(evidence(HASH)));
        assert_eq!(found, ["denied-path"], "{entry}");
    }
}

#[test]
fn an_expired_trust_set_admits_nothing() {
    for (expires, expected) in
        [("2026-11-22T00:00:00Z", "expired-trust-set"), ("2026-11-22", "admit")]
    {
        let trust =
            format!("expires = {expires}\n[keys]\nk = {{ public = \"k-1:{}\" }}\n", public(1));
        let trust = TrustSet::parse(&trust).unwrap().trust;
        let rules = Policy::parse(ANY).unwrap().policy.bind(&trust).unwrap().rulebook;
        let signed = claim(&[signature("k-1", 1, &HASH)]);
        assert_eq!(judged(&rules, signed, &Measured::Bytes(evidence(HASH))), [expected]);
    }
}

/// A path whose content address is right, and what the bytes come out as.
fn addressed(measured: Hash, executable: Executable) -> (Claim, Measured) {
    let address = ContentAddress { method: Method::Flat, hash: Hash::from(HASH) };
    let path = address.store_path("f", &[], SelfReference::No).unwrap();
    let content = MeasuredContent::Hash { strict: Some(measured), legacy: None, executable };
    let claim = Claim { path, content_address: Some(address), ..claim(&[]) };
    (claim, Measured::Bytes(Evidence { content, ..evidence(HASH) }))
}

fn judged_address(policy: &str, claim: Claim, measured: &Measured) -> Vec<&'static str> {
    let toplevel = claim.path.clone();
    let parts = ClosureParts { claims: vec![claim], ..ClosureParts::default() };
    let closure = Closure::new(toplevel, parts).unwrap();
    let rules = rules("", policy);
    let now: Timestamp = NOW.parse().unwrap();
    let plan = Plan::new(&closure, &rules, Scope::Closure, Contents::Measured, now);
    let judgement = judge(&plan, PathIndex::TOPLEVEL, measured);
    judgement.findings().iter().map(|it| it.reason.code()).collect()
}

#[test]
fn a_content_address_is_worth_what_the_policy_says() {
    let good = Hash::from(HASH);
    let bad = Hash::from(OTHER);
    let toplevel = "content-addressed-toplevel = true\n";
    let weak = "content-addressed-toplevel = true\nweak-content-address = [\"executable-flat\"]\n";
    for (more, hash, executable, expected) in [
        (toplevel, good, Executable::No, &[][..]),
        ("", good, Executable::No, &["unsigned"]),
        (toplevel, bad, Executable::No, &["content-address-mismatch"]),
        (toplevel, good, Executable::Yes, &["weak-content-address"]),
        (weak, good, Executable::Yes, &[]),
        (
            "content-addressed-toplevel = true\ncontent-addressed = \"signed\"\n",
            good,
            Executable::No,
            &["unsigned"],
        ),
        (
            "content-addressed = \"deny\"\n",
            good,
            Executable::No,
            &["denied-content-address", "unsigned"],
        ),
    ] {
        let (claim, measured) = addressed(hash, executable);
        let found = judged_address(&format!("{ANY}{more}"), claim, &measured);
        assert_eq!(found, expected, "{more}");
    }
}

#[test]
fn what_nobody_judged_is_refused() {
    let rules = rules("", ANY);
    let parts = ClosureParts {
        claims: vec![claim(&[signature("k-1", 1, &HASH)])],
        ..ClosureParts::default()
    };
    let closure = Closure::new(path(), parts).unwrap();
    let now: Timestamp = NOW.parse().unwrap();
    let plan = Plan::new(&closure, &rules, Scope::Closure, Contents::Measured, now);
    assert!(matches!(Verdict::of(&plan, &[], &Agent::NotAsked), (Verdict::Deny(_), _)));
    let empty = Closure::new(path(), ClosureParts::default()).unwrap();
    let plan = Plan::new(&empty, &rules, Scope::Closure, Contents::Measured, now);
    assert!(matches!(Verdict::of(&plan, &[], &Agent::NotAsked), (Verdict::Deny(_), _)));
}

#[test]
fn claims_alone_never_admit() {
    let rules = rules("", ANY);
    let parts = ClosureParts {
        claims: vec![claim(&[signature("k-1", 1, &HASH)])],
        ..ClosureParts::default()
    };
    let closure = Closure::new(path(), parts).unwrap();
    let now: Timestamp = NOW.parse().unwrap();
    for (scope, contents) in [
        (Scope::Closure, Contents::Claimed),
        (Scope::Path(PathIndex::TOPLEVEL), Contents::Measured),
        (Scope::Path(PathIndex::TOPLEVEL), Contents::Claimed),
    ] {
        let plan = Plan::new(&closure, &rules, scope, contents, now);
        let measured = match contents {
            Contents::Measured => Measured::Bytes(evidence(HASH)),
            Contents::Claimed => Measured::NotAsked,
        };
        let judgement = judge(&plan, PathIndex::TOPLEVEL, &measured);
        assert!(matches!(
            Verdict::of(&plan, &[judgement], &Agent::NotAsked),
            (Verdict::Limited(_), _)
        ));
    }
}
