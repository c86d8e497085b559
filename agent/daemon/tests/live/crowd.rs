//! A crowd of ordinary users at the entry point of a toplevel that is being judged: they activate nothing by it, so they
//! wait for nothing, and nobody waits for them.

use crate::host::{Host, live, wait, wait_for};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Set for the process that is the crowd, with its number of threads.
const CROWD: &str = "NARWARDEN_TEST_CROWD";
const THREADS: usize = 1000;
/// Each of so many threads starts a process too.
const TENTH: usize = 10;

/// The body of the process: each thread opens the file, and every tenth executes it, all of them at once.
fn crowd(threads: usize) {
    let path = |name: &str| PathBuf::from(std::env::var_os(name).unwrap());
    let (entry, directory) = (path("T").join("activate"), path("DIR").join("open"));
    let (at_once, opened, ran) = (Barrier::new(threads), AtomicUsize::new(0), AtomicUsize::new(0));
    fs::write(directory.join("there"), "").unwrap();
    wait_for("the word", || directory.join("go").exists());
    std::thread::scope(|scope| {
        for number in 0..threads {
            let (entry, directory) = (&entry, &directory);
            let (at_once, opened, ran) = (&at_once, &opened, &ran);
            let one = move || {
                at_once.wait();
                opened.fetch_add(usize::from(fs::File::open(entry).is_ok()), Ordering::SeqCst);
                if number % TENTH != 0 {
                    return;
                }
                let mut run = Command::new(entry);
                run.env("TRACE", directory.join(format!("trace-{number}")));
                let run = run.stderr(Stdio::null()).status();
                ran.fetch_add(usize::from(run.is_ok_and(|it| it.success())), Ordering::SeqCst);
            };
            std::thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, one).unwrap();
        }
    });
    let text = format!("{} {}", opened.into_inner(), ran.into_inner());
    fs::write(directory.join("done"), text).unwrap();
}

/// Of a crowd that comes while the toplevel is being judged, how many could open the file, and how many execute it.
fn while_judged(
    name: &str,
    host: &mut Host,
    threads: usize,
    unlocked: impl FnOnce(&Host),
) -> (usize, usize) {
    let later = host.system.toplevel("good-later", None);
    host.system.sign(&later);
    let directory = host.directory.join("open");
    fs::create_dir(&directory).unwrap();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(&directory, everybody).unwrap();
    fs::copy(std::env::current_exe().unwrap(), host.directory.join("crowd")).unwrap();
    let script = format!("exec setpriv --reuid 65534 --clear-groups $DIR/crowd --exact {name}");
    let mut users = host.shell(&script, &later);
    let mut users = users.env(CROWD, threads.to_string()).stdout(Stdio::null()).spawn().unwrap();
    wait_for("the crowd", || directory.join("there").exists());
    host.lock_database();
    let mut root = host.shell("exec $T/activate", &later).spawn().unwrap();
    let pending = |host: &Host| host.status()["pending"].to_string().contains(later.base_name());
    wait_for("the verification", || pending(host));
    fs::write(directory.join("go"), "").unwrap();
    let program = "cp /bin/true $DIR/t; exec $DIR/t";
    let mut others = 0;
    wait_for("the crowd's end", || {
        let mut child = host.shell(program, &later).spawn().unwrap();
        assert!(wait(&mut child, program).success(), "root's program was refused");
        others += 1;
        directory.join("done").exists()
    });
    assert!(wait(&mut users, "the crowd").success());
    assert!(others > 0);
    // None of them waited: what they would have waited for has not come.
    assert!(pending(host), "control: it should still be judged");
    assert!(root.try_wait().unwrap().is_none(), "control: root waits for it");
    unlocked(host);
    host.unlock_database();
    assert!(wait(&mut root, "root's activation").success());
    let text = fs::read_to_string(directory.join("done")).unwrap();
    let (opened, ran) = text.split_once(' ').unwrap();
    (opened.parse().unwrap(), ran.parse().unwrap())
}

fn denied(host: &Host) -> u64 {
    host.status()["gate"]["denied"].as_u64().unwrap()
}

#[test]
fn ordinary_users_wait_for_nothing() {
    const NAME: &str = "crowd::ordinary_users_wait_for_nothing";
    if let Ok(threads) = std::env::var(CROWD) {
        return crowd(threads.parse().unwrap());
    }
    live(NAME, |host| {
        host.guard();
        let evil = host.system.evil.clone();
        assert!(host.run("$T/activate", &evil).was_refused());
        let before = denied(host);
        let (opened, ran) = while_judged(NAME, host, 6, |host| assert_eq!(denied(host), before));
        assert_eq!((opened, ran), (6, 1));
    });
}

#[test]
fn a_thousand_threads_keep_nobody_waiting() {
    const NAME: &str = "crowd::a_thousand_threads_keep_nobody_waiting";
    if let Ok(threads) = std::env::var(CROWD) {
        return crowd(threads.parse().unwrap());
    }
    live(NAME, |host| {
        host.guard();
        let (_, ran) = while_judged(NAME, host, THREADS, |_| {});
        // A process of so many threads may be told no when it opens the file, at once; what it starts is one of few.
        assert_eq!(ran, THREADS / TENTH);
        let journal = host.journal.as_ref().unwrap();
        assert!(!journal.has(&["ACTION=refused", "the deadline is over"]));
        assert!(!journal.has(&["ACTION=refused", "too many activations at once"]));
        let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
        assert!(host.run("$T/activate", &good).trace.contains("good"));
        assert!(host.run("$T/activate", &evil).was_refused(), "control");
    });
}
