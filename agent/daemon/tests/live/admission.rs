//! G13, G15 and the modes: what is not decided yet, cannot be written down, or is only observed.

use crate::host::{Host, live, wait_for};
use crate::manager::Journal;
use narwarden_core::store_path::StorePath;

const SWITCH: &str = "$T/bin/switch-to-configuration switch";

/// A good generation that nobody verified ahead, since no link leads to it.
fn unknown(host: &mut Host) -> StorePath {
    let path = host.system.toplevel("good-later", None);
    host.system.sign(&path);
    path
}

#[test]
fn an_admission_is_made_while_its_activation_waits() {
    live("admission::an_admission_is_made_while_its_activation_waits", |host| {
        host.guard();
        let later = unknown(host);
        let done = host.run(SWITCH, &later);
        assert!(done.trace.contains("good-later wrapper"), "{done:#?}");
        assert!(done.trace.contains(&format!("shared switch for {later}")), "{done:#?}");
        // And with a byte changed since, once more in the beginning.
        host.kill();
        host.system.forge.overwrite(&later, "nixos-version", b"26.05.good-lateR").unwrap();
        host.start();
        let done = host.run(SWITCH, &later);
        assert!(done.was_refused(), "{done:#?}");
    });
}

#[test]
fn at_the_deadline_it_is_refused_and_answered_the_next_time() {
    live("admission::at_the_deadline_it_is_refused_and_answered_the_next_time", |host| {
        host.rules("[gate]\ndeadline = \"1s\"");
        host.guard();
        let later = unknown(host);
        host.lock_database();
        let done = host.run(SWITCH, &later);
        assert!(done.was_refused(), "verifying should outlast the deadline: {done:#?}");
        let good = host.system.good.clone();
        let journal = host.journal.as_ref().unwrap();
        wait_for("the event", || {
            journal.has(&["NARWARDEN_EVENT=answered-by-deadline", later.base_name()])
        });
        let pending = || host.status()["pending"].to_string().contains(later.base_name());
        assert!(pending(), "the work goes on");
        host.unlock_database();
        wait_for("the verdict", || !pending());
        let admitted = |journal: &Journal| {
            let entries = journal.entries();
            let mut admitted = entries.iter().filter(|it| it.contains("NARWARDEN_VERDICT=admit\n"));
            admitted.any(|it| it.contains(later.base_name()))
        };
        assert!(admitted(journal), "before anybody asks again");
        let done = host.run(SWITCH, &later);
        assert!(done.trace.contains("good-later wrapper"), "{done:#?}");
        // Control: what was verified ahead never waited.
        assert!(host.run(SWITCH, &good).trace.contains("good wrapper"));
    });
}

#[test]
fn without_a_journal_nothing_is_admitted() {
    live("admission::without_a_journal_nothing_is_admitted", |host| {
        host.guard_and_settle();
        let (good, later) = (host.system.good.clone(), unknown(host));
        host.journal = None;
        let done = host.run(SWITCH, &later);
        assert!(done.was_refused(), "{done:#?}");
        // What was written down already holds.
        assert!(host.run(SWITCH, &good).trace.contains("good wrapper"));
        wait_for("the state", || host.status()["journal"] != "connected");
        host.journal = Some(Journal::at(&host.directory.join("journal")));
        // A refusal is repeated for a while, and then looked at again.
        wait_for("the admission", || host.run(SWITCH, &later).trace.contains("good-later"));
        wait_for("the state", || host.status()["journal"] == "connected");
    });
}

#[test]
fn observing_lets_through_and_says_so() {
    live("admission::observing_lets_through_and_says_so", |host| {
        host.guard();
        let evil = host.system.evil.clone();
        assert!(host.run(SWITCH, &evil).was_refused());
        let reply = host.call("Observe", r#"{"seconds":60,"reason":"a test"}"#).unwrap();
        assert!(reply["error"].is_null(), "{reply}");
        let mode = host.status()["mode"].clone();
        assert_eq!((&mode["kind"], &mode["policy"]), (&"observe".into(), &"enforce".into()));
        for script in [SWITCH, "$T/activate", "sh $T/activate"] {
            let done = host.run(script, &evil);
            assert!(done.trace.contains("evil"), "{script}: {done:#?}");
        }
        let done = host.run("TOPLEVEL=$T $SWITCH switch", &evil);
        assert!(done.trace.contains("shared"), "{done:#?}");
        let journal = host.journal.as_ref().unwrap();
        let toplevel = format!("NARWARDEN_TOPLEVEL={evil}\n");
        wait_for("the event", || journal.has(&[&toplevel, "NARWARDEN_ACTION=allowed"]));
        let reply = host.call("EndObserve", "{}").unwrap();
        assert!(reply["error"].is_null(), "{reply}");
        assert!(host.run(SWITCH, &evil).was_refused());
    });
}

/// What the policy says, no operator ends, and the status says which of the two it is.
#[test]
fn observing_by_the_policy_is_ended_by_the_policy() {
    live("admission::observing_by_the_policy_is_ended_by_the_policy", |host| {
        host.rules("mode = \"observe\"\n\n");
        host.guard();
        let mode = host.status()["mode"].clone();
        assert_eq!((&mode["kind"], &mode["policy"]), (&"observe".into(), &"observe".into()));
        let reply = host.call("EndObserve", "{}").unwrap();
        assert!(reply.to_string().contains("the policy itself observes"), "{reply}");
        let evil = host.system.evil.clone();
        assert!(host.run(SWITCH, &evil).trace.contains("evil"), "it still observes");
    });
}

#[test]
fn without_rules_everything_is_refused() {
    live("admission::without_rules_everything_is_refused", |host| {
        std::fs::remove_dir_all(host.root().join("etc/narwarden")).unwrap();
        let good = host.system.good.clone();
        assert!(host.run(SWITCH, &good).trace.contains("good"), "control");
        host.start();
        let done = host.run(SWITCH, &good);
        assert!(done.was_refused(), "{done:#?}");
    });
}
