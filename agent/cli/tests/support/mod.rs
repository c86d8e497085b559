//! What the tests of the command share: how to run it, and files that it trusts.

pub(crate) mod schema;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What came of one run.
#[derive(Debug)]
pub(crate) struct Run {
    /// `None` where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// What says something about colour; in CI, colour is shown where it would not be elsewhere.
pub(crate) const ABOUT_COLOUR: [&str; 4] = ["CI", "CLICOLOR", "CLICOLOR_FORCE", "NO_COLOR"];

/// The command, in an environment that says nothing about colour.
pub(crate) fn narwarden() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_narwarden"));
    for name in ABOUT_COLOUR.into_iter().chain(["COLUMNS", "RUST_BACKTRACE"]) {
        command.env_remove(name);
    }
    command.env("TERM", "xterm-256color").stdin(Stdio::null());
    command
}

/// Runs it. Nothing it does may panic, so that is looked for every time.
pub(crate) fn run(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
    finish(narwarden().args(arguments))
}

pub(crate) fn finish(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let run = Run { code: status.code(), out: text(stdout), err: text(stderr) };
    assert!(run.code.is_some_and(|code| code < 4), "{status}: {run:?}");
    assert!(!run.err.contains("panicked"), "{run:?}");
    run
}

/// Writes a file that belongs to whoever runs this, whatever their umask.
pub(crate) fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Where the policies are that the documentation starts from.
pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policy-examples")
}

/// A policy of `policy-examples`, copied, since a checkout may be writable by a group.
pub(crate) fn example(directory: &Path, name: &str) -> PathBuf {
    let policy = fs::read_to_string(examples().join(name).join("policy.toml")).unwrap();
    write(directory, &format!("{name}.toml"), &policy)
}

/// The reasons of a JSON report that have this severity, each once, sorted.
pub(crate) fn reasons(report: &serde_json::Value, severity: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let mut reasons: Vec<_> = findings
        .filter(|finding| finding["severity"] == severity)
        .map(|finding| finding["reason"].as_str().unwrap().to_owned())
        .collect();
    reasons.sort();
    reasons.dedup();
    reasons
}
