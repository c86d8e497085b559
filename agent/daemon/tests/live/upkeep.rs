//! What the daemon does on the side of a verification: it keeps the garbage collector away, stops when nobody wants
//! the verdict any more, and does not judge what is not there over and over.

use crate::host::{Host, live, wait, wait_for};
use narwarden_core::store_path::StorePath;
use rustix::fs::{FlockOperation, flock};
use std::fs;
use std::path::PathBuf;

fn is_pending(host: &Host, toplevel: &StorePath) -> bool {
    host.status()["pending"].to_string().contains(toplevel.base_name())
}

fn link(host: &Host, number: u32) -> PathBuf {
    host.root().join(format!("nix/var/nix/profiles/system-{number}-link"))
}

/// The files of temporary roots that name the path.
fn roots(host: &Host, path: &StorePath) -> Vec<PathBuf> {
    let files = fs::read_dir(host.root().join("nix/var/nix/temproots")).into_iter().flatten();
    let paths = files.map(|it| it.unwrap().path());
    let named = format!("{path}\0");
    paths.filter(|it| fs::read_to_string(it).is_ok_and(|it| it.contains(&named))).collect()
}

#[test]
fn what_is_being_verified_is_a_root_of_the_garbage_collector() {
    live("upkeep::what_is_being_verified_is_a_root_of_the_garbage_collector", |host| {
        host.guard();
        let (good, later) = (host.system.good.clone(), host.system.toplevel("good-later", None));
        host.system.sign(&later);
        host.lock_database();
        let mut waiting = host.shell("exec $T/activate", &later).spawn().unwrap();
        wait_for("the root", || !roots(host, &later).is_empty());
        assert!(is_pending(host, &later));
        for root in roots(host, &later) {
            let name = root.file_name().unwrap().to_str().unwrap();
            assert!(name.parse::<i32>().is_ok(), "Nix skips what is no number: {name}");
            let file = fs::File::open(&root).unwrap();
            let lock = flock(&file, FlockOperation::NonBlockingLockShared);
            assert_eq!(lock.unwrap_err(), rustix::io::Errno::WOULDBLOCK, "the collector drops it");
        }
        assert!(roots(host, &good).is_empty(), "control: nobody verifies that one");
        host.unlock_database();
        assert!(wait(&mut waiting, "the activation").success());
        wait_for("the end", || roots(host, &later).is_empty() && !is_pending(host, &later));
    });
}

#[test]
fn what_nobody_wants_any_more_is_not_verified_to_the_end() {
    live("upkeep::what_nobody_wants_any_more_is_not_verified_to_the_end", |host| {
        let slow = host.slow_good();
        host.guard();
        for number in 2..5 {
            host.system.generation(number, &slow.to_string());
            wait_for("its verification", || is_pending(host, &slow));
            fs::remove_file(link(host, number)).unwrap();
            wait_for("its end", || !is_pending(host, &slow));
        }
        assert_eq!(host.verdicts("admitted", &slow) + host.verdicts("denied", &slow), 0);
        assert!(roots(host, &slow).is_empty());
        // The link comes back.
        host.system.generation(5, &slow.to_string());
        wait_for("the admission", || host.standing(&slow).as_deref() == Some("admitted"));
        assert_eq!(host.verdicts("admitted", &slow), 1);
    });
}

#[test]
fn what_is_not_there_is_not_judged_for_ever() {
    live("upkeep::what_is_not_there_is_not_judged_for_ever", |host| {
        host.guard();
        let evil = host.system.evil.clone();
        host.system.generation(2, &evil.to_string());
        wait_for("the quarantine", || link(host, 2).symlink_metadata().is_err());
        host.system.forge.change(&evil, |at| fs::remove_dir_all(at)).unwrap();
        let listed = host.call("QuarantineList", "{}").unwrap();
        let name = listed["parameters"]["entries"][0]["name"].as_str().unwrap().to_owned();
        let before = host.verdicts("denied", &evil);
        let reply = host.call("QuarantineRelease", &format!(r#"{{"name":"{name}"}}"#)).unwrap();
        assert!(reply["error"].is_null(), "{reply}");
        wait_for("its link", || link(host, 2).symlink_metadata().is_ok());
        // Each of these is a scan of its own: the activation is answered by one that began after it.
        let good = host.system.good.clone();
        for _ in 0..20 {
            assert!(host.call("Reload", "{}").is_some());
            let _ = host.run("$T/bin/switch-to-configuration test", &good);
        }
        wait_for("rest", || !is_pending(host, &evil));
        let judged = host.verdicts("denied", &evil) - before;
        assert!(judged <= 2, "judged {judged} times");
        // Control: one that is there is judged once it is linked.
        let later = host.system.toplevel("later", None);
        host.system.generation(7, &later.to_string());
        wait_for("its verdict", || host.verdicts("denied", &later) == 1);
    });
}
