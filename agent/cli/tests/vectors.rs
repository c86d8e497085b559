//! The verdict on each of the 125 paths of a store that Nix 2.8.0 made and that was then tampered with.
//!
//! `expected.tsv` beside the store was written without narwarden, by an independent implementation; what it
//! leaves open is pinned here with the reason. Only denials are compared, since what is noted about owners
//! depends on who unpacked the store.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the support")]

#[path = "../../../tests/vectors/fixture.rs"]
mod fixture;
mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;

use fixture::Fixture;
use serde_json::Value;
use support::{example, reasons, run, write};

/// Which reasons deny, and on which paths.
const DENIED: &[(&[&str], &[&str])] = &[
    (
        &["bad-signature"],
        &[
            "case-db-ref-added",
            "case-db-ref-removed",
            "case-db-selfref-removed",
            "case-disk-byte-changed-db-follows",
            "case-sig-bitflip",
            "case-sig-of-other-path",
            "case-wrongkey-samename",
        ],
    ),
    (
        &["content-address-mismatch"],
        &[
            "case-ca-content-forged",
            "case-ca-method-flat",
            "case-ca-ref-added",
            "case-ca-selfref-added",
            "case-db-ca-bogus",
            "case-db-ca-forged-with-content",
            "case-flat-ca-forged",
            "case-text-forged",
        ],
    ),
    (
        &["content-drift"],
        &[
            "case-disk-byte-changed",
            "case-disk-exec-bit-added",
            "case-disk-exec-bit-cleared",
            "case-disk-file-added",
            "case-disk-file-removed",
            "case-disk-root-is-symlink",
            "case-disk-symlink-retargeted",
            "case-disk-symlink-to-copy",
        ],
    ),
    (
        &["database-drift"],
        &["case-ca-narhash-only", "case-db-narhash-changed", "case-db-narsize-changed"],
    ),
    (&["malformed-claim", "unsigned"], &["case-ca-unknown-method"]),
    (&["missing-path"], &["case-db-path-renamed", "case-db-row-missing", "case-disk-missing"]),
    (&["unknown-key"], &["case-sig-wrong-name-right-key", "case-unknownkey"]),
    (
        &["unsigned"],
        &[
            "case-db-ultimate-forged",
            "case-sig-emptyname",
            "case-sig-nocolon",
            "case-sig-notb64",
            "case-sig-short",
            "case-sig-stripped",
            "case-unsigned",
        ],
    ),
    (&["unsupported-file"], &["case-disk-fifo-added"]),
    (&["weak-content-address"], &["case-flat-became-exec"]),
];

/// What `expected.tsv` leaves to the project: the reasons that deny and that are noted, and why so.
const CHOSEN: &[(&str, &[&str], &[&str], &str)] = &[
    (
        "add-fixed-flat-of-executable",
        &["weak-content-address"],
        &[],
        "Nix keeps the bit of a file that was executable; nothing tells it from one that somebody set",
    ),
    (
        "case-ca-cleared",
        &["unsigned"],
        &[],
        "a content address that nobody claims is not guessed: it would be a second way to read one row",
    ),
    (
        "case-db-narsize-null",
        &[],
        &["database-drift"],
        "an ancient Nix wrote no size; the measured one is what the signature covers",
    ),
    (
        "case-db-ref-row-dangling",
        &["missing-reference"],
        &[],
        "somebody wrote the Refs table, and what the row meant is not known",
    ),
    (
        "case-disk-hardlinked-outside",
        &[],
        &[],
        "`nix store optimise` makes links like it; who may write through one is metadata's business",
    ),
    ("case-sig-crlf", &["unsigned"], &[], "base64 has one spelling, and CR LF is not in it"),
    (
        "case-sig-noncanonical-b64",
        &["unsigned"],
        &[],
        "with two spellings of one signature, counting texts would count it twice",
    ),
];

struct Row {
    label: String,
    path: String,
    expected: String,
    basis: String,
    signers_of_three: usize,
}

fn rows(fixture: &Fixture) -> Vec<Row> {
    let rows: Vec<_> = fixture
        .rows::<10>("expected.tsv")
        .into_iter()
        .map(|[label, path, expected, basis, _, three, ..]| Row {
            label,
            path,
            expected,
            basis,
            signers_of_three: three.parse().unwrap(),
        })
        .collect();
    assert_eq!(rows.len(), 125);
    rows
}

/// A trust set of these keys, and a policy.
struct Rules<'a> {
    fixture: &'a Fixture,
    scratch: tempfile::TempDir,
    policy: PathBuf,
}

impl<'a> Rules<'a> {
    fn new(fixture: &'a Fixture, keys: &[&str], policy: Option<&str>) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let keys: String = keys
            .iter()
            .map(|name| format!("{name} = {{ public = \"{}\" }}\n", fixture.key(name)))
            .collect();
        write(scratch.path(), "trust.toml", &format!("[keys]\n{keys}"));
        let policy = match policy {
            Some(text) => write(scratch.path(), "policy.toml", text),
            None => example(scratch.path(), "nix-compatible"),
        };
        Self { fixture, scratch, policy }
    }

    /// Judges the path of a row; a report that contradicts its exit code or itself is none.
    fn judge(&self, row: &Row, options: &[&str]) -> Value {
        let mut arguments: Vec<PathBuf> = vec!["verify".into(), "--json".into(), "--root".into()];
        arguments.extend([self.fixture.root(), "--trust".into()]);
        arguments.extend([self.scratch.path().join("trust.toml"), "--policy".into()]);
        arguments.push(self.policy.clone());
        arguments.extend(options.iter().map(PathBuf::from));
        arguments.push(PathBuf::from(&row.path));
        let run = run(arguments);
        let report: Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{run:?}"));
        let admitted = reasons(&report, "deny").is_empty();
        assert_eq!(report["verdict"], if admitted { "admit" } else { "deny" }, "{report}");
        assert_eq!(run.code, Some(i32::from(!admitted)), "{report}");
        assert_eq!(report["subject"], row.path);
        report
    }
}

/// What denies the path, and what is noted where that is pinned too.
fn pinned(row: &Row) -> (Vec<&'static str>, Option<Vec<&'static str>>) {
    let denied = DENIED.iter().find(|(_, labels)| labels.contains(&row.label.as_str()));
    let chosen = CHOSEN.iter().find(|(label, ..)| *label == row.label);
    match (row.expected.as_str(), denied, chosen) {
        ("accept", None, None) => (Vec::new(), None),
        ("reject", Some((reasons, _)), None) => (reasons.to_vec(), None),
        ("policy", None, Some((_, denied, noted, _))) => (denied.to_vec(), Some(noted.to_vec())),
        (expected, ..) => panic!("{} is {expected}, and not pinned as that", row.label),
    }
}

#[test]
fn every_path_is_judged_as_expected() {
    let fixture = Fixture::unpack();
    let rules = Rules::new(&fixture, &["k1"], None);
    let mut wrong = Vec::new();
    for row in rows(&fixture) {
        let (denied, noted) = pinned(&row);
        let report = rules.judge(&row, &["--path-only"]);
        // Whoever unpacked the store owns it, which is noted or not by who that is.
        let notes = reasons(&report, "note");
        let notes: Vec<_> = notes.iter().filter(|note| *note != "metadata-drift").collect();
        if reasons(&report, "deny") != denied || noted.is_some_and(|noted| notes != noted) {
            wrong.push(format!("{}: {}", row.label, report["findings"]));
        }
        if denied.is_empty() {
            assert_eq!(report["limits"], serde_json::json!(["path-only"]));
            let by = |what: &str| report["vouched"][what] == 1;
            let [signed, addressed] = [by("signature"), by("content_address")];
            let by_signature = row.basis.starts_with("accept-sig") || row.expected == "policy";
            assert_eq!((signed, addressed), (by_signature, !by_signature), "{}", row.label);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_closure_is_as_good_as_its_worst_path() {
    let fixture = Fixture::unpack();
    let rules = Rules::new(&fixture, &["k1"], None);
    for row in rows(&fixture) {
        let (denied, _) = pinned(&row);
        let report = rules.judge(&row, &[]);
        assert_eq!(reasons(&report, "deny"), denied, "{}: {report}", row.label);
        assert_eq!(report["limits"], serde_json::json!([]));
    }
}

#[test]
fn thresholds_count_keys() {
    let fixture = Fixture::unpack();
    for threshold in 1..=3 {
        let policy = format!(
            "[require]\ndefault = {{ threshold = {threshold}, of = [\"k1\", \"k2\", \"k3\"] }}\n\
             content-addressed = \"signed\"\nmetadata = \"report\"\n"
        );
        let rules = Rules::new(&fixture, &["k1", "k2", "k3"], Some(&policy));
        let mut admitted = BTreeMap::new();
        for row in rows(&fixture).iter().filter(|row| row.expected == "accept") {
            let report = rules.judge(row, &["--path-only"]);
            let signers = row.signers_of_three;
            let denied: &[&str] = match signers {
                _ if signers >= threshold => &[],
                0 => &["unsigned"],
                _ => &["below-threshold"],
            };
            assert_eq!(reasons(&report, "deny"), denied, "{}, {threshold} of 3", row.label);
            assert_eq!(report["keys"].as_object().unwrap().len(), signers, "{}", row.label);
            if denied.is_empty() {
                admitted.insert(row.label.clone(), signers);
            }
        }
        match threshold {
            3 => assert_eq!(admitted, [("case-ok-sig3".into(), 3)].into()),
            2 => assert_eq!(
                admitted,
                [("case-ok-sig2".into(), 2), ("case-ok-sig3".into(), 3)].into()
            ),
            _ => assert!(admitted.len() > 40, "{admitted:?}"),
        }
    }
}

/// Nix takes the first key of a name and never tries the second.
#[test]
fn two_keys_of_one_name_are_two_keys() {
    let fixture = Fixture::unpack();
    let policy = "[require]\ndefault = { all = [\"k1\", \"kwrong\"] }\nmetadata = \"report\"\n";
    let (both, any) = (Some(policy), None);
    for (keys, policy, label, denied) in [
        (["k1", "kwrong"], any, "case-wrongkey-samename", None),
        (["kwrong", "k1"], any, "case-ok-sig1", None),
        (["k1", "kwrong"], both, "case-wrong-then-right-same-name", None),
        (["kwrong", "k1"], both, "case-wrong-then-right-same-name", None),
        (["k1", "kwrong"], both, "case-ok-sig1", Some("below-threshold")),
        (["k1", "kwrong"], both, "case-sig-dup-good", Some("below-threshold")),
    ] {
        let rules = Rules::new(&fixture, &keys, policy);
        let row = rows(&fixture).into_iter().find(|row| row.label == label).unwrap();
        let report = rules.judge(&row, &["--path-only"]);
        assert_eq!(reasons(&report, "deny"), Vec::from_iter(denied), "{keys:?} {label}");
    }
}
