//! `narwarden log --verify-chain` without the warden: the files that the real one wrote, as they are and as somebody
//! left them.
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

mod support;

use narwarden_core::receipt::{CURRENT, HEAD, Head, OLDER};
use narwardend::places::Places;
use narwardend::state::receipts::Receipts;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Command;
use support::{Run, finish, narwarden};

const NOW: jiff::Timestamp = jiff::Timestamp::constant(1_790_856_000, 0);

struct State {
    _root: tempfile::TempDir,
    directory: PathBuf,
    head: Head,
}

impl State {
    /// What the warden leaves behind after this many verdicts.
    fn with(count: u32) -> Self {
        let root = tempfile::tempdir().unwrap();
        let places = Places::below(root.path());
        narwardend::state::prepare(&places).unwrap();
        let (mut receipts, _) = Receipts::open(&places).unwrap();
        for number in 1..=count {
            let next = receipts.next(NOW, &format!("receipt {number}")).unwrap();
            receipts.append(next).unwrap();
        }
        let head = receipts.head().clone();
        Self { _root: root, directory: places.state, head }
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.directory.join(CURRENT)).unwrap();
        text.split_inclusive('\n').map(str::to_owned).collect()
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.directory.join(file), text).unwrap();
    }

    fn verify(&self, more: &[&str]) -> Run {
        let mut command = narwarden();
        command.args(["log", "--verify-chain", "--state"]).arg(&self.directory).args(more);
        finish(&mut command)
    }

    /// Every version must be found broken, in this file and line.
    fn broken(&self, file: &str, line: u64) {
        let run = self.verify(&[]);
        assert_eq!(run.code, Some(1), "{run:?}");
        let place = format!("BROKEN  {}:{line}: ", self.directory.join(file).display());
        assert!(run.out.starts_with(&place), "{place} is not where {run:?} begins");
        assert!(run.out.contains("read from the files in"), "{run:?}");
    }
}

#[test]
fn a_whole_chain_is_whole_and_it_is_said_who_looked() {
    let state = State::with(5);
    let run = state.verify(&[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.out.starts_with("whole  5 receipts, each bound to the one before\n"), "{run:?}");
    assert!(run.out.contains(&format!("NARWARDEN_RECEIPT={}", state.head.digest)), "{run:?}");
    let said = format!("read from the files in {} (as asked", state.directory.display());
    assert!(run.out.contains(&said), "{run:?}");
    let run = state.verify(&["--json"]);
    let reply: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&reply["receipts"], &reply["head"]), (&5.into(), &state.head.digest.into()));
    assert!(run.code == Some(0) && run.err.contains(&said), "{run:?}");
    let run = State::with(0).verify(&[]);
    assert!(run.code == Some(0) && run.out.starts_with("no receipts yet\n"), "{run:?}");
}

#[test]
fn altered_removed_reordered_and_missing_lines_are_found() {
    let state = State::with(5);
    let lines = state.lines();
    let mut altered = lines.clone();
    altered[1] = altered[1].replace("receipt 2", "receipt 9");
    state.write(CURRENT, &altered.concat());
    state.broken(CURRENT, 3);
    let mut altered = lines.clone();
    altered[4] = altered[4].replace("receipt 5", "receipt 9");
    state.write(CURRENT, &altered.concat());
    state.broken(HEAD, 5);
    state.write(CURRENT, &[&lines[..2], &lines[3..]].concat().concat());
    state.broken(CURRENT, 3);
    let mut moved = lines.clone();
    moved.swap(2, 3);
    state.write(CURRENT, &moved.concat());
    state.broken(CURRENT, 3);
    // The end is missing: whole lines, half a line, all of it.
    state.write(CURRENT, &lines[..3].concat());
    state.broken(HEAD, 3);
    assert!(state.verify(&[]).out.contains("\n  3 receipts before it hold together\n"));
    let whole = lines.concat();
    state.write(CURRENT, &whole[..whole.len() - 7]);
    state.broken(CURRENT, 5);
    assert!(state.verify(&[]).out.contains("it has no end"));
    fs::remove_file(state.directory.join(CURRENT)).unwrap();
    state.broken(HEAD, 0);
    state.write(CURRENT, "\u{1b}[2J\u{1b}]0;owned\u{7}\n");
    state.broken(CURRENT, 1);
    assert!(!state.verify(&[]).out.contains('\u{1b}'));
    // The control.
    state.write(CURRENT, &whole);
    assert_eq!(state.verify(&[]).code, Some(0));
    state.write(HEAD, "checksum\nnonsense");
    state.broken(HEAD, 5);
}

#[test]
fn a_rotated_pair_is_one_chain() {
    let state = State::with(6);
    let lines = state.lines();
    for cut in 0..=6 {
        state.write(OLDER, &lines[..cut].concat());
        state.write(CURRENT, &lines[cut..].concat());
        let run = state.verify(&[]);
        assert!(run.code == Some(0) && run.out.contains("6 receipts"), "{cut}: {run:?}");
    }
    state.write(OLDER, &lines[..2].concat());
    state.write(CURRENT, &lines[3..].concat());
    state.broken(CURRENT, 1);
    let altered = lines[..3].concat().replace("receipt 1", "receipt 7");
    state.write(OLDER, &altered);
    state.broken(OLDER, 2);
}

#[test]
fn what_cannot_be_read_is_not_whole() {
    let state = State::with(2);
    let missing = state.directory.join("missing");
    let run = finish(narwarden().args(["log", "--verify-chain", "--state"]).arg(&missing));
    assert!(run.code == Some(3) && run.err.contains("there is no"), "{run:?}");
    let file = state.directory.join(CURRENT);
    let run = finish(narwarden().args(["log", "--verify-chain", "--state"]).arg(&file));
    assert!(matches!(run.code, Some(2 | 3)), "{run:?}");
    // Neither a link, nor a directory, nor what nobody ever writes to.
    let good = state.directory.join("good");
    fs::rename(&file, &good).unwrap();
    std::os::unix::fs::symlink(&good, &file).unwrap();
    assert_eq!(state.verify(&[]).code, Some(3));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(state.verify(&[]).code, Some(3));
    fs::remove_dir(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    assert_eq!(state.verify(&[]).code, Some(3));
    fs::remove_file(&file).unwrap();
    fs::rename(&good, &file).unwrap();
    assert_eq!(state.verify(&[]).code, Some(0));
    for wrong in [
        &["log", "--state", "/x"][..],
        &["log", "--verify-chain", "--state", "/x", "--socket", "/y"],
        &["log", "--verify-chain", "-n", "3"],
    ] {
        assert_eq!(finish(narwarden().args(wrong)).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn others_are_told_who_may_look() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return eprintln!("SKIPPED: only uid 0 can become somebody else");
    }
    let state = State::with(2);
    let open = tempfile::tempdir().unwrap();
    fs::set_permissions(open.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = open.path().join("narwarden");
    assert!(
        Command::new("cp")
            .arg(env!("CARGO_BIN_EXE_narwarden"))
            .arg(&program)
            .status()
            .unwrap()
            .success()
    );
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    command.args(["log", "--verify-chain", "--state"]).arg(&state.directory);
    let run = finish(&mut command);
    assert!(run.code == Some(2) && run.err.contains("run it again with sudo"), "{run:?}");
}
