//! G03, from the other side: who may read what is held. A program may that the running system has as its `narwarden`, or
//! that the policy lists, by its inode: not by its name, its bytes, or who started it. It may read and not run.
//!
//! The programs here are shells, which no host should list: they show what their inode opens.

use crate::host::{Host, live, wait_for};
use narwarden_core::store_path::StorePath;
use narwarden_forge::Tree;
use std::fs;
use std::os::unix::fs::symlink;

const READ: &str = "-c 'while read -r line; do echo \"$line\"; done < $T/activate'";

/// A system that nobody signed, with a `narwarden` of its own.
fn system(host: &mut Host, word: &str) -> StorePath {
    let program = Tree::executable(fs::read("/bin/sh").unwrap());
    host.system.toplevel_with(word, None, &[("sw/bin/narwarden", program)], &[])
}

/// Has the system run, by a link that leads there from outside too.
fn runs(host: &Host, toplevel: &StorePath) {
    let current = host.root().join("run/current-system");
    fs::create_dir_all(current.parent().unwrap()).unwrap();
    let _ = fs::remove_file(&current);
    symlink(format!("../nix/store/{}", toplevel.base_name()), current).unwrap();
}

fn program(host: &Host, toplevel: &StorePath) -> String {
    host.physical(toplevel).join("sw/bin/narwarden").display().to_string()
}

fn reads(host: &Host, script: &str) -> bool {
    let evil = host.system.evil.clone();
    let done = host.run(script, &evil);
    let read = done.said.contains("evil activate");
    assert!(read || done.was_refused(), "{script}: {done:#?}");
    read
}

#[test]
fn the_narwarden_of_the_running_system_reads_and_no_other() {
    live("readers::the_narwarden_of_the_running_system_reads_and_no_other", |host| {
        let (running, candidate) = (system(host, "running"), system(host, "candidate"));
        host.system.sign(&running);
        runs(host, &running);
        let (mine, other) = (program(host, &running), program(host, &candidate));
        fs::copy(&mine, host.directory.join("narwarden")).unwrap();
        let others = [
            format!("{other} {READ}"),
            format!("$DIR/narwarden {READ}"),
            format!("PATH=$DIR:$PATH; narwarden {READ}"),
            format!("sh {READ}"),
            format!("bash -c 'exec -a {mine} sh \"$@\"' - {READ}"),
            format!(
                "unshare -m sh -c 'mount --bind $DIR/narwarden {mine} && exec {mine} \"$@\"' - {READ}"
            ),
            format!("/lib64/ld-linux-x86-64.so.2 {mine} {READ}"),
        ];
        for script in &others {
            assert!(reads(host, script), "control, without the daemon: {script}");
        }
        let run = [
            format!("{mine} -c 'exec $T/activate'"),
            format!("{mine} -c '$T/bin/switch-to-configuration switch'"),
            format!("{mine} {READ} >/dev/null; sh $T/activate"),
        ];
        let evil = host.system.evil.clone();
        for script in &run {
            assert!(host.run(script, &evil).trace.contains("evil"), "control: {script}");
        }
        host.guard();
        assert!(reads(host, &format!("{mine} {READ}")));
        assert!(reads(host, &format!("$ROOT/run/current-system/sw/bin/narwarden {READ}")));
        for script in &others {
            assert!(!reads(host, script), "{script}");
        }
        for script in &run {
            let done = host.run(script, &evil);
            assert!(done.was_refused(), "{script}: {done:#?}");
        }
        // What a reader prints is a text like any other. The program that all share does not run by it.
        let wrapper = READ.replace("/activate", "/bin/switch-to-configuration");
        let done = host.run(&format!("{mine} {wrapper} | sh -s switch"), &evil);
        assert!(done.trace.contains("evil wrapper switch"), "{done:#?}");
        let refused = !done.trace.contains("shared") && done.said.contains("not permitted");
        assert!(refused, "{done:#?}");
    });
}

#[test]
fn another_running_system_has_another_reader() {
    live("readers::another_running_system_has_another_reader", |host| {
        let (running, next) = (system(host, "running"), system(host, "next"));
        for path in [&running, &next] {
            host.system.sign(path);
        }
        runs(host, &running);
        let [before, after] = [&running, &next].map(|it| format!("{} {READ}", program(host, it)));
        host.guard();
        assert!(reads(host, &before) && !reads(host, &after));
        runs(host, &next);
        // The links are read with each attempt.
        wait_for("the next reader", || reads(host, &after));
        assert!(!reads(host, &before), "what ran before is no part of what runs");
        fs::remove_file(host.root().join("run/current-system")).unwrap();
        wait_for("none", || {
            let _ = reads(host, "sh $T/activate");
            !reads(host, &after)
        });
    });
}

#[test]
fn what_the_policy_lists_reads_by_its_inode() {
    live("readers::what_the_policy_lists_reads_by_its_inode", |host| {
        fs::create_dir_all(host.root().join("opt")).unwrap();
        for name in ["scanner", "copy"] {
            fs::copy("/bin/sh", host.root().join("opt").join(name)).unwrap();
        }
        host.rules("[gate]\nreaders = [\"/opt/scanner\"]");
        host.guard();
        assert!(reads(host, &format!("$ROOT/opt/scanner {READ}")));
        assert!(!reads(host, &format!("$ROOT/opt/copy {READ}")));
        // The name leads to another program now, and the program has another name.
        let exchange = "cd $ROOT/opt && mv scanner former && mv copy scanner";
        assert!(host.run(exchange, &host.system.good.clone()).status.success());
        wait_for("the other program", || reads(host, &format!("$ROOT/opt/scanner {READ}")));
        assert!(!reads(host, &format!("$ROOT/opt/former {READ}")));
    });
}
