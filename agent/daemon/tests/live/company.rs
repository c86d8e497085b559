//! Rows of SECURITY.md that are about the daemon's own circumstances: nobody can talk to it, or it was paused. Neither
//! lets anything through that would otherwise be refused.

use crate::host::{Host, live, wait, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::Stdio;
use std::time::Duration;

const SWITCH: &str = "exec $T/bin/switch-to-configuration switch";

fn assert_guarded(host: &Host) {
    let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
    let done = host.run(SWITCH, &evil);
    assert!(done.was_refused(), "{done:#?}");
    wait_for("the good one", || host.run(SWITCH, &good).trace.contains("good wrapper"));
}

#[test]
fn a_socket_that_cannot_be_bound_opens_nothing() {
    live("company::a_socket_that_cannot_be_bound_opens_nothing", |host| {
        let socket = host.root().join("run/narwarden/io.narwarden");
        fs::create_dir_all(socket.join("in the way")).unwrap();
        host.start();
        let journal = host.journal.as_ref().unwrap();
        wait_for("the event", || journal.has(&["NARWARDEN_EVENT=trouble", "answering at"]));
        assert!(host.call("Status", "{}").is_none(), "control: nobody answers there");
        assert_guarded(host);
    });
}

#[test]
fn a_daemon_that_was_paused_goes_on_where_it_was() {
    live("company::a_daemon_that_was_paused_goes_on_where_it_was", |host| {
        host.guard_and_settle();
        let pid = i32::try_from(host.daemon.as_ref().unwrap().id()).unwrap();
        let signal = |signal| kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
        signal(Signal::STOP);
        let evil = host.system.evil.clone();
        let mut command = host.shell(SWITCH, &evil);
        let mut attempt = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        assert!(attempt.try_wait().unwrap().is_none(), "it should wait for an answer");
        signal(Signal::CONT);
        assert!(!wait(&mut attempt, "an attempt across a pause").success());
        assert_guarded(host);
    });
}
