//! Every command that speaks to the warden, against the real server with a warden that only remembers: what is
//! printed, how it ends, and that nothing from outside steers the terminal.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the support")]

#[path = "../../daemon/tests/support/fake.rs"]
mod fake;
mod support;

use fake::{BAD, Fake, GOOD, proposed};
use narwarden_core::event::is_steering;
use narwarden_core::interface as i;
use serde_json::Value;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::{fs, thread, time};
use support::{Run, finish, narwarden};
use tempfile::TempDir;

fn start() -> (TempDir, PathBuf, Arc<Fake>) {
    let directory = tempfile::tempdir().unwrap();
    let fake = Arc::new(Fake::default());
    let path = fake.serve(&directory.path().join("io.narwarden"));
    (directory, path, fake)
}

/// Runs a command against this socket. Whatever it prints, nothing of it steers a terminal.
fn run(socket: &Path, arguments: &[&str]) -> Run {
    let run = finish(narwarden().args(arguments).arg("--socket").arg(socket));
    harmless(&run);
    run
}

fn harmless(run: &Run) {
    for text in [&run.out, &run.err] {
        assert!(!text.chars().any(|c| c != '\n' && is_steering(c)), "{run:?}");
        assert!(!text.lines().any(|line| line.starts_with("ADMIT  forged")), "{run:?}");
    }
}

fn is_root() -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        eprintln!("SKIPPED: only uid 0 may change anything");
    }
    root
}

const EVERY: &[&[&str]] = &[
    &["status"],
    &["status", "--json"],
    &["log"],
    &["log", "--json"],
    &["log", "--verify-chain"],
    &["watch", "--for", "1s"],
    &["quarantine", "list"],
    &["quarantine", "show", "system-42-20261122"],
    &["quarantine", "release", "system-42-20261122"],
    &["quarantine", "drop", "system-42-20261122"],
    &["observe", "--for", "30m", "--reason", "test"],
    &["observe", "--end"],
    &["trust", "accept"],
    &["policy", "accept"],
    &["enroll", "--pin"],
    &["reload"],
];

/// `--socket` belongs to `quarantine` and not to what stands behind it.
fn with_socket<'a>(arguments: &[&'a str], socket: &'a Path) -> Vec<&'a str> {
    let mut all = arguments.to_vec();
    let place = if arguments[0] == "quarantine" { 1 } else { all.len() };
    all.splice(place..place, ["--socket", socket.to_str().unwrap()]);
    all
}

#[test]
fn without_a_warden_every_command_says_so_and_ends_with_3() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let stale = directory.path().join("stale");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    for socket in [&missing, &stale] {
        for arguments in EVERY {
            let run = finish(narwarden().args(with_socket(arguments, socket)));
            assert_eq!(run.code, Some(3), "{arguments:?}: {run:?}");
            assert!(run.err.contains("systemctl start narwardend"), "{arguments:?}: {run:?}");
            assert!(run.out.is_empty(), "{arguments:?}: {run:?}");
        }
    }
    let long = directory.path().join("x".repeat(200));
    assert_eq!(run(&long, &["status"]).code, Some(3));
}

#[test]
fn nothing_from_outside_steers_the_terminal_whatever_is_asked() {
    if !is_root() {
        return;
    }
    let (_directory, path, fake) = start();
    let mut trust = proposed("/etc/narwarden/trust.toml", "cc", Some("aa"));
    trust.file = fake::EVIL.into();
    trust.problem = Some(fake::EVIL.into());
    *fake.proposal.lock().unwrap() = i::ProposalReply { trust: Some(trust), ..Default::default() };
    let mut status = fake::status();
    status.mode.kind = i::ModeKind::Observe;
    status.mode.until = Some(fake::EVIL.into());
    status.mode.reason = Some(fake::EVIL.into());
    status.damage = vec![fake::EVIL.into()];
    status.pending = vec![fake::EVIL.into()];
    status.version = fake::EVIL.into();
    *fake.status.lock().unwrap() = Some(status);
    let broken = i::ChainBreak { file: fake::EVIL.into(), line: 3, problem: fake::EVIL.into() };
    *fake.broken.lock().unwrap() = Some(broken);
    let mut escaped = 0;
    for arguments in EVERY {
        let run = finish(narwarden().args(with_socket(arguments, &path)));
        harmless(&run);
        escaped += usize::from(run.out.contains("\\u") || run.err.contains("\\u"));
        // With colour, what we print ourselves is colour and nothing else.
        let coloured = with_socket(arguments, &path);
        let run = finish(narwarden().args(["--color", "always"]).args(coloured));
        for text in [&run.out, &run.err] {
            for sequence in text.split('\u{1b}').skip(1) {
                let end = sequence.find(|c: char| !(c.is_ascii_digit() || "[;".contains(c)));
                assert_eq!(&sequence[end.unwrap()..=end.unwrap()], "m", "{arguments:?}: {run:?}");
            }
        }
    }
    assert!(escaped >= 8, "only {escaped} commands had anything to escape");
}

#[test]
fn status_says_what_guards_this_host() {
    let (_directory, path, fake) = start();
    let shown = run(&path, &["status"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for part in [
        "READY  narwardend 0.1.0, 8.79 MiB",
        "mode        enforce",
        "trust       version 7 (aaaaaaaaaaaa), expires 2027-06-01T00:00:00Z",
        "policy      bbbbbbbbbbbb",
        "marks       12 entry points held, 1 file system watched",
        "gate        1,234 requests: 1,230 allowed, 4 denied; 99 of 100 within 1,000 µs, the longest 1,500 µs",
        "journal     connected",
        "quarantine  1 generation: narwarden quarantine list",
        &format!("pending     judging {BAD}"),
        "4 generations: 1 admitted, 1 denied, 1 pending, 1 grandfathered",
        "grandfathered  system-40-link  nixos-system-good-26.11",
        "admitted       system-41-link  nixos-system-good-26.11",
        "denied         system-42-link  nixos-system-bad-26.11",
        "pending        evil\\u{1b}",
    ] {
        assert!(shown.out.contains(part), "{part:?} is not in {}", shown.out);
    }
    let json = run(&path, &["status", "--json"]);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["gate"]["histogram"][1]["count"], 30);
    assert_eq!(json["generations"][3]["link"], fake::EVIL);

    let mut status = fake::status();
    status.state = i::State::Degraded;
    status.trust = None;
    status.policy = None;
    status.journal = i::JournalState::Lost;
    status.damage = vec!["admissions".into()];
    status.generations_omitted = 3;
    *fake.status.lock().unwrap() = Some(status);
    // Others get a status that may be a moment old.
    thread::sleep(time::Duration::from_millis(150));
    let shown = run(&path, &["status"]);
    assert_eq!(shown.code, Some(1), "{shown:?}");
    for part in [
        "DEGRADED",
        "nothing is pinned: everything is denied",
        "journal     lost",
        "damage      set aside admissions",
        "3 not listed",
    ] {
        assert!(shown.out.contains(part), "{part:?} is not in {}", shown.out);
    }
    assert_eq!(run(&path, &["status", "--json"]).code, Some(1));
}

#[test]
fn an_expired_trust_set_is_seen() {
    let (_directory, path, fake) = start();
    let mut status = fake::status();
    status.trust.as_mut().unwrap().expires = Some("2020-01-01T00:00:00Z".into());
    *fake.status.lock().unwrap() = Some(status);
    assert!(run(&path, &["status"]).out.contains("expired 2020-01-01T00:00:00Z: nothing new"));
}

#[test]
fn the_log_shows_the_latest_last() {
    let (_directory, path, _) = start();
    let shown = run(&path, &["log"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let lines: Vec<_> = shown.out.lines().collect();
    assert_eq!(lines.len(), 2, "{shown:?}");
    assert!(
        lines[0].contains("ADMIT  system-42-link  nixos-system-good")
            && lines[0].ends_with("history")
    );
    assert_eq!(
        lines[1],
        "2026-11-22T12:00:00Z  DENY   system-42-link  nixos-system-bad-26.11  unsigned (3)"
    );
    assert_eq!(run(&path, &["log", "-n", "1"]).out.lines().count(), 1);
    let json: Value = serde_json::from_str(&run(&path, &["log", "--json"]).out).unwrap();
    assert_eq!(json["verdicts"][0]["toplevel"], BAD);
    assert_eq!(run(&path, &["log", "-n", "0"]).code, Some(2));
}

#[test]
fn a_broken_chain_ends_with_1() {
    if !is_root() {
        return;
    }
    let (_directory, path, fake) = start();
    let whole = run(&path, &["log", "--verify-chain"]);
    assert_eq!(whole.code, Some(0), "{whole:?}");
    assert!(
        whole.out.starts_with("whole  17 receipts, each bound to the one before\n"),
        "{whole:?}"
    );
    assert!(whole.out.contains(&format!("NARWARDEN_RECEIPT={}", "cc".repeat(32))), "{whole:?}");
    assert!(whole.out.contains("checked by narwardend at "), "{whole:?}");
    let broken =
        i::ChainBreak { file: "/var/lib/narwarden/receipts".into(), line: 18, problem: "x".into() };
    *fake.broken.lock().unwrap() = Some(broken);
    let shown = run(&path, &["log", "--verify-chain"]);
    assert_eq!(shown.code, Some(1));
    assert!(shown.out.starts_with("BROKEN  /var/lib/narwarden/receipts:18: x\n"), "{shown:?}");
    let json = run(&path, &["log", "--verify-chain", "--json"]);
    assert_eq!(json.code, Some(1));
    assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap()["broken"]["line"], 18);
}

#[test]
fn watch_says_what_changes() {
    let (_directory, path, fake) = start();
    let changer = thread::spawn(move || {
        // At the second look, what was there before has been said.
        for _ in 0..3000 {
            if fake.statuses.load(Ordering::SeqCst) >= 2 {
                break;
            }
            thread::sleep(time::Duration::from_millis(10));
        }
        let mut status = fake::status();
        status.generations[2].standing = i::Standing::Quarantined;
        status.generations.remove(0);
        status.mode.kind = i::ModeKind::Observe;
        status.pending = vec![GOOD.into()];
        *fake.status.lock().unwrap() = Some(status);
        fake.later.lock().unwrap().push(fake::verdict(GOOD, i::Answer::Admit));
    });
    let shown = run(&path, &["watch", "--for", "6s"]);
    changer.join().unwrap();
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let (before, after) = shown.out.split_once("\n\n").unwrap();
    assert!(before.contains("READY"), "{shown:?}");
    for part in [
        "mode: observe, denials do not hold",
        "judging nixos-system-good-26.11",
        "ADMIT  system-42-link  nixos-system-good-26.11",
        "quarantined    system-42-link  (was denied)",
        "system-40-link  is gone",
    ] {
        assert_eq!(after.matches(part).count(), 1, "{part:?} in {after}");
    }
}

#[test]
fn quarantine_is_listed_shown_released_and_dropped() {
    let (_directory, path, fake) = start();
    let quarantine = |arguments: &[&str]| {
        let mut all = vec!["quarantine"];
        all.extend(arguments);
        let run = finish(narwarden().args(with_socket(&all, &path)));
        harmless(&run);
        run
    };
    let name = "system-42-20261122";
    // The socket may be named behind the verb, too.
    assert_eq!(run(&path, &["quarantine", "list"]).code, Some(0));
    let list = quarantine(&["list"]);
    assert!(list.code == Some(0) && list.out.contains(name) && list.out.contains(BAD), "{list:?}");
    let json: Value = serde_json::from_str(&quarantine(&["list", "--json"]).out).unwrap();
    assert_eq!(json["entries"][0]["generation"], "system-42-link");
    let show = quarantine(&["show", name]);
    assert!(show.code == Some(0) && show.out.contains("\nunsigned  /nix/store/1111"), "{show:?}");
    assert_eq!(quarantine(&["show", "nothing"]).code, Some(2));
    assert_eq!(quarantine(&["show"]).code, Some(2));
    if !is_root() {
        return;
    }
    assert_eq!(quarantine(&["release", name]).code, Some(0));
    assert_eq!(quarantine(&["drop", name]).code, Some(0));
    let unknown = quarantine(&["drop", "../../etc"]);
    assert!(
        unknown.code == Some(2) && unknown.err.contains("there is no ../../etc"),
        "{unknown:?}"
    );
    assert_eq!(
        fake.asked(),
        [format!("release {name}"), format!("drop {name}"), "drop ../../etc".into()]
    );
}

#[test]
fn observing_needs_a_time_and_a_reason() {
    let (_directory, path, fake) = start();
    for wrong in [
        &["observe"][..],
        &["observe", "--for", "30m"],
        &["observe", "--reason", "x"],
        &["observe", "--for", "0s", "--reason", "x"],
        &["observe", "--for", "-5m", "--reason", "x"],
        &["observe", "--for", "forever", "--reason", "x"],
        &["observe", "--end", "--for", "30m", "--reason", "x"],
        &["observe", "--end", "--reason", "x"],
    ] {
        assert_eq!(run(&path, wrong).code, Some(2), "{wrong:?}");
    }
    assert_eq!(fake.asked(), Vec::<String>::new());
    if !is_root() {
        return;
    }
    let shown = run(&path, &["observe", "--for", "30m", "--reason", "lost key"]);
    assert!(shown.code == Some(0) && shown.out.contains(": nothing is refused"), "{shown:?}");
    assert!(!shown.out.contains("as long as the policy allows"), "{shown:?}");
    let shown = run(&path, &["observe", "--for", "2h", "--reason", "lost key"]);
    assert!(
        shown.code == Some(0) && shown.out.contains("as long as the policy allows"),
        "{shown:?}"
    );
    // What the warden itself finds wrong with it.
    let shown = run(&path, &["observe", "--for", "1h", "--reason", " "]);
    assert_eq!(shown.code, Some(3), "{shown:?}");
    assert_eq!(run(&path, &["observe", "--end"]).code, Some(0));
    assert_eq!(fake.asked(), ["observe 1800 lost key", "observe 7200 lost key", "end observe"]);
}

#[test]
fn what_the_warden_refuses_ends_with_1() {
    if !is_root() {
        return;
    }
    let (_directory, path, _) = start();
    let shown = run(&path, &["reload"]);
    assert_eq!(shown.code, Some(1));
    assert!(
        shown.err.starts_with("error: narwardend refuses: policy.toml:3: evil\\u{1b}"),
        "{shown:?}"
    );
}

#[test]
fn only_what_was_looked_at_is_accepted() {
    if !is_root() {
        return;
    }
    let (_directory, path, fake) = start();
    for what in ["trust", "policy"] {
        let shown = run(&path, &[what, "accept"]);
        assert!(shown.code == Some(0) && shown.out.starts_with("nothing to accept"), "{shown:?}");
        // What the daemon does not see, it did not accept.
        let shown = run(&path, &[what, "accept", "--digest", &"ee".repeat(32)]);
        let said = "nothing was accepted: narwardend sees no";
        assert!(shown.code == Some(1) && shown.err.contains(said), "{shown:?}");
    }
    let file = |digest, pinned| Some(proposed("/etc/narwarden/trust.toml", digest, pinned));
    *fake.proposal.lock().unwrap() = i::ProposalReply {
        trust: file("cc", Some("aa")),
        policy: file("dd", Some("bb")),
        mode: None,
    };
    let (trust, policy) = ("cc".repeat(32), "dd".repeat(32));
    // Nobody there to ask.
    let shown = run(&path, &["trust", "accept"]);
    assert_eq!(shown.code, Some(2), "{shown:?}");
    assert!(shown.out.contains("\n  -version = 7\n  +version = 8\n"), "{shown:?}");
    assert!(shown.err.contains(&format!("narwarden trust accept --digest {trust}")), "{shown:?}");
    // A carriage return, and what stands behind 5,000 characters, is a difference too.
    let mut tricky = file("cc", Some("aa"));
    tricky.as_mut().unwrap().difference = format!("-a\n+a\r\n+{} tail\n", "x".repeat(5000));
    let tricky = i::ProposalReply { trust: tricky, policy: file("dd", Some("bb")), mode: None };
    let usual = std::mem::replace(&mut *fake.proposal.lock().unwrap(), tricky);
    let shown = run(&path, &["trust", "accept"]);
    assert!(
        shown.out.contains("\n  -a\n  +a\\u{d}\n") && shown.out.contains("x tail\n"),
        "{shown:?}"
    );
    *fake.proposal.lock().unwrap() = usual;
    // Another one than what is there.
    let shown = run(&path, &["trust", "accept", "--digest", &policy]);
    assert!(shown.code == Some(1) && shown.err.contains(&trust), "{shown:?}");
    let shown = run(&path, &["trust", "accept", "--digest", &trust[..12]]);
    assert_eq!(shown.code, Some(1), "{shown:?}");
    assert_eq!(fake.asked(), Vec::<String>::new());
    assert_eq!(run(&path, &["trust", "accept", "--digest", &trust]).code, Some(0));
    assert_eq!(run(&path, &["policy", "accept", "--digest", &policy]).code, Some(0));
    assert_eq!(fake.asked(), [format!("accept trust {trust}"), format!("accept policy {policy}")]);
    // What cannot be used, and what has no predecessor.
    let mut unusable = file("cc", Some("aa"));
    unusable.as_mut().unwrap().problem = Some("line 3: no such key".into());
    *fake.proposal.lock().unwrap() =
        i::ProposalReply { trust: unusable, policy: file("dd", None), mode: None };
    let shown = run(&path, &["trust", "accept", "--digest", &trust]);
    assert!(shown.code == Some(2) && shown.err.contains("line 3: no such key"), "{shown:?}");
    let shown = run(&path, &["policy", "accept", "--digest", &policy]);
    assert!(shown.code == Some(2) && shown.err.contains("enroll --pin"), "{shown:?}");
    assert_eq!(fake.asked().len(), 2);
}

/// On a terminal, a person is asked, and only `yes` is a yes.
#[test]
fn a_person_is_asked() {
    if !is_root() {
        return;
    }
    let (_directory, path, fake) = start();
    let trust = Some(proposed("/etc/narwarden/trust.toml", "cc", Some("aa")));
    *fake.proposal.lock().unwrap() = i::ProposalReply { trust, ..Default::default() };
    let command =
        format!("'{}' trust accept --socket '{}'", env!("CARGO_BIN_EXE_narwarden"), path.display());
    for (answer, code, asked) in [("no\n", 1, 0), ("y\n", 1, 0), ("\n", 1, 0), ("yes\n", 0, 1)] {
        // script(1) gives it a terminal.
        let child = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else { return eprintln!("SKIPPED: no script(1)") };
        let mut input = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, answer.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        drop(input);
        assert_eq!(output.status.code(), Some(code), "{answer:?}: {output:?}");
        assert_eq!(fake.asked().len(), asked, "{answer:?}");
    }
}

/// Without a trust set, there is nothing to accept a change of.
#[test]
fn accepting_comes_after_pinning() {
    if !is_root() {
        return;
    }
    let (_directory, path, fake) = start();
    let status = i::Status { trust: None, policy: None, ..fake::status() };
    *fake.status.lock().unwrap() = Some(status);
    for what in ["trust", "policy"] {
        let shown = run(&path, &[what, "accept"]);
        assert!(shown.code == Some(2) && shown.err.contains("enroll --pin"), "{shown:?}");
    }
    let shown = run(&path, &["status"]);
    assert!(shown.out.contains("nothing is pinned: everything is denied"), "{shown:?}");
}

/// A host with a thousand generations still has a status of one screen; `--all` shows them.
#[test]
fn a_status_is_one_screen() {
    let (_directory, path, fake) = start();
    let mut status = fake::status();
    let one = status.generations[1].clone();
    status.generations = (0..1000)
        .map(|number| i::Generation { link: format!("system-{number}-link"), ..one.clone() })
        .collect();
    status.generations_omitted = 5;
    status.pending = vec![BAD.into(); 100];
    status.damage = vec!["x".into(); 100];
    *fake.status.lock().unwrap() = Some(status);
    let shown = run(&path, &["status"]);
    assert!(shown.out.lines().count() <= 32, "{}", shown.out);
    assert!(shown.out.contains("1,005 generations: 1,000 admitted, 5 not listed"), "{shown:?}");
    assert!(shown.out.contains("system-999-link") && !shown.out.contains("system-1-link"));
    assert!(shown.out.contains("… 988 before these: --all"), "{shown:?}");
    assert!(shown.out.contains("… and 97: --all"), "{shown:?}");
    let all = run(&path, &["status", "--all"]);
    assert!(all.out.contains("system-1-link") && !all.out.contains("--all"), "{all:?}");
}

#[test]
fn pinning_happens_once() {
    if !is_root() {
        return;
    }
    let (_directory, path, fake) = start();
    let shown = run(&path, &["enroll", "--pin"]);
    assert!(shown.code == Some(1) && shown.err.contains("pinned already"), "{shown:?}");
    let mut status = fake::status();
    status.trust = None;
    *fake.status.lock().unwrap() = Some(status);
    let shown = run(&path, &["enroll", "--pin"]);
    assert!(
        shown.code == Some(2) && shown.err.contains("no trust.toml and no policy.toml"),
        "{shown:?}"
    );
    *fake.proposal.lock().unwrap() = i::ProposalReply {
        trust: Some(proposed("/etc/narwarden/trust.toml", "cc", None)),
        policy: Some(proposed("/etc/narwarden/policy.toml", "dd", None)),
        mode: Some(i::Mode {
            kind: i::ModeKind::Observe,
            until: Some("2026-11-29T12:00:00.5Z".into()),
            reason: None,
            policy: Some(i::ModeKind::Observe),
        }),
    };
    // Nobody there to ask: what would be pinned is shown, and nothing is.
    let shown = run(&path, &["enroll", "--pin"]);
    assert!(shown.code == Some(2) && shown.err.contains("enroll --pin --yes"), "{shown:?}");
    for part in [&"cc".repeat(32), &"dd".repeat(32), "observe until 2026-11-29T12:00:00Z"] {
        assert!(shown.out.contains(part), "{part} is not in {shown:?}");
    }
    assert_eq!(fake.asked(), Vec::<String>::new());
    let shown = run(&path, &["enroll", "--pin", "--yes"]);
    assert!(shown.code == Some(0) && shown.out.contains("\npinned  "), "{shown:?}");
    assert_eq!(fake.asked(), [format!("pin {} {}", "cc".repeat(32), "dd".repeat(32))]);
    for wrong in [
        &["enroll", "--pin", "42"][..],
        &["enroll", "--pin", "--output", "/tmp"],
        &["enroll", "--yes"],
    ] {
        assert_eq!(run(&path, wrong).code, Some(2), "{wrong:?}");
    }
}

/// The command as somebody else: reading works, changing is refused with what to do.
#[test]
fn others_may_read_and_are_told_who_may_change() {
    if !is_root() {
        return;
    }
    let (directory, path, fake) = start();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("narwarden");
    let copied =
        Command::new("cp").arg(env!("CARGO_BIN_EXE_narwarden")).arg(&program).status().unwrap();
    assert!(copied.success());
    let changing = ["release", "drop", "observe", "accept", "--pin", "reload", "--verify-chain"];
    for arguments in EVERY {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        command.args(with_socket(arguments, &path)).stdin(Stdio::null());
        if command.output().is_err() {
            return eprintln!("SKIPPED: no setpriv(1)");
        }
        let run = finish(&mut command);
        harmless(&run);
        let refused = arguments.iter().any(|it| changing.contains(it));
        let pin = arguments.contains(&"--pin");
        // That something is pinned already is there to be read.
        let expected = if pin {
            1
        } else if refused {
            2
        } else {
            0
        };
        assert_eq!(run.code, Some(expected), "{arguments:?}: {run:?}");
        assert!(!refused || pin || run.err.contains("sudo"), "{arguments:?}: {run:?}");
    }
    assert_eq!(fake.asked(), Vec::<String>::new());
}
