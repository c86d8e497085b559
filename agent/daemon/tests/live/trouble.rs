//! G13: descriptors, disk, database. Whatever is missing, what is not admitted stays shut, and when it is back all is
//! as it was.
//!
//! The kernel's queue cannot be filled: the groups are made with `FAN_UNLIMITED_QUEUE` (fanotify_init(2)), and memory
//! is what bounds them.

use crate::host::{Host, live, live_on_ext4, wait, wait_for};
use narwarden_core::store_path::StorePath;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const SWITCH: &str = "$T/bin/switch-to-configuration switch";

/// A good generation that nobody verified ahead, since no link leads to it.
fn unknown(host: &mut Host, word: &str) -> StorePath {
    let path = host.system.toplevel(word, None);
    host.system.sign(&path);
    path
}

fn mount(arguments: &[&str], at: &PathBuf) {
    assert!(Command::new("mount").args(arguments).arg(at).status().unwrap().success());
}

/// A state directory on a small file system of its own.
fn small_state(host: &Host) -> PathBuf {
    let state = host.root().join("var/lib/narwarden");
    fs::create_dir_all(&state).unwrap();
    mount(&["-t", "tmpfs", "-o", "size=512k,mode=700", "state"], &state);
    state
}

/// Nothing new is admitted, what is stays so, and later both are.
fn assert_only_new_ones_are_refused(host: &mut Host, word: &str) -> StorePath {
    let (good, evil, later) =
        (host.system.good.clone(), host.system.evil.clone(), unknown(host, word));
    let done = host.run(SWITCH, &later);
    assert!(done.was_refused(), "{done:#?}");
    assert!(host.run(SWITCH, &evil).was_refused());
    let done = host.run(SWITCH, &good);
    let entries = host.journal.as_ref().unwrap().entries();
    assert!(done.trace.contains("good wrapper"), "{done:#?} {entries:#?}");
    later
}

/// Nothing is broken that the next start would find.
fn assert_undamaged_by_a_restart(host: &mut Host) {
    host.kill();
    host.guard();
    assert_eq!(host.status()["damage"], serde_json::json!([]));
}

#[test]
fn a_verdict_that_does_not_fit_on_the_disk_admits_nothing() {
    live("trouble::a_verdict_that_does_not_fit_on_the_disk_admits_nothing", |host| {
        let state = small_state(host);
        host.guard_and_settle();
        let filler = state.join("filler");
        let full = fs::write(&filler, vec![b'x'; 1 << 20]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        let later = assert_only_new_ones_are_refused(host, "later");
        let journal = host.journal.as_ref().unwrap();
        wait_for("the event", || journal.has(&["No space left on device"]));
        fs::remove_file(filler).unwrap();
        wait_for("the admission", || host.run(SWITCH, &later).trace.contains("later"));
        assert_undamaged_by_a_restart(host);
    });
}

#[test]
fn a_state_directory_that_takes_no_files_admits_nothing() {
    const NAME: &str = "trouble::a_state_directory_that_takes_no_files_admits_nothing";
    live_on_ext4(NAME, |host| {
        host.guard_and_settle();
        // What is open already can be written to, so that half of a verdict is written down.
        let state = host.root().join("var/lib/narwarden");
        let chattr = |flag: &str| {
            let status = Command::new("chattr").arg(flag).arg(&state).status();
            assert!(status.unwrap().success(), "chattr {flag} (e2fsprogs)");
        };
        chattr("+i");
        let later = assert_only_new_ones_are_refused(host, "later");
        chattr("-i");
        wait_for("the admission", || host.run(SWITCH, &later).trace.contains("later"));
        assert_undamaged_by_a_restart(host);
    });
}

#[test]
fn a_start_without_a_writable_state_directory_admits_nothing() {
    live("trouble::a_start_without_a_writable_state_directory_admits_nothing", |host| {
        let state = small_state(host);
        host.guard();
        host.kill();
        host.manager.forget();
        mount(&["-o", "remount,ro"], &state);
        let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
        assert!(host.run(SWITCH, &evil).trace.contains("evil"), "control: nobody is there");
        host.launch();
        wait_for("the gate", || host.status().is_object());
        assert!(host.run(SWITCH, &evil).was_refused());
        assert!(host.run(SWITCH, &good).was_refused(), "no verdict can be written down");
        mount(&["-o", "remount,rw"], &state);
        wait_for("the good one", || host.run(SWITCH, &good).trace.contains("good wrapper"));
    });
}

#[test]
fn a_locked_database_admits_nothing_and_is_read_again() {
    live("trouble::a_locked_database_admits_nothing_and_is_read_again", |host| {
        host.rules("[gate]\ndeadline = \"1s\"");
        host.guard_and_settle();
        let later = unknown(host, "later");
        host.lock_database();
        let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
        let done = host.run(SWITCH, &later);
        assert!(done.was_refused(), "{done:#?}");
        assert!(host.run(SWITCH, &evil).was_refused());
        assert!(host.run(SWITCH, &good).trace.contains("good wrapper"), "admitted before");
        host.unlock_database();
        wait_for("the admission", || host.run(SWITCH, &later).trace.contains("later"));
    });
}

#[test]
fn activations_that_wait_take_no_descriptors_from_others() {
    live("trouble::activations_that_wait_take_no_descriptors_from_others", |host| {
        host.limits = "ulimit -n 128;";
        host.guard();
        let (good, later) = (host.system.good.clone(), unknown(host, "later"));
        // So that they wait for as long as this does.
        host.lock_database();
        let attempt = |script: &str| {
            let mut command = host.shell(script, &later);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        let mut attempts: Vec<_> = (0..200)
            .map(|it| attempt(["exec $T/activate", "exec sh $T/dry-activate"][it % 2]))
            .collect();
        let others: Vec<_> = (0..20)
            .map(|it| host.run(&format!("cp /bin/true $DIR/o{it} && exec $DIR/o{it}"), &good))
            .collect();
        let waited = attempts.iter_mut().filter_map(|it| it.try_wait().unwrap()).count();
        let trace = fs::read_to_string(host.directory.join("trace")).unwrap_or_default();
        assert_eq!(trace, "", "one of them ran");
        assert!(waited < attempts.len(), "control: some should wait");
        for other in others {
            assert!(other.status.success(), "another program: {other:#?}");
        }
        host.unlock_database();
        for one in &mut attempts {
            let _ = wait(one, "an attempt");
        }
        wait_for("the admission", || host.run(SWITCH, &later).trace.contains("later"));
    });
}

#[test]
fn a_daemon_that_has_no_descriptors_left_makes_room_for_the_next_one() {
    const NAME: &str = "trouble::a_daemon_that_has_no_descriptors_left_makes_room_for_the_next_one";
    live(NAME, |host| {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        host.guard_and_settle();
        let mut daemon = host.daemon.take().unwrap();
        let pid = Pid::from_raw(i32::try_from(daemon.id()).unwrap());
        let few = Rlimit { current: Some(8), maximum: Some(8) };
        prlimit(pid, Resource::Nofile, few).unwrap();
        let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
        let other = |host: &Host, it: u32| {
            let program = format!("cp /bin/true $DIR/o{it} && exec $DIR/o{it}");
            host.run(&program, &good).status.success()
        };
        assert!(!other(host, 0), "control: what cannot be read is denied");
        assert!(daemon.try_wait().unwrap().is_none(), "one that is lost is no reason");
        let mut refused = 1;
        wait_for("its end", || {
            refused += u32::from(!other(host, refused));
            daemon.try_wait().unwrap().is_some()
        });
        host.start();
        assert!(other(host, refused + 1));
        assert!(host.run(SWITCH, &evil).was_refused());
    });
}

#[test]
fn a_crash_leaves_no_memory_behind() {
    live("trouble::a_crash_leaves_no_memory_behind", |host| {
        use rustix::process::{Pid, Signal, kill_process};
        use std::os::unix::process::ExitStatusExt as _;
        // What handles a dump may itself be a program of the store, and would wait for the daemon that is gone.
        let mut control = host.shell("ulimit -c unlimited; kill -ABRT $$", &host.system.good);
        if !control.status().unwrap().core_dumped() {
            eprintln!("SKIPPED, nothing dumps core here: a_crash_leaves_no_memory_behind");
            return;
        }
        host.limits = "ulimit -c unlimited;";
        host.guard();
        let mut daemon = host.daemon.take().unwrap();
        let pid = Pid::from_raw(i32::try_from(daemon.id()).unwrap()).unwrap();
        kill_process(pid, Signal::ABORT).unwrap();
        let status = wait(&mut daemon, "a crash");
        assert!(status.signal().is_some() && !status.core_dumped(), "{status:?}");
        let evil = host.system.evil.clone();
        host.start();
        assert!(host.run(SWITCH, &evil).was_refused());
    });
}
