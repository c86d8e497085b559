//! G12, and what the daemon costs, in work and not in time: bench/ has the times.

use crate::host::{Host, live, wait_for};
use serde_json::Value;

/// Forks and executes a program of the watched file system, over and over; fails if one does not run.
const MANY: &str =
    "cp /bin/true $DIR/t; i=0; while [ $i -lt 10000 ]; do $DIR/t || exit 1; i=$((i+1)); done";

/// How many requests ten thousand executions may cost: the first of each program, and what the shell around them
/// opens. Every further one is ignored by a mark, which the kernel may forget under memory pressure only.
const FEW: u64 = 100;

/// The gate's counters, which must add up: whatever was asked was answered, and nothing was lost.
fn gate(host: &Host) -> Value {
    let gate = host.status()["gate"].clone();
    let counted = |name: &str| gate[name].as_u64().unwrap();
    assert_eq!(counted("requests"), counted("allowed") + counted("denied"), "{gate}");
    let bins = gate["histogram"].as_array().unwrap();
    let answered: u64 = bins.iter().map(|bin| bin["count"].as_u64().unwrap()).sum();
    assert!(answered >= counted("requests"), "{gate}");
    // Where the daemon shows what it lost, there is none of it.
    for lost in ["overflows", "garbled", "unreported", "abandoned"] {
        assert!(gate[lost].is_null() || gate[lost] == 0, "{gate}");
    }
    gate
}

fn many(host: &Host) -> u64 {
    let good = host.system.good.clone();
    let before = gate(host)["requests"].as_u64().unwrap();
    let done = host.run(MANY, &good);
    assert!(done.status.success(), "one of them failed: {done:#?}");
    gate(host)["requests"].as_u64().unwrap() - before
}

#[test]
fn a_verification_keeps_nobody_waiting() {
    live("load::a_verification_keeps_nobody_waiting", |host| {
        let slow = host.slow_good();
        host.guard();
        let idle = many(host);
        let mut waiting = host.shell("exec $T/activate", &slow).spawn().unwrap();
        wait_for("it", || host.status()["pending"].to_string().contains(slow.base_name()));
        // Control: it does wait, so that the others could.
        assert!(waiting.try_wait().unwrap().is_none());
        let during = many(host);
        assert!(crate::host::wait(&mut waiting, "the activation").success());
        assert!(
            idle < FEW && during < FEW,
            "{idle}, {during} of 10,000 executions were asked about"
        );
    });
}

#[test]
fn files_that_are_new_each_time_are_let_through() {
    live("load::files_that_are_new_each_time_are_let_through", |host| {
        host.guard();
        let good = host.system.good.clone();
        let before = gate(host)["requests"].as_u64().unwrap();
        let script = "i=0; while [ $i -lt 500 ]; do cp /bin/true $DIR/t$i && $DIR/t$i || exit 1; i=$((i+1)); done";
        let done = host.run(script, &good);
        assert!(done.status.success(), "{done:#?}");
        // Control: each of them was asked about.
        let asked = gate(host)["requests"].as_u64().unwrap() - before;
        assert!((500..500 + FEW).contains(&asked), "{asked}");
    });
}

#[test]
fn an_idle_daemon_is_small() {
    live("load::an_idle_daemon_is_small", |host| {
        host.guard();
        let memory = host.status()["memory_kib"].as_u64().unwrap();
        // What issue and documentation promise is for a release build.
        let most = if cfg!(debug_assertions) { 40 << 10 } else { 20 << 10 };
        assert!((1..=most).contains(&memory), "{memory} KiB");
    });
}

#[test]
fn an_idle_daemon_rests() {
    live("load::an_idle_daemon_rests", |host| {
        host.guard();
        let pid = host.daemon.as_ref().unwrap().id();
        // How often its threads went to sleep: once a beat, and for the call that asks for its state.
        let switches = || -> u64 {
            let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
            let status = tasks.map(|it| std::fs::read_to_string(it.unwrap().path().join("status")));
            let lines: Vec<_> = status.map(Result::unwrap).collect();
            let lines = lines.iter().flat_map(|it| it.lines());
            let counts = lines.filter_map(|it| it.strip_prefix("voluntary_ctxt_switches:"));
            counts.map(|it| it.trim().parse::<u64>().unwrap()).sum()
        };
        // Whatever guarding began with comes to its end.
        wait_for("rest", || {
            let before = switches();
            std::thread::sleep(std::time::Duration::from_secs(3));
            switches() - before < 100
        });
        // Control: it wakes when something moves.
        let before = switches();
        host.system.set_current(1);
        wait_for("a scan", || switches() > before);
    });
}
