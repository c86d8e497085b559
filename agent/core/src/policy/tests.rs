use super::*;
use crate::diagnostic::Severity;
use crate::store_path::StorePath;
use crate::trust::{KeySet, TrustSet};
use ed25519_dalek::SigningKey;

fn trust() -> TrustSet {
    let mut text = String::from("[keys]\n");
    for (seed, (id, more)) in
        (1u8..).zip([("a", ""), ("b", ""), ("c", ""), ("nixos", ", community = true")])
    {
        let key = SigningKey::from_bytes(&[seed; 32]).verifying_key();
        let key = data_encoding::BASE64.encode(key.as_bytes());
        text.push_str(&format!("{id} = {{ public = \"{id}:{key}\"{more} }}\n"));
    }
    text.push_str(
        "[roles]\nbuilds = { keys = [\"a\", \"b\"], threshold = 2 }\nrelease = { keys = [\"c\"] }\n",
    );
    TrustSet::parse(&text).unwrap().trust
}

fn bind(text: &str) -> Result<Bound, Rejected> {
    Policy::parse(text)?.policy.bind(&trust())
}

fn path(name: &str) -> StorePath {
    StorePath::from_base_name(&format!("00000000000000000000000000000000-{name}")).unwrap()
}

fn keys(ids: &[&str]) -> KeySet {
    ids.iter().map(|id| trust().key_named(id).unwrap()).collect()
}

#[test]
fn the_whole_of_it_is_read() {
    let text = r#"
mode = "observe"
observe-until = 2026-12-31
[require]
default = "builds"
content-addressed = "signed"
weak-content-address = ["md5", "sha1", "executable-flat", "legacy-self-reference"]
metadata = "report"
agent = "may-leave"
[[require.rule]]
name = "nixos-system-*"
all = ["builds", "release"]
[[require.rule]]
name = "*"
threshold = 2
of = ["a", { any = ["b", "c"] }]
content-addressed = "recompute"
[[deny]]
name = "openssl-1.0.*"
reason = "end of life"
[release]
statement = "off"
[gate]
deadline = "30s"
on-reject = "alert"
scope = "activation"
observe-at-most = "0s"
readers = ["/run/current-system/sw/bin/borg"]
"#;
    let Bound { rulebook, warnings } = bind(text).unwrap();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.message.starts_with("a path of another name could be a toplevel"));
    let system = rulebook.rule_for(&path("nixos-system-x"));
    assert_eq!(system.requirement.satisfied_by(keys(&["a", "b"])), None);
    assert!(system.requirement.satisfied_by(keys(&["a", "b", "c"])).is_some());
    assert_eq!(system.content_addressed, ContentAddressed::Signed);
    let other = rulebook.rule_for(&path("hello"));
    assert!(other.requirement.satisfied_by(keys(&["a", "c"])).is_some());
    assert_eq!(other.content_addressed, ContentAddressed::Recompute);
    assert!(rulebook.takes(WeakContentAddress::Md5));
    assert_eq!(rulebook.metadata(), MetadataRule::Report);
    assert_eq!(rulebook.agent(), AgentRule::MayLeave);
    assert!(rulebook.denied()[0].concerns(&path("openssl-1.0.2"), None));
    let policy = Policy::parse(text).unwrap().policy;
    let gate = policy.gate();
    assert_eq!((gate.on_reject, gate.scope), (OnReject::Alert, Scope::Activation));
    assert_eq!(gate.observe_at_most.as_secs(), 0);
    assert_eq!(gate.readers, [std::path::Path::new("/run/current-system/sw/bin/borg")]);
    assert_eq!(gate.deadline.as_secs(), 30);
}

#[test]
fn a_toplevel_takes_no_community_key_unless_the_policy_names_it() {
    let excluded = |text| bind(text).unwrap().rulebook.rule_for_toplevel(&path("t")).excluded;
    assert_eq!(excluded(BUILT_IN), keys(&["nixos"]));
    assert_eq!(excluded("[require]\ndefault = \"any\"\ntoplevel = \"any\"\n"), KeySet::EMPTY);
    for (text, warnings) in [
        (BUILT_IN, 0),
        ("[require]\ndefault = \"any\"\ntoplevel = \"any\"\n", 1),
        ("[require]\ndefault = \"any\"\ntoplevel = \"nixos\"\n", 1),
        ("[require]\ndefault = \"any\"\ntoplevel = { all = [\"nixos\", \"release\"] }\n", 0),
        ("[require]\ndefault = \"nixos\"\n", 1), // could never be satisfied by a toplevel
        ("[require]\ndefault = { all = [\"a\", \"nixos\"] }\n", 1), // nor could this
    ] {
        assert_eq!(bind(text).unwrap().warnings.len(), warnings, "{text}");
    }
}

#[test]
fn a_content_address_does_not_vouch_for_a_toplevel_unless_the_policy_says_so() {
    let worth = |text| bind(text).unwrap().rulebook.rule_for_toplevel(&path("t")).content_addressed;
    assert_eq!(worth(BUILT_IN), ContentAddressed::Signed);
    let text = "[require]\ndefault = \"any\"\ncontent-addressed-toplevel = true\n";
    assert_eq!(worth(text), ContentAddressed::Recompute);
}

#[test]
fn what_cannot_be_meant_is_refused_where_it_stands() {
    let require = "[require]\ndefault = \"any\"\n";
    for (text, at, message) in [
        ("", "", "missing field `require`"),
        ("[require]\n", "", "missing field `default`"),
        ("[require]\ndefault = 1\n", "1", "the name of a role or key"),
        ("[require]\ndefault = \"nobody\"\n", "\"nobody\"", "no role or key `nobody`"),
        ("[require]\ndefault = { all = [] }\n", "{ all", "asks for nothing"),
        ("[require]\ndefault = { threshold = 0, of = [\"a\"] }\n", "{ thr", "asks for nothing"),
        (
            "[require]\ndefault = { threshold = 3, of = [\"a\", \"b\"] }\n",
            "{ thr",
            "3 are asked for",
        ),
        ("[require]\ndefault = { threshold = 1 }\n", "{ thr", "exactly one of"),
        ("[require]\ndefault = { all = [\"a\"], any = [\"b\"] }\n", "{ all", "exactly one of"),
        ("[require]\ndefault = { al = [\"a\"] }\n", "al", "unknown field `al`"),
        ("[require]\ndefault = { all = [\"a\", \"a\"] }\n", "{ all", "no signatures could ever"),
        (
            "[require]\ndefault = { all = [\"builds\", \"a\"] }\n",
            "{ all",
            "no signatures could ever",
        ),
        (
            &format!("{require}weak-content-address = [\"md4\"]\n"),
            "\"md4\"",
            "unknown variant `md4`",
        ),
        (&format!("{require}weak-content-address = \"md5\"\n"), "\"md5\"", "expected a sequence"),
        (&format!("{require}metadata = \"maybe\"\n"), "\"maybe\"", "unknown variant"),
        (&format!("{require}agent = \"gone\"\n"), "\"gone\"", "unknown variant `gone`"),
        (&format!("{require}agent = true\n"), "true", ""),
        (
            &format!("{require}[[require.rule]]\nname = \"a b\"\nall = [\"a\"]\n"),
            "\"a b\"",
            "cannot stand in",
        ),
        (&format!("{require}[[require.rule]]\nname = \"a\"\n"), "[[require", "exactly one of"),
        (
            &format!("{require}[[require.rule]]\nname = \"a\"\nrequire = \"a\"\nall = [\"b\"]\n"),
            "[[require",
            "says twice",
        ),
        (&format!("{require}[[deny]]\nname = \"x\"\n"), "", "missing field `reason`"),
        (&format!("{require}[[deny]]\nreason = \"x\"\n"), "[[deny", "exactly one of"),
        (&format!("{require}[[deny]]\npath = \"/tmp\"\nreason = \"x\"\n"), "\"/tmp\"", ""),
        (&format!("{require}[[deny]]\nname = \"x\"\nreason = \" \"\n"), "\" \"", "empty"),
        (
            &format!("{require}[release]\nstatement = \"required\"\n"),
            "\"required\"",
            "not judged by this version",
        ),
        (&format!("{require}[gate]\ndeadline = \"10m\"\n"), "\"10m\"", "from 1s to 85s"),
        (&format!("{require}[gate]\ndeadline = \"-1s\"\n"), "\"-1s\"", "from 1s to 85s"),
        (&format!("observe-until = 2026-01-01\n{require}"), "2026-01-01", "not `observe`"),
        (&format!("{require}[gate]\nscope = \"root\"\n"), "\"root\"", "not judged by this version"),
        (&format!("{require}[gate]\nobserve-at-most = \"200h\"\n"), "\"200h\"", "from 0s to 168h"),
        (&format!("{require}[gate]\nreaders = [\"borg\"]\n"), "\"borg\"", "no absolute path"),
    ] {
        let Rejected(remarks) = bind(text).map(|_| ()).unwrap_err();
        let first = remarks.first().unwrap();
        assert_eq!(first.severity, Severity::Error, "{text}");
        assert!(first.message.contains(message), "{text}: {}", first.message);
        assert!(text.get(first.span.clone()).is_some(), "{text}");
        let wanted = text.find(at).unwrap();
        assert!(
            at.is_empty() || first.span.start == wanted || first.span.contains(&wanted),
            "{text}: points at {:?}",
            text.get(first.span.clone())
        );
        assert!(!first.help.is_empty());
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = |depth: usize| {
        format!("[require]\ndefault = {}\"a\"{}\n", "{ any = [".repeat(depth), "] }".repeat(depth))
    };
    assert!(bind(&deep(8)).is_ok());
    for depth in [9, 50, 100_000] {
        assert!(bind(&deep(depth)).is_err());
    }
}

#[test]
fn observing_always_ends() {
    let rest = "[require]\ndefault = \"any\"\n";
    let [enrolled, changed] =
        ["2026-11-01T00:00:00Z", "2026-11-20T00:00:00Z"].map(|at| at.parse().unwrap());
    for (first, end) in [
        ("mode = \"enforce\"\n", None),
        ("mode = \"observe\"\n", Some("2026-11-27T00:00:00Z")),
        (
            "mode = \"observe\"\nobserve-until = 2026-12-24T00:00:00Z\n",
            Some("2026-12-24T00:00:00Z"),
        ),
        ("", Some("2026-11-08T00:00:00Z")),
    ] {
        let policy = Policy::parse(&format!("{first}{rest}")).unwrap().policy;
        let found = policy.gate().mode.observes_until(enrolled, changed);
        assert_eq!(found, end.map(|end| end.parse().unwrap()), "{first}");
    }
}

#[test]
fn how_often_everything_is_hashed_again() {
    let hours = |text: &str| {
        let policy = format!("[require]\ndefault = \"ci\"\n[scrub]\nevery = \"{text}\"\n");
        Policy::parse(&policy).map(|it| it.policy.gate().scrub_every.as_secs() / 3600).ok()
    };
    for (text, expected) in
        [("7d", 168), ("1h", 1), ("90d", 2160), ("36h", 36), ("0s", 0), ("0d", 0)]
    {
        assert_eq!(hours(text), Some(expected), "{text}");
    }
    for text in ["", "7", "59m", "91d", "-1d", "4294967296d", "d", "weekly"] {
        assert_eq!(hours(text), None, "{text}");
    }
    let silent = Policy::parse("[require]\ndefault = \"ci\"\n").unwrap().policy;
    assert_eq!(silent.gate().scrub_every.as_secs(), 168 * 3600);
}

#[test]
fn narwardend_stays_unless_the_policy_lets_it_go() {
    for (text, expected) in [
        ("", AgentRule::Keep),
        ("agent = \"keep\"\n", AgentRule::Keep),
        ("agent = \"may-leave\"\n", AgentRule::MayLeave),
    ] {
        let bound = bind(&format!("[require]\ndefault = \"any\"\n{text}")).unwrap();
        assert_eq!(bound.rulebook.agent(), expected, "{text}");
    }
}

#[test]
fn each_demand_can_be_taken_out_and_none_that_makes_no_difference() {
    let weak = ["md5", "sha1", "executable-flat", "legacy-self-reference"]
        .map(|kind| format!("weak-content-address lists \"{kind}\""));
    let [md5, sha1, flat, legacy] = weak.each_ref().map(String::as_str);
    let nothing = r#"weak-content-address = ["md5", "sha1", "executable-flat", "legacy-self-reference"]
metadata = "report"
content-addressed-toplevel = true
"#;
    for (text, expected) in [
        (
            "default = \"any\"\n",
            &[
                "require.default asks for no signature",
                "content-addressed-toplevel = true",
                "keys of community caches count for the toplevel",
                md5,
                sha1,
                flat,
                legacy,
                "metadata = \"report\"",
            ][..],
        ),
        // No community key is asked for, so whether it counts makes no difference.
        (
            &format!("default = \"a\"\n{nothing}"),
            &["require.default asks for no signature", "require.default takes any one pinned key"],
        ),
        // Where an address vouches for nothing, no kind of it does.
        (
            "default = \"builds\"\ncontent-addressed = \"signed\"\nmetadata = \"ignore\"\n",
            &[
                "require.default asks for no signature",
                "require.default asks for one less",
                "require.default takes any one pinned key",
                "require.default says content-addressed = \"recompute\"",
            ],
        ),
        (
            &format!(
                "default = {{ all = [\"a\", \"b\"] }}\ntoplevel = \"any\"\n{nothing}\
                 [[require.rule]]\nname = \"x\"\nrequire = \"any\"\n\
                 [[require.rule]]\nname = \"x\"\nrequire = \"any\"\ncontent-addressed = \"deny\"\n\
                 [[deny]]\nname = \"y\"\nreason = \"old\"\n"
            ),
            &[
                "require.toplevel asks for no signature",
                "rule for x asks for no signature",
                "rule for x asks for no signature",
                "rule for x says content-addressed = \"recompute\"",
                "require.default asks for no signature",
                "require.default asks for one less",
                "require.default takes any one pinned key",
                "deny list without name y",
            ],
        ),
    ] {
        let rulebook = bind(&format!("[require]\n{text}")).unwrap().rulebook;
        let loosened = rulebook.loosened();
        let found: Vec<_> = loosened.iter().map(|(what, _)| what.to_string()).collect();
        assert_eq!(found, expected, "{text}");
        for (what, loose) in &loosened {
            assert_ne!(loose.policy_digest(), rulebook.policy_digest(), "{what}");
            let differs = format!("{loose:?}")
                != format!("{:?}", {
                    let mut same = rulebook.clone();
                    same.policy = loose.policy;
                    same
                });
            assert!(differs, "{what}");
        }
    }
}

#[test]
fn a_loosened_rulebook_asks_for_less_and_for_nothing_else() {
    let text = "[require]\ndefault = \"builds\"\ntoplevel = { all = [\"builds\", \"release\"] }\n";
    let rulebook = bind(text).unwrap().rulebook;
    let signed = |of: &Rulebook, path: &StorePath, ids: &[&str]| {
        of.rule_for(path).requirement.satisfied_by(keys(ids)).is_some()
    };
    let path = path("bash");
    let by = |wanted: &str| {
        let loosened = rulebook.loosened().into_iter();
        loosened
            .map(|(what, it)| (what.to_string(), it))
            .find(|(what, _)| what == wanted)
            .unwrap()
            .1
    };
    for (what, ids, expected) in [
        ("require.default asks for no signature", &[][..], true),
        ("require.default asks for one less", &[], false),
        ("require.default asks for one less", &["a"], true),
        ("require.default asks for one less", &["c"], false),
        ("require.default takes any one pinned key", &["c"], true),
        ("require.toplevel asks for no signature", &["a"], false),
    ] {
        assert!(!signed(&rulebook, &path, ids));
        assert_eq!(signed(&by(what), &path, ids), expected, "{what} {ids:?}");
        // What is about one rule leaves the other as it is.
        let top = |of: &Rulebook| of.rule_for_toplevel(&path).requirement;
        assert_eq!(top(&by(what)) == top(&rulebook), !what.contains("toplevel"), "{what}");
    }
}
