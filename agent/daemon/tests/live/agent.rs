//! G08: what takes the daemon's own unit away.

use crate::host::{Host, live, wait_for};
use narwarden_core::agent::UNIT;
use narwarden_core::store_path::StorePath;
use narwarden_forge::{Addressing, Tree, ci};
use std::fs;
use std::os::unix::fs::symlink;

const SWITCH: &str = "$T/bin/switch-to-configuration switch";

fn unit() -> (&'static str, Tree) {
    (UNIT, Tree::file("[Service]\nExecStart=/bin/narwardend\n"))
}

/// A signed system.
fn system(
    host: &mut Host,
    word: &str,
    child: Option<&StorePath>,
    more: &[(&str, Tree)],
) -> StorePath {
    let path = host.system.toplevel_with(word, child, more, &[]);
    host.system.sign(&path);
    path
}

/// Makes it what runs.
fn run(host: &Host, system: &StorePath) {
    let at = host.root().join("run");
    fs::create_dir_all(&at).unwrap();
    symlink(system.to_string(), at.join("next")).unwrap();
    fs::rename(at.join("next"), at.join("current-system")).unwrap();
}

/// What runs brings the unit, and so does what the profile leads to.
fn brings_the_unit(host: &mut Host) {
    let running = system(host, "running", None, &[unit()]);
    run(host, &running);
    host.system.generation(2, &running.to_string());
    host.system.set_current(2);
    fs::remove_file(host.root().join("nix/var/nix/profiles/system-1-link")).unwrap();
    host.system.good = running;
}

fn assert_runs(host: &Host, script: &str, system: &StorePath, word: &str) {
    let done = host.run(script, system);
    assert!(done.trace.contains(&format!("{word} wrapper")), "{word}: {done:#?}");
}

fn assert_removed(host: &Host, system: &StorePath, scripts: &[&str]) {
    for script in scripts {
        let done = host.run(script, system);
        assert!(done.was_refused(), "{script}: {done:#?}");
    }
    let toplevel = format!("NARWARDEN_TOPLEVEL={system}\n");
    let denied = ["NARWARDEN_EVENT=denied", "NARWARDEN_REASON=agent-removed", &toplevel];
    let journal = host.journal.as_ref().unwrap();
    wait_for("the reason", || journal.has(&denied));
}

#[test]
fn a_generation_that_takes_the_unit_away_is_refused() {
    live("agent::a_generation_that_takes_the_unit_away_is_refused", |host| {
        brings_the_unit(host);
        let foreign = Tree::directory([unit()]);
        let foreign = host.system.forge.add("foreign", &foreign, Addressing::Input, &[]).unwrap();
        host.system.forge.sign(&foreign, &[&ci()]).unwrap();
        let null = Tree::symlink("/dev/null");
        let outside = Tree::symlink(format!("{foreign}/{UNIT}"));
        let without = system(host, "without", None, &[]);
        let with = system(host, "with", None, &[unit()]);
        let removed = [
            system(host, "masked", None, &[(UNIT, null)]),
            system(host, "empty", None, &[(UNIT, Tree::file(""))]),
            system(host, "foreign", None, &[(UNIT, outside)]),
            system(host, "special", Some(&without), &[unit()]),
            without.clone(),
        ];
        let special = system(host, "loud", Some(&with), &[unit()]);
        host.guard();
        for system in &removed {
            assert_removed(host, system, &[SWITCH, "$T/activate", "sh $T/activate"]);
        }
        assert_runs(host, SWITCH, &with, "with");
        assert_runs(host, SWITCH, &special, "loud");
        // As the link of a generation, it goes where the others go that are refused.
        host.system.generation(3, &without.to_string());
        let link = host.root().join("nix/var/nix/profiles/system-3-link");
        wait_for("quarantine", || link.symlink_metadata().is_err());
        assert_runs(host, SWITCH, &with, "with");
        assert!(host.daemon.as_mut().unwrap().try_wait().unwrap().is_none(), "it ended");
    });
}

#[test]
fn where_the_policy_lets_it_go_it_may_be_taken_away() {
    live("agent::where_the_policy_lets_it_go_it_may_be_taken_away", |host| {
        brings_the_unit(host);
        host.rules("agent = \"may-leave\"");
        let without = system(host, "without", None, &[]);
        let masked = system(host, "masked", None, &[(UNIT, Tree::symlink("/dev/null"))]);
        host.guard();
        assert_runs(host, SWITCH, &without, "without");
        assert_runs(host, SWITCH, &masked, "masked");
        let evil = host.system.evil.clone();
        assert!(host.run(SWITCH, &evil).was_refused(), "control");
    });
}

#[test]
fn what_runs_says_whether_it_is_asked_for() {
    live("agent::what_runs_says_whether_it_is_asked_for", |host| {
        let (without, with) =
            (system(host, "without", None, &[]), system(host, "with", None, &[unit()]));
        let good = host.system.good.clone();
        run(host, &good);
        host.guard_and_settle();
        host.system.generation(2, &without.to_string());
        wait_for("its admission", || host.standing(&without).as_deref() == Some("admitted"));
        assert_runs(host, SWITCH, &without, "without");
        assert_runs(host, SWITCH, &with, "with");
        // What was admitted before is not, now that something would be lost by it.
        run(host, &with);
        assert_removed(host, &without, &[SWITCH]);
        assert_removed(host, &good, &[SWITCH]);
        assert_runs(host, SWITCH, &with, "with");
        let link = host.root().join("nix/var/nix/profiles/system-2-link");
        assert!(link.symlink_metadata().is_ok(), "what was admitted once stays where it is");
        // And back, once the refusal is forgotten.
        run(host, &good);
        wait_for("another verdict", || host.run(SWITCH, &without).trace.contains("without"));
    });
}
