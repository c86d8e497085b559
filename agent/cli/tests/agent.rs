//! A system that would take the daemon away, as scripts and people are told of it.
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

use narwarden_core::agent::UNIT;
use narwarden_forge::{Addressing, Forge, Rules, Tree, Workshop, ci, release};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use support::{finish, narwarden, write};

#[test]
fn verify_says_what_was_expected_what_was_found_and_what_to_do() {
    let workshop = Workshop::new().unwrap();
    let mut forge = Forge::new(workshop.root()).unwrap();
    let version = |word: &str| ("nixos-version", Tree::file(word));
    let unit = |tree| (UNIT, tree);
    let [running, masked] = [
        [version("running"), unit(Tree::file("[Service]\n"))],
        [version("masked"), unit(Tree::symlink("/dev/null"))],
    ]
    .map(|entries| {
        let tree = Tree::directory(entries);
        let path = forge.add("nixos-system-demo", &tree, Addressing::Input, &[]).unwrap();
        forge.sign(&path, &[&ci(), &release()]).unwrap();
        path
    });
    fs::create_dir(workshop.root().join("run")).unwrap();
    symlink(running.to_string(), workshop.root().join("run/current-system")).unwrap();

    let scratch = tempfile::tempdir().unwrap();
    let Rules { trust, policy } = Rules::good();
    let trust = write(scratch.path(), "trust.toml", &trust);
    // A forged store belongs to whoever forged it.
    let policy = format!("{policy}metadata = \"ignore\"\n");
    let keep = write(scratch.path(), "keep.toml", &policy);
    let may_leave = format!("{policy}agent = \"may-leave\"\n");
    let may_leave = write(scratch.path(), "may-leave.toml", &may_leave);
    for (target, policy, code) in
        [(&running, &keep, 0), (&masked, &keep, 1), (&masked, &may_leave, 0)]
    {
        let verify = |more: &[&str]| {
            let mut command = narwarden();
            command.args(["verify", &target.to_string(), "--root"]).arg(workshop.root());
            command.arg("--trust").arg(&trust).arg("--policy").arg(policy).args(more);
            let run = finish(&mut command);
            assert_eq!(run.code, Some(code), "{run:?}");
            run.out
        };
        let report: Value = serde_json::from_str(&verify(&["--json"])).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let text = verify(&[]);
        let [finding] = &findings[..] else {
            assert_eq!((code, findings.len()), (0, 0), "{report:#}");
            continue;
        };
        assert_eq!(finding["reason"], "agent-removed");
        assert_eq!(finding["severity"], "deny");
        assert_eq!(finding["store_path"], target.to_string());
        for (field, words) in [
            ("detail", &[UNIT, "\"/dev/null\", which masks it"][..]),
            ("next", &["services.narwarden.enable", "may-leave", "policy accept", "observe"]),
        ] {
            let said = finding[field].as_str().unwrap();
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
            assert!(text.contains(said), "{text}");
        }
    }

    for (policy, says) in [(&keep, false), (&may_leave, true)] {
        let run = finish(narwarden().args(["policy", "check"]).arg(policy));
        assert_eq!(run.out.contains("may take narwardend away"), says, "{run:?}");
    }
}
