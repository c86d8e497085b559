//! G01 to G05: every way to run what is not admitted. Each goes through without the daemon, and with it for what is
//! admitted.

use crate::host::{Host, live, wait_for};
use crate::ways::{DESCRIPTOR, INTERPRETERS, MOUNTS, NAMES, OVERLAYS, assert_shut};

#[test]
fn every_verb_is_refused() {
    live("activation::every_verb_is_refused", every_verb);
}

pub(crate) fn every_verb(host: &mut Host) {
    let verbs = ["switch", "boot", "test", "dry-activate", "check"];
    let attacks = verbs.map(|verb| format!("$T/bin/switch-to-configuration {verb}"));
    assert_shut(host, &attacks.each_ref().map(String::as_str));
    let evil = host.system.evil.to_string();
    let journal = host.journal.as_ref().unwrap();
    let toplevel = format!("NARWARDEN_TOPLEVEL={evil}\n");
    wait_for("the events", || {
        let entries = journal.entries();
        let denials =
            entries.iter().filter(|it| it.contains(&toplevel) && it.contains("ACTION=refused"));
        denials.count() >= verbs.len()
    });
}

#[test]
fn other_entry_points_are_refused() {
    live("activation::other_entry_points_are_refused", |host| {
        assert_shut(host, &["$T/activate", "$T/dry-activate", "$T/prepare-root"]);
    });
}

#[test]
fn other_names_are_refused() {
    live("activation::other_names_are_refused", |host| {
        assert_shut(host, &NAMES);
    });
}

#[test]
fn a_descriptor_from_before_opens_nothing() {
    live("activation::a_descriptor_from_before_opens_nothing", |host| {
        assert_shut(host, &[DESCRIPTOR]);
    });
}

#[test]
fn interpreters_are_refused() {
    live("activation::interpreters_are_refused", |host| {
        assert_shut(host, &INTERPRETERS);
    });
}

#[test]
fn the_loader_does_not_run_a_program() {
    live("activation::the_loader_does_not_run_a_program", |host| {
        let word = "case $T in $GOOD) W=good;; *) W=evil;; esac; ";
        let program =
            format!("{word}/lib64/ld-linux-x86-64.so.2 $T/bin/apply -c \"echo $W >> $TRACE\"");
        assert_shut(host, &[&program]);
    });
}

#[test]
fn the_shared_program_wants_an_admitted_wrapper() {
    live("activation::the_shared_program_wants_an_admitted_wrapper", shared_program);
}

pub(crate) fn shared_program(host: &mut Host) {
    let evil = host.system.evil.clone();
    let wrapper = host.physical(&evil).join("bin/switch-to-configuration");
    let copy = host.directory.join("copy");
    std::fs::copy(wrapper, copy).unwrap();
    let direct = ["TOPLEVEL=$T $SWITCH switch", "$DIR/copy switch", "sh $DIR/copy switch"];
    for attack in direct {
        let done = host.run(attack, &evil);
        assert!(done.trace.contains("shared"), "control: {attack}: {done:#?}");
    }
    host.guard();
    for attack in direct {
        let done = host.run(attack, &evil);
        let refused = !done.trace.contains("shared") && done.said.contains("not permitted");
        assert!(refused, "{attack}: {done:#?}");
    }
    // An admitted one is no way in for others beside it.
    let good = host.system.good.clone();
    let done = host.run("$T/activate; TOPLEVEL=$T $SWITCH switch", &good);
    assert!(!done.trace.contains("shared"), "{done:#?}");
    // For users who could activate nothing with it, it is a program like any other; root in a user namespace is not one
    // of them, nor who still has capabilities.
    let setup = "touch $TRACE; chmod 666 $TRACE; chmod 755 $DIR; ";
    let user = "setpriv --reuid 65534 --clear-groups";
    let done = host.run(&format!("{setup}{user} env $SWITCH --help"), &good);
    assert!(done.trace.contains("shared --help"), "{done:#?}");
    for user in [user, "unshare -Ur"] {
        let done = host.run(&format!("{setup}{user} $SWITCH --help"), &good);
        assert!(done.was_refused(), "{user}: {done:#?}");
    }
    let done = host.run("$T/bin/switch-to-configuration switch", &good);
    assert!(done.trace.contains("good wrapper switch"), "{done:#?}");
    assert!(done.trace.contains(&format!("shared switch for {good}")), "{done:#?}");
}

#[test]
fn namespaces_and_mounts_make_no_difference() {
    live("activation::namespaces_and_mounts_make_no_difference", |host| {
        assert_shut(host, &MOUNTS);
    });
}

#[test]
fn an_overlay_makes_no_difference() {
    live("activation::an_overlay_makes_no_difference", |host| assert_shut(host, &OVERLAYS));
}
