use crate::agent::{Agent, Removed, Unit};
use crate::claim::Claim;
use crate::closure::{Closure, ClosureParts, PathIndex};
use crate::evidence::{Evidence, Measured, MeasuredContent, MeasuredMetadata};
use crate::fingerprint::fingerprint;
use crate::hash::NarHash;
use crate::plan::{AgentAsk, Contents, Plan, Scope};
use crate::policy::{Policy, Rulebook};
use crate::reason::{Reason, Severity};
use crate::signature::Signatures;
use crate::store_path::StorePath;
use crate::trust::TrustSet;
use crate::verdict::Verdict;
use crate::verify::judge;
use ed25519_dalek::{Signer as _, SigningKey};
use jiff::Timestamp;
use std::num::NonZeroU64;

const NOW: &str = "2026-11-22T00:00:00Z";
const HASH: NarHash = NarHash::from_bytes([7; 32]);
const SIZE: NonZeroU64 = NonZeroU64::new(128).unwrap();
const KEEP: &str = "[require]\ndefault = \"any\"\n";
const MAY_LEAVE: &str = "[require]\ndefault = \"any\"\nagent = \"may-leave\"\n";

fn rules(policy: &str) -> Rulebook {
    let public = SigningKey::from_bytes(&[1; 32]).verifying_key();
    let public = data_encoding::BASE64.encode(public.as_bytes());
    let trust = format!("[keys]\nk = {{ public = \"k-1:{public}\" }}\n");
    let trust = TrustSet::parse(&trust).unwrap().trust;
    Policy::parse(policy).unwrap().policy.bind(&trust).unwrap().rulebook
}

fn path(name: &str) -> StorePath {
    StorePath::from_base_name(&format!("00000000000000000000000000000000-{name}")).unwrap()
}

fn signed(name: &str, references: &[StorePath]) -> Claim {
    let message = fingerprint(&path(name), &HASH, SIZE, references);
    let signature = SigningKey::from_bytes(&[1; 32]).sign(message.as_bytes()).to_bytes();
    let signature = format!("k-1:{}", data_encoding::BASE64.encode(&signature));
    Claim {
        path: path(name),
        nar_hash: Some(HASH),
        nar_size: Some(SIZE.get()),
        content_address: None,
        signatures: Signatures::parse_column(&signature),
        defects: Vec::new(),
    }
}

/// A signed system and a signed path of its closure.
fn closure() -> Closure {
    let parts = ClosureParts {
        claims: vec![signed("system", &[path("units")]), signed("units", &[])],
        references: vec![(0, 1)],
        dangling: Vec::new(),
    };
    Closure::new(path("system"), parts).unwrap()
}

/// What denies of a system that nothing else speaks against, and with which detail; "admit" if nothing does.
fn judged(policy: &str, scope: Scope, contents: Contents, agent: &Agent) -> Vec<(String, String)> {
    let (rules, closure) = (rules(policy), closure());
    let now: Timestamp = NOW.parse().unwrap();
    let plan = Plan::new(&closure, &rules, scope, contents, now);
    let measured = || match contents {
        Contents::Claimed => Measured::NotAsked,
        Contents::Measured => Measured::Bytes(Evidence {
            nar_hash: HASH,
            nar_size: SIZE,
            content: MeasuredContent::NotAsked,
            metadata: MeasuredMetadata::default(),
        }),
    };
    let judgements: Vec<_> =
        plan.checks().map(|(index, _)| judge(&plan, index, &measured())).collect();
    let (verdict, findings) = Verdict::of(&plan, &judgements, agent);
    let word = |word: &str| vec![(word.to_owned(), String::new())];
    match verdict {
        Verdict::Admit(_) => word("admit"),
        Verdict::Limited(_) => word("limited"),
        Verdict::Deny(denial) => {
            assert_eq!(denial.first(), findings[0].reason);
            let is_about_the_toplevel = |path| path == Some(PathIndex::TOPLEVEL);
            assert!(findings.iter().all(|it| is_about_the_toplevel(it.path)), "{findings:?}");
            assert!(findings.iter().all(|it| it.severity == Severity::Deny));
            findings.into_iter().map(|it| (it.reason.code().to_owned(), it.detail)).collect()
        }
    }
}

fn asked(toplevel: Unit) -> Agent {
    Agent::Asked { toplevel, specialisations: Vec::new() }
}

#[test]
fn what_is_found_of_the_unit_decides() {
    let (removed, unreadable) = (Reason::AgentRemoved.code(), Reason::Unreadable.code());
    for (agent, reason, detail) in [
        (Agent::NotAsked, "admit", ""),
        (Agent::Unknown("no list".into()), unreadable, "no list"),
        (asked(Unit::In(path("system"))), "admit", ""),
        (asked(Unit::In(path("units"))), "admit", ""),
        (asked(Unit::In(path("foreign"))), removed, "-foreign, outside of the closure"),
        (asked(Unit::Removed(Removed::Missing)), removed, "narwardend.service, since"),
        (asked(Unit::Removed(Removed::Missing)), removed, "narwardend: there is none"),
        (asked(Unit::Removed(Removed::LeadsOut("/dev/null".into()))), removed, "\"/dev/null\""),
        (asked(Unit::Removed(Removed::NoFile("a directory"))), removed, "it is a directory"),
        (asked(Unit::Removed(Removed::Empty)), removed, "it is empty"),
        (asked(Unit::Unknown("no list".into())), unreadable, "narwardend.service: no list"),
    ] {
        let found = judged(KEEP, Scope::Closure, Contents::Measured, &agent);
        let [(code, said)] = &found[..] else { panic!("{agent:?}: {found:?}") };
        assert!(code == reason && said.contains(detail), "{agent:?}: {found:?}");
        // Control: where it may leave, nothing else is found.
        let found = judged(MAY_LEAVE, Scope::Closure, Contents::Measured, &agent);
        assert_eq!(found, [("admit".to_owned(), String::new())], "{agent:?}");
    }
}

#[test]
fn each_specialisation_has_to_bring_it() {
    let units = |quiet, loud| Agent::Asked {
        toplevel: Unit::In(path("units")),
        specialisations: vec![
            ("specialisation/quiet".to_owned(), quiet),
            ("specialisation/loud".to_owned(), loud),
        ],
    };
    let there = || Unit::In(path("units"));
    let gone = || Unit::Removed(Removed::Missing);
    for (agent, expected) in [
        (units(there(), there()), &["admit"][..]),
        (units(gone(), there()), &["agent-removed"]),
        (units(gone(), gone()), &["agent-removed"; 2]),
        (units(there(), Unit::In(path("foreign"))), &["agent-removed"]),
        (units(Unit::Unknown(String::new()), gone()), &["unreadable", "agent-removed"]),
    ] {
        let found = judged(KEEP, Scope::Closure, Contents::Measured, &agent);
        let codes: Vec<_> = found.iter().map(|(code, _)| code.as_str()).collect();
        assert_eq!(codes, expected, "{agent:?}");
        let mut places = found.iter().filter(|(_, detail)| !detail.is_empty());
        assert!(places.all(|(_, it)| it.contains("specialisation/")), "{found:?}");
    }
}

#[test]
fn many_specialisations_leave_room_for_what_else_is_found() {
    for (count, named) in [(7, 8), (8, 9), (256, 9)] {
        let gone = |it| (format!("specialisation/{it}"), Unit::Removed(Removed::Missing));
        let agent = Agent::Asked {
            toplevel: Unit::Removed(Removed::Missing),
            specialisations: (0..count).map(gone).collect(),
        };
        let found = judged(KEEP, Scope::Closure, Contents::Measured, &agent);
        assert_eq!(found.len(), named, "{found:?}");
        assert!(found.iter().all(|(code, _)| code == "agent-removed"));
        let left_out = format!("and {} specialisations more", count - 7);
        assert_eq!(found.iter().any(|(_, detail)| *detail == left_out), count > 7, "{found:?}");
    }
}

#[test]
fn it_is_asked_only_for_what_can_be_admitted() {
    let gone = asked(Unit::Removed(Removed::Missing));
    for (scope, contents) in [
        (Scope::Closure, Contents::Claimed),
        (Scope::Path(PathIndex::TOPLEVEL), Contents::Measured),
        (Scope::Path(PathIndex::TOPLEVEL), Contents::Claimed),
    ] {
        let found = judged(KEEP, scope, contents, &gone);
        assert_eq!(found, [("limited".to_owned(), String::new())]);
        let (rules, closure) = (rules(KEEP), closure());
        let plan = Plan::new(&closure, &rules, scope, contents, NOW.parse().unwrap());
        assert_eq!(plan.agent_ask(), AgentAsk::Nothing);
    }
}
