//! `docs/reasons.md` is the table of [`Reason`]: this test compares the two, and writes the file anew when
//! `NARWARDEN_BLESS=1` is set.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use narwarden_core::reason::Reason;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const INTRODUCTION: &str = "\
# Reason codes

<!-- Generated from agent/core/src/reason.rs: NARWARDEN_BLESS=1 cargo test -p narwarden-core --test reasons -->

A finding names its reason by one of these codes. They are stable: scripts and alerts may match on them. A
code is never given another meaning; new ones may be added.

A finding *denies* or is a *note*. `metadata-drift` is a note where the policy says `metadata = \"report\"`,
and `database-drift` is one where the database does not know a size; everything else denies.

In the last column `{path}` stands for the store path and `{top}` for the toplevel; `narwarden verify` fills
them in.

| code | meaning | next step |
|---|---|---|
";

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for reason in Reason::ALL {
        let (meaning, next) = (cell(reason.meaning()), cell(reason.next_step()));
        writeln!(page, "| `{}` | {meaning} | {next} |", reason.code()).unwrap();
    }
    page
}

#[test]
fn the_page_of_reasons_is_the_table_in_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reasons.md");
    let expected = page();
    if std::env::var_os("NARWARDEN_BLESS").is_some_and(|value| value == "1") {
        fs::write(&path, &expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    if let Some((line, (found, expected))) = found
        .lines()
        .chain([""])
        .zip(expected.lines().chain([""]))
        .enumerate()
        .find(|(_, (a, b))| a != b)
    {
        panic!(
            "docs/reasons.md, line {}:\n  found    {found}\n  expected {expected}\n\
             write it anew: NARWARDEN_BLESS=1 cargo test -p narwarden-core --test reasons",
            line + 1
        );
    }
    assert_eq!(found, expected, "docs/reasons.md ends otherwise");
}

#[test]
fn every_reason_is_in_the_page_once() {
    let page = page();
    for reason in Reason::ALL {
        let row = format!("\n| `{}` | ", reason.code());
        assert_eq!(page.matches(&row).count(), 1, "{}", reason.code());
        assert!(!reason.meaning().is_empty() && !reason.next_step().is_empty());
    }
}
