//! G06, G16 and G17: what is held is the file, whatever it is called, and no other one; and the daemon reads all of it
//! without waiting for itself.

use crate::host::{Host, live, wait_for};
use narwarden_core::store_path::StorePath;
use std::fs;

const SWITCH: &str = "$T/bin/switch-to-configuration switch";

fn run_good(host: &Host, script: &str) {
    let good = host.system.good.clone();
    let done = host.run(script, &good);
    assert!(done.status.success(), "{script}: {done:#?}");
}

#[test]
fn a_hard_link_is_the_same_file() {
    live("inodes::a_hard_link_is_the_same_file", hard_links);
}

pub(crate) fn hard_links(host: &mut Host) {
    let attacks = [
        "ln -f $T/bin/switch-to-configuration $DIR/innocent; $DIR/innocent switch",
        "ln -f $T/activate $DIR/innocent; sh $DIR/innocent",
        "mkdir -p $DIR/a/b $DIR/c; ln -f $T/activate $DIR/a/b/x; mv $DIR/a/b/x $DIR/c/y; $DIR/c/y",
        "mkdir -p $STORE/.links; ln -f $T/activate $STORE/.links/0abc; $STORE/.links/0abc",
    ];
    let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
    for attack in attacks {
        assert!(host.run(attack, &evil).trace.contains("evil"), "control: {attack}");
    }
    host.guard();
    for attack in attacks {
        let done = host.run(attack, &evil);
        assert!(done.was_refused(), "{attack}: {done:#?}");
        assert!(host.run(attack, &good).trace.contains("good"), "control: {attack}");
    }
}

#[test]
fn a_file_shared_with_an_admitted_generation_runs() {
    live("inodes::a_file_shared_with_an_admitted_generation_runs", |host| {
        // As `nix store optimise` leaves them: one file, three names.
        let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
        let links = host.root().join("nix/store/.links");
        fs::create_dir_all(&links).unwrap();
        fs::hard_link(host.physical(&good).join("activate"), links.join("0abc")).unwrap();
        let replaced = host.physical(&good).join("activate");
        host.system
            .forge
            .change(&evil, |at| {
                fs::remove_file(at.join("activate"))?;
                fs::hard_link(&replaced, at.join("activate"))
            })
            .unwrap();
        host.guard();
        let done = host.run("$T/activate", &good);
        assert!(done.trace.contains("good activate"), "{done:#?}");
        // It is the same program, by whatever name; what is not shared stays shut.
        assert!(host.run(SWITCH, &evil).was_refused());
    });
}

#[test]
fn files_that_come_after_one_that_is_gone_are_free() {
    live("inodes::files_that_come_after_one_that_is_gone_are_free", numbers_used_again);
}

pub(crate) fn numbers_used_again(host: &mut Host) {
    host.guard();
    let evil = host.system.evil.clone();
    assert!(host.run(SWITCH, &evil).was_refused());
    let at = host.physical(&evil);
    host.system.forge.change(&evil, |at| fs::remove_dir_all(at)).unwrap();
    assert!(!at.exists());
    for _ in 0..50 {
        run_good(
            host,
            "for i in 1 2 3 4 5 6 7 8; do cp /bin/true $DIR/p$i; $DIR/p$i || exit 1; done; rm $DIR/p*",
        );
    }
}

#[test]
fn a_generation_that_is_replaced_is_another_one() {
    live("inodes::a_generation_that_is_replaced_is_another_one", replaced);
}

pub(crate) fn replaced(host: &mut Host) {
    host.guard();
    let good: StorePath = host.system.good.clone();
    let done = host.run(SWITCH, &good);
    assert!(done.trace.contains("good wrapper"), "{done:#?}");
    // A new file under the name that was admitted is not the file that was.
    let evil = "#!/bin/sh\necho \"evil $*\" >> \"$TRACE\"\n";
    host.system
        .forge
        .change(&good, |at| {
            fs::remove_file(at.join("bin/switch-to-configuration"))?;
            fs::write(at.join("bin/switch-to-configuration"), evil)?;
            fs::set_permissions(
                at.join("bin/switch-to-configuration"),
                std::os::unix::fs::PermissionsExt::from_mode(0o555),
            )
        })
        .unwrap();
    // Whenever the daemon looks: the table is refilled while this is tried.
    for _ in 0..20 {
        let done = host.run(SWITCH, &good);
        assert!(!done.trace.contains("evil"), "{done:#?}");
        assert!(host.call("Reload", "{}").is_some());
    }
}

#[test]
fn the_daemon_reads_what_it_holds() {
    live("inodes::the_daemon_reads_what_it_holds", |host| {
        host.guard();
        let evil = host.system.evil.clone();
        assert!(host.run(SWITCH, &evil).was_refused());
        for _ in 0..3 {
            let target = host.system.evil.to_string();
            let reply = host.call("Verify", &format!(r#"{{"target":"{target}","force":true}}"#));
            let reply = reply.expect("an answer in time");
            assert!(reply.to_string().contains("unsigned"), "{reply}");
        }
        // Its own program, on the file system that it watches, held or not.
        run_good(
            host,
            &format!(
                "cp {} $DIR/narwardend && $DIR/narwardend --version",
                env!("CARGO_BIN_EXE_narwardend")
            ),
        );
        wait_for("the end", || host.status()["pending"].as_array().is_some_and(Vec::is_empty));
    });
}
