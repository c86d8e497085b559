mod goal;
mod host;
mod power;
mod race;
mod release;

use super::*;
use crate::generations::{Profile, scan};
use host::{Host, NOW, because};
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn a_rejected_generation_is_moved_and_the_profile_goes_back() {
    let host = Host::new();
    assert!(!host.is_clean());
    let roots = host.roots();
    let moved = host.reject();
    assert!(
        moved.failures.is_empty() && moved.left.is_empty() && moved.remarks.is_empty(),
        "{moved:?}"
    );
    assert_eq!(moved.restored, [(Profile::System, Some(OsString::from("system-2-link")))]);
    let [record] = moved.records.as_slice() else { panic!("{moved:?}") };
    assert_eq!(record.id.as_str(), "system-3-20261001T120000Z");
    assert_eq!((record.reason.as_str(), &record.state), ("unsigned", &State::Held));
    assert_eq!(record.toplevel, Some(host.evil.to_string()));

    assert_eq!(host.reads("system").as_deref(), Some("system-2-link"));
    assert_eq!(host.reads("system-3-link"), None);
    assert_eq!(host.roots(), roots, "nothing is lost to the garbage collector");
    assert!(host.is_clean());
    assert_eq!(
        host.names(),
        ["system", "system-1-link", "system-2-link"].map(str::to_owned).into()
    );
    let [held] = host.held().try_into().unwrap();
    assert_eq!(
        (held.record.as_ref(), held.target.to_str()),
        (Some(record), Some(host.evil.to_string().as_str()))
    );
    assert_eq!(host.quarantine().show(&held.id).unwrap(), held);
    // Once more: there is nothing to do.
    let again = host.reject();
    assert!(again.records.is_empty() && again.restored.is_empty() && again.left.is_empty());
}

#[test]
fn what_stays_where_it_is() {
    let host = Host::new();
    // Judged as something else.
    let mut rejections = host.rejections();
    for rejection in &mut rejections {
        rejection.link.raw = OsString::from("something else");
    }
    let moved = host.quarantine().reject(&rejections, &host.restorable(), NOW).unwrap();
    assert_eq!(because(&moved), [LeftBecause::Changed; 2]);
    // Older than the enrolment, even if it is rejected.
    let old = scan(&host.places).links.into_iter().find(|it| it.path.ends_with("system-1-link"));
    let old = Rejection { link: old.unwrap(), reason: String::new() };
    let moved = host.quarantine().reject(&[old], &host.restorable(), NOW).unwrap();
    assert_eq!(because(&moved), [LeftBecause::Grandfathered]);
    // What runs.
    let rejections = host.rejections();
    let current = &host.places.running()[0];
    symlink(host.evil.to_string(), current).unwrap();
    let moved = host.quarantine().reject(&rejections, &host.restorable(), NOW).unwrap();
    assert_eq!(because(&moved), [LeftBecause::Running; 2]);
    fs::remove_file(current).unwrap();
    let child = host.old.to_string();
    let old = host.places.location.store_directory().join(host.old.base_name());
    fs::write(old.join("nixos-version"), "26.05").unwrap();
    let evil = host.places.location.store_directory().join(host.evil.base_name());
    fs::create_dir(evil.join("specialisation")).unwrap();
    symlink(&child, evil.join("specialisation/child")).unwrap();
    symlink(&child, current).unwrap();
    // That it has a specialisation that runs is its own word.
    let (quarantine, links) = (host.quarantine(), scan(&host.places).links);
    let link = links.iter().find(|it| it.path.ends_with("system-3-link")).unwrap();
    let staying = quarantine.staying().unwrap();
    assert_eq!(quarantine.must_stand(link, &links, &staying, &host.restorable()), None);
    fs::remove_file(current).unwrap();
    // Nowhere to go back to: what stayed is gone, and what is admitted is none of this profile's.
    fs::remove_file(host.places.profiles.join("system-1-link")).unwrap();
    let foreign = host.path("nixos-system-foreign");
    host.link("system-profiles/other-1-link", &foreign.to_string());
    let foreign = Restorable { admitted: [foreign].into(), ..Restorable::default() };
    for nothing in [Restorable::default(), foreign] {
        let moved = host.quarantine().reject(&rejections, &nothing, NOW).unwrap();
        assert_eq!(because(&moved), [LeftBecause::NothingToRestore]);
        assert_eq!(host.reads("system").as_deref(), Some("system-3-link"));
        assert_eq!(host.reads("system-4-link"), None, "no link is made");
    }
    // No link at all, and gone.
    fs::remove_file(host.places.profiles.join("system-3-link")).unwrap();
    let moved = host.quarantine().reject(&rejections[1..], &host.restorable(), NOW).unwrap();
    assert_eq!(because(&moved), [LeftBecause::Gone]);
    fs::create_dir(host.places.profiles.join("system-3-link")).unwrap();
    let mut rejections = host.rejections();
    rejections.retain(|it| it.link.path.ends_with("system-3-link"));
    let moved = host.quarantine().reject(&rejections, &host.restorable(), NOW).unwrap();
    assert_eq!(because(&moved), [LeftBecause::NotALink]);
    assert_eq!(host.held(), []);
    assert_eq!(host.quarantine().recover(NOW).unwrap(), Recovered::default());
}

#[test]
fn links_out_of_the_store_and_to_nothing_are_moved_too() {
    let host = Host::new();
    host.link("system-4-link", "/home/evil/toplevel");
    host.link("system-5-link", "/nix/store/00000000000000000000000000000000-gone");
    host.link("system-evil-link", &host.evil.to_string());
    host.link("system", "system-4-link");
    let moved = host.reject();
    assert_eq!((moved.records.len(), moved.left.len()), (4, 0), "{moved:?}");
    assert!(host.is_clean());
    let held = host.held();
    let targets: BTreeSet<_> = held.iter().map(|held| held.target.to_str().unwrap()).collect();
    assert!(targets.contains("/home/evil/toplevel"));
    assert!(held.iter().any(|it| it.id.as_str().starts_with("system-unnumbered-")));
}
