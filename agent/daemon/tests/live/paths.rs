//! G02 and G14 on a root that is laid out as NixOS is, with `/nix` at its place: links lead where they say, and tools
//! do what deployment tools do, in their order.

use crate::host::{Host, live, wait_for};
use crate::ways::assert_shut;
use narwarden_core::store_path::StorePath;
use narwarden_forge::{Addressing, Tree};
use std::fs;

/// `sh $JAIL SCRIPT`: runs it where the forged store is `/nix`.
const JAIL: &str = r#"exec unshare -m sh -c '
    J=$DIR/jail; mkdir -p $J; mount -t tmpfs jail $J
    for d in usr bin lib lib64 proc dev etc; do
        if [ -e /$d ]; then mkdir $J/$d; mount --rbind /$d $J/$d; fi
    done
    mkdir -p $J/nix $J/tmp $J$DIR; mount --bind $ROOT/nix $J/nix; mount --rbind $DIR $J$DIR
    exec chroot $J sh -c "$1"
' sh "$1"
"#;

/// The commands, each in the jail, and with no quotes of its own.
fn jailed(host: &Host, scripts: &[&str]) -> Vec<String> {
    fs::write(host.directory.join("jail.sh"), JAIL).unwrap();
    scripts.iter().map(|script| format!("sh $DIR/jail.sh '{script}'")).collect()
}

fn assert_shut_in_jail(host: &mut Host, scripts: &[&str]) {
    let attacks = jailed(host, scripts);
    assert_shut(host, &attacks.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn links_that_lead_there_are_refused() {
    live("paths::links_that_lead_there_are_refused", |host| {
        let per_user = host.root().join("nix/var/nix/profiles/per-user/root");
        fs::create_dir_all(per_user).unwrap();
        let link = "L=/nix/var/nix/profiles/per-user/root/deploy; ln -sfn /nix/store/$N $L; ";
        let linked = [
            "$L/bin/switch-to-configuration switch",
            "$L/specialisation/one/bin/switch-to-configuration switch",
            "cd $L/bin && ./switch-to-configuration switch",
            "cd -P $L/specialisation/one && ./activate",
            "ln -sfn $L /tmp/result; /tmp/result/activate",
            "ln -sfn $L/specialisation/one/bin /tmp/bin2; /tmp/bin2/switch-to-configuration test",
            "bash $L/specialisation/one/activate",
            "exec 8<$L/.; /proc/self/fd/8/bin/switch-to-configuration switch",
        ]
        .map(|script| format!("{link}{script}"));
        let mut scripts = vec![
            "/nix/store/$N/bin/switch-to-configuration switch",
            "/nix/store/$N/specialisation/one/bin/switch-to-configuration switch",
            "/nix/store/../store/./$N/bin/switch-to-configuration boot",
        ];
        scripts.extend(linked.iter().map(String::as_str));
        assert_shut_in_jail(host, &scripts);
    });
}

#[test]
fn starters_of_any_kind_are_refused() {
    live("paths::starters_of_any_kind_are_refused", |host| {
        assert_shut_in_jail(
            host,
            &[
                "NIXOS_NO_CHECK=1 /nix/store/$N/bin/switch-to-configuration switch",
                "NIXOS_SWITCH_USE_DIRTY_ENV=1 /nix/store/$N/bin/switch-to-configuration switch",
                "/nix/store/$N/bin/switch-to-configuration --no-reexec switch",
                "LOCALE_ARCHIVE=/x NIXOS_INSTALL_BOOTLOADER=0 /nix/store/$N/bin/switch-to-configuration dry-activate",
                "setsid --wait --fork /nix/store/$N/bin/switch-to-configuration switch",
                "nohup /nix/store/$N/bin/switch-to-configuration switch >> $DIR/said 2>&1",
                "setpriv --reuid 0 --regid 0 --clear-groups --no-new-privs /nix/store/$N/bin/switch-to-configuration switch",
                "setpriv --bounding-set=-all --inh-caps=-all /nix/store/$N/activate",
                "nice -n 5 timeout 20 /nix/store/$N/bin/switch-to-configuration switch",
                "find /nix/store/$N/bin -name switch-to-configuration -exec {} switch \\; 2>&1",
                "echo /nix/store/$N/bin/switch-to-configuration | xargs -I % env % switch",
            ],
        );
    });
}

/// What deploy-rs makes a profile of: a path of its own, whose links lead to the toplevel.
fn activatable(host: &mut Host, toplevel: &StorePath, note: &str) -> StorePath {
    let links = ["activate", "bin/switch-to-configuration", "nixos-version"]
        .map(|name| (name, Tree::symlink(format!("{toplevel}/{name}"))));
    let script =
        format!("#!/bin/sh\n# {note}\nexec \"$PROFILE/bin/switch-to-configuration\" switch\n");
    let script = [("deploy-rs-activate", Tree::executable(script))];
    let tree = Tree::directory(links.into_iter().chain(script));
    let forge = &mut host.system.forge;
    forge.add("activatable-nixos-system-demo-26.05", &tree, Addressing::Input, &[toplevel]).unwrap()
}

#[test]
fn a_deployment_tool_s_own_wrapper_is_refused() {
    live("paths::a_deployment_tool_s_own_wrapper_is_refused", |host| {
        let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
        let around_good = activatable(host, &good, "signed");
        let around_evil = activatable(host, &evil, "unsigned");
        // Trusted itself, it vouches for what it leads to no more than a link does.
        let signed = activatable(host, &evil, "signed");
        host.system.sign(&around_good);
        host.system.sign(&signed);
        let scripts = jailed(
            host,
            &[
                "PROFILE=/nix/store/$N /nix/store/$N/deploy-rs-activate",
                "/nix/store/$N/bin/switch-to-configuration switch",
                "PROFILE=/nix/store/$N sh /nix/store/$N/deploy-rs-activate",
                "/nix/store/$N/activate",
            ],
        );
        for (script, wrapper) in scripts.iter().flat_map(|it| [(it, &around_evil), (it, &signed)]) {
            let done = host.run(script, wrapper);
            assert!(
                done.trace.contains("evil"),
                "control, without the daemon: {script}: {done:#?}"
            );
        }
        host.guard();
        for script in &scripts {
            for wrapper in [&around_evil, &signed] {
                let done = host.run(script, wrapper);
                assert!(done.was_refused(), "{wrapper}: {script}: {done:#?}");
            }
            let done = host.run(script, &around_good);
            assert!(done.trace.contains("good"), "control, admitted: {script}: {done:#?}");
        }
    });
}

/// The orders in which tools set the profile and run the entry point, after the generation number.
const ORDERS: [&str; 5] = [
    // nixos-rebuild switch, colmena apply: the profile first, then what was built.
    "$SET; /nix/store/$N/bin/switch-to-configuration switch",
    // nixos-rebuild boot, deploy-rs: the profile first, then what it leads to.
    "$SET; /nix/var/nix/profiles/system/bin/switch-to-configuration boot",
    // nixos-rebuild test, colmena apply test: no profile.
    "/nix/store/$N/bin/switch-to-configuration test",
    // comin: what was built first, then the profile.
    "/nix/store/$N/bin/switch-to-configuration switch; R=$?; $SET; exit $R",
    // A rollback: a generation that is there already becomes the current one.
    "$LINK; sleep 0.2; $CURRENT; /nix/var/nix/profiles/system/bin/switch-to-configuration switch",
];

fn order(number: usize, script: &str) -> String {
    let link = format!("ln -sfn /nix/store/$N system-{number}-link");
    let current = format!("ln -sfn system-{number}-link .new; mv -T .new system");
    let at = "cd /nix/var/nix/profiles";
    let script = script.replace("$SET", &format!("{link}; {current}"));
    let script = script.replace("$LINK", &link).replace("$CURRENT", &current);
    format!("{at}; {script}")
}

#[test]
fn the_orders_of_tools_make_no_difference() {
    live("paths::the_orders_of_tools_make_no_difference", |host| {
        let evil = host.system.evil.clone();
        let scripts: Vec<_> = (0..ORDERS.len()).map(|it| order(it + 2, ORDERS[it])).collect();
        let scripts = jailed(host, &scripts.iter().map(String::as_str).collect::<Vec<_>>());
        for script in &scripts {
            let done = host.run(script, &evil);
            assert!(
                done.trace.contains("evil"),
                "control, without the daemon: {script}: {done:#?}"
            );
        }
        let profiles = host.root().join("nix/var/nix/profiles");
        for number in 2..ORDERS.len() + 2 {
            let _ = fs::remove_file(profiles.join(format!("system-{number}-link")));
        }
        host.system.set_current(1);
        host.guard();
        for script in &scripts {
            // Where the profile is put back meanwhile, the good one runs instead, or nothing.
            let done = host.run(script, &evil);
            assert!(!done.trace.contains("evil"), "{script}: {done:#?}");
            // The scan that this attempt asks for comes after everything above.
            assert!(host.run("$T/activate", &evil).was_refused());
            wait_for("the quarantine", || host.standing(&evil).is_none());
            host.system.set_current(1);
        }
        let later = host.system.toplevel("later", None);
        host.system.sign(&later);
        wait_for("its admission", || host.run("$T/activate", &later).trace.contains("later"));
        for script in &scripts {
            wait_for("control, admitted", || host.run(script, &later).trace.contains("later"));
        }
    });
}

#[test]
fn a_good_generation_runs_at_the_first_try() {
    live("paths::a_good_generation_runs_at_the_first_try", |host| {
        host.guard();
        for number in 2..22 {
            let word = format!("good-{number}");
            let next = host.system.toplevel(&word, None);
            host.system.sign(&next);
            let script = jailed(host, &[&order(number, ORDERS[number % 2])]).remove(0);
            let done = host.run(&script, &next);
            let entries = host.journal.as_ref().unwrap().entries();
            let refusals = entries.iter().filter(|it| it.contains("ACTION=refused"));
            let refusals: Vec<_> = refusals.collect();
            assert!(done.trace.contains(&word), "{word}: {done:#?} {refusals:#?}");
        }
    });
}
