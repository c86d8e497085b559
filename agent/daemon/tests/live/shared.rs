//! G16: files that `nix store optimise` made one. Anybody may add a path to the store that looks like a toplevel and
//! whose `activate` has the bytes of a program of the host; that program goes on running.

use crate::host::{Host, live, wait, wait_for};
use narwarden_core::store_path::StorePath;
use narwarden_forge::{Addressing, Tree};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;

/// A running system with a program of its own, and a toplevel that nobody signed whose `activate` has its bytes.
fn copied(host: &mut Host, program: &str) -> (StorePath, StorePath) {
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
    (running, copy)
}

/// Puts a file in the place of another of the same contents, under the names that Nix takes.
fn make_one(host: &mut Host, (from, name): (&StorePath, &str), (into, other): (&StorePath, &str)) {
    let store = host.root().join("nix/store");
    let (kept, made) = (store.join(".links/0abc"), store.join(".tmp-link-1-2"));
    fs::create_dir_all(store.join(".links")).unwrap();
    fs::hard_link(host.physical(from).join(name), &kept).unwrap();
    let replace = |at: &std::path::Path| {
        fs::hard_link(&kept, &made)?;
        fs::rename(&made, at.join(other))
    };
    host.system.forge.change(into, replace).unwrap();
}

/// The running system and the toplevel of [`copied`], made one.
fn optimised(host: &mut Host, program: &str) -> (StorePath, StorePath) {
    let (running, copy) = copied(host, program);
    make_one(host, (&running, program), (&copy, "activate"));
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

/// A toplevel whose held `activate` has the bytes of a program of the running system.
fn held_copy(host: &mut Host, program: &str) -> (StorePath, StorePath) {
    let (running, copy) = copied(host, program);
    host.guard();
    wait_for("the look at the copy", || host.run("sh $T/activate", &copy).was_refused());
    (running, copy)
}

#[test]
fn what_becomes_one_with_a_held_file_is_let_go() {
    live("shared::what_becomes_one_with_a_held_file_is_let_go", |host| {
        let (running, copy) = held_copy(host, "sw/bin/sh");
        let held = host.held_files();
        make_one(host, (&copy, "activate"), (&running, "sw/bin/sh"));
        wait_for("letting go of it", || host.held_files() < held);
        host.kill();
        let script = "exec $T/sw/bin/sh -c true";
        let mut child = host.shell(script, &running).stderr(Stdio::null()).spawn().unwrap();
        assert!(wait(&mut child, "a program of the host without the daemon").success());
        host.start();
        assert!(host.run("exec $T/activate -c 'echo evil >> $TRACE'", &copy).was_refused());
    });
}

/// What holds nothing but a `switch-to-configuration` is held as the program behind all of them.
#[test]
fn what_becomes_one_with_a_shared_program_is_let_go() {
    live("shared::what_becomes_one_with_a_shared_program_is_let_go", |host| {
        let (running, _) = copied(host, "sw/bin/sh");
        let bytes = fs::read("/bin/sh").unwrap();
        let name = "bin/switch-to-configuration";
        let tree = Tree::directory([(name, Tree::executable(bytes))]);
        let program = host.system.forge.add("switch", &tree, Addressing::Input, &[]).unwrap();
        host.guard();
        let script = format!("exec $T/{name} -c 'echo evil >> $TRACE'");
        wait_for("the look at the program", || host.run(&script, &program).was_refused());
        make_one(host, (&program, name), (&running, "sw/bin/sh"));
        assert_runs(host, &running, "exec $T/sw/bin/sh -c 'echo it ran >> $TRACE'");
        let switch = "TOPLEVEL=x exec $SWITCH switch";
        assert!(host.run(switch, &running).was_refused(), "the program of others stays shut");
    });
}

/// Nobody tells of it: whoever runs the program is the first to find out.
#[test]
fn what_became_one_unseen_is_looked_at_when_it_is_run() {
    live("shared::what_became_one_unseen_is_looked_at_when_it_is_run", |host| {
        let (running, copy) = held_copy(host, "libexec/tool");
        let from = host.physical(&copy).join("activate");
        fs::hard_link(&from, host.root().join("other")).unwrap();
        let replace = |at: &std::path::Path| {
            fs::remove_file(at.join("libexec/tool"))?;
            fs::hard_link(&from, at.join("libexec/tool"))
        };
        host.system.forge.change(&running, replace).unwrap();
        assert_runs(host, &running, "exec $T/libexec/tool -c 'echo it ran >> $TRACE'");
        assert!(host.run("exec $T/activate -c 'echo evil >> $TRACE'", &copy).was_refused());
        // A name outside of the running system makes nothing of it.
        let name = host.root().join("other").display().to_string();
        let evil = host.physical(&host.system.evil).join("activate");
        fs::remove_file(host.root().join("other")).unwrap();
        for name in [&name, &format!("{name}-2")] {
            fs::hard_link(&evil, name).unwrap();
        }
        assert!(host.run(&format!("exec sh {name}"), &copy).was_refused());
        assert!(host.run(&format!("exec {name}"), &copy).was_refused());
    });
}
