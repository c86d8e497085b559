//! systemd's own `varlinkctl`, as an independent client: it reads the interface, and calls it.
//!
//! Needs a `varlinkctl` of systemd 257 or later in `$PATH`; where there is none, that is said.
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

#[path = "support/fake.rs"]
mod fake;

use fake::Fake;
use narwarden_core::interface::{DESCRIPTION, INTERFACE};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

/// The command, if there is one.
fn varlinkctl() -> Option<Command> {
    let version = Command::new("varlinkctl").arg("--version").output();
    let text = version.ok().filter(|it| it.status.success()).map(|it| it.stdout)?;
    let text = String::from_utf8(text).unwrap();
    let version: u32 = text.split_whitespace().nth(1)?.parse().ok()?;
    (version >= 257).then(|| Command::new("varlinkctl"))
}

struct Host {
    _directory: tempfile::TempDir,
    socket: PathBuf,
}

impl Host {
    fn start() -> Option<Self> {
        if varlinkctl().is_none() {
            eprintln!("SKIPPED: no varlinkctl of systemd 257 or later in $PATH");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let socket = Arc::new(Fake::default()).serve(&directory.path().join("io.narwarden"));
        Some(Self { _directory: directory, socket })
    }

    fn run(&self, before: &[&str], after: &[&str]) -> Output {
        let mut command = varlinkctl().unwrap();
        command.args(before).arg(&self.socket).args(after).output().unwrap()
    }

    fn says(&self, before: &[&str], after: &[&str]) -> String {
        let output = self.run(before, after);
        assert!(output.status.success(), "{before:?} {after:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The names that stand after this word, one a line.
fn named(text: &str, word: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    let name =
        |line: &str| line.split(|c: char| !c.is_ascii_alphanumeric()).next().map(str::to_owned);
    let mut names: Vec<_> = lines.filter_map(name).collect();
    names.sort();
    names
}

#[test]
fn it_reads_the_whole_interface() {
    let Some(host) = Host::start() else { return };
    let info = host.says(&["info"], &[]);
    assert!(info.contains("narwardend") && info.contains(INTERFACE), "{info}");
    assert!(host.says(&["list-interfaces"], &[]).lines().any(|line| line == INTERFACE));
    let shown = host.says(&["introspect"], &[INTERFACE]);
    for word in ["type", "method", "error"] {
        let expected = named(DESCRIPTION, word);
        assert!(!expected.is_empty());
        assert_eq!(named(&shown, word), expected, "{shown}");
    }
    host.says(&["introspect"], &["org.varlink.service"]);
    // The control: what is no definition, it refuses.
    let file = host.socket.with_file_name("broken.varlink");
    let check = |text: &str, file: &Path| {
        std::fs::write(file, text).unwrap();
        varlinkctl().unwrap().arg("validate-idl").arg(file).output().unwrap().status.success()
    };
    assert!(check(DESCRIPTION, &file));
    assert!(!check(&DESCRIPTION.replacen("type Mode (", "type Mode ((", 1), &file));
}

#[test]
fn it_calls_methods_and_understands_errors() {
    let Some(host) = Host::start() else { return };
    // `--more` and `--collect` are for methods of many replies; of these, one reply is the last.
    for option in [&["call"][..], &["call", "--more"], &["call", "--collect"]] {
        let said = host.says(&[option, &["--json=short"]].concat(), &["io.narwarden.Status", "{}"]);
        let reply: Value = serde_json::from_str(said.trim_start_matches('\u{1e}')).unwrap();
        let reply = reply.get(0).unwrap_or(&reply);
        assert_eq!(reply["state"], "ready", "{option:?}: {said}");
    }
    let verdicts =
        host.says(&["call", "--json=short"], &["io.narwarden.Verdicts", "{\"limit\":1}"]);
    let verdicts: Value = serde_json::from_str(&verdicts).unwrap();
    assert_eq!(verdicts["verdicts"].as_array().unwrap().len(), 1);
    for (method, parameters, error) in [
        ("io.narwarden.QuarantineShow", "{\"name\":\"x\"}", "io.narwarden.NotFound"),
        ("io.narwarden.Nothing", "{}", "org.varlink.service.MethodNotFound"),
        ("io.narwarden.Status", "{\"x\":1}", "org.varlink.service.InvalidParameter"),
        ("io.elsewhere.Status", "{}", "org.varlink.service.InterfaceNotFound"),
    ] {
        let output = host.run(&["call"], &[method, parameters]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(error), "{method}: {output:?}");
    }
    assert_eq!(host.says(&["call", "--oneway"], &["io.narwarden.Status", "{}"]), "");
}
