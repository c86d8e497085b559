//! G12, and what the daemon costs: everything else on the host while a verification runs, and memory.

use crate::host::{Host, live, wait_for};
use std::time::{Duration, Instant};

/// Forks and executes a program of the watched file system, over and over; fails if one does not run.
const MANY: &str =
    "cp /bin/true $DIR/t; i=0; while [ $i -lt 10000 ]; do $DIR/t || exit 1; i=$((i+1)); done";

fn many(host: &Host) -> Duration {
    let good = host.system.good.clone();
    let done = host.run(MANY, &good);
    assert!(done.status.success(), "one of them failed: {done:#?}");
    done.took
}

#[test]
fn a_verification_keeps_nobody_waiting() {
    live("load::a_verification_keeps_nobody_waiting", |host| {
        let slow = host.slow_good();
        let without = many(host);
        host.guard();
        let idle = many(host);
        let mut waiting = host.shell("exec $T/activate", &slow).spawn().unwrap();
        wait_for("it", || host.status()["pending"].to_string().contains(slow.base_name()));
        let begin = Instant::now();
        let during = many(host);
        let status = crate::host::wait(&mut waiting, "the activation");
        assert!(status.success());
        eprintln!(
            "MEASURED 10,000 executions: {without:?} without the daemon, {idle:?} with it, {during:?} beginning \
             with a verification (over within {:?}); gate {}",
            begin.elapsed(),
            host.status()["gate"]
        );
        assert!(during < without * 3, "{during:?} instead of {without:?}");
    });
}

#[test]
fn files_that_are_new_each_time_are_let_through() {
    live("load::files_that_are_new_each_time_are_let_through", |host| {
        host.guard();
        let good = host.system.good.clone();
        let script = "i=0; while [ $i -lt 500 ]; do cp /bin/true $DIR/t$i && $DIR/t$i || exit 1; i=$((i+1)); done";
        let done = host.run(script, &good);
        assert!(done.status.success(), "{done:#?}");
        eprintln!("MEASURED 500 new programs in {:?}; gate {}", done.took, host.status()["gate"]);
    });
}

#[test]
fn an_idle_daemon_is_small() {
    live("load::an_idle_daemon_is_small", |host| {
        host.guard();
        let memory = host.status()["memory_kib"].as_u64().unwrap();
        let build = if cfg!(debug_assertions) { "debug" } else { "release" };
        let most = if cfg!(debug_assertions) { 40 << 10 } else { 20 << 10 };
        eprintln!("MEASURED {memory} KiB for an idle daemon, {build} build");
        assert!(memory <= most, "{memory} KiB");
    });
}
