//! What the threads of the running daemon may still do: the kernel is asked, not the daemon.

use crate::host::{Host, live};
use std::fs;

const CAP_SYS_ADMIN: u64 = 1 << 21;
const CAP_DAC_READ_SEARCH: u64 = 1 << 2;

/// Those that answer the kernel and replace the program: proc(5) has their names.
const FREE: [&str; 2] = ["gate", "renewal"];

/// `NoNewPrivs`, and the permitted and effective capabilities, by the name of the thread.
fn threads(host: &Host) -> Vec<(String, (bool, u64))> {
    let pid = host.daemon.as_ref().unwrap().id();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let texts = tasks.filter_map(|it| fs::read_to_string(it.unwrap().path().join("status")).ok());
    let thread = |text: String| {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().to_owned()
        };
        let mask = |name| u64::from_str_radix(&value(name), 16).unwrap();
        (value("Name:"), (value("NoNewPrivs:") == "1", mask("CapEff:") | mask("CapPrm:")))
    };
    texts.map(thread).collect()
}

/// Each thread, but for those two, reads what it may and no more.
pub(crate) fn assert_confined(host: &Host) {
    let threads = threads(host);
    for name in ["narwardend", "verifier", "watcher", "attempts", "clock"].iter().chain(&FREE) {
        assert!(threads.iter().any(|(it, _)| it == name), "{name} is not among {threads:?}");
    }
    for (name, (no_new_privs, capabilities)) in threads {
        if FREE.contains(&name.as_str()) {
            assert_ne!(capabilities & CAP_SYS_ADMIN, 0, "control: {name} needs it");
        } else {
            assert!(no_new_privs, "{name}");
            assert_eq!(capabilities & !CAP_DAC_READ_SEARCH, 0, "{name}: {capabilities:x}");
        }
    }
}

#[test]
fn the_threads_that_read_what_others_wrote_can_do_no_more() {
    live("sandbox::the_threads_that_read_what_others_wrote_can_do_no_more", |host| {
        host.guard();
        assert_confined(host);
        let journal = host.journal.as_ref().unwrap();
        assert!(!journal.has(&["NARWARDEN_EVENT=sandbox-incomplete\n"]));
    });
}
