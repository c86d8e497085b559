//! A clock that is set: keys and admissions are timed by it, so everything is judged again.

use crate::host::{live, wait_for};
use std::process::Command;

const SWITCH: &str = "$T/bin/switch-to-configuration switch";

/// clock_settime(2), to the present.
fn set_clock() -> bool {
    let set = "date -s @$(date +%s.%N)";
    Command::new("sh").args(["-c", set]).output().unwrap().status.success()
}

#[test]
fn a_clock_that_is_set_has_everything_judged_again() {
    live("clock::a_clock_that_is_set_has_everything_judged_again", |host| {
        host.guard();
        let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
        assert!(host.run(SWITCH, &evil).was_refused());
        let judged = host.verdicts("admitted", &good);
        assert!(judged > 0);
        // Control: what has a verdict is not judged again for being asked about, or listed.
        for _ in 0..5 {
            host.system.set_current(1);
            assert!(host.run(SWITCH, &good).trace.contains("good wrapper"));
        }
        assert_eq!(host.verdicts("admitted", &good), judged);
        let journal = host.journal.as_ref().unwrap();
        assert!(!journal.has(&["NARWARDEN_EVENT=clock-changed\n"]));
        if !set_clock() {
            eprintln!("SKIPPED, the clock cannot be set here: clock::*");
            return;
        }
        wait_for("the event", || journal.has(&["NARWARDEN_EVENT=clock-changed\n"]));
        // Nobody has to ask for it.
        wait_for("the verdict", || host.verdicts("admitted", &good) > judged);
        let done = host.run(SWITCH, &good);
        assert!(done.trace.contains("good wrapper"), "{done:#?}");
        assert!(host.run(SWITCH, &evil).was_refused());
        // It is heard each time.
        let judged = host.verdicts("admitted", &good);
        assert!(set_clock());
        wait_for("the next verdict", || host.verdicts("admitted", &good) > judged);
    });
}
