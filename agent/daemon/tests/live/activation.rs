//! G01 to G05: every way to run what is not admitted. Each goes through without the daemon, and with it for what is
//! admitted.

use crate::host::{Host, live};

/// Ways in, with `$T` for the toplevel: open without the daemon, shut with it, and open for what is admitted.
fn assert_shut(host: &mut Host, attacks: &[&str]) {
    let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
    for attack in attacks {
        let done = host.run(attack, &evil);
        assert!(done.trace.contains("evil"), "control, without the daemon: {attack}: {done:#?}");
    }
    host.guard();
    let mut open = Vec::new();
    for attack in attacks {
        let done = host.run(attack, &evil);
        if !done.was_refused() {
            open.push(format!("{attack}: {done:#?}"));
        }
        let done = host.run(attack, &good);
        if !done.trace.contains("good") {
            open.push(format!("control, admitted: {attack}: {done:#?}"));
        }
    }
    assert!(open.is_empty(), "{}", open.join("\n"));
}

#[test]
fn every_verb_is_refused() {
    live("activation::every_verb_is_refused", |host| {
        let verbs = ["switch", "boot", "test", "dry-activate", "check"];
        let attacks = verbs.map(|verb| format!("$T/bin/switch-to-configuration {verb}"));
        assert_shut(host, &attacks.each_ref().map(String::as_str));
        let evil = host.system.evil.to_string();
        let journal = host.journal.as_ref().unwrap();
        let toplevel = format!("NARWARDEN_TOPLEVEL={evil}\n");
        crate::host::wait_for("the events", || {
            let entries = journal.entries();
            let denials =
                entries.iter().filter(|it| it.contains(&toplevel) && it.contains("ACTION=refused"));
            denials.count() >= verbs.len()
        });
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
        assert_shut(
            host,
            &[
                "ln -sfn $T/bin/switch-to-configuration link; ./link switch",
                "ln -sfn $T profile; ./profile/bin/switch-to-configuration switch",
                "cd $T/bin && ./switch-to-configuration switch",
                "cd $STORE && ../store/$N/bin/../bin/switch-to-configuration switch",
                "exec 9<$T/nixos-version; cd $T; exec 8<.; /proc/self/fd/8/bin/switch-to-configuration switch",
                "ln -sfn $STORE/$(basename $(readlink $T/specialisation/one)) one; \
                 ./one/bin/switch-to-configuration switch",
                "cd $STORE/$(basename $(readlink $T/specialisation/one)) && ./activate",
                "(sleep 0; exec $T/activate) & wait $!",
                "env -i TRACE=$TRACE STORE=$STORE PATH=$PATH $T/bin/switch-to-configuration switch",
                "setsid -w $T/bin/switch-to-configuration switch",
                "NIXOS_NO_CHECK=1 NIXOS_INSTALL_BOOTLOADER=1 $T/bin/switch-to-configuration boot",
            ],
        );
    });
}

#[test]
fn a_descriptor_from_before_opens_nothing() {
    live("activation::a_descriptor_from_before_opens_nothing", |host| {
        // Without O_PATH the opening itself is asked about; with it, the execution.
        let attack = "exec 9<$T/activate; /proc/self/fd/9";
        assert_shut(host, &[attack]);
    });
}

#[test]
fn interpreters_are_refused() {
    live("activation::interpreters_are_refused", |host| {
        assert_shut(
            host,
            &[
                "bash $T/bin/switch-to-configuration switch",
                "sh $T/activate",
                ". $T/activate",
                "sh < $T/activate",
                "cat $T/activate | sh",
                "cp $T/activate $DIR/copy && sh $DIR/copy",
                "dd if=$T/activate status=none | sh -s",
                "/lib64/ld-linux-x86-64.so.2 $T/bin/apply $T/activate",
                "bash -c \"$(cat $T/dry-activate)\"",
            ],
        );
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
    live("activation::the_shared_program_wants_an_admitted_wrapper", |host| {
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
        // For users who could activate nothing with it, it is a program like any other.
        let done = host.run(
            "touch $TRACE; chmod 666 $TRACE; chmod 755 $DIR; setpriv --reuid 65534 --clear-groups $SWITCH --help",
            &good,
        );
        assert!(done.trace.contains("shared --help"), "{done:#?}");
        let done = host.run("$T/bin/switch-to-configuration switch", &good);
        assert!(done.trace.contains("good wrapper switch"), "{done:#?}");
        assert!(done.trace.contains(&format!("shared switch for {good}")), "{done:#?}");
    });
}

#[test]
fn namespaces_and_mounts_make_no_difference() {
    live("activation::namespaces_and_mounts_make_no_difference", |host| {
        let chroot = "mkdir -p $DIR/jail; unshare -m sh -c 'mount --bind / $DIR/jail && mount --rbind $DIR \
                      $DIR/jail$DIR && exec chroot $DIR/jail $T/bin/switch-to-configuration switch'";
        assert_shut(
            host,
            &[
                "unshare -m $T/bin/switch-to-configuration switch",
                "unshare -m sh -c 'mount --bind $T $GOOD && exec $GOOD/bin/switch-to-configuration switch'",
                "unshare -m sh -c 'mount --bind $T/activate $GOOD/activate && exec $GOOD/activate'",
                "unshare -m sh -c 'mkdir -p $DIR/x && mount --bind $T $DIR/x && exec $DIR/x/activate'",
                "unshare -mpf --mount-proc $T/bin/switch-to-configuration switch",
                "unshare -Ur $T/activate",
                chroot,
            ],
        );
    });
}
