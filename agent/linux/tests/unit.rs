//! The unit file: systemd takes it, its sandbox leaves what the daemon does, and what its sandbox
//! leaves is what packaging/README.md says. `NARWARDEN_BLESS=1` writes that part of the page.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The version whose score is pinned: each counts a little differently.
const PINNED: u32 = 252;
/// The worst score any version may give.
const WORST: f32 = 2.5;
const BEGIN: &str = "<!-- security -->\n";
const END: &str = "<!-- end of security -->\n";

/// Why each of the points systemd makes stands.
const REASONS: [(&str, &str); 13] = [
    ("User=/DynamicUser=", "fanotify_init(2) wants root of the first user namespace"),
    ("PrivateUsers=", "fanotify_init(2) wants the first user namespace"),
    ("CapabilityBoundingSet=~CAP_SYS_ADMIN", "fanotify: permission events, marks on file systems"),
    ("CapabilityBoundingSet=~CAP_SYS_PTRACE", "which program asks: /proc/PID/exe of every user"),
    ("CapabilityBoundingSet=~CAP_(DAC_*|FOWNER|IPC_OWNER)", "hash files whatever their mode"),
    ("SystemCallFilter=~@privileged", "fanotify and capset(2) are in that group"),
    (
        "SystemCallFilter=~@resources",
        "sched_setscheduler(2) and ioprio_set(2): its own threads give way to others",
    ),
    ("RestrictSUIDSGID=", "it refuses openat2(2), which opens every file of the store"),
    ("ProtectProc=", "whoever asks must be seen"),
    ("ProcSubset=", "the boot id, and the limits of fanotify"),
    ("PrivateDevices=", "whoever was refused is told at the terminal"),
    ("DeviceAllow=", "consoles, for the same; the clock is from `ProtectClock=`"),
    ("RestrictAddressFamilies=~AF_UNIX", "journal, service manager, clients"),
];

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(name)
}

fn unit() -> String {
    fs::read_to_string(packaging("narwardend.service")).unwrap()
}

/// The values of a key, in order.
fn values<'u>(unit: &'u str, key: &str) -> Vec<&'u str> {
    let value = |line: &'u str| line.strip_prefix(key)?.strip_prefix('=');
    unit.lines().filter_map(value).collect()
}

/// The version of systemd here, or a loud `None`.
fn version() -> Option<u32> {
    let output = Command::new("systemd-analyze").arg("--version").output();
    let version = output.ok().and_then(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_whitespace().nth(1)?.parse().ok()
    });
    if version.is_none() {
        eprintln!("SKIPPED, needs systemd-analyze: the unit file");
    }
    version
}

/// Runs systemd-analyze on the unit, with a program that is there.
fn analyze(version: u32, arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("narwardend.service");
    fs::write(&path, unit().replace("=/usr/bin/narwardend", "=/bin/true")).unwrap();
    if version >= 253 {
        let name = "narwardend.service.d/50-systemd-253.conf";
        fs::create_dir(directory.path().join("narwardend.service.d")).unwrap();
        fs::copy(packaging(name), directory.path().join(name)).unwrap();
    }
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg(&path).env("SYSTEMD_COLORS", "0").env("LC_ALL", "C.UTF-8");
    command.output().unwrap()
}

#[test]
fn systemd_takes_it_without_a_word() {
    let Some(version) = version() else { return };
    let output = analyze(version, &["verify", "--man=no"]);
    let said = String::from_utf8_lossy(&output.stderr);
    // 253 does not know one key of the drop-in, and says so.
    let words = said.lines().filter(|line| !line.contains("FileDescriptorStorePreserve"));
    assert_eq!(words.count(), 0, "{said}");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_page_says_what_the_sandbox_leaves() {
    let Some(version) = version() else { return };
    let output = analyze(version, &["security", "--offline=true", "--no-pager"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let overall = text.lines().find_map(|line| line.split_once("narwardend.service: ")).unwrap().1;
    let score = overall.split(' ').next().unwrap();
    assert!(score.parse::<f32>().unwrap() <= WORST, "{text}");
    if version != PINNED {
        eprintln!("SKIPPED, the pinned score is of systemd {PINNED}: here it is {score}");
        return;
    }

    let mut table = format!("Overall exposure: **{score}** of 10.\n\n");
    table.push_str("| systemd's point | exposure | why it stands |\n|---|---|---|\n");
    for line in text.lines().filter(|line| line.starts_with('✗')) {
        let words: Vec<_> = line.split_whitespace().collect();
        let (name, exposure) = (words[1], words[words.len() - 1]);
        let (_, why) = REASONS.iter().find(|(known, _)| *known == name).expect(name);
        writeln!(table, "| `{}` | {exposure} | {why} |", name.replace('|', "\\|")).unwrap();
    }
    let page = fs::read_to_string(packaging("README.md")).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = format!("{before}{BEGIN}{table}{END}{after}");
    if std::env::var_os("NARWARDEN_BLESS").is_some() {
        fs::write(packaging("README.md"), &wanted).unwrap();
    }
    let page = fs::read_to_string(packaging("README.md")).unwrap();
    assert!(page == wanted, "run this test with NARWARDEN_BLESS=1: it should be\n{table}");
}

/// The system calls behind the words of a filter, groups taken apart.
fn calls(words: &str) -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    for word in words.split_whitespace() {
        if !word.starts_with('@') {
            calls.insert(word.to_owned());
            continue;
        }
        let output = Command::new("systemd-analyze").args(["syscall-filter", word]).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        // The name, a comment line, then one word a line.
        let inner = text.lines().skip(1).filter(|line| !line.trim_start().starts_with('#'));
        calls.extend(self::calls(&inner.collect::<Vec<_>>().join(" ")));
    }
    calls
}

#[test]
fn the_filter_leaves_what_the_daemon_calls() {
    if version().is_none() {
        return;
    }
    let mut left = calls("@default");
    let unit = unit();
    for words in values(&unit, "SystemCallFilter") {
        match words.strip_prefix('~') {
            None => left.extend(calls(words)),
            Some(words) => left = &left - &calls(words),
        }
    }
    let needed = "fanotify_init fanotify_mark landlock_create_ruleset landlock_add_rule \
        landlock_restrict_self capget capset prctl openat2 statx getdents64 readlinkat flistxattr \
        memfd_create fcntl pipe2 poll ppoll epoll_wait eventfd2 inotify_init1 inotify_add_watch \
        socket bind listen accept4 connect sendmsg recvmsg sendto getsockopt setsockopt \
        rename renameat renameat2 symlinkat unlinkat linkat mkdirat fsync fdatasync flock fchmod \
        fchmodat clone3 futex execve prlimit64 pidfd_open pidfd_send_signal kill rt_sigaction \
        sched_getaffinity sched_setscheduler ioprio_set fadvise64 preadv2 mmap mprotect madvise pread64 pwrite64 fallocate ftruncate umask \
        signalfd4 timerfd_create getrandom set_robust_list rseq membarrier";
    let missing: Vec<_> = needed.split_whitespace().filter(|call| !left.contains(*call)).collect();
    assert_eq!(missing, [""; 0]);
    let refused = "mount move_mount init_module kexec_load ptrace process_vm_readv userfaultfd bpf setuid chown \
        sched_setattr setpriority mbind \
        reboot settimeofday perf_event_open add_key pivot_root open_by_handle_at";
    let too_many: Vec<_> = refused.split_whitespace().filter(|call| left.contains(*call)).collect();
    assert_eq!(too_many, [""; 0]);
}

#[test]
fn nothing_that_would_open_or_stop_the_gate_has_crept_in() {
    let unit = unit();
    let one = |key| match values(&unit, key).as_slice() {
        [value] => (*value).to_owned(),
        values => panic!("{key} once, not {values:?}"),
    };
    for (key, value) in [
        // 252 knows no notify-reload.
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("Restart", "always"),
        ("RestartSec", "100ms"),
        ("StartLimitIntervalSec", "0"),
        ("RefuseManualStop", "true"),
        ("X-StopOnRemoval", "false"),
        ("X-ReloadIfChanged", "true"),
        ("ReadWritePaths", "/nix/var/nix"),
        ("WatchdogSignal", "SIGKILL"),
        ("LimitCORE", "1"),
        ("LimitNICE", "+0"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", "CAP_SYS_ADMIN CAP_DAC_READ_SEARCH CAP_SYS_PTRACE"),
    ] {
        assert_eq!(one(key), value, "{key}");
    }
    for key in [
        "User",
        "DynamicUser",
        "PrivateUsers",
        "ProtectProc",
        "ProcSubset",
        "RestrictSUIDSGID",
        "MemoryMax",
        "MemoryHigh",
    ] {
        assert_eq!(values(&unit, key), [""; 0], "{key}");
    }
    let dropin = packaging("narwardend.service.d/50-systemd-253.conf");
    let dropin = fs::read_to_string(dropin).unwrap();
    assert_eq!(values(&dropin, "Type"), ["notify-reload"]);
    assert_eq!(values(&dropin, "ExecReload"), [""]);
    assert_eq!(values(&dropin, "FileDescriptorStorePreserve"), ["yes"]);
}
