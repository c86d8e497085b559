//! SIGHUP: another version of the daemon takes its place in the same process, and nobody notices. What cannot be one
//! leaves the old one where it is.

use crate::host::{Host, live, wait, wait_for};
use crate::sandbox::assert_confined;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

const SWITCH: &str = "$T/bin/switch-to-configuration switch";
const DAEMON: &str = env!("CARGO_BIN_EXE_narwardend");

/// Where the next version lies: on the file system that is watched, in a directory that is root's alone.
fn place(host: &mut Host) -> PathBuf {
    let directory = host.directory.join("sbin");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    let place = directory.join("narwardend");
    host.successor = Some(place.clone());
    place
}

/// Puts another file there, as an update does: the one that runs is not written to.
fn put(place: &PathBuf, bytes: &[u8], mode: u32) {
    let new = place.with_extension("new");
    fs::write(&new, bytes).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
    fs::rename(new, place).unwrap();
}

fn pid(host: &Host) -> u32 {
    host.daemon.as_ref().unwrap().id()
}

/// Which program it is, and its threads: those of another program are others.
fn running(host: &Host) -> (PathBuf, BTreeSet<String>) {
    let proc = PathBuf::from(format!("/proc/{}", pid(host)));
    let tasks = fs::read_dir(proc.join("task")).unwrap();
    // Those that measure come and go.
    let stays = |task: &PathBuf| {
        let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
        !matches!(name.trim(), "" | "measure" | "read-ahead" | "seals")
    };
    let names = tasks.map(|it| it.unwrap().path()).filter(stays);
    let names = names.map(|it| it.file_name().unwrap().to_str().unwrap().to_owned());
    (fs::read_link(proc.join("exe")).unwrap(), names.collect())
}

/// SIGHUP, and that it is ready again.
fn reload(host: &Host) {
    let ready = host.manager.ready();
    let pid = Pid::from_raw(pid(host).try_into().unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    wait_for("READY=1", || host.manager.ready() > ready);
}

fn count(host: &Host, event: &str) -> usize {
    let entries = host.journal.as_ref().unwrap().entries();
    entries.iter().filter(|it| it.contains(&format!("NARWARDEN_EVENT={event}\n"))).count()
}

#[test]
fn another_version_takes_over_without_a_gap() {
    live("renewal::another_version_takes_over_without_a_gap", |host| {
        let place = place(host);
        let version = |number: u8| [fs::read(DAEMON).unwrap(), vec![number]].concat();
        put(&place, &version(0), 0o555);
        let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
        let unlinked = host.system.toplevel("evil-unlinked", None);
        host.guard();
        let before = running(host);
        // Programs that are new each time, so that the gate is asked about each of them.
        let others = "i=0; while [ ! -e $DIR/enough ]; do i=$((i+1)); cp /bin/true $DIR/p$i; \
                      $DIR/p$i || echo $i >> $DIR/failed; rm $DIR/p$i; echo $i > $DIR/others; done";
        // In the end, each attempt is refused; what ran leaves a line behind.
        let attacks = "export TRACE=$DIR/ran; i=0; while [ ! -e $DIR/enough ]; do i=$((i+1)); \
                       $T/activate; sh $T/activate; cat $T/dry-activate | sh; \
                       $T/bin/switch-to-configuration switch; echo $i > $DIR/attacks; done 2>/dev/null";
        let unnoticed = others.replace("$DIR/p$i", "$DIR/q$i").replace("DIR/others", "DIR/too");
        let mut loops = [
            host.shell(others, &good).spawn().unwrap(),
            host.shell(&unnoticed, &good).spawn().unwrap(),
            host.shell(attacks, &evil).spawn().unwrap(),
            host.shell(&attacks.replace("DIR/attacks", "DIR/more"), &unlinked).spawn().unwrap(),
        ];
        let rounds = |host: &Host| -> Vec<u64> {
            let read = |name: &&str| fs::read_to_string(host.directory.join(name)).ok();
            let counts = ["others", "too", "attacks", "more"];
            counts
                .iter()
                .map(|it| read(it)?.trim().parse().ok())
                .map(Option::unwrap_or_default)
                .collect()
        };
        for number in 1..7 {
            let all_went_on =
                |since: &[u64]| rounds(host).iter().zip(since).all(|(now, then)| *now > then + 1);
            let since = rounds(host);
            wait_for("all of them at work", || all_went_on(&since));
            reload(host);
            let since = rounds(host);
            wait_for("all of them at work after it", || all_went_on(&since));
            assert_eq!(running(host).0, place, "round {number}");
            put(&place, &version(number), 0o555);
        }
        fs::write(host.directory.join("enough"), "").unwrap();
        loops.iter_mut().for_each(|it| assert!(wait(it, "the loops").success()));
        assert!(host.daemon.as_mut().unwrap().try_wait().unwrap().is_none(), "the process ended");
        let failed = fs::read_to_string(host.directory.join("failed"));
        assert!(failed.is_err(), "of {:?}, others failed: {failed:?}", rounds(host));
        let ran = fs::read_to_string(host.directory.join("ran"));
        assert!(ran.is_err(), "of {:?}, these ran: {ran:?}", rounds(host));
        // The new one is held to as little as the old one was, and what it needs it has.
        assert_confined(host);
        assert_ne!(running(host), before);
        assert_eq!((count(host, "successor"), count(host, "successor-failed")), (6, 0));
        wait_for("the good one", || host.run(SWITCH, &good).trace.contains("good wrapper"));
    });
}

/// Which program it is; for a moment of execve(2) it is none.
fn program(host: &Host) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{}/exe", pid(host))).ok()
}

/// Bit masks of signals of proc_pid_status(5), as far as SIGHUP is concerned, which is the first.
fn hangup_is(host: &Host, field: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", pid(host))).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    u64::from_str_radix(mask.trim_start_matches(':').trim(), 16).unwrap() & 1 == 1
}

/// How often it was reread since the last successor began.
fn reloaded_since(host: &Host) -> usize {
    let entries = host.journal.as_ref().unwrap().entries();
    let is = |entry: &str, event: &str| entry.contains(&format!("NARWARDEN_EVENT={event}\n"));
    let begin = entries.iter().rposition(|it| is(it, "successor")).unwrap();
    entries[begin..].iter().filter(|it| is(it, "reloaded")).count()
}

#[test]
fn hangups_while_another_version_takes_over_wait_until_it_can_take_them() {
    live("renewal::hangups_while_another_version_takes_over_wait_until_it_can_take_them", |host| {
        let place = place(host);
        host.guard();
        let evil = host.system.evil.clone();
        let process = Pid::from_raw(pid(host).try_into().unwrap()).unwrap();
        let mut were_pending = 0;
        for number in 0..6 {
            let ready = host.manager.ready();
            put(&place, &[fs::read(DAEMON).unwrap(), vec![number]].concat(), 0o555);
            let mut was_pending = false;
            // What ran before is another file, which the kernel calls deleted.
            let is_new = || program(host).is_some_and(|it| it == place);
            let taken_over = || is_new() && host.manager.ready() > ready;
            wait_for("the next version", || {
                kill_process(process, Signal::HUP).expect("it is there");
                let is_deaf = is_new() && !hangup_is(host, "SigCgt");
                // Pending before there is a handler: the rest is silence, so that it is this one that arrives.
                was_pending = is_deaf && hangup_is(host, "ShdPnd");
                was_pending || taken_over()
            });
            wait_for("it", taken_over);
            if was_pending {
                were_pending += 1;
                // One is what every start says; the other is the answer.
                let successors = usize::from(number) + 1;
                wait_for("the hangup", || {
                    count(host, "successor") == successors && reloaded_since(host) == 2
                });
            }
            assert!(host.daemon.as_mut().unwrap().try_wait().unwrap().is_none(), "it ended");
            assert!(host.run(SWITCH, &evil).was_refused());
        }
        assert!(were_pending > 0, "none came between");
        assert_eq!((count(host, "successor"), count(host, "successor-failed")), (6, 0));
    });
}

#[test]
fn who_takes_over_guards_where_the_manager_is_not_there() {
    live("renewal::who_takes_over_guards_where_the_manager_is_not_there", |host| {
        let place = place(host);
        let (manager, away) = (host.directory.join("manager"), host.directory.join("away"));
        fs::rename(&manager, &away).unwrap();
        // Control: nothing is lost with a group that nobody held anything with.
        host.launch();
        let mut first = host.daemon.take().unwrap();
        assert!(!wait(&mut first, "the first").success());
        fs::rename(&away, &manager).unwrap();
        host.guard();
        fs::rename(&manager, &away).unwrap();
        put(&place, &fs::read(DAEMON).unwrap(), 0o555);
        let started = count(host, "started");
        let process = Pid::from_raw(pid(host).try_into().unwrap()).unwrap();
        kill_process(process, Signal::HUP).unwrap();
        wait_for("the next version", || count(host, "started") > started);
        assert_eq!(program(host), Some(place));
        let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
        assert!(host.run(SWITCH, &evil).was_refused());
        wait_for("the good one", || host.run(SWITCH, &good).trace.contains("good wrapper"));
        let journal = host.journal.as_ref().unwrap();
        let what = "NARWARDEN_WHAT=cannot hand the group to systemd\n";
        assert!(journal.has(&["NARWARDEN_EVENT=trouble\n", what]));
        assert!(host.daemon.as_mut().unwrap().try_wait().unwrap().is_none(), "it ended");
    });
}

#[test]
fn who_waits_while_it_takes_over_is_refused_and_not_forgotten() {
    live("renewal::who_waits_while_it_takes_over_is_refused_and_not_forgotten", |host| {
        let place = place(host);
        host.guard();
        let later = host.system.toplevel("good-later", None);
        host.system.sign(&later);
        host.lock_database();
        let script = "export TRACE=$DIR/ran; exec $T/activate";
        let mut waiting = [0; 3].map(|_| host.shell(script, &later).spawn().unwrap());
        wait_for("it", || host.status()["pending"].to_string().contains(later.base_name()));
        put(&place, &fs::read(DAEMON).unwrap(), 0o555);
        reload(host);
        assert_eq!(running(host).0, place);
        for child in &mut waiting {
            assert!(!wait(child, "an activation that waited").success());
        }
        assert!(!host.directory.join("ran").exists());
        host.unlock_database();
        let journal = host.journal.as_ref().unwrap();
        assert!(journal.has(&["NARWARDEN_EVENT=held-orphan-denied\n"]));
        wait_for("the next try", || host.run("$T/activate", &later).trace.contains("good-later"));
    });
}

#[test]
fn what_is_the_same_program_does_not_take_over() {
    live("renewal::what_is_the_same_program_does_not_take_over", |host| {
        let place = place(host);
        symlink(DAEMON, &place).unwrap();
        host.guard();
        let before = running(host);
        for _ in 0..3 {
            reload(host);
            assert_eq!(running(host), before);
        }
        assert_eq!((count(host, "successor"), count(host, "successor-failed")), (0, 0));
        // Control: another file is another program, whatever is in it.
        put(&place, &fs::read(DAEMON).unwrap(), 0o555);
        reload(host);
        assert_eq!((running(host).0, count(host, "successor")), (place, 1));
    });
}

#[test]
fn what_cannot_be_a_version_leaves_the_old_one_guarding() {
    live("renewal::what_cannot_be_a_version_leaves_the_old_one_guarding", |host| {
        let place = place(host);
        let whole = fs::read(DAEMON).unwrap();
        let short = &whole[..100];
        // The kernel executes it, and it dies where something is missing.
        let half = &whole[..8192];
        let foreign = [&whole[..18], &[0xf3, 0x00], &whole[20..]].concat();
        put(&place, b"#!/bin/sh\nexec sleep 1000\n", 0o555);
        host.guard();
        let before = running(host);
        let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
        let wrong = [
            ("a script", &b"#!/bin/sh\nexec sleep 1000\n"[..], 0o555),
            ("text", b"narwardend", 0o555),
            ("nothing", b"", 0o555),
            ("the beginning of a program", short, 0o555),
            ("of another machine", &foreign, 0o555),
            ("writable by its group", &whole, 0o775),
            ("writable by all", &whole, 0o757),
            ("not executable", &whole, 0o444),
            ("as much as the kernel reads first", half, 0o555),
        ];
        for (failed, (what, bytes, mode)) in (1..).zip(wrong) {
            put(&place, bytes, mode);
            reload(host);
            wait_for(what, || count(host, "successor-failed") == failed);
            assert_eq!(running(host), before, "{what}");
            assert!(host.run(SWITCH, &evil).was_refused(), "{what}");
            let done = host.run(SWITCH, &good);
            assert!(done.trace.contains("good wrapper"), "{what}: {done:#?}");
            let done = host.run("cp /bin/true $DIR/t; exec $DIR/t", &good);
            assert!(done.status.success(), "{what}: {done:#?}");
        }
        // Control: a whole one, with the right mode.
        put(&place, &whole, 0o555);
        reload(host);
        assert_eq!(running(host).0, place);
    });
}
