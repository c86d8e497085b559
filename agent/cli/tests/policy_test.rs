//! `narwarden policy test`, and the policies to start from: each admits and denies what its fixtures say, and a policy
//! that asks for less turns the fixtures red that were about it.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the support")]

mod support;

use narwarden_core::reason::Reason;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::schema::{conforms, fields};
use support::{Run, examples, finish, narwarden, run, write};

/// The examples by name: other files refer to them.
const EXAMPLES: [&str; 7] = [
    "air-gapped",
    "cache-nixos-org",
    "internal-cache-only",
    "minimal",
    "nix-compatible",
    "two-of-three",
    "workstation",
];

const KEY: &str = "ci.example-1:+zQ26KJ1yYGZTI25w5Hv1TQBHAetwsZhE/0VBlsWmqA=";
const OTHER: &str = "old.example-1:Xa2DGyWzimEvAmftwCXp/Fry+wiJ2zIEbp4QiK9O5Hs=";

fn test(policy: &Path, more: &[&str]) -> Run {
    finish(narwarden().args(["policy", "test"]).arg(policy).args(more))
}

fn json(policy: &Path, more: &[&str]) -> (Run, Value) {
    let run = test(policy, &[more, &["--json"]].concat());
    let value = serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    (run, value)
}

/// The fixtures that came out in another way.
fn failed(results: &Value) -> BTreeSet<String> {
    let fixtures = results["fixtures"].as_array().unwrap().iter();
    let failed = fixtures.filter(|it| it["as_expected"] == false);
    failed.map(|it| it["fixture"].as_str().unwrap().to_owned()).collect()
}

/// A copy of an example, to change.
fn copy(name: &str) -> (tempfile::TempDir, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    for file in ["policy.toml", "trust.toml"] {
        write(scratch.path(), file, &fs::read_to_string(examples().join(name).join(file)).unwrap());
    }
    let fixtures = scratch.path().join("fixtures");
    fs::create_dir(&fixtures).unwrap();
    for entry in fs::read_dir(examples().join(name).join("fixtures")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), fixtures.join(entry.file_name())).unwrap();
    }
    let policy = scratch.path().join("policy.toml");
    (scratch, policy)
}

/// A policy with one key and one fixture, each of which a test changes.
struct Small {
    scratch: tempfile::TempDir,
    policy: PathBuf,
}

const FIXTURE: &str = "fixture = 1\nabout = \"x\"\nnow = 2026-12-01\ntoplevel = \"top\"\n\
                       [expect]\nverdict = \"admit\"\n[path.top]\nsigned-by = [\"ci\"]\n";

impl Small {
    fn new(policy: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let trust =
            format!("[keys]\nci = {{ public = \"{KEY}\" }}\nother = {{ public = \"{OTHER}\" }}\n");
        write(scratch.path(), "trust.toml", &trust);
        let policy = write(scratch.path(), "policy.toml", policy);
        fs::create_dir(scratch.path().join("fixtures")).unwrap();
        Self { scratch, policy }
    }

    fn fixture(&self, name: &str, text: &str) -> PathBuf {
        write(&self.scratch.path().join("fixtures"), name, text)
    }
}

#[test]
fn every_example_admits_and_denies_what_it_says() {
    let found = fs::read_dir(examples()).unwrap().map(|it| it.unwrap().file_name());
    let found: BTreeSet<_> = found.map(|it| it.into_string().unwrap()).collect();
    assert_eq!(found, EXAMPLES.map(str::to_owned).into());
    for name in EXAMPLES {
        let policy = examples().join(name).join("policy.toml");
        // From the checkout as it is, and not one demand that no fixture depends on.
        let (run, results) = json(&policy, &["--strict"]);
        assert_eq!(run.code, Some(0), "{name}: {}", test(&policy, &["--strict"]).out);
        assert_eq!(results["thorough"], true, "{name}");
        let fixtures = results["fixtures"].as_array().unwrap();
        let expecting = |verdict: &str| {
            fixtures.iter().filter(|it| it["expected"]["verdict"] == verdict).count()
        };
        assert!(expecting("admit") >= 1 && expecting("deny") >= 5, "{name}");
        // The two attacks that Nix lets through with every signature in order.
        let trust = fs::read_to_string(policy.with_file_name("trust.toml")).unwrap();
        for (row, concerned) in [("(D21)", true), ("(D22)", trust.contains("community = true"))] {
            let about = |it: &&Value| it["about"].as_str().unwrap().contains(row);
            let verdicts: Vec<_> =
                fixtures.iter().filter(about).map(|it| &it["got"]["verdict"]).collect();
            let verdict = if name == "nix-compatible" { "admit" } else { "deny" };
            assert!(verdicts.iter().all(|it| **it == verdict), "{name} {row}: {verdicts:?}");
            assert_eq!(!verdicts.is_empty(), concerned, "{name} {row}");
        }
    }
}

#[test]
fn every_example_can_be_used_and_only_one_warns() {
    for name in EXAMPLES {
        let (_scratch, policy) = copy(name);
        let trust = policy.with_file_name("trust.toml");
        let checked = run(["trust".as_ref(), "check".as_ref(), trust.as_os_str()]);
        assert_eq!((checked.code, checked.err.as_str()), (Some(0), ""), "{name}: {checked:?}");
        let checked =
            finish(narwarden().args(["policy", "check"]).arg(&policy).arg("--trust").arg(&trust));
        assert_eq!(checked.code, Some(0), "{name}: {checked:?}");
        let warned =
            checked.err.contains("keys of community caches alone can vouch for a toplevel");
        assert_eq!(warned, name == "nix-compatible", "{name}: {checked:?}");
        assert_eq!(checked.err.is_empty(), !warned, "{name}: {checked:?}");
    }
}

/// A policy that asks for less: exactly the fixtures that were about the difference come out in another way.
#[test]
fn a_looser_policy_turns_the_fixtures_red_that_are_about_it() {
    let weak = "weak-content-address = [\"md5\", \"sha1\", \"executable-flat\", \"legacy-self-reference\"]";
    let weak = format!("[require]\n{weak}");
    for (name, file, old, new, expected) in [
        (
            "minimal",
            "policy.toml",
            "[require]",
            "[require]\ncontent-addressed-toplevel = true",
            &["toplevel-content-addressed"][..],
        ),
        (
            "minimal",
            "policy.toml",
            "[require]",
            "[require]\nmetadata = \"ignore\"",
            &["metadata-drift"],
        ),
        ("minimal", "policy.toml", "[require]", &weak, &["weak-content-addresses"]),
        (
            "cache-nixos-org",
            "policy.toml",
            "toplevel = \"ci\"",
            "toplevel = \"builds\"",
            &["toplevel-by-community"],
        ),
        ("cache-nixos-org", "trust.toml", "expires = 2029-12-31", "", &["expired-trust-set"]),
        (
            "internal-cache-only",
            "policy.toml",
            "\"signed\"",
            "\"recompute\"",
            &["source-unsigned", "toplevel-content-addressed"],
        ),
        (
            "internal-cache-only",
            "policy.toml",
            "{ all = [\"internal\", \"release\"] }",
            "{ any = [\"internal\", \"release\"] }",
            &["toplevel-not-released"],
        ),
        (
            "internal-cache-only",
            "policy.toml",
            "default = \"internal\"",
            "default = \"any\"",
            &["path-not-in-the-cache"],
        ),
        (
            "internal-cache-only",
            "trust.toml",
            ", revoked = 2026-01-01, reason = \"only what the internal cache has signed\"",
            "",
            &["cache-nixos-org-only"],
        ),
        (
            "two-of-three",
            "trust.toml",
            "threshold = 2",
            "threshold = 1",
            &["builder-and-release", "expired-key", "one-builder", "toplevel-by-one-builder"],
        ),
        ("two-of-three", "trust.toml", ", not-after = 2028-12-31", "", &["expired-key"]),
        (
            "two-of-three",
            "policy.toml",
            "{ all = [\"builders\", \"release\"] }",
            "\"builders\"",
            &["toplevel-not-released"],
        ),
        ("air-gapped", "policy.toml", "openssl-1.0.*", "openssl-0.9.*", &["denied-by-name"]),
        (
            "air-gapped",
            "policy.toml",
            "require = \"import\"",
            "require = \"any\"",
            &["firmware-not-imported"],
        ),
        (
            "air-gapped",
            "policy.toml",
            "default = { all = [\"build\", \"import\"] }",
            "default = \"build\"",
            &["not-imported"],
        ),
        ("air-gapped", "trust.toml", "expires = 2027-12-31", "", &["expired-trust-set"]),
        ("workstation", "trust.toml", ", community = true", "", &["toplevel-by-community"]),
        (
            "nix-compatible",
            "policy.toml",
            "[\"md5\",",
            "[\"executable-flat\", \"md5\",",
            &["executable-flat"],
        ),
    ] {
        let (scratch, policy) = copy(name);
        assert_eq!(test(&policy, &[]).code, Some(0), "{name}: the copy, unchanged");
        let path = scratch.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(old).count(), 1, "{name}: {old}");
        fs::write(&path, text.replace(old, new)).unwrap();
        let (run, results) = json(&policy, &[]);
        assert_eq!(
            failed(&results),
            expected.iter().map(|it| (*it).to_owned()).collect(),
            "{name}: {new}"
        );
        assert_eq!((run.code, &results["as_expected"]), (Some(1), &Value::Bool(false)), "{name}");
        // For people: a line for each, with what was expected and what came of it.
        let text = test(&policy, &[]).out;
        for fixture in expected {
            let line = text.lines().find(|it| it.starts_with(&format!("FAIL  {fixture} ")));
            assert!(
                line.is_some_and(|it| it.contains("expected deny") && it.contains(", got ")),
                "{text}"
            );
        }
        assert!(text.contains(&format!("{} not as expected", expected.len())), "{text}");
    }
}

/// A demand that no fixture depends on is said, and fails where that is asked for.
#[test]
fn what_no_fixture_depends_on_is_said() {
    let small = Small::new(
        "[require]\ndefault = \"ci\"\nmetadata = \"ignore\"\ncontent-addressed = \"signed\"\n\
         [[require.rule]]\nname = \"linux-*\"\nall = [\"ci\", \"other\"]\n",
    );
    small.fixture("good.toml", FIXTURE);
    let run = test(&small.policy, &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    for line in [
        "note  every fixture would come out the same if the policy were looser:",
        "        rule for linux-* asks for no signature, which no fixture has a path for",
        "        rule for linux-* asks for one less, which no fixture has a path for",
        "        require.default asks for no signature",
        "        require.default takes any one pinned key",
        "note  no fixture has a path whose signatures satisfy rule for linux-*",
    ] {
        assert!(run.out.lines().any(|it| it == line), "{line}: {}", run.out);
    }
    assert_eq!(test(&small.policy, &["--strict"]).code, Some(1));
    let (_, results) = json(&small.policy, &[]);
    assert_eq!(results["thorough"], false);
    assert_eq!(results["rules"][0]["rule"], "rule for linux-*");
    assert_eq!(results["rules"][1]["satisfied"], 1);

    // Three fixtures more, and nothing is left to say.
    let of = |name: &str, by: &str| {
        format!(
            "fixture = 1\nabout = \"x\"\nnow = 2026-12-01\ntoplevel = \"{name}\"\n[path.\"{name}\"]\n\
             signed-by = [{by}]\ncontent-address = {{ method = \"nar\" }}\n[expect]\n"
        )
    };
    let denied = |name: &str, by: &str, reason: &str| {
        of(name, by) + &format!("verdict = \"deny\"\ndeny = {{ \"{name}\" = [\"{reason}\"] }}\n")
    };
    small.fixture("rule.toml", &(of("linux-6.18", "\"ci\", \"other\"") + "verdict = \"admit\"\n"));
    small.fixture("rule-once.toml", &denied("linux-6.18", "\"ci\"", "below-threshold"));
    small.fixture("other.toml", &denied("top", "\"other\"", "below-threshold"));
    // An address vouches for no toplevel, so this one is about paths below it.
    let sources = "fixture = 1\nabout = \"x\"\nnow = 2026-12-01\ntoplevel = \"top\"\n\
                   [path.top]\nsigned-by = [\"ci\"]\nreferences = [\"src\", \"linux-src\"]\n\
                   [path.src]\ncontent-address = { method = \"nar\" }\n\
                   [path.linux-src]\ncontent-address = { method = \"flat\" }\n\
                   [expect]\nverdict = \"deny\"\ndeny = { src = [\"unsigned\"], linux-src = [\"unsigned\"] }\n";
    small.fixture("sources.toml", sources);
    let run = test(&small.policy, &["--strict"]);
    assert_eq!((run.code, run.out.contains("note")), (Some(0), false), "{run:?}");
}

#[test]
fn what_cannot_be_used_exits_with_2_and_prints_no_result() {
    let small = Small::new("[require]\ndefault = \"ci\"\n");
    let fixtures = small.scratch.path().join("fixtures");
    let expect = |more: &[&str], said: &str| {
        let run = test(&small.policy, more);
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{said}: {run:?}");
        assert!(run.err.contains(said), "{said}: {run:?}");
        run
    };
    // Nothing tested is not a pass.
    expect(&[], "there is no fixture (*.toml)");
    fs::write(fixtures.join("README.md"), "x").unwrap();
    fs::write(fixtures.join(".#open-in-an-editor.toml"), "x").unwrap();
    expect(&[], "there is no fixture (*.toml)");
    expect(&["--fixtures", "/nonexistent"], "cannot read the fixtures in /nonexistent");
    expect(&["--trust", "/nonexistent"], "cannot open");
    let good = small.fixture("good.toml", FIXTURE);
    assert_eq!(test(&small.policy, &[]).code, Some(0));

    for (text, said) in [
        (FIXTURE.replace("\"ci\"", "\"cii\""), "--> "),
        (FIXTURE.replace("\"ci\"", "\"cii\""), "the trust set has no key `cii`"),
        (FIXTURE.replace("\"ci\"", "\"cii\""), "8 | signed-by = [\"cii\"]\n  |              ^^^^^"),
        (FIXTURE.replace("signed-by", "signd-by"), "unknown field `signd-by`"),
        (FIXTURE.replace("fixture = 1", "fixture = 9"), "write fixture = 1"),
        (format!("{FIXTURE}#{}", "x".repeat(64 << 10)), "at most 65536 bytes"),
        (FIXTURE.replace("\"x\"", "\"\u{1b}[2J\""), "good.toml"),
        ("\u{0}".to_owned(), "good.toml"),
    ] {
        fs::write(&good, &text).unwrap();
        let run = expect(&[], said);
        assert!(!run.err.contains('\u{1b}'), "{run:?}");
    }
    // All files are reported, and of each file the first mistakes only.
    let wrong: Vec<_> = (0..3000).map(|n| format!("\"k{n}\"")).collect();
    fs::write(&good, FIXTURE.replace("\"ci\"", &wrong.join(","))).unwrap();
    let second = small.fixture("second.toml", &FIXTURE.replace("\"admit\"", "\"deny\""));
    let run = expect(&[], "and 2984 more in this file");
    assert_eq!(run.err.matches("the trust set has no key").count(), 16);
    assert!(run.err.contains("nothing says why it must be denied"), "{run:?}");
    fs::write(&good, FIXTURE).unwrap();
    fs::remove_file(&second).unwrap();
    assert!(Command::new("mkfifo").arg(&second).status().unwrap().success());
    expect(&[], "must be a regular file");
    fs::remove_file(&second).unwrap();
    fs::create_dir(&second).unwrap();
    expect(&[], "must be a regular file");
    fs::remove_dir(&second).unwrap();
    for n in 0..=1000 {
        fs::write(fixtures.join(format!("{n}.toml")), FIXTURE).unwrap();
    }
    expect(&[], "more than 1000 fixtures");
}

#[test]
fn names_and_texts_of_fixtures_steer_no_terminal() {
    let small = Small::new("[require]\ndefault = \"ci\"\n");
    let hostile = FIXTURE.replace("\"x\"", "\"\\u001b[2J\\u202e\"").replace("\"ci\"", "");
    small.fixture("\u{1b}[2J\npass  good  admit.toml", &hostile);
    let text = test(&small.policy, &["--color", "never"]);
    assert_eq!(text.code, Some(1), "{text:?}");
    assert!(!text.out.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    assert_eq!(text.out.lines().filter(|it| it.starts_with("pass")).count(), 0, "{text:?}");
    let (_, results) = json(&small.policy, &[]);
    assert_eq!(results["fixtures"][0]["about"], "\u{1b}[2J\u{202e}");
}

#[test]
fn results_that_cannot_be_printed_exit_with_3() {
    let small = Small::new("[require]\ndefault = \"ci\"\n");
    small.fixture("good.toml", FIXTURE);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = narwarden();
    command.args(["policy", "test"]).arg(&small.policy).stdout(full).stderr(Stdio::null());
    assert_eq!(command.status().unwrap().code(), Some(3));
}

/// On a build machine: no root, nothing of Nix, and files that belong to whoever checked them out.
#[test]
fn neither_root_nor_nix_nor_ownership_is_needed() {
    let (scratch, policy) = copy("two-of-three");
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    open(scratch.path());
    open(&policy);
    open(&policy.with_file_name("trust.toml"));
    let mut command = narwarden();
    // What we made belongs to whoever runs this.
    if fs::metadata(&policy).unwrap().uid() == 0 {
        // Wherever the program was built, somebody else may not be let in.
        let program = scratch.path().join("narwarden");
        fs::copy(env!("CARGO_BIN_EXE_narwarden"), &program).unwrap();
        command = Command::new(&program);
        command.uid(65534).gid(65534).env_clear();
    } else {
        eprintln!("SKIPPED a part: not root, so all files are of one user");
    }
    let run = finish(command.args(["policy", "test", "--strict"]).arg(&policy).current_dir("/"));
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn json_is_what_its_schema_says() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let schema = fs::read_to_string(docs.join("policy-test.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(schema.pointer("/$defs/reason/enum"), Some(&codes.into()));
    let page = fs::read_to_string(docs.join("policy-test.md")).unwrap();
    for field in fields(&schema) {
        let told = [format!("`{field}`"), format!(".{field}`"), format!("`{field}.")];
        assert!(told.iter().any(|it| page.contains(it)), "the page does not say what {field} is");
    }
    for name in EXAMPLES {
        let (_, results) = json(&examples().join(name).join("policy.toml"), &[]);
        conforms(&results, &schema, &schema, "$");
    }
    // What is not as expected, too, and what the database does not know.
    let small = Small::new("[require]\ndefault = \"ci\"\n");
    let text = FIXTURE.replace("\"admit\"", "\"deny\"\ndeny = { lib = [\"unsigned\"] }\nnote = {}");
    let text = text + "references = [\"lib\"]\n[path.lib]\ndatabase = \"missing\"\n";
    small.fixture("lib.toml", &text);
    let (run, results) = json(&small.policy, &[]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(results["fixtures"][0]["expected"]["deny"][0]["store_path"], Value::Null);
    conforms(&results, &schema, &schema, "$");
}

#[test]
fn the_json_says_what_was_expected_and_what_came_of_it() {
    let small = Small::new("mode = \"enforce\"\n[require]\ndefault = \"ci\"\n");
    let text = "fixture = 1\nabout = \"a library\"\nnow = 2026-12-01\ntoplevel = \"top\"\n\
                [path.top]\nreferences = [\"lib\"]\nsigned-by = [\"ci\"]\n[path.lib]\n\
                [expect]\nverdict = \"deny\"\ndeny = { lib = [\"unsigned\"], top = [\"unsigned\"] }\n";
    small.fixture("lib.toml", text);
    let (run, results) = json(&small.policy, &[]);
    assert_eq!(run.code, Some(1));
    assert_eq!(results["schema"], "narwarden.policy-test/1");
    let counts = serde_json::json!({ "fixtures": 1, "as_expected": 0, "not_as_expected": 1 });
    assert_eq!(results["counts"], counts);
    let checked = run_check(&small.policy);
    assert!(checked.contains(results["policy"]["digest"].as_str().unwrap()), "the written policy");
    let fixture = &results["fixtures"][0];
    assert_eq!(fixture["now"], "2026-12-01T00:00:00Z");
    assert_eq!(fixture["expected"]["deny"].as_array().unwrap().len(), 2);
    assert_eq!(fixture["expected"]["note"], Value::Null);
    assert_eq!(fixture["got"]["verdict"], "deny");
    let finding = &fixture["got"]["findings"][0];
    assert_eq!((&finding["reason"], &finding["path"]), (&"unsigned".into(), &"lib".into()));
    assert!(finding["store_path"].as_str().unwrap().ends_with("-lib"), "{finding}");
    assert_eq!(finding["chain"], serde_json::json!(["top", "lib"]));
    assert_eq!(finding["detail"], "needs ci");
    // Results are the same each time, so that they can be compared.
    assert_eq!(json(&small.policy, &[]).1, results);
}

fn run_check(policy: &Path) -> String {
    run(["policy".as_ref(), "check".as_ref(), policy.as_os_str()]).out
}
