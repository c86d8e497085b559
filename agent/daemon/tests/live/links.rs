//! What becomes of links whose generation was admitted once, is refused only for now, or is what runs.

use crate::host::{Host, live, wait_for};
use narwarden_core::store_path::StorePath;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

const BOOT: &str = "$T/bin/switch-to-configuration boot";
const TEST: &str = "$T/bin/switch-to-configuration test";

fn profiles(host: &Host) -> PathBuf {
    host.root().join("nix/var/nix/profiles")
}

fn quarantined(host: &Host) -> Vec<String> {
    let directory = host.root().join("nix/var/nix/gcroots/narwarden-quarantine");
    let entries = fs::read_dir(directory).into_iter().flatten();
    let links = entries.filter_map(|it| fs::read_link(it.unwrap().path()).ok());
    links.map(|it| it.display().to_string()).collect()
}

fn signed(host: &mut Host, word: &str) -> StorePath {
    let path = host.system.toplevel(word, None);
    host.system.sign(&path);
    path
}

fn admitted(host: &Host, toplevel: &StorePath) {
    wait_for("the admission", || host.standing(toplevel).as_deref() == Some("admitted"));
}

fn judge_again(host: &Host, toplevel: &StorePath) {
    let target = format!(r#"{{"target":"{toplevel}","force":true}}"#);
    host.call("Verify", &target);
}

#[test]
fn a_key_that_came_to_its_end_takes_no_generation_away() {
    live("links::a_key_that_came_to_its_end_takes_no_generation_away", |host| {
        let at = host.root().join("etc/narwarden/trust.toml");
        let text = fs::read_to_string(&at).unwrap();
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(12);
        let end = jiff::Timestamp::from_second(end.as_second()).unwrap();
        let line = text.lines().find(|line| line.starts_with("ci =")).unwrap();
        let until = line.replace(" }", &format!(", not-after = {end} }}"));
        fs::write(&at, text.replace(line, &until)).unwrap();
        host.guard();
        let two = signed(host, "good-2");
        host.system.generation(2, &two.to_string());
        host.system.set_current(2);
        admitted(host, &two);
        while jiff::Timestamp::now() < end {
            std::thread::sleep(Duration::from_millis(100));
        }
        // By another process than the one that admitted it, even.
        host.kill();
        host.start();
        wait_for("the verdict", || host.standing(&two).as_deref() == Some("denied"));
        let new = signed(host, "good-new");
        host.system.generation(3, &new.to_string());
        wait_for("the quarantine", || quarantined(host) == [new.to_string()]);
        assert_eq!(host.system.current(), "system-2-link", "what runs keeps running");
        assert!(host.run(BOOT, &new).was_refused(), "and nothing new is admitted");
        // Its bytes are another matter.
        host.system.forge.overwrite(&two, "nixos-version", b"26.05.good-X").unwrap();
        judge_again(host, &two);
        wait_for("the quarantine", || quarantined(host).contains(&two.to_string()));
        assert_eq!(host.system.current(), "system-1-link");
    });
}

#[test]
fn a_denial_from_before_the_link_takes_nothing_away() {
    live("links::a_denial_from_before_the_link_takes_nothing_away", |host| {
        host.guard();
        let later = host.system.toplevel("good-later", None);
        assert!(host.run(TEST, &later).was_refused());
        host.system.generation(2, &later.to_string());
        wait_for("the quarantine", || quarantined(host) == [later.to_string()]);
        // Signed now, and set again while the refusal still holds.
        host.system.sign(&later);
        host.system.generation(3, &later.to_string());
        host.system.set_current(3);
        admitted(host, &later);
        assert_eq!(host.system.current(), "system-3-link");
        assert_eq!(quarantined(host), [later.to_string()]);
        assert!(host.run(BOOT, &later).trace.contains("good-later wrapper"));
    });
}

#[test]
fn what_could_not_be_read_is_looked_at_again() {
    live("links::what_could_not_be_read_is_looked_at_again", |host| {
        host.guard();
        let (good, old) = (host.system.good.clone(), signed(host, "good-old"));
        let database = host.root().join("nix/var/nix/db");
        let away = host.root().join("nix/var/nix/db-away");
        fs::rename(&database, &away).unwrap();
        host.system.generation(3, &old.to_string());
        wait_for("the verdict", || host.standing(&old).as_deref() == Some("denied"));
        fs::rename(&away, &database).unwrap();
        // It waits, and is not refused.
        let done = host.run(BOOT, &good);
        assert!(done.trace.contains("good wrapper"), "{done:#?}");
        admitted(host, &old);
        assert!(quarantined(host).is_empty());
    });
}

#[test]
fn what_runs_is_in_nobodys_way() {
    live("links::what_runs_is_in_nobodys_way", |host| {
        host.guard();
        let evil = host.system.evil.clone();
        symlink(evil.to_string(), host.root().join("run/current-system")).unwrap();
        host.system.generation(2, &evil.to_string());
        host.system.set_current(2);
        wait_for("the verdict", || host.standing(&evil).as_deref() == Some("denied"));
        let new = signed(host, "good-new");
        host.system.generation(3, &new.to_string());
        host.system.set_current(3);
        let done = host.run(BOOT, &new);
        assert!(done.trace.contains("good-new wrapper"), "{done:#?}");
        let journal = host.journal.as_ref().unwrap();
        wait_for("the notice", || journal.has(&["system-2-link", "running, or was booted"]));
        let said = || {
            let all = journal.entries();
            all.iter().filter(|it| it.contains("running, or was booted")).count()
        };
        for _ in 0..3 {
            host.call("Reload", "{}");
        }
        assert!(host.run(BOOT, &evil).was_refused() && quarantined(host).is_empty());
        assert_eq!(said(), 1, "it is said once");
        // Control: it runs no more.
        fs::remove_file(host.root().join("run/current-system")).unwrap();
        host.call("Reload", "{}");
        wait_for("the quarantine", || quarantined(host) == [evil.to_string()]);
    });
}

#[test]
fn a_profile_goes_back_to_its_own_generation_and_never_dangles() {
    live("links::a_profile_goes_back_to_its_own_generation_and_never_dangles", |host| {
        let other = signed(host, "good-of-another-profile");
        let named = profiles(host).join("system-profiles");
        fs::create_dir_all(&named).unwrap();
        symlink(other.to_string(), named.join("test-1-link")).unwrap();
        symlink("test-1-link", named.join("test")).unwrap();
        host.guard();
        admitted(host, &other);
        let evil = host.system.evil.clone();
        host.system.generation(2, &evil.to_string());
        host.system.set_current(2);
        wait_for("the quarantine", || quarantined(host) == [evil.to_string()]);
        wait_for("the profile", || host.system.current() == "system-1-link");
        // Nix makes the link first, and leads the profile to it when it is gone.
        host.system.generation(3, &evil.to_string());
        let three = profiles(host).join("system-3-link");
        wait_for("the quarantine", || three.symlink_metadata().is_err());
        host.system.set_current(3);
        wait_for("the profile", || host.system.current() == "system-1-link");
        let good = host.system.good.clone();
        assert!(host.run(BOOT, &good).trace.contains("good wrapper"), "nothing is in its way");
    });
}

#[test]
fn rules_that_come_after_the_first_start_are_pinned() {
    live("links::rules_that_come_after_the_first_start_are_pinned", |host| {
        let (at, away) = (host.root().join("etc/narwarden"), host.directory.join("away"));
        fs::rename(&at, &away).unwrap();
        host.start();
        let good = host.system.good.clone();
        assert!(host.run(BOOT, &good).was_refused());
        host.kill();
        fs::rename(&away, &at).unwrap();
        host.guard();
        assert!(host.run(BOOT, &good).trace.contains("good wrapper"));
        // A host that lost its state is no new one.
        host.kill();
        fs::remove_dir_all(host.root().join("var/lib/narwarden")).unwrap();
        host.start();
        let done = host.run(BOOT, &good);
        assert!(done.was_refused(), "{done:#?}");
        let journal = host.journal.as_ref().unwrap();
        assert!(journal.has(&["state-damaged", ".enrolled"]), "{:#?}", journal.entries());
    });
}

#[test]
fn an_alert_is_given_once_for_each_link() {
    live("links::an_alert_is_given_once_for_each_link", |host| {
        host.rules("[gate]\non-reject = \"alert\"");
        host.guard();
        let evil = host.system.evil.clone();
        let journal = host.journal.as_ref().unwrap();
        let alerts = || {
            let all = journal.entries();
            all.iter().filter(|it| it.contains("NARWARDEN_ACTION=alerted")).count()
        };
        for number in [2, 3] {
            host.system.generation(number, &evil.to_string());
        }
        wait_for("the alerts", || alerts() == 2);
        assert!(journal.has(&["NARWARDEN_ACTION=alerted", "system-3-link", evil.base_name()]));
        host.call("Reload", "{}");
        assert!(host.run(BOOT, &evil).was_refused());
        assert_eq!((alerts(), quarantined(host).len()), (2, 0));
    });
}
