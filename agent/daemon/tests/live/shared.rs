//! G16: files that `nix store optimise` made one. Anybody may add a path to the store that looks like a toplevel and
//! whose `activate` has the bytes of a program of the host; that program goes on running.

use crate::host::{Host, live, wait};
use narwarden_core::store_path::StorePath;
use narwarden_forge::{Addressing, Tree};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;

/// A running system with its own shell, and a toplevel that nobody signed whose `activate` is that shell.
fn optimised(host: &mut Host, program: &str) -> (StorePath, StorePath) {
    let bytes = fs::read("/bin/sh").unwrap();
    let more = [(program, Tree::executable(bytes.clone()))];
    let running = host.system.toplevel_with("running", None, &more, &[]);
    host.system.sign(&running);
    fs::create_dir_all(host.root().join("run")).unwrap();
    symlink(running.to_string(), host.root().join("run/current-system")).unwrap();
    let tree = Tree::directory([
        ("activate", Tree::executable(bytes)),
        ("nixos-version", Tree::file("26.05.copy")),
    ]);
    let copy =
        host.system.forge.add("nixos-system-copy-26.05", &tree, Addressing::Input, &[]).unwrap();
    let (from, links) = (host.physical(&running), host.root().join("nix/store/.links"));
    fs::create_dir_all(&links).unwrap();
    fs::hard_link(from.join(program), links.join("0abc")).unwrap();
    host.system
        .forge
        .change(&copy, |at| {
            fs::remove_file(at.join("activate"))?;
            fs::hard_link(links.join("0abc"), at.join("activate"))
        })
        .unwrap();
    (running, copy)
}

/// It runs while the daemon is there, and while it is not.
fn assert_runs(host: &mut Host, running: &StorePath, script: &str) {
    let done = host.run(script, running);
    assert!(done.trace.contains("it ran"), "{done:#?}");
    host.kill();
    let mut child = host.shell(script, running).stderr(Stdio::null()).spawn().unwrap();
    assert!(wait(&mut child, "a program of the host without the daemon").success());
    host.start();
    let done = host.run(script, running);
    assert!(done.trace.contains("it ran"), "{done:#?}");
}

#[test]
fn the_shell_of_the_host_is_never_held() {
    live("shared::the_shell_of_the_host_is_never_held", |host| {
        let (running, copy) = optimised(host, "sw/bin/sh");
        host.guard();
        // By the name of an entry point it is one all the same.
        assert!(host.run("exec $T/activate -c 'echo evil >> $TRACE'", &copy).was_refused());
        let evil = host.system.evil.clone();
        assert_runs(host, &running, "exec $T/sw/bin/sh -c 'echo it ran >> $TRACE'");
        // What only a toplevel has stays shut.
        assert!(host.run("$T/activate", &evil).was_refused());
    });
}

#[test]
fn a_program_of_an_admitted_closure_is_never_held() {
    live("shared::a_program_of_an_admitted_closure_is_never_held", |host| {
        let (running, copy) = optimised(host, "sw/bin/tool");
        host.system.generation(2, &running.to_string());
        host.guard();
        let reply = host.call("Verify", &format!(r#"{{"target":"{running}"}}"#)).unwrap();
        assert!(reply.to_string().contains("admit"), "{reply}");
        assert_runs(host, &running, "exec $T/sw/bin/tool -c 'echo it ran >> $TRACE'");
        let _ = host.run("$T/activate -c true", &copy);
        assert_runs(host, &running, "exec $T/sw/bin/tool -c 'echo it ran >> $TRACE'");
    });
}
