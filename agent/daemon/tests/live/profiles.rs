//! G10 and G11: what becomes of a rejected generation in the profiles, and profiles that do not hold still.

use crate::host::{Host, live, wait_for};
use std::fs;
use std::path::PathBuf;

const BOOT: &str = "$T/bin/switch-to-configuration boot";

fn profiles(host: &Host) -> PathBuf {
    host.root().join("nix/var/nix/profiles")
}

fn quarantined(host: &Host) -> Vec<String> {
    let directory = host.root().join("nix/var/nix/gcroots/narwarden-quarantine");
    let entries = fs::read_dir(directory).into_iter().flatten();
    // Beside the links there is the sign that this host is enrolled.
    let links = entries.filter_map(|it| fs::read_link(it.unwrap().path()).ok());
    links.map(|it| it.display().to_string()).collect()
}

#[test]
fn a_rejected_generation_is_quarantined() {
    live("profiles::a_rejected_generation_is_quarantined", quarantine);
}

pub(crate) fn quarantine(host: &mut Host) {
    host.guard();
    let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
    host.system.generation(2, &evil.to_string());
    host.system.set_current(2);
    wait_for("the quarantine", || !quarantined(host).is_empty());
    assert_eq!(quarantined(host), [evil.to_string()], "the link is kept, as a root");
    wait_for("the profile", || host.system.current() == "system-1-link");
    assert!(profiles(host).join("system-2-link").symlink_metadata().is_err());
    assert!(host.run(BOOT, &good).trace.contains("good wrapper boot"));
    assert!(host.run(BOOT, &evil).was_refused());
    let journal = host.journal.as_ref().unwrap();
    wait_for("the event", || journal.has(&["NARWARDEN_EVENT=quarantined", evil.base_name()]));
}

#[test]
fn an_unadmitted_link_that_stays_shuts_the_good_one_too() {
    live("profiles::an_unadmitted_link_that_stays_shuts_the_good_one_too", |host| {
        host.rules("[gate]\non-reject = \"alert\"");
        host.guard();
        let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
        assert!(host.run(BOOT, &good).trace.contains("good"), "control");
        // The verdict on the link is not waited for: it is unadmitted from the beginning.
        host.system.generation(2, &evil.to_string());
        let done = host.run(BOOT, &good);
        assert!(done.was_refused(), "{done:#?}");
        let journal = host.journal.as_ref().unwrap();
        wait_for("the event", || journal.has(&["would get a boot entry", good.base_name()]));
        assert!(host.run(BOOT, &good).was_refused());
        assert!(quarantined(host).is_empty());
        fs::remove_file(profiles(host).join("system-2-link")).unwrap();
        let done = host.run(BOOT, &good);
        assert!(done.trace.contains("good"), "control: {done:#?}");
    });
}

#[test]
fn a_profile_that_flips_is_read_right() {
    live("profiles::a_profile_that_flips_is_read_right", |host| {
        host.rules("[gate]\non-reject = \"alert\"");
        host.system.generation(3, &host.system.good.to_string());
        host.guard();
        let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
        for flip in 0..1000 {
            host.system.set_current(if flip % 2 == 0 { 3 } else { 1 });
            if flip % 100 == 0 {
                assert!(host.run(BOOT, &evil).was_refused());
            }
        }
        wait_for("the good one", || host.run(BOOT, &good).trace.contains("good"));
        // Replaced, dangling and back.
        let (at, away) = (profiles(host), profiles(host).with_extension("away"));
        fs::rename(&at, &away).unwrap();
        fs::create_dir(&at).unwrap();
        std::os::unix::fs::symlink(evil.to_string(), at.join("system-9-link")).unwrap();
        assert!(host.run(BOOT, &good).was_refused(), "the new directory is looked at");
        fs::remove_file(at.join("system-9-link")).unwrap();
        let nowhere = "/nix/store/00000000000000000000000000000000-gone";
        std::os::unix::fs::symlink(nowhere, at.join("system-9-link")).unwrap();
        assert!(host.run(BOOT, &good).was_refused(), "a dangling link may lead somewhere later");
        fs::remove_dir_all(&at).unwrap();
        fs::rename(&away, &at).unwrap();
        assert!(host.run(BOOT, &good).trace.contains("good"), "control");
    });
}

#[test]
fn a_thousand_generations_do_not_keep_anybody_waiting() {
    live("profiles::a_thousand_generations_do_not_keep_anybody_waiting", |host| {
        for number in 2..1000 {
            let path = host.system.toplevel(&format!("good-{number}"), None);
            host.system.sign(&path);
            host.system.generation(number, &path.to_string());
        }
        let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
        host.launch();
        wait_for("the socket", || host.status().is_object());
        // While it looks around, it answers who is concerned, and nobody else waits.
        let other = host.run("cp /bin/true $DIR/t && exec $DIR/t", &good);
        assert!(other.status.success(), "{other:#?}");
        assert_eq!(host.manager.ready(), 0, "control: it should still look around");
        assert!(host.run(BOOT, &evil).was_refused());
        wait_for("READY=1", || host.manager.ready() == 1);
        wait_for("the good one", || host.run(BOOT, &good).trace.contains("good"));
    });
}

#[test]
fn a_profile_that_follows_its_link_too_late_is_put_right() {
    live("profiles::a_profile_that_follows_its_link_too_late_is_put_right", |host| {
        host.guard();
        let (good, evil) = (host.system.good.clone(), host.system.evil.clone());
        // As nix-env does it: the link, and a moment later the profile that leads to it.
        host.system.generation(2, &evil.to_string());
        wait_for("the quarantine", || !quarantined(host).is_empty());
        host.system.set_current(2);
        wait_for("the profile", || host.system.current() == "system-1-link");
        wait_for("the good one", || host.run(BOOT, &good).trace.contains("good wrapper boot"));
    });
}
