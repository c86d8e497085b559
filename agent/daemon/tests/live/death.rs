//! G07: the daemon dies, at every moment that matters. What it held stays shut, what it left unanswered is denied by
//! its successor, and nothing else on the host waits for either.

use crate::host::{Done, Host, live, wait, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const SWITCH: &str = "exec $T/bin/switch-to-configuration switch";
/// How many attempts a daemon is killed during; bench/gate.sh has more.
const KILLS: u32 = 20;

fn stop(host: &Host) {
    let pid = i32::try_from(host.daemon.as_ref().unwrap().id()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::STOP).unwrap();
}

fn begin(host: &Host, script: &str) -> Child {
    let evil = host.system.evil.clone();
    let mut command = host.shell(script, &evil);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn assert_waits(child: &mut Child) {
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it should wait for an answer");
}

/// Another program on the same file system, as anything on a host is.
fn other(host: &Host) -> Done {
    let good = host.system.good.clone();
    host.run("cp /bin/true $DIR/true-$$ && exec $DIR/true-$$", &good)
}

fn trace(host: &Host) -> String {
    fs::read_to_string(host.directory.join("trace")).unwrap_or_default()
}

#[test]
fn what_was_held_stays_shut_while_nobody_is_there() {
    live("death::what_was_held_stays_shut_while_nobody_is_there", held_stays_shut);
}

pub(crate) fn held_stays_shut(host: &mut Host) {
    host.guard();
    let evil = host.system.evil.clone();
    assert!(host.run(SWITCH, &evil).was_refused());
    host.kill();
    let mut attempts =
        [SWITCH, "exec $T/activate", "exec sh $T/activate", "ln -f $T/activate h; exec ./h"]
            .map(|script| begin(host, script));
    attempts.iter_mut().for_each(assert_waits);
    let done = other(host);
    assert!(done.status.success(), "{done:#?}");
    host.start();
    for attempt in &mut attempts {
        assert!(!wait(attempt, "an attempt across a restart").success());
    }
    assert_eq!(trace(host), "");
    let good = host.system.good.clone();
    let done = host.run(SWITCH, &good);
    assert!(done.trace.contains("good"), "{done:#?}");
}

#[test]
fn without_a_descriptor_store_nothing_would_stay_shut() {
    live("death::without_a_descriptor_store_nothing_would_stay_shut", |host| {
        host.guard();
        host.kill();
        host.manager.forget();
        let evil = host.system.evil.clone();
        let done = host.run(SWITCH, &evil);
        assert!(done.trace.contains("evil"), "{done:#?}");
    });
}

#[test]
fn an_unread_request_is_answered_by_the_successor() {
    live("death::an_unread_request_is_answered_by_the_successor", |host| {
        host.guard();
        stop(host);
        let mut attempt = begin(host, SWITCH);
        assert_waits(&mut attempt);
        host.kill();
        assert_waits(&mut attempt);
        assert!(other(host).status.success());
        host.start();
        assert!(!wait(&mut attempt, "an unread request").success());
        assert_eq!(trace(host), "");
    });
}

#[test]
fn a_read_request_is_denied_by_the_successor() {
    live("death::a_read_request_is_denied_by_the_successor", |host| {
        // So that a request is read and waits for a verdict.
        host.guard();
        host.lock_database();
        let evil = host.system.evil.clone();
        let read = |host: &Host| host.status()["pending"].to_string().contains(evil.base_name());
        // Opened for reading, it is asked about by the group that outlives the daemon.
        let mut attempt = begin(host, "exec sh $T/activate");
        wait_for("the verification", || read(host));
        assert_waits(&mut attempt);
        host.kill();
        assert_waits(&mut attempt);
        assert!(other(host).status.success());
        host.unlock_database();
        host.start();
        let status = wait(&mut attempt, "an orphaned request");
        assert!(!status.success());
        assert_eq!(trace(host), "");
        let journal = host.journal.as_ref().unwrap();
        wait_for("the event", || journal.has(&["NARWARDEN_COUNT=1"]));
    });
}

#[test]
fn killed_at_random_it_lets_nothing_through() {
    live("death::killed_at_random_it_lets_nothing_through", |host| {
        host.guard();
        let evil = host.system.evil.clone();
        assert!(host.run(SWITCH, &evil).was_refused());
        let scripts =
            [SWITCH, "exec $T/activate", "exec sh $T/activate", "exec bash $T/dry-activate"];
        let mut random =
            u64::from(std::process::id()) ^ Instant::now().elapsed().subsec_nanos() as u64;
        for kill in 0..KILLS {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let mut attempt = begin(host, scripts[kill as usize % scripts.len()]);
            std::thread::sleep(Duration::from_micros((random >> 33) % 20_000));
            host.kill();
            let done = other(host);
            assert!(done.status.success(), "another program failed: {done:#?}");
            // At once, so that the next one may be killed at any moment of its start.
            host.launch();
            assert!(!wait(&mut attempt, "an attempt").success(), "kill {kill}");
            // `other` does away with the trace before it runs; this one is from after.
            assert_eq!(trace(host), "", "kill {kill} let it run");
        }
    });
}
