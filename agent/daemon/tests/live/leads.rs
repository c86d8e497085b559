//! Entry points that lead into other store paths, and files that are both an entry point and something else: what is
//! unproven does not run through them, and what is proven or runs already is in nobody's way.

use crate::host::{Host, live, wait_for};
use narwarden_core::store_path::StorePath;
use narwarden_forge::{Addressing, Tree};
use std::fs;
use std::os::unix::fs::symlink;

fn script(word: &str) -> Tree {
    Tree::executable(format!("#!/bin/sh\necho \"{word} $*\" >> \"$TRACE\"\n"))
}

fn add(host: &mut Host, name: &str, entries: &[(&str, Tree)]) -> StorePath {
    let tree = Tree::directory(entries.iter().cloned());
    host.system.forge.add(name, &tree, Addressing::Input, &[]).unwrap()
}

/// A toplevel that nobody signed, whose `activate` leads to a file of another path.
fn leading(host: &mut Host, to: &StorePath, file: &str) -> StorePath {
    let link = Tree::symlink(format!("../{}/{file}", to.base_name()));
    let version = ("nixos-version", Tree::file("26.05.leading"));
    add(host, "leading", &[version, ("activate", link)])
}

fn runs(host: &Host, toplevel: &StorePath) {
    let current = host.root().join("run/current-system");
    fs::create_dir_all(current.parent().unwrap()).unwrap();
    let _ = fs::remove_file(&current);
    symlink(toplevel.to_string(), current).unwrap();
}

#[test]
fn a_specialisation_below_another_path_is_shut() {
    live("leads::a_specialisation_below_another_path_is_shut", |host| {
        let parts = add(
            host,
            "parts",
            &[
                ("sub/bin/switch-to-configuration", script("evil")),
                ("sub/activate", script("evil")),
            ],
        );
        let link = Tree::symlink(format!("../../{}/sub", parts.base_name()));
        let more = [("specialisation/one", link)];
        let top = host.system.toplevel_with("evil", None, &more, &[&parts]);
        let attacks = [
            "$T/specialisation/one/bin/switch-to-configuration switch",
            "$T/specialisation/one/activate",
        ];
        for attack in attacks {
            assert!(host.run(attack, &top).trace.contains("evil"), "control: {attack}");
        }
        host.guard();
        for attack in attacks {
            let done = host.run(attack, &top);
            assert!(done.was_refused(), "{attack}: {done:#?}");
        }
    });
}

#[test]
fn what_was_proven_is_nobodys_entry_point() {
    live("leads::what_was_proven_is_nobodys_entry_point", |host| {
        let tool = add(host, "tool", &[("bin/tool", script("tool"))]);
        host.system.sign(&tool);
        let next = host.system.toplevel_with("next", None, &[], &[&tool]);
        host.system.sign(&next);
        let poison = leading(host, &tool, "bin/tool");
        host.guard();
        // Until then root may not run it: it could be what the unproven toplevel is made of.
        assert!(host.run("$T/bin/tool", &tool).was_refused());
        assert!(host.run("$T/activate", &poison).was_refused());
        host.system.generation(2, &next.to_string());
        host.system.set_current(2);
        wait_for("the admission", || host.standing(&next).as_deref() == Some("admitted"));
        wait_for("the tool", || host.run("$T/bin/tool", &tool).trace.contains("tool"));
    });
}

#[test]
fn a_reference_in_the_database_proves_nothing() {
    live("leads::a_reference_in_the_database_proves_nothing", |host| {
        let parts = add(host, "parts", &[("x", script("evil"))]);
        let running = host.system.toplevel("running", None);
        host.system.sign(&running);
        runs(host, &running);
        let top = leading(host, &parts, "x");
        host.system.forge.add_reference(&running, &parts).unwrap();
        assert!(host.run("$T/activate", &top).trace.contains("evil"), "control");
        host.guard();
        assert!(host.run("$T/activate", &top).was_refused());
    });
}

/// As `nix store optimise` leaves it: the running system may have it too, and whoever can write to the database says so.
#[test]
fn nor_does_a_reference_to_a_file_with_many_names() {
    live("leads::nor_does_a_reference_to_a_file_with_many_names", |host| {
        let parts = add(host, "parts", &[("x", script("evil"))]);
        let running = host.system.toplevel("running", None);
        host.system.sign(&running);
        runs(host, &running);
        let top = leading(host, &parts, "x");
        host.system.forge.add_reference(&running, &parts).unwrap();
        for name in ["one", "two"] {
            fs::hard_link(host.physical(&parts).join("x"), host.root().join(name)).unwrap();
        }
        assert!(host.run("$T/activate", &top).trace.contains("evil"), "control");
        host.guard();
        assert!(host.run("$T/activate", &top).was_refused());
    });
}

#[test]
fn a_file_of_the_running_system_is_read_by_everybody() {
    live("leads::a_file_of_the_running_system_is_read_by_everybody", |host| {
        let text = "a file that everybody needs";
        let more = [("etc/pam", Tree::file(text))];
        let running = host.system.toplevel_with("running", None, &more, &[]);
        host.system.sign(&running);
        runs(host, &running);
        // As `nix store optimise` makes it.
        let copy = add(
            host,
            "copy",
            &[("nixos-version", Tree::file("26.05.copy")), ("activate", script("own"))],
        );
        let (file, links) =
            (host.physical(&running).join("etc/pam"), host.root().join("nix/store/.links"));
        fs::create_dir_all(&links).unwrap();
        fs::hard_link(&file, links.join("0pam")).unwrap();
        host.system
            .forge
            .change(&copy, |at| {
                fs::remove_file(at.join("activate"))?;
                fs::hard_link(links.join("0pam"), at.join("activate"))
            })
            .unwrap();
        host.guard();
        let read = |host: &Host| {
            for who in ["", "setpriv --reuid 65534 --clear-groups "] {
                let open = "chmod 755 $DIR; ";
                let done = host.run(&format!("{open}{who}cat $T/etc/pam"), &running);
                assert!(done.said.contains(text), "{who}: {done:#?}");
            }
        };
        read(host);
        // Nobody waits for a daemon that is not there.
        host.kill();
        read(host);
    });
}
