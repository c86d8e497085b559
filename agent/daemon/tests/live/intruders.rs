//! Paths that anybody may add to the store, whose names lead into the files of others: by a symbolic link, or as the
//! same file after `nix store optimise`. They shut nobody out, and open nothing.

use crate::host::{Host, live, wait, wait_for};
use narwarden_core::store_path::StorePath;
use narwarden_forge::{Addressing, Tree};
use std::fs;
use std::os::unix::fs::symlink;

const SWITCH: &str = "$T/bin/switch-to-configuration switch";

/// What users of the host do with its programs.
const USES: [&str; 4] = [
    "$T/bin/true",
    "cat $T/bin/true > /dev/null",
    "setpriv --reuid 65534 --clear-groups $T/bin/true",
    "setpriv --reuid 65534 --clear-groups cat $T/bin/true > /dev/null",
];

/// How the daemon is known to have looked at an intruder: what is its own is held.
fn own() -> (&'static str, Tree) {
    ("prepare-root", Tree::executable("#!/bin/sh\necho evil own >> \"$TRACE\"\n"))
}

fn add(host: &mut Host, name: &str, entries: &[(&str, Tree)]) -> StorePath {
    let tree = Tree::directory(entries.iter().cloned());
    host.system.forge.add(name, &tree, Addressing::Input, &[]).unwrap()
}

/// A program in a store path of its own, as those of coreutils are.
fn program(host: &mut Host) -> StorePath {
    let bytes = fs::read("/bin/true").unwrap();
    add(host, "coreutils-9", &[("bin/true", Tree::executable(bytes))])
}

/// The system that runs, with the program among those that everybody uses.
fn run_with(host: &mut Host, program: &StorePath) {
    let link = [("sw/bin/true", Tree::symlink(format!("{program}/bin/true")))];
    let running = host.system.toplevel_with("running", None, &link, &[program]);
    fs::create_dir_all(host.root().join("run")).unwrap();
    symlink(running.to_string(), host.root().join("run/current-system")).unwrap();
}

/// Makes a file of one path the same as that of another, as `nix store optimise` does.
fn optimise(host: &mut Host, path: &StorePath, name: &str, other: &StorePath, theirs: &str) {
    let from = host.physical(other).join(theirs);
    let links = host.root().join("nix/store/.links");
    fs::create_dir_all(&links).unwrap();
    let _ = fs::hard_link(
        &from,
        links.join(format!("{}-{theirs}", other.base_name()).replace('/', "-")),
    );
    let merge = |at: &std::path::Path| {
        let _ = fs::remove_file(at.join(name));
        fs::hard_link(&from, at.join(name))
    };
    host.system.forge.change(path, merge).unwrap();
}

fn assert_usable(host: &Host, program: &StorePath, when: &str) {
    for script in USES {
        let done = host.run(script, program);
        assert!(done.status.success(), "{when}: {script}: {done:#?}");
    }
}

/// Its own entry points are shut, so it was looked at, and from now on they stay so.
fn assert_looked_at(host: &Host, intruder: &StorePath) {
    let shut = || host.run("sh $T/prepare-root", intruder).was_refused();
    wait_for("the look at the intruder", shut);
}

/// Adds paths that lead to the program, in each of the ways.
fn intrude(host: &mut Host, program: &StorePath, round: &str) -> [StorePath; 2] {
    let bytes = fs::read("/bin/true").unwrap();
    let target = Tree::symlink(format!("{program}/bin/true"));
    let leads = add(host, round, &[("activate", target.clone()), own()]);
    let same = add(host, round, &[("activate", Tree::executable(bytes)), own()]);
    optimise(host, &same, "activate", program, "bin/true");
    // Nothing of this one can be seen from outside: those after it are looked at later.
    add(host, round, &[("bin/switch-to-configuration", target)]);
    let last = add(host, round, &[("dry-activate", Tree::symlink("activate")), own()]);
    let others = host.system.toplevel("after-all-of-them", None);
    assert_looked_at(host, &others);
    assert_looked_at(host, &last);
    [leads, same]
}

#[test]
fn a_program_of_the_running_system_is_nobody_s_entry_point() {
    const NAME: &str = "intruders::a_program_of_the_running_system_is_nobody_s_entry_point";
    live(NAME, |host| {
        let program = program(host);
        run_with(host, &program);
        let before = add(
            host,
            "before",
            &[("activate", Tree::symlink(format!("{program}/bin/true"))), own()],
        );
        host.guard();
        assert_looked_at(host, &before);
        assert_usable(host, &program, "there before the daemon");
        // Whoever uses it meanwhile never fails.
        let script = "while [ ! -e $DIR/enough ]; do $T/bin/true || echo >> $DIR/failed; done";
        let mut all_along = host.shell(script, &program).spawn().unwrap();
        for intruder in intrude(host, &program, "while-it-runs") {
            assert_looked_at(host, &intruder);
            assert_usable(host, &program, "added while the daemon runs");
        }
        fs::write(host.directory.join("enough"), "").unwrap();
        wait(&mut all_along, "using the program");
        assert!(!host.directory.join("failed").exists(), "it failed meanwhile");
        // And for the next one, which looks at all of them first.
        host.kill();
        host.start();
        assert_usable(host, &program, "after a restart");
        let evil = host.system.evil.clone();
        assert!(host.run(SWITCH, &evil).was_refused(), "control");
    });
}

#[test]
fn links_to_the_entry_points_of_others_change_nothing() {
    live("intruders::links_to_the_entry_points_of_others_change_nothing", |host| {
        host.guard();
        let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
        let shared = host.system.switch.clone();
        let switch = "bin/switch-to-configuration";
        for to in [&good, &evil, &shared] {
            // Absolute ones would lead out of the root that this host has.
            let entries = [
                ("up", Tree::symlink("..")),
                (switch, Tree::symlink(format!("../up/{}/{switch}", to.base_name()))),
                ("dry-activate", Tree::symlink(format!("up/{}/activate", evil.base_name()))),
                ("activate", Tree::symlink(format!("../{}/dry-activate", evil.base_name()))),
                own(),
            ];
            let intruder = add(host, "x", &entries);
            assert_looked_at(host, &intruder);
            for script in ["sh $T/activate", "sh $T/dry-activate", "$T/activate", SWITCH] {
                let done = host.run(script, &evil);
                assert!(done.was_refused(), "opened by {intruder}: {script}: {done:#?}");
            }
            for script in ["sh $T/activate", "$T/dry-activate", SWITCH] {
                let done = host.run(script, &good);
                assert!(done.trace.contains("good"), "shut by {intruder}: {script}: {done:#?}");
            }
            // Through the intruder, what is shut is as shut.
            for script in ["$T/dry-activate", "sh $T/dry-activate", "$T/activate"] {
                let done = host.run(script, &intruder);
                assert!(done.was_refused(), "through {intruder}: {script}: {done:#?}");
            }
        }
        // The program behind all entry points, as somebody's own.
        let same = add(host, "x", &[("activate", Tree::file("")), own()]);
        optimise(host, &same, "activate", &shared, switch);
        assert_looked_at(host, &same);
        let done = host.run(SWITCH, &good);
        assert!(done.trace.contains("shared switch for"), "{done:#?}");
        assert!(host.run("TOPLEVEL=$T $SWITCH switch", &evil).was_refused());
    });
}

/// One whose name sorts before that of the toplevel.
fn before(host: &mut Host, later: &StorePath, entries: &[(&str, Tree)]) -> StorePath {
    (0..64)
        .map(|round| {
            let number = ("nixos-version", Tree::file(round.to_string()));
            let entries: Vec<_> = entries.iter().cloned().chain([number, own()]).collect();
            add(host, "x", &entries)
        })
        .find(|path| path < later)
        .unwrap()
}

#[test]
fn a_good_generation_is_not_refused_for_whoever_shares_its_files() {
    const NAME: &str = "intruders::a_good_generation_is_not_refused_for_whoever_shares_its_files";
    live(NAME, |host| {
        host.guard();
        let switch = "bin/switch-to-configuration";
        for way in ["link", "same file"] {
            // Nobody verified it ahead: it is judged while its first activation waits.
            let word = format!("good-{}", way.len());
            let later = host.system.toplevel(&word, None);
            host.system.sign(&later);
            let target = format!("../{}/{switch}", later.base_name());
            let intruder = before(host, &later, &[("activate", Tree::symlink(target))]);
            if way == "same file" {
                optimise(host, &intruder, "activate", &later, switch);
                // As the optimiser leaves them, with a name that belongs to nobody.
                let links = host.root().join("nix/store/.links");
                fs::create_dir_all(&links).unwrap();
                fs::hard_link(host.physical(&later).join(switch), links.join("0abc")).unwrap();
            }
            assert_looked_at(host, &intruder);
            // It is judged first, and denied.
            assert!(host.run("$T/prepare-root", &intruder).was_refused());
            for script in [SWITCH, SWITCH, "sh $T/bin/switch-to-configuration boot"] {
                let done = host.run(script, &later);
                assert!(done.trace.contains(&word), "{way}: {script}: {done:#?}");
            }
            let toplevel = format!("NARWARDEN_TOPLEVEL={later}\n");
            let journal = host.journal.as_ref().unwrap();
            wait_for("the event", || journal.has(&[&toplevel, "ACTION=allowed"]));
            assert!(!journal.has(&[&toplevel, "ACTION=refused"]), "{way}");
        }
        let done = host.run("$STORE/.links/0abc switch", &host.system.good.clone());
        assert!(done.trace.contains("good-9"), "by the optimiser's own name: {done:#?}");
    });
}

#[test]
fn what_lies_in_a_path_that_is_no_toplevel_is_refused_through_the_link() {
    const NAME: &str =
        "intruders::what_lies_in_a_path_that_is_no_toplevel_is_refused_through_the_link";
    live(NAME, |host| {
        let script = "#!/bin/sh\necho \"evil $0\" >> \"$TRACE\"\n";
        let other = add(host, "other", &[("libexec/stc", Tree::executable(script))]);
        let target = format!("../../{}/libexec/stc", other.base_name());
        let through =
            add(host, "x", &[("bin/switch-to-configuration", Tree::symlink(target)), own()]);
        assert!(host.run(SWITCH, &through).trace.contains("evil"), "control");
        host.guard();
        assert_looked_at(host, &through);
        let done = host.run(SWITCH, &through);
        assert!(done.was_refused(), "{done:#?}");
        // Others may have good reasons to run and read what lies among their own files.
        let user = "setpriv --reuid 65534 --clear-groups";
        for use_it in ["$T/libexec/stc", "sh $T/libexec/stc"] {
            let script = format!(
                "mkdir -p -m 777 $DIR/open; rm -f $DIR/open/*; TRACE=$DIR/open/mine {user} {use_it}"
            );
            let done = host.run(&script, &other);
            assert!(done.status.success(), "{use_it}: {done:#?}");
            let mine = fs::read_to_string(host.directory.join("open/mine")).unwrap();
            assert!(mine.contains("evil"), "{use_it}: {mine:?}");
        }
    });
}
