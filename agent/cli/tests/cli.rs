//! The command as scripts and people meet it: exit codes, JSON, colour, pipes, help, and what text from outside
//! may do to a terminal.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the support")]

#[path = "../../../tests/vectors/fixture.rs"]
mod fixture;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fixture::Fixture;
use narwarden_core::reason::Reason;
use serde_json::Value;
use support::schema::{conforms, fields};
use support::{Run, example, finish, narwarden, run, write};

/// Signed by k1, and refers to nothing.
const GOOD: &str = "ia-norefs";
/// Carries no signature.
const BAD: &str = "case-unsigned";
const UNKNOWN: &str = "/nix/store/00000000000000000000000000000000-x";

/// A store, a trust set and a policy that can be used.
struct Bench {
    fixture: Fixture,
    scratch: tempfile::TempDir,
    trust: PathBuf,
    policy: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let fixture = Fixture::unpack();
        let scratch = tempfile::tempdir().unwrap();
        let trust = format!("[keys]\nk1 = {{ public = \"{}\" }}\n", fixture.key("k1"));
        let trust = write(scratch.path(), "trust.toml", &trust);
        let policy = example(scratch.path(), "nix-compatible");
        Self { fixture, scratch, trust, policy }
    }

    fn path(&self, label: &str) -> String {
        let rows = self.fixture.rows::<10>("expected.tsv");
        rows.into_iter().find(|row| row[0] == label).unwrap()[1].clone()
    }

    /// `verify` by these rules.
    fn verify(&self, trust: &Path, policy: &Path, target: &str, more: &[&str]) -> Command {
        let mut command = narwarden();
        command.args(["verify", target, "--root"]).arg(self.fixture.root());
        command.arg("--trust").arg(trust).arg("--policy").arg(policy).args(more);
        command
    }

    fn judge(&self, target: &str, more: &[&str]) -> Run {
        finish(&mut self.verify(&self.trust, &self.policy, target, more))
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        write(self.scratch.path(), name, text)
    }
}

#[test]
fn verdicts_have_their_exit_codes() {
    let bench = Bench::new();
    let (good, bad) = (bench.path(GOOD), bench.path(BAD));
    for (target, more, code, word, limits) in [
        (good.as_str(), &[][..], 0, "ADMIT", &[][..]),
        (&good, &["--jobs", "7"], 0, "ADMIT", &[]),
        (&good, &["--path-only"], 0, "NOTHING FOUND", &["path-only"]),
        (&good, &["--no-contents"], 0, "NOTHING FOUND", &["signatures-only"]),
        (&bad, &[], 1, "DENY", &[]),
        (&bad, &["--no-contents", "--path-only"], 1, "DENY", &["signatures-only", "path-only"]),
        (UNKNOWN, &[], 1, "DENY", &[]),
        (UNKNOWN, &["--path-only"], 1, "DENY", &["path-only"]),
    ] {
        let run = bench.judge(target, more);
        assert_eq!(run.code, Some(code), "{target} {more:?}: {run:?}");
        assert!(run.out.starts_with(&format!("{word}  ")), "{target} {more:?}: {run:?}");
        // Machines look at one word first, so what was not looked at must stand beside it.
        let run = bench.judge(target, &[more, &["--json"]].concat());
        let report: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!(run.code, Some(code), "{run:?}");
        assert_eq!(report["verdict"], if code == 0 { "admit" } else { "deny" });
        assert_eq!(report["limits"], serde_json::json!(limits), "{target} {more:?}");
    }
}

/// Each wrong file, and each wrong word: nothing was judged, and it is said why.
#[test]
fn what_cannot_be_used_exits_with_2() {
    let bench = Bench::new();
    let good = bench.path(GOOD);
    let directory = bench.scratch.path();
    let expect = |run: Run, said: &str| {
        assert_eq!(run.code, Some(2), "{said}: {run:?}");
        assert!(run.err.contains(said), "{said}: {run:?}");
        assert_eq!(run.out, "", "{said}");
    };
    let line = |id: &str, key: &str| format!("{id} = {{ public = \"{key}\" }}\n");
    let k1 = line("k1", &bench.fixture.key("k1"));
    let key = format!("[keys]\n{k1}");
    // A point of small order: anybody can make its signatures.
    let weak = line("k1", &format!("vec.example.org-1:{}=", "A".repeat(43)));

    let world = bench.write("world.toml", &key);
    fs::set_permissions(&world, fs::Permissions::from_mode(0o602)).unwrap();
    let group = bench.write("group.toml", &key);
    fs::set_permissions(&group, fs::Permissions::from_mode(0o620)).unwrap();
    let long = bench.write("long.toml", &format!("{key}#{}\n", "x".repeat(1 << 20)));
    let binary = directory.join("binary.toml");
    fs::write(&binary, b"\xff\xfe").unwrap();
    let pipe = directory.join("pipe.toml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    symlink("loop.toml", directory.join("loop.toml")).unwrap();
    for (trust, said) in [
        (directory.join("absent.toml"), "cannot open"),
        (directory.join("loop.toml"), "cannot open"),
        (directory.to_owned(), "must be a regular file"),
        (PathBuf::from("/dev/zero"), "must be a regular file"),
        (pipe, "must be a regular file"),
        (world, "chmod go-w"),
        (group, "chmod go-w"),
        (long, "at most 1048576 bytes"),
        (binary, "must be UTF-8 text, but is not from byte 0 on"),
        (bench.write("empty.toml", ""), "no key is pinned"),
        (bench.write("weak.toml", &format!("[keys]\n{weak}")), "the public key is weak"),
        (
            bench.write("twice.toml", &format!("{key}{}", k1.replacen("k1", "k2", 1))),
            "same key as `k1`",
        ),
    ] {
        expect(finish(&mut bench.verify(&trust, &bench.policy, &good, &[])), said);
        expect(run([Path::new("trust"), Path::new("check"), &trust]), said);
    }
    for (policy, said) in [
        ("", "missing field `require`"),
        ("[require]\ndefault = \"k2\"\n", "no role or key `k2`"),
        ("[require]\ndefault = { threshold = 2, of = [\"k1\", \"k1\"] }\n", "could ever satisfy"),
        ("[require]\ndefault = \"any\"\nmetadata = \"sometimes\"\n", "unknown variant"),
        ("[require]\ndefault = \"any\"\n[release]\nstatement = \"required\"\n", "not judged"),
    ] {
        let policy = bench.write("policy.toml", policy);
        expect(finish(&mut bench.verify(&bench.trust, &policy, &good, &[])), said);
    }
    symlink("/nix/store/nothing-of-the-kind", directory.join("evil")).unwrap();
    let missing = directory.join("missing");
    let inside = format!("{good}/f");
    for (target, said) in [
        ("4294967296", "system-4294967296-link"),
        ("", "does not exist"),
        ("/nix/store", "leads to no store path"),
        ("/nix/store/../../etc/passwd", "does not exist"),
        ("/nix/store/00000000000000000000000000000000", "leads to no store path"),
        ("/nix/store/e0000000000000000000000000000000-x", "leads to no store path"),
        ("/etc", "does not exist"),
        (missing.to_str().unwrap(), "does not exist"),
        (&inside, "not to a store path itself"),
    ] {
        expect(bench.judge(target, &[]), said);
    }
    // A relative link is the operator's own, and is looked at where it stands.
    let mut relative = bench.verify(&bench.trust, &bench.policy, "evil", &[]);
    expect(finish(relative.current_dir(directory)), "leads to no store path");
    for (arguments, said) in [
        (&["verify", "--bogus"][..], "unexpected argument"),
        (&["verify", "--json", "--all"], "cannot be used with"),
        (&["verify", "--jobs", "0"], "invalid value"),
        (&["verify", "--color", "pink"], "invalid value"),
        (&["completions", "tcsh"], "invalid value"),
        (&["explain", UNKNOWN], "required arguments"),
        (&["bogus"], "unrecognized subcommand"),
        (&[], "Usage:"),
        (&["man", "/dev/null/man"], "cannot write to"),
    ] {
        expect(run(arguments), said);
    }
}

#[test]
fn what_cannot_be_read_exits_with_3() {
    let bench = Bench::new();
    let good = bench.path(GOOD);
    let db = bench.fixture.root().join("nix/var/nix/db");
    let expect = |said: &str| {
        for more in [&[][..], &["--json"]] {
            let run = bench.judge(&good, more);
            assert_eq!(run.code, Some(3), "{said}: {run:?}");
            assert!(run.err.contains(said), "{said}: {run:?}");
            assert_eq!(run.out, "", "{said}");
        }
    };
    assert_eq!(bench.judge(&good, &[]).code, Some(0));
    for schema in ["9\n", "11\n", "", "10\u{1b}[2J\n", "1e1"] {
        fs::write(db.join("schema"), schema).unwrap();
        expect("only 10 is understood");
    }
    fs::remove_file(db.join("schema")).unwrap();
    expect("cannot read");
    fs::write(db.join("schema"), "10").unwrap();
    let file = db.join("db.sqlite");
    let whole = fs::read(&file).unwrap();
    let mut torn = whole.clone();
    torn[4096..8192].fill(0xff);
    for (bytes, said) in [
        (&b""[..], "no ordinary table"),
        (b"SQLite format 3\0", "cannot read"),
        (&whole[..whole.len() / 2], "cannot read"),
        (&[0x5a; 8192], "file is not a database"),
    ] {
        fs::write(&file, bytes).unwrap();
        expect(said);
    }
    // A page that belongs to something else says nothing, and nothing must not come out as an answer.
    fs::write(&file, torn).unwrap();
    assert_ne!(bench.judge(&good, &[]).code, Some(0));
    fs::remove_file(&file).unwrap();
    expect("cannot read");
    fs::remove_dir_all(&db).unwrap();
    expect("cannot read");
}

/// A field that this version does not know is a rule that nobody would enforce.
#[test]
fn unknown_fields_are_pointed_at() {
    let bench = Bench::new();
    let good = bench.path(GOOD);
    let key = bench.fixture.key("k1");
    let trust = format!(
        "# \u{200b}\u{202e} two lines\n\n[keys]\n  k1 = {{ public = \"{key}\", notafter = 2020-01-01 }}\n"
    );
    let column = trust.lines().nth(3).unwrap().find("notafter").unwrap();
    let trust = bench.write("trust-typo.toml", &trust);
    let policy = "[require]\ndefault = \"any\"\ncontent-adressed = \"deny\"\n";
    let policy = bench.write("policy-typo.toml", policy);
    for (run, place, field) in [
        (
            finish(&mut bench.verify(&trust, &bench.policy, &good, &[])),
            format!("{}:4:{}\n", trust.display(), column + 1),
            "notafter",
        ),
        (
            finish(&mut bench.verify(&bench.trust, &policy, &good, &[])),
            format!("{}:3:1\n", policy.display()),
            "content-adressed",
        ),
    ] {
        assert_eq!(run.code, Some(2), "{run:?}");
        let lines: Vec<_> = run.err.lines().collect();
        assert!(lines[0].starts_with(&format!("error: unknown field `{field}`")), "{run:?}");
        assert!(run.err.contains(&place), "{place}: {run:?}");
        let (shown, carets) = lines
            .windows(2)
            .find(|it| it[0].contains(field) && it[1].contains('^'))
            .map(|it| (it[0], it[1]))
            .unwrap();
        let at = |line: &str, what: &str| line.split_once(what).unwrap().0.chars().count();
        assert_eq!(at(shown, field), at(carets, "^"), "{run:?}");
        assert_eq!(carets.matches('^').count(), field.len(), "{run:?}");
    }
}

#[test]
fn json_is_what_its_schema_says() {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/verdict.schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(schema).unwrap()).unwrap();
    let codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(schema.pointer("/$defs/finding/properties/reason/enum"), Some(&codes.into()));
    // The page for people has every field too.
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md");
    let page = fs::read_to_string(page).unwrap();
    for field in fields(&schema) {
        let told = [format!("{field}`"), format!("`{field}.")].iter().any(|it| page.contains(it));
        assert!(told, "docs/json.md does not say what {field} is");
    }

    let bench = Bench::new();
    let mut seen = BTreeSet::new();
    for row in bench.fixture.rows::<10>("expected.tsv").iter().step_by(4) {
        for more in [&["--json"][..], &["--json", "--path-only"], &["--json", "--no-contents"]] {
            let run = bench.judge(&row[1], more);
            let report: Value = serde_json::from_str(&run.out).unwrap();
            conforms(&report, &schema, &schema, "$");
            seen.extend(support::reasons(&report, "deny"));
            // Denials come first.
            let severities = report["findings"].as_array().unwrap().iter();
            assert!(severities.map(|it| it["severity"].as_str().unwrap()).is_sorted());
        }
    }
    assert!(seen.len() > 6, "{seen:?}");
}

const ESCAPE: char = '\u{1b}';

#[test]
fn colour_is_for_those_who_want_it() {
    let bench = Bench::new();
    let (good, bad) = (bench.path(GOOD), bench.path(BAD));
    let typo = bench.write("typo.toml", "[keys]\nk = 1\n");
    let commands: [(&str, &dyn Fn() -> Command); 3] = [
        ("verify", &|| bench.verify(&bench.trust, &bench.policy, &bad, &[])),
        ("explain", &|| {
            let mut command = narwarden();
            command.args(["explain", &good, &good, "--root"]).arg(bench.fixture.root());
            command.arg("--trust").arg(&bench.trust);
            command
        }),
        ("an error", &|| {
            let mut command = narwarden();
            command.args(["trust", "check"]).arg(&typo);
            command
        }),
    ];
    for (what, command) in commands {
        for (environment, option, coloured) in [
            (&[][..], None, false),
            (&[], Some("never"), false),
            (&[], Some("always"), true),
            (&["NO_COLOR"], None, false),
            (&["NO_COLOR"], Some("always"), true),
            (&["CLICOLOR_FORCE"], None, true),
            (&["CLICOLOR_FORCE"], Some("never"), false),
            (&["NO_COLOR", "CLICOLOR_FORCE"], None, false),
        ] {
            let mut command = command();
            for name in environment {
                command.env(name, "1");
            }
            if let Some(when) = option {
                command.args(["--color", when]);
            }
            let run = finish(&mut command);
            let found = run.out.contains(ESCAPE) || run.err.contains(ESCAPE);
            assert_eq!(found, coloured, "{what} {environment:?} {option:?}: {run:?}");
        }
    }
    // JSON never has any.
    let run = bench.judge(&bad, &["--json", "--color", "always"]);
    assert!(!run.out.contains(ESCAPE), "{run:?}");
}

/// On a terminal, which `script` gives it.
#[test]
fn colour_on_a_terminal() {
    let bench = Bench::new();
    let bad = bench.path(BAD);
    let verify = format!(
        "verify {bad} --root {} --trust {} --policy {}",
        bench.fixture.root().display(),
        bench.trust.display(),
        bench.policy.display()
    );
    for (environment, arguments, coloured) in [
        ("", verify.as_str(), true),
        ("NO_COLOR=1", &verify, false),
        ("CLICOLOR=0", &verify, false),
        ("TERM=dumb", &verify, false),
        ("", &format!("{verify} --color never"), false),
        ("", "--help", true),
        ("NO_COLOR=1", "--help", false),
        ("", "--color never --help", false),
        ("", "--color=never verify --bogus", false),
        ("", "verify --bogus --color never", false),
    ] {
        let line = format!("{environment} {} {arguments}", env!("CARGO_BIN_EXE_narwarden"));
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm-256color");
        for name in support::ABOUT_COLOUR {
            script.env_remove(name);
        }
        let Ok(output) = script.stdin(Stdio::null()).output() else {
            eprintln!("SKIPPED, needs script(1): colour on a terminal");
            return;
        };
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.len() > 100, "{line}: {text}");
        assert_eq!(text.contains(ESCAPE), coloured, "{line}: {text:?}");
    }
}

/// What a terminal would obey, or what would show text in another order or hide it.
fn steers(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Escape sequences in 7 and 8 bits, a bell, overwriting, text in another direction, invisible text.
const HOSTILE: &str =
    "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{8}\u{7f}\u{202e}evil\u{2066}\u{200b}\u{feff}";

/// What in the output would steer a terminal, or looks like a verdict that nobody gave.
fn harmful(run: &Run) -> Option<String> {
    let steering = [&run.out, &run.err].into_iter().flat_map(|it| it.chars()).find(|c| steers(*c));
    let lines = run.out.lines().chain(run.err.lines());
    let forged = lines.filter(|line| line.starts_with("ADMIT  /nix/store/forged")).count();
    (steering.is_some() || forged > 0).then(|| format!("{steering:?}, {forged} forged: {run:?}"))
}

/// TOML's own way of writing text that it may not hold as it is.
fn escaped(text: &str) -> String {
    text.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect()
}

#[test]
fn text_from_outside_does_not_steer_the_terminal() {
    let bench = Bench::new();
    let (good, bad) = (bench.path(GOOD), bench.path(BAD));
    let directory = bench.scratch.path();
    let key = bench.fixture.key("k1");
    let forged = "x\nADMIT  /nix/store/forged";
    let mut wrong = Vec::new();
    let mut harmless = |run: &Run, what: &str| {
        wrong.extend(harmful(run).map(|it| format!("{what}: {it}")));
    };

    // Files that are there, whose names and contents are hostile.
    for (number, text) in [
        format!("[keys]\nk1 = {{ public = \"{key}\", bogus = 1 }} # {HOSTILE}\n"),
        format!(
            "[keys]\nk1 = {{ public = \"{key}\", bogus = 1 }} # \u{202e}\u{2066}\u{200b}\u{feff}\n"
        ),
        format!("[keys]\nk1 = {{ public = \"{key}\", bogus\r = 1 }}\n"),
        format!("[keys]\nk1 = {{ public = \"{key}\", \"{}\" = 1 }}\n", escaped(HOSTILE)),
        format!("[keys]\nk1 = {{ public = \"{key}\", \"{}\" = 1 }}\n", escaped(forged)),
        format!("[keys]\n\"{}\" = {{ public = \"{key}\" }}\n", escaped(HOSTILE)),
        format!("[keys]\nk1 = {{ public = \"{}{key}\" }}\n", escaped(HOSTILE)),
        format!("[keys]\nk1 = {{ public = \"{}{key}\" }}\n", escaped("\u{202e}\u{200b}")),
        format!("[keys]\nk1 = {{ public = \"{key}\", operator = \"{}\" }}\n", escaped(HOSTILE)),
        format!("[keys]\nk1 = {{ public = \"{key}\", operator = \"{}\" }}\n", escaped(forged)),
        format!(
            "[keys]\nk1 = {{ public = \"{key}\", revoked = 2020-01-01, reason = \"{}\" }}\n",
            escaped(HOSTILE)
        ),
        format!(
            "[keys]\nk1 = {{ public = \"{key}\", revoked = 2020-01-01, reason = \"{}\" }}\n",
            escaped(forged)
        ),
        format!(
            "[keys]\nk1 = {{ public = \"{key}\" }}\n[roles]\n\"{}\" = {{ keys = [\"{}\"] }}\n",
            escaped(HOSTILE),
            escaped(forged)
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let file = format!("trust-{number}-{}.toml", HOSTILE.replace('/', ""));
        let trust = write(directory, &file, &text);
        let check: [&std::ffi::OsStr; 5] = [
            "--color".as_ref(),
            "never".as_ref(),
            "trust".as_ref(),
            "check".as_ref(),
            trust.as_ref(),
        ];
        harmless(&run(check), &text);
        for (path, more) in [(&good, &[][..]), (&bad, &[]), (&good, &["--json"])] {
            let mut verify = bench.verify(&trust, &bench.policy, path, more);
            harmless(&finish(verify.args(["--color", "never"])), &text);
        }
        let mut explain = narwarden();
        explain
            .args(["explain", &bad, &bad, "--color", "never", "--root"])
            .arg(bench.fixture.root());
        harmless(&finish(explain.arg("--trust").arg(&trust)), &text);
    }
    for text in [
        format!("[require]\ndefault = \"{}\"\n", escaped(HOSTILE)),
        format!(
            "[require]\ndefault = \"any\"\n[[deny]]\nname = \"*\"\nreason = \"{}\"\n",
            escaped(HOSTILE)
        ),
        format!(
            "[require]\ndefault = \"any\"\n[[deny]]\nname = \"*\"\nreason = \"{}\"\n",
            escaped(forged)
        ),
        format!(
            "[require]\ndefault = \"any\"\n[[require.rule]]\nname = \"{}\"\nrequire = \"any\"\n",
            escaped(HOSTILE)
        ),
        format!(
            "[require]\ndefault = \"any\"\n[[deny]]\npath = \"{}\"\nreason = \"x\"\n",
            escaped(HOSTILE)
        ),
        format!("[require]\ndefault = \"any\"\n[gate]\ndeadline = \"{}\"\n", escaped(HOSTILE)),
        format!("mode = \"{}\"\n[require]\ndefault = \"any\"\n", escaped(HOSTILE)),
    ] {
        let policy = bench.write("policy.toml", &text);
        for more in [&[][..], &["--all"], &["--json"]] {
            let mut verify = bench.verify(&bench.trust, &policy, &good, more);
            let run = finish(verify.args(["--color", "never"]));
            assert_ne!(run.code, Some(0), "{text}");
            harmless(&run, &text);
        }
        let mut check = narwarden();
        check
            .args(["--color", "never", "policy", "check"])
            .arg(&policy)
            .arg("--trust")
            .arg(&bench.trust);
        harmless(&finish(&mut check), &text);
    }

    // Names that are not there, and links to them.
    for (number, text) in [HOSTILE, forged].into_iter().enumerate() {
        let link = directory.join(format!("link-{number}"));
        symlink(text, &link).unwrap();
        let absent = Path::new(text);
        let targets =
            [text, link.to_str().unwrap(), &format!("/nix/store/{text}")].map(str::to_owned);
        for target in targets {
            let mut verify =
                bench.verify(&bench.trust, &bench.policy, &target, &["--color", "never"]);
            harmless(&finish(verify.current_dir(directory)), &target);
        }
        let mut relative =
            bench.verify(&bench.trust, &bench.policy, &format!("link-{number}"), &[]);
        harmless(&finish(relative.current_dir(directory)), text);
        harmless(&finish(&mut bench.verify(absent, &bench.policy, &good, &[])), text);
        harmless(&finish(&mut bench.verify(&bench.trust, absent, &good, &[])), text);
    }

    // A store path that holds something of a hostile name.
    let physical = bench.fixture.root().join(good.trim_start_matches('/'));
    fs::set_permissions(&physical, fs::Permissions::from_mode(0o755)).unwrap();
    let pipe = physical.join(HOSTILE);
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for more in [&[][..], &["--json"]] {
        let run = bench.judge(&good, more);
        assert!(run.code == Some(1) && run.out.contains("unsupported-file"), "{run:?}");
        harmless(&run, "a named pipe");
    }
    fs::remove_file(&pipe).unwrap();
    fs::write(physical.join(HOSTILE), "").unwrap();
    for text in [forged, "\u{ff}"] {
        // As bytes, the second is no UTF-8.
        let name = text.replace('/', "-");
        let name: Vec<u8> = name.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        fs::write(physical.join(std::ffi::OsStr::from_bytes(&name)), "").unwrap();
    }
    for more in [&["--all"][..], &["--json"]] {
        let run = bench.judge(&good, more);
        assert!(run.code == Some(1) && run.out.contains("content-drift"), "{run:?}");
        harmless(&run, "files of hostile names and modes");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Whoever reads the output may leave at any moment.
#[test]
fn a_closed_pipe_is_no_panic() {
    let bench = Bench::new();
    let (good, bad) = (bench.path(GOOD), bench.path(BAD));
    let commands: [(&str, Command); 7] = [
        ("verify", bench.verify(&bench.trust, &bench.policy, &good, &[])),
        ("a denial", bench.verify(&bench.trust, &bench.policy, &bad, &["--all"])),
        ("JSON", bench.verify(&bench.trust, &bench.policy, &good, &["--json"])),
        ("completions", with(&["completions", "zsh"])),
        ("help", with(&["verify", "--help"])),
        ("version", with(&["--version"])),
        ("an error", with(&["trust", "check", "/dev/null/x"])),
    ];
    for (what, mut command) in commands {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        let status = child.wait().unwrap();
        assert!(status.code().is_some_and(|code| code < 4), "{what}: {status}: {err}");
        assert!(!err.contains("panicked"), "{what}: {err}");
        // With nobody left on either side.
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        let status = child.wait().unwrap();
        assert!(status.code().is_some_and(|code| code < 4), "{what}: {status}");
    }
    // An answer that could not be given is none: not "admitted".
    for (what, mut command) in [
        ("verify", bench.verify(&bench.trust, &bench.policy, &good, &[])),
        ("JSON", bench.verify(&bench.trust, &bench.policy, &good, &["--json"])),
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let status = command.stdout(full).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(3), "{what}");
    }
}

fn with(arguments: &[&str]) -> Command {
    let mut command = narwarden();
    command.args(arguments);
    command
}

/// Every command with its own, as the help lists them.
fn commands() -> Vec<Vec<String>> {
    let listed = |prefix: &[String]| -> Vec<String> {
        let run = run(prefix.iter().map(String::as_str).chain(["--help"]));
        assert_eq!(run.code, Some(0), "{prefix:?}");
        let list = run.out.split_once("\nCommands:\n").map_or("", |(_, rest)| rest);
        let names = list.lines().take_while(|line| !line.is_empty());
        let names = names.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
    };
    let mut commands = Vec::new();
    let mut open = vec![Vec::new()];
    while let Some(prefix) = open.pop() {
        for name in listed(&prefix) {
            let command = [&prefix[..], &[name]].concat();
            commands.push(command.clone());
            open.push(command);
        }
    }
    commands.sort();
    commands
}

#[test]
fn every_command_has_its_help() {
    let commands = commands();
    let names: Vec<_> = commands.iter().map(|it| it.join(" ")).collect();
    for name in
        ["completions", "demo", "enroll", "explain", "man", "policy check", "trust check", "verify"]
    {
        assert!(names.iter().any(|it| it == name), "{name} is not in {names:?}");
    }
    for command in &commands {
        for help in ["--help", "-h"] {
            let run = run(command.iter().map(String::as_str).chain([help]));
            assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{command:?}");
            assert!(
                run.out.contains(&format!("Usage: narwarden {}", command.join(" "))),
                "{run:?}"
            );
            let says = run.out.lines().next().unwrap();
            assert!(says.len() > 15 && !says.contains("TODO"), "{command:?}: {says}");
        }
        let version = run(command.iter().map(String::as_str).chain(["--version"]));
        assert!(version.code == Some(0) && version.out.contains(env!("CARGO_PKG_VERSION")));
    }
    // The exit codes are what scripts need most.
    for arguments in [&["--help"][..], &["verify", "--help"]] {
        let out = run(arguments).out;
        assert!(["0", "1", "2", "3"].iter().all(|code| out.contains(&format!("{code} "))), "{out}");
    }
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = run(["completions", shell]);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{shell}");
        for command in commands() {
            assert!(run.out.contains(command.last().unwrap()), "{shell}: {command:?}");
        }
        for option in ["path-only", "no-contents", "trust", "policy", "color"] {
            assert!(run.out.contains(option), "{shell}: {option}");
        }
        // Shells that are there say whether they can read it.
        let directory = tempfile::tempdir().unwrap();
        let script = write(directory.path(), "script", &run.out);
        if let Ok(checked) = Command::new(shell).arg("-n").arg(&script).output() {
            assert!(checked.status.success(), "{shell}: {checked:?}");
        }
    }
}

#[test]
fn every_command_has_its_manual_page() {
    let directory = tempfile::tempdir().unwrap();
    // Made if it is not there, and written again over itself.
    let pages = directory.path().join("share/man/man1");
    for _ in 0..2 {
        let run = run([Path::new("man"), &pages]);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    }
    let found: BTreeSet<String> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.contains("-help"))
        .collect();
    let mut expected: BTreeSet<String> =
        commands().iter().map(|command| format!("narwarden-{}.1", command.join("-"))).collect();
    expected.insert("narwarden.1".to_owned());
    assert_eq!(found, expected);
    for name in found {
        let text = fs::read_to_string(pages.join(&name)).unwrap();
        assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{name}: {text}");
    }
}
