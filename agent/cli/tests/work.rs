//! What measuring asks of the kernel, call by call: no more than is in the table, and every byte read once.
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

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use narwarden_core::store_path::StorePath;
use narwarden_forge::{Addressing, Forge, Rules, Tree, Workshop};
use support::write;

/// Calls by name, with the sum of what they gave back.
type Calls = BTreeMap<String, (i64, i64)>;

/// The system calls of the threads that measure.
fn calls(root: &Path, toplevel: &StorePath, rules: &[std::path::PathBuf; 2]) -> Calls {
    let logs = tempfile::tempdir().unwrap();
    let status = Command::new("strace")
        .args(["-f", "-ff", "-qq", "-s", "16", "-o"])
        .arg(logs.path().join("thread"))
        .args([env!("CARGO_BIN_EXE_narwarden"), "verify", "--quiet", "--jobs", "1"])
        .arg("--root")
        .arg(root)
        .arg("--trust")
        .arg(&rules[0])
        .arg("--policy")
        .arg(&rules[1])
        // A new shelf each time: what has a seal is not read.
        .arg("--seals")
        .arg(logs.path().join("seals"))
        .arg(toplevel.to_string())
        .output()
        .unwrap();
    assert!(status.status.code().is_some_and(|code| code < 2), "{status:?}");
    let mut calls = Calls::new();
    let mut threads = 0;
    for log in fs::read_dir(logs.path()).unwrap() {
        let log = log.unwrap().path();
        if log.is_dir() {
            continue;
        }
        let text = fs::read_to_string(log).unwrap();
        let Some(begin) = text.find("prctl(PR_SET_NAME, \"measure\"") else { continue };
        threads += 1;
        for line in text[begin..].lines().skip(1) {
            let Some((name, rest)) = line.split_once('(') else { continue };
            let given = rest.rsplit_once(" = ").map_or("", |(_, given)| given);
            let given = given.split_whitespace().next().unwrap_or("").parse().unwrap_or(0);
            if name == "read" {
                assert_ne!(given, 0, "a read for nothing: {line}");
            }
            let (count, sum) = calls.entry(name.to_owned()).or_default();
            *count += 1;
            *sum += given;
        }
    }
    assert_eq!(threads, 1);
    calls
}

#[test]
fn each_file_and_directory_costs_what_the_table_says() {
    if Command::new("strace").arg("--version").output().is_err() {
        eprintln!("SKIPPED, needs strace: the system calls of measuring");
        return;
    }
    const SMALL: i64 = 30;
    const LARGE: i64 = 1 << 20;
    const DIRECTORIES: i64 = 3;
    const LINKS: i64 = 5;
    let workshop = Workshop::new().unwrap();
    let mut forge = Forge::new(workshop.root()).unwrap();
    let generation = forge.good_generation().unwrap();
    let small = (0..SMALL).map(|number| (format!("{number:02}"), Tree::file(vec![1; 1000])));
    let links = (0..LINKS).map(|number| (format!("{number}"), Tree::symlink("target")));
    let tree = Tree::directory([
        ("a", Tree::directory(small)),
        ("b", Tree::directory(links)),
        ("c", Tree::file(vec![2; usize::try_from(LARGE).unwrap()])),
    ]);
    let path = forge.add("work", &tree, Addressing::Input, &[]).unwrap();
    let without = generation.toplevel.clone();
    let with = forge.toplevel_with(&generation, &[&path]).unwrap();
    let Rules { trust, policy, .. } = Rules::good();
    let files = tempfile::tempdir().unwrap();
    let rules =
        [write(files.path(), "trust.toml", &trust), write(files.path(), "policy.toml", &policy)];

    let (before, after) =
        (calls(forge.root(), &without, &rules), calls(forge.root(), &with, &rules));
    let of = |calls: &Calls, name: &str| calls.get(name).copied().unwrap_or_default();
    let count = |name: &str| of(&after, name).0 - of(&before, name).0;

    let files = SMALL + 1;
    // The root is also held before the first of its events and after the last.
    let held = 2 + LINKS;
    let opened = files + DIRECTORIES + held;
    for (name, expected) in [
        ("openat2", opened),
        // After it is opened, and what may change meanwhile again at its end.
        ("statx", opened + files + DIRECTORIES),
        ("flistxattr", files + DIRECTORIES),
        // The second says that there is no more.
        ("getdents64", 2 * DIRECTORIES),
        ("readlinkat", LINKS),
        ("newfstatat", 0),
        ("lseek", 0),
    ] {
        assert_eq!(count(name), expected, "{name}: {before:?}, {after:?}");
    }
    // The allocator reads a setting of the system now and then.
    assert!((0..=1).contains(&count("openat")), "{after:?}");
    assert_eq!(count("close"), opened + count("openat"), "{after:?}");
    // One for each small file, and for a large one as many as there are buffers.
    let buffers = LARGE / (64 << 10);
    assert!((SMALL + buffers - 2..=SMALL + buffers + 1).contains(&count("read")), "{after:?}");
    let bytes = of(&after, "read").1 - of(&before, "read").1;
    // Each toplevel holds the names of what it refers to.
    let toplevels = SMALL * 1000 + LARGE;
    assert!((toplevels..toplevels + 200).contains(&bytes), "{bytes} instead of {toplevels}");
}
