//! What of a store path activates: however it was written, however deep it lies, and however much of it there is.

use crate::host::{Host, live, wait_for};
use narwarden_core::store_path::StorePath;
use narwarden_forge::{Addressing, Tree};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

const SWITCH: &str = "$T/bin/switch-to-configuration switch";
const EVIL: &str = "#!/bin/sh\necho \"evil $0 $*\" >> \"$TRACE\"\n";

/// Each runs without the daemon, and none with it.
fn assert_shut(host: &mut Host, toplevel: &StorePath, scripts: &[&str]) {
    for script in scripts {
        let done = host.run(script, toplevel);
        assert!(done.trace.contains("evil"), "control: {script}: {done:#?}");
    }
    host.guard();
    for script in scripts {
        let done = host.run(script, toplevel);
        assert!(done.was_refused(), "{script}: {done:#?}");
    }
    let good = host.system.good.clone();
    assert!(host.run(SWITCH, &good).trace.contains("good"), "control, admitted");
}

#[test]
fn a_long_chain_of_specialisations_is_only_refused() {
    live("surface::a_long_chain_of_specialisations_is_only_refused", |host| {
        let mut last: Option<StorePath> = None;
        for number in 0..2000 {
            let mut entries = vec![("nixos-version", Tree::file(number.to_string()))];
            if let Some(before) = &last {
                entries.push(("specialisation/a", Tree::symlink(before.to_string())));
            }
            let references: Vec<_> = last.iter().collect();
            let tree = Tree::directory(entries);
            let added = host.system.forge.add("link", &tree, Addressing::Input, &references);
            last = Some(added.unwrap());
        }
        let last = last.unwrap();
        host.guard();
        for start in 0..2 {
            host.system.generation(9 + start, &last.to_string());
            wait_for("its verdict", || host.verdicts("denied", &last) > start as usize);
            assert!(host.daemon.as_mut().unwrap().try_wait().unwrap().is_none(), "it ended");
            host.kill();
            host.start();
        }
        let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
        assert!(host.run(SWITCH, &evil).was_refused());
        wait_for("the good one", || host.run(SWITCH, &good).trace.contains("good"));
    });
}

/// By what the daemon can know that a path is whole.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Last {
    Times,
    Lock,
}

/// Writes a toplevel at its place as Nix does: a lock, a directory, its files one by one, their times, no lock; and
/// one of the last two is missing. What comes between is when the directory is looked at.
fn write_in_place(at: &Path, last: Last, between: impl FnOnce()) {
    let lock = at.with_extension("05.lock");
    fs::write(&lock, "").unwrap();
    fs::create_dir(at).unwrap();
    between();
    for directory in ["bin", "libexec"] {
        fs::create_dir(at.join(directory)).unwrap();
    }
    for file in ["libexec/stc", "activate"] {
        fs::write(at.join(file), EVIL).unwrap();
        fs::set_permissions(at.join(file), fs::Permissions::from_mode(0o555)).unwrap();
    }
    symlink("../libexec/stc", at.join("bin/switch-to-configuration")).unwrap();
    fs::write(at.join("nixos-version"), "26.05").unwrap();
    if last == Last::Lock {
        return fs::remove_file(lock).unwrap();
    }
    let mut touch = Command::new("find");
    touch.arg(at).args(["-depth", "-exec", "touch", "-hd@1", "{}", "+"]);
    assert!(touch.status().unwrap().success());
}

#[test]
fn a_toplevel_that_is_written_in_place_is_shut() {
    live("surface::a_toplevel_that_is_written_in_place_is_shut", |host| {
        let name = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a-nixos-system-evil-26.05";
        let evil = StorePath::from_base_name(name).unwrap();
        let at = host.physical(&evil);
        let scripts = [
            "sh $T/activate",
            "$T/activate",
            "$T/bin/switch-to-configuration test",
            "sh $T/bin/switch-to-configuration test",
            "cd $T/libexec && ./stc test",
            "sh < $T/libexec/stc",
        ];
        write_in_place(&at, Last::Lock, || {});
        for script in scripts {
            assert!(host.run(script, &evil).trace.contains("evil"), "control: {script}");
        }
        fs::remove_dir_all(&at).unwrap();
        host.guard();
        for (round, last) in [Last::Times, Last::Lock, Last::Times, Last::Lock].iter().enumerate() {
            let known = host.held_files();
            let mut marker = None;
            write_in_place(&at, *last, || {
                // What comes to the store later is looked at later.
                marker = Some(host.system.toplevel(&format!("marker-{round}"), None));
                wait_for("a look", || host.held_files() >= known + 4);
            });
            let marker = marker.unwrap();
            wait_for("the look at it", || host.held_files() >= known + 6);
            for script in scripts {
                let done = host.run(script, &evil);
                assert!(done.was_refused(), "{last:?}: {script}: {done:#?}");
            }
            fs::remove_dir_all(&at).unwrap();
            host.system.forge.change(&marker, |at| fs::remove_dir_all(at)).unwrap();
            let _ = fs::remove_file(at.with_extension("05.lock"));
            wait_for("them to be forgotten", || host.held_files() <= known);
        }
    });
}

#[test]
fn specialisations_within_the_tree_are_shut() {
    live("surface::specialisations_within_the_tree_are_shut", |host| {
        let deep = ["specialisation/a", "specialisation/a/specialisation/b"]
            .map(|it| (format!("{it}/activate"), Tree::executable(EVIL)));
        let deeper = "specialisation/a/specialisation/b/specialisation/c".to_owned();
        let last = (format!("{deeper}/bin/switch-to-configuration"), Tree::executable(EVIL));
        let more: Vec<_> =
            deep.iter().chain([&last]).map(|(n, t)| (n.as_str(), t.clone())).collect();
        let evil = host.system.toplevel_with("evil-deep", None, &more, &[]);
        let scripts = [
            "$T/specialisation/a/activate",
            "$T/specialisation/a/specialisation/b/activate",
            "sh $T/specialisation/a/specialisation/b/activate",
            "cd $T/specialisation/a/specialisation/b/specialisation/c/bin && \
             ./switch-to-configuration test",
        ];
        assert_shut(host, &evil, &scripts);
    });
}

#[test]
fn more_specialisations_than_are_looked_at_admit_nothing() {
    live("surface::more_specialisations_than_are_looked_at_admit_nothing", |host| {
        let systems = [256, 257].map(|count| {
            let names = (0..count).map(|it| format!("specialisation/s{it}/activate"));
            let names: Vec<_> = names.collect();
            let script = format!("{EVIL}# one of {count}\n");
            let more: Vec<_> =
                names.iter().map(|it| (it.as_str(), Tree::executable(script.clone()))).collect();
            let path = host.system.toplevel_with(&format!("of-{count}"), None, &more, &[]);
            host.system.sign(&path);
            path
        });
        let [most, many] = systems;
        let each = "for i in $T/specialisation/*; do $i/activate test; done";
        let ran = |host: &Host, path: &StorePath| host.run(each, path).trace.lines().count();
        assert_eq!(ran(host, &many), 257, "control, without the daemon");
        host.guard();
        assert_eq!(ran(host, &most), 256, "control: as many as are looked at");
        let done = host.run(SWITCH, &most);
        assert!(done.trace.contains("of-256 wrapper"), "control: {done:#?}");
        for script in [SWITCH, "sh $T/activate", each] {
            let done = host.run(script, &many);
            assert!(done.was_refused(), "signed, and {script}: {done:#?}");
        }
        let journal = host.journal.as_ref().unwrap();
        let toplevel = format!("NARWARDEN_TOPLEVEL={many}\n");
        let why = "more than 256 specialisations";
        wait_for("the reason", || journal.has(&["ACTION=refused", &toplevel, why]));
    });
}

#[test]
fn the_scripts_of_deployment_tools_are_shut_on_their_own() {
    live("surface::the_scripts_of_deployment_tools_are_shut_on_their_own", |host| {
        let mut add = |name: &str| {
            let tree = Tree::directory([(name, Tree::executable(EVIL))]);
            host.system.forge.add("rs", &tree, Addressing::Input, &[]).unwrap()
        };
        let alone = [
            ("deploy-rs-activate", add("deploy-rs-activate")),
            ("activate-rs", add("activate-rs")),
        ];
        let innocent = add("bin/activate-rs");
        let (_, first) = alone[0].clone();
        let second = alone[1].1.base_name().to_owned();
        let others = [
            "$T/deploy-rs-activate".to_owned(),
            "sh $T/deploy-rs-activate".to_owned(),
            format!("$STORE/{second}/activate-rs activate $T"),
            format!("cat $STORE/{second}/activate-rs | sh"),
        ];
        assert_shut(host, &first, &others.each_ref().map(String::as_str));
        let done = host.run("$T/bin/activate-rs activate", &innocent);
        assert!(done.trace.contains("evil"), "control: a tool is no entry point: {done:#?}");
    });
}
