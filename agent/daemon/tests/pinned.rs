//! Rules that are pinned stay pinned, and rules that are lost are not made up.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the workplace")]

mod workplace;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use jiff::SignedDuration;
use narwarden_forge::Rules;
use narwardend::generations::{Link, scan};
use narwardend::quarantine::Quarantine;
use narwardend::scrub::{Round, ScrubState};
use narwardend::state::admissions::{Admissions, BootId, Key, Outcome, Summary};
use narwardend::state::atomic;
use narwardend::state::pinned::{Loaded, Lost, Pinned, PinnedError};
use narwardend::state::receipts::{Receipt, Receipts};
use workplace::{NOW, Workplace};

fn pin(place: &Workplace) -> Pinned {
    let Rules { trust, policy } = Rules::good();
    Pinned::pin(&place.places, &trust, &policy, NOW).unwrap()
}

fn load(place: &Workplace) -> Pinned {
    let loaded = Pinned::load(&place.places).unwrap();
    let Loaded::Pinned(pinned) = loaded else { panic!("{loaded:?}") };
    *pinned
}

/// What shows that there was something once.
fn sign(place: &Workplace) -> PathBuf {
    let loaded = Pinned::load(&place.places).unwrap();
    let Loaded::Lost(Lost::Missing { sign }) = loaded else { panic!("{loaded:?}") };
    sign
}

fn propose(place: &Workplace, name: &str, text: &str) {
    fs::create_dir_all(&place.places.proposals).unwrap();
    let path = place.places.proposals.join(name);
    let _ = fs::remove_file(&path);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn what_is_pinned_is_read_back() {
    let place = Workplace::new();
    assert!(matches!(Pinned::load(&place.places).unwrap(), Loaded::FirstStart));
    let pinned = pin(&place);
    let loaded = load(&place);
    let Rules { trust, policy } = Rules::good();
    assert_eq!((loaded.trust_text(), loaded.policy_text()), (trust.as_str(), policy.as_str()));
    assert_eq!((loaded.since(), loaded.changed()), (NOW, NOW));
    assert_eq!(loaded.trust().digest(), pinned.trust().digest());
    assert_eq!(loaded.policy_digest(), pinned.rulebook().policy_digest());
    let again = Pinned::pin(&place.places, &trust, &policy, NOW).unwrap_err();
    assert!(matches!(again, PinnedError::AlreadyPinned { .. }), "{again}");
}

#[test]
fn rules_that_are_refused_are_not_pinned() {
    let place = Workplace::new();
    let Rules { trust, policy } = Rules::good();
    let pin =
        |trust: &str, policy: &str| Pinned::pin(&place.places, trust, policy, NOW).unwrap_err();
    assert!(matches!(pin("", &policy), PinnedError::Trust(_)));
    assert!(matches!(pin(&trust, "what = 1"), PinnedError::Policy(_)));
    assert!(matches!(pin(&trust, "[require]\ndefault = \"nobody\"\n"), PinnedError::Policy(_)));
    assert!(matches!(Pinned::load(&place.places).unwrap(), Loaded::FirstStart));
}

/// What `enroll --pin` shows before anything is pinned; asking pins nothing.
#[test]
fn what_there_is_to_pin_first_can_be_looked_at() {
    let place = Workplace::new();
    let first = || Pinned::first_proposal(&place.places, NOW).unwrap();
    let Rules { trust, policy } = Rules::good();
    assert!(first().trust.is_none() && first().policy.is_none());
    propose(&place, "policy.toml", &policy);
    assert!(first().trust.is_none() && first().policy.is_some() && first().pinned.is_none());
    propose(&place, "trust.toml", &trust);
    let shown = first();
    let pinned = shown.pinned.unwrap();
    let (trust_change, policy_change) = (shown.trust.unwrap(), shown.policy.unwrap());
    assert_eq!(trust_change.digest, pinned.trust().digest());
    assert_eq!(policy_change.digest, pinned.policy_digest());
    assert_eq!((trust_change.problem, policy_change.problem), (None, None));
    // What cannot be used is said of the file that it is about.
    propose(&place, "policy.toml", "[require]\ndefault = \"nobody\"\n");
    let shown = first();
    assert!(shown.pinned.is_none() && shown.trust.unwrap().problem.is_none());
    assert!(shown.policy.unwrap().problem.unwrap().contains("`nobody`"));
    propose(&place, "trust.toml", "x");
    assert!(first().trust.unwrap().problem.is_some());
    assert!(
        matches!(Pinned::load(&place.places).unwrap(), Loaded::FirstStart),
        "nothing is pinned"
    );
    let path = place.places.proposals.join("trust.toml");
    fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
    assert!(Pinned::first_proposal(&place.places, NOW).is_err());
}

#[test]
fn a_proposal_that_cannot_be_accepted_says_so() {
    let place = Workplace::new();
    let pinned = pin(&place);
    let Rules { trust, policy } = Rules::good();
    propose(&place, "trust.toml", &trust);
    propose(&place, "policy.toml", &format!("{policy}\n# another\n"));
    let change = pinned.proposal(&place.places).unwrap().unwrap().policy.unwrap();
    assert_eq!(change.problem, None);
    let digest = change.digest.to_string();
    pinned.accept_policy(&place.places, &digest, NOW).unwrap();
    propose(&place, "policy.toml", "[require]\ndefault = \"nobody\"\n");
    let change = pinned.proposal(&place.places).unwrap().unwrap().policy.unwrap();
    assert!(change.problem.unwrap().contains("`nobody`"));
    let digest = change.digest.to_string();
    assert!(pinned.accept_policy(&place.places, &digest, NOW).is_err());
}

#[test]
fn every_damage_is_lost_rules_and_never_a_first_start() {
    let place = Workplace::new();
    pin(&place);
    let path = Pinned::path(&place.places);
    let whole = fs::read(&path).unwrap();
    let mut versions: Vec<Vec<u8>> =
        (0..whole.len()).map(|length| whole[..length].to_vec()).collect();
    versions.extend((0..whole.len()).map(|position| {
        let mut altered = whole.clone();
        altered[position] ^= 1;
        altered
    }));
    for (count, version) in versions.iter().enumerate() {
        fs::write(&path, version).unwrap();
        let loaded = Pinned::load(&place.places).unwrap();
        assert!(matches!(loaded, Loaded::Lost(Lost::Damaged(_))), "{count}: {loaded:?}");
        // The damaged file is the sign that there was one.
        let sign = sign(&place);
        assert_eq!(&fs::read(&sign).unwrap(), version);
        fs::remove_file(sign).unwrap();
    }
    // The control.
    fs::write(&path, &whole).unwrap();
    load(&place);
}

#[test]
fn state_that_was_taken_away_is_no_first_start() {
    let place = Workplace::new();
    pin(&place);
    let path = Pinned::path(&place.places);
    fs::remove_file(&path).unwrap();
    // All of the state is gone, and what lies elsewhere shows that there was one.
    let elsewhere = place.places.quarantine.join(".enrolled");
    assert_eq!(sign(&place), elsewhere);
    fs::remove_dir_all(&place.places.state).unwrap();
    assert_eq!(sign(&place), elsewhere);
    narwardend::state::prepare(&place.places).unwrap();
    fs::remove_file(&elsewhere).unwrap();
    // Nothing else shows that there was one.
    assert!(matches!(Pinned::load(&place.places).unwrap(), Loaded::FirstStart));
    // An enrolment that lost its power is none.
    fs::write(place.places.state.join(".pinned.json.new"), "half").unwrap();
    assert!(matches!(Pinned::load(&place.places).unwrap(), Loaded::FirstStart));

    let signs = [
        place.places.state.join("receipts.head"),
        place.places.state.join("quarantine/system-1-x.json"),
        place.places.quarantine.join("system-1-x"),
    ];
    for path in signs {
        symlink("whatever", &path).unwrap();
        assert_eq!(sign(&place), path);
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn what_another_version_wrote_is_left_alone() {
    let place = Workplace::new();
    pin(&place);
    let path = Pinned::path(&place.places);
    for body in ["{\"schema\": 2}", "{}", "[]"] {
        atomic::write(&path, body.as_bytes()).unwrap();
        let before = fs::read(&path).unwrap();
        let error = Pinned::load(&place.places).unwrap_err();
        assert!(matches!(error, PinnedError::Foreign { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn a_proposal_counts_when_it_is_accepted() {
    let place = Workplace::new();
    let pinned = pin(&place);
    assert_eq!(pinned.proposal(&place.places).unwrap(), None);
    let Rules { trust, policy } = Rules::good();
    propose(&place, "trust.toml", &trust);
    propose(&place, "policy.toml", &policy);
    assert_eq!(pinned.proposal(&place.places).unwrap(), None);

    let newer = format!("version = 7\n{trust}");
    propose(&place, "trust.toml", &newer);
    let proposal = pinned.proposal(&place.places).unwrap().unwrap();
    assert_eq!(proposal.policy, None);
    let change = proposal.trust.unwrap();
    assert!(change.difference.starts_with("+version = 7\n [keys]\n"), "{}", change.difference);
    assert_eq!(load(&place).trust().version(), 0);

    // It changed after it was shown.
    let shown = change.digest.to_string();
    propose(&place, "trust.toml", &newer.replace("version = 7", "version = 8"));
    let error = pinned.accept_trust(&place.places, &shown, NOW).unwrap_err();
    assert!(matches!(error, PinnedError::AnotherProposal { .. }), "{error}");
    let error = pinned.accept_trust(&place.places, "\u{1b}[2J", NOW).unwrap_err();
    assert!(!error.to_string().contains('\u{1b}'));
    propose(&place, "trust.toml", &newer);
    let later = NOW + SignedDuration::from_hours(1);
    let accepted = pinned.accept_trust(&place.places, &shown, later).unwrap();
    assert_eq!((accepted.trust().version(), accepted.since(), accepted.changed()), (7, NOW, later));
    assert_eq!(load(&place).trust_text(), newer);

    let error = accepted.accept_trust(&place.places, &shown, NOW).unwrap_err();
    assert!(matches!(error, PinnedError::NothingProposed { .. }), "{error}");
    propose(&place, "trust.toml", &newer.replace("version = 7", "version = 6"));
    let older = accepted.proposal(&place.places).unwrap().unwrap().trust.unwrap();
    let error = accepted.accept_trust(&place.places, &older.digest.to_string(), NOW).unwrap_err();
    assert!(matches!(error, PinnedError::OlderTrust { pinned: 7, found: 6 }), "{error}");
    assert_eq!(load(&place).trust_text(), newer);
}

#[test]
fn rules_that_need_each_other_are_accepted_together() {
    let place = Workplace::new();
    let pinned = pin(&place);
    let Rules { trust, policy } = Rules::good();
    let (trust, policy) = (trust.replace("both", "two"), policy.replace("both", "two"));
    propose(&place, "trust.toml", &trust);
    propose(&place, "policy.toml", &policy);
    let proposal = pinned.proposal(&place.places).unwrap().unwrap();
    let digests =
        [proposal.trust.unwrap(), proposal.policy.unwrap()].map(|it| it.digest.to_string());
    let error = pinned.accept_trust(&place.places, &digests[0], NOW).unwrap_err();
    assert!(matches!(error, PinnedError::Policy(_)), "{error}");
    let error = pinned.accept_policy(&place.places, &digests[1], NOW).unwrap_err();
    assert!(matches!(error, PinnedError::Policy(_)), "{error}");
    pinned.accept_both(&place.places, &digests[0], &digests[1], NOW).unwrap();
    assert_eq!(load(&place).policy_text(), policy);
}

#[test]
fn a_proposal_that_others_could_have_written_is_none() {
    let place = Workplace::new();
    let pinned = pin(&place);
    propose(&place, "policy.toml", "[require]\ndefault = \"any\"\n");
    let path = place.places.proposals.join("policy.toml");
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    let error = pinned.proposal(&place.places).unwrap_err();
    assert!(matches!(error, PinnedError::Proposal(_)), "{error}");
    // As on NixOS: a link into the store.
    fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    fs::rename(&path, place.root.path().join("nix/store/x-policy.toml")).unwrap();
    symlink(place.root.path().join("nix/store/x-policy.toml"), &path).unwrap();
    let digest = pinned.proposal(&place.places).unwrap().unwrap().policy.unwrap().digest;
    pinned.accept_policy(&place.places, &digest.to_string(), NOW).unwrap();
}

#[test]
fn generations_older_than_the_enrolment_are_known_as_they_were() {
    let place = Workplace::new();
    place.generation(1, "nixos-system-old");
    place.link("system-profiles/odd \u{e4}", "/home/nowhere");
    let found = |place: &Workplace, name: &str| -> Link {
        scan(&place.places).links.into_iter().find(|link| link.path.ends_with(name)).unwrap()
    };
    pin(&place);
    let pinned = load(&place);
    let grandfathered = pinned.grandfathered();
    assert_eq!(grandfathered.len(), 3);
    assert!(grandfathered.contains(&found(&place, "system-1-link")));
    assert!(grandfathered.contains(&found(&place, "odd \u{e4}")));

    place.generation(2, "nixos-system-old");
    assert!(!grandfathered.contains(&found(&place, "system-2-link")), "a new link to an old path");
    assert!(!grandfathered.contains(&found(&place, "system")), "it leads elsewhere");
    let evil = place.path("nixos-system-evil");
    place.link("system-1-link", evil.to_string());
    assert!(!grandfathered.contains(&found(&place, "system-1-link")), "an old link to a new path");
}

#[test]
fn a_first_start_pins_what_is_proposed() {
    let place = Workplace::new();
    let first = || Pinned::first(&place.places, NOW);
    assert!(first().unwrap().is_none(), "nothing is proposed");
    let Rules { trust, policy } = Rules::good();
    propose(&place, "policy.toml", &policy);
    assert!(first().unwrap().is_none(), "a policy alone is nothing");
    propose(&place, "trust.toml", "nonsense");
    assert!(matches!(first(), Err(PinnedError::Trust(_))));
    propose(&place, "trust.toml", &trust);
    assert_eq!(first().unwrap().unwrap().policy_text(), policy);
    assert!(matches!(first(), Err(PinnedError::AlreadyPinned { .. })));
    assert_eq!(load(&place).trust_text(), trust);

    // State that went missing is not made up from what a generation brought along.
    fs::write(Pinned::path(&place.places), "torn").unwrap();
    assert!(matches!(first(), Err(PinnedError::AlreadyPinned { .. })));
    assert!(matches!(first(), Err(PinnedError::AlreadyPinned { .. })));

    // A file that others could have written is not silently none.
    let place = Workplace::new();
    propose(&place, "trust.toml", &trust);
    propose(&place, "policy.toml", &policy);
    let path = place.places.proposals.join("policy.toml");
    fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
    assert!(matches!(Pinned::first(&place.places, NOW), Err(PinnedError::Proposal(_))));
}

#[test]
fn a_host_that_lost_its_state_is_not_taken_for_a_new_one() {
    let place = Workplace::new();
    let Rules { trust, policy } = Rules::good();
    propose(&place, "trust.toml", &trust);
    propose(&place, "policy.toml", &policy);
    let elsewhere = place.places.quarantine.join(".enrolled");
    assert!(Pinned::first(&place.places, NOW).unwrap().is_some());
    assert!(elsewhere.symlink_metadata().unwrap().is_file());
    let quarantine = |pinned: &Pinned| {
        let grandfathered = pinned.grandfathered();
        Quarantine::new(&place.places, grandfathered, std::time::Duration::ZERO).list().unwrap()
    };
    assert_eq!(quarantine(&load(&place)), (Vec::new(), Vec::new()), "it is no generation");
    // An older version left none, or somebody took it away: it is made again.
    fs::remove_file(&elsewhere).unwrap();
    load(&place);
    fs::remove_dir_all(&place.places.state).unwrap();
    assert_eq!(sign(&place), elsewhere);
    let error = Pinned::first(&place.places, NOW).unwrap_err();
    assert!(matches!(error, PinnedError::AlreadyPinned { .. }), "{error}");
    // Root says so.
    pin(&place);
    load(&place);
}

#[test]
fn what_a_daemon_without_rules_writes_is_no_sign_of_an_enrolment() {
    let place = Workplace::new();
    let state = |name: &str| place.places.state.join(name);
    let first = || matches!(Pinned::load(&place.places).unwrap(), Loaded::FirstStart);
    // As it starts, and as it is asked to run what it has no rules for.
    let (mut receipts, _) = Receipts::open(&place.places).unwrap();
    assert!(state("receipts.head").exists() && first());
    let mut judge = |trust: &str| {
        let receipt = Receipt {
            verdict: "deny",
            toplevel: "/nix/store/x".to_owned(),
            trust: trust.to_owned(),
            policy: trust.to_owned(),
            boot: String::new(),
            reasons: Vec::new(),
        };
        let next = receipts.next(NOW, &receipt).unwrap();
        receipts.append(next).unwrap();
        let boot = BootId::current().unwrap();
        let key = Key {
            toplevel: "/nix/store/x".to_owned(),
            trust: trust.to_owned(),
            policy: trust.to_owned(),
            boot,
        };
        let (mut admissions, _) = Admissions::load(&place.places).unwrap();
        admissions.record(Summary::new(key, NOW, Outcome::Denied, Vec::new())).unwrap();
    };
    judge("");
    judge("");
    fs::write(state(".receipts.head.new"), "half").unwrap();
    assert!(first());
    // Since when no scrub was done is no sign; one that was begun is, since that takes rules.
    let mut scrub = ScrubState { since: Some(NOW), ..ScrubState::default() };
    let write = |scrub: &ScrubState| {
        atomic::write(&state("scrub.json"), &serde_json::to_vec(scrub).unwrap()).unwrap();
    };
    write(&scrub);
    assert!(first());
    let (begun, after) = (NOW, String::new());
    scrub.round = Some(Round { begun, after, paths: 0, total: 0, bytes: 0, drift: 0 });
    write(&scrub);
    assert_eq!(sign(&place), state("scrub.json"));
    fs::remove_file(state("scrub.json")).unwrap();
    // The head of lines that are gone is a sign, and so is whatever cannot be read.
    for (name, other) in
        [("receipts.jsonl", ""), ("receipts.jsonl", "{"), ("admissions.json", "[]")]
    {
        let whole = fs::read(state(name)).unwrap();
        fs::write(state(name), other).unwrap();
        sign(&place);
        fs::write(state(name), whole).unwrap();
        assert!(first(), "control: {name}");
    }
    // One verdict by rules is one.
    let before = fs::read(state("admissions.json")).unwrap();
    judge("5d9cd9a0");
    let head = sign(&place);
    assert!(head.starts_with(&place.places.state));
    fs::write(state("admissions.json"), before).unwrap();
    assert_eq!(sign(&place), state("receipts.jsonl"));
}
