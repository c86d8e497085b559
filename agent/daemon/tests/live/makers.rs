//! What whoever makes a generation, or adds a store path, can have lead where: nothing of it runs, and nobody else waits
//! for long.

use crate::host::{Host, live, wait_for};
use narwarden_core::store_path::StorePath;
use narwarden_forge::{Addressing, Tree};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

const SWITCH: &str = "$T/bin/switch-to-configuration switch";
const EVIL: &str = "#!/bin/sh\necho \"evil $0 $*\" >> \"$TRACE\"\n";

fn executable(at: &Path, text: &str) {
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    fs::write(at, text).unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(0o555)).unwrap();
}

/// The path of this name, which is not there yet, and where it is to lie.
fn named(host: &Host, name: &str) -> (StorePath, PathBuf) {
    let path = StorePath::from_base_name(name).unwrap();
    (path, host.root().join("nix/store").join(name))
}

/// A generation whose entry point leads to this.
fn leading_to(host: &mut Host, target: String) -> StorePath {
    let tree = Tree::directory([
        ("nixos-version", Tree::file("26.05")),
        ("bin/switch-to-configuration", Tree::symlink(target)),
    ]);
    host.system.forge.add("nixos-system-evil", &tree, Addressing::Input, &[]).unwrap()
}

#[test]
fn a_path_with_the_hash_part_of_a_proven_one_proves_nothing() {
    live("makers::a_path_with_the_hash_part_of_a_proven_one_proves_nothing", |host| {
        let hash_part = host.system.switch.hash_part().to_string();
        let evil = [hash_part, "0".repeat(32)].map(|hash_part| {
            let (_, twin) = named(host, &format!("{hash_part}-evil"));
            executable(&twin.join("x"), EVIL);
            leading_to(host, format!("../../{hash_part}-evil/x"))
        });
        // What is there at the start is known before anything was proven, and looked at again when it was.
        host.guard_and_settle();
        for (number, evil) in (7..).zip(&evil) {
            host.system.generation(number, &evil.to_string());
            wait_for("its verdict", || host.verdicts("denied", evil) > 0);
            let done = host.run(SWITCH, evil);
            assert!(done.was_refused() && done.trace.is_empty(), "{number}: {done:#?}");
        }
    });
}

#[test]
fn a_refused_generation_does_not_stay_by_what_it_calls_its_specialisation() {
    const NAME: &str =
        "makers::a_refused_generation_does_not_stay_by_what_it_calls_its_specialisation";
    live(NAME, |host| {
        let good = host.system.good.clone();
        let current = host.root().join("run/current-system");
        fs::create_dir_all(current.parent().unwrap()).unwrap();
        symlink(good.to_string(), current).unwrap();
        let evil = host.system.toplevel("evil", Some(&good));
        host.guard_and_settle();
        host.system.generation(8, &evil.to_string());
        let link = host.root().join("nix/var/nix/profiles/system-8-link");
        wait_for("its quarantine", || link.symlink_metadata().is_err());
        wait_for("the good one", || host.run(SWITCH, &good).trace.contains("good wrapper"));
    });
}

/// As a builder does, who is nobody: the file has another name when it is run, and belongs to root afterwards.
#[test]
fn what_was_run_before_it_had_its_name_is_asked_about() {
    live("makers::what_was_run_before_it_had_its_name_is_asked_about", |host| {
        host.guard_and_settle();
        let good = host.system.good.clone();
        let build = host.directory.join("build");
        executable(&build.join("bin/tmp"), EVIL);
        chown(build.join("bin/tmp"), Some(65_534), Some(65_534)).unwrap();
        fs::write(build.join("nixos-version"), "made").unwrap();
        let run = "chmod -R a+rX $DIR; TRACE=/dev/null exec setpriv --reuid 65534 --clear-groups";
        let done = host.run(&format!("{run} {}/bin/tmp", build.display()), &good);
        assert!(done.status.success(), "{done:#?}");
        // So many that the first look takes a while.
        many(&build, 500, "../x");
        executable(&build.join("x/activate"), EVIL);
        fs::rename(build.join("bin/tmp"), build.join("bin/switch-to-configuration")).unwrap();
        chown(build.join("bin/switch-to-configuration"), Some(0), Some(0)).unwrap();
        let (evil, at) = named(host, &format!("{}-nixos-system-made", "2".repeat(32)));
        fs::rename(&build, at).unwrap();
        let done = host.run(SWITCH, &evil);
        assert!(done.was_refused() && done.trace.is_empty(), "{done:#?}");
    });
}

fn many(at: &Path, count: usize, target: &str) {
    fs::create_dir_all(at.join("specialisation")).unwrap();
    for number in 0..count {
        symlink(target, at.join(format!("specialisation/s{number:05}"))).unwrap();
    }
}

#[test]
fn a_path_that_leads_through_many_links_keeps_nobody_waiting() {
    live("makers::a_path_that_leads_through_many_links_keeps_nobody_waiting", |host| {
        host.rules("[gate]\ndeadline = \"20s\"");
        host.guard_and_settle();
        let build = host.directory.join("build");
        fs::create_dir_all(build.join("d")).unwrap();
        fs::write(build.join("nixos-version"), "slow").unwrap();
        executable(&build.join("activate"), EVIL);
        // Each name takes thousands of steps.
        let steps = "d/../".repeat(700);
        symlink(format!("{steps}d"), build.join("l0")).unwrap();
        symlink(format!("{steps}l0"), build.join("l1")).unwrap();
        many(&build, 16_000, "../l1");
        let (slow, at) = named(host, &format!("{}-nixos-system-slow", "3".repeat(32)));
        fs::rename(&build, at).unwrap();
        wait_for("the look at it", || host.run("sh $T/activate", &slow).was_refused());
        let good = host.system.good.clone();
        let done = host.run(SWITCH, &good);
        assert!(done.trace.contains("good wrapper"), "{done:#?}");
        let later = host.system.toplevel("later", None);
        wait_for("the look", || host.run("sh $T/activate", &later).was_refused());
    });
}

#[test]
fn whoever_has_capabilities_in_a_namespace_has_nothing_verified() {
    live("makers::whoever_has_capabilities_in_a_namespace_has_nothing_verified", |host| {
        host.guard_and_settle();
        let evil = host.system.evil.clone();
        let user = "chmod -R a+rX $DIR $STORE; setpriv --reuid 65534 --clear-groups unshare -Ur";
        if !host.run(&format!("{user} true"), &evil).status.success() {
            return eprintln!("SKIPPED, users have no namespaces here: makers::whoever_has");
        }
        let done = host.run(&format!("{user} cat $T/activate"), &evil);
        assert!(done.was_refused(), "{done:#?}");
        assert!(done.said.contains("not permitted"), "{done:#?}");
        assert_eq!(host.verdicts("denied", &evil), 0);
        // Control: root has it verified.
        assert!(host.run(SWITCH, &evil).was_refused());
        wait_for("the verdict", || host.verdicts("denied", &evil) > 0);
    });
}

#[test]
fn a_program_that_too_many_toplevels_lead_to_is_refused_at_once() {
    live("makers::a_program_that_too_many_toplevels_lead_to_is_refused_at_once", |host| {
        host.guard_and_settle();
        let (program, at) = named(host, &format!("{}-program", "6".repeat(32)));
        executable(&at.join("program"), EVIL);
        for number in 0..70 {
            let (_, at) = named(host, &format!("{}{number:02}-t", "7".repeat(30)));
            fs::create_dir(&at).unwrap();
            symlink(format!("../{}/program", program.base_name()), at.join("activate")).unwrap();
        }
        let many = ["too many toplevels are activated by it"];
        wait_for("its refusal", || {
            let done = host.run("exec $T/program", &program);
            done.was_refused() && host.journal.as_ref().unwrap().has(&many)
        });
    });
}
