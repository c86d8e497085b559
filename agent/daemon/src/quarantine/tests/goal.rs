//! Where a profile leads after its generation was rejected, and that it does not dangle.

use super::host::{Host, NOW};
use crate::generations::{Profile, scan};
use crate::quarantine::reject::Step;
use crate::quarantine::{LeftBecause, Rejection, Restorable};
use narwarden_core::store_path::StorePath;
use std::ffi::OsString;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;

/// Generations 1 (older than the enrolment) to 6, of which 4 is rejected and current.
fn host() -> (Host, Vec<StorePath>) {
    let host = Host::new();
    let paths: Vec<_> = (2..=6).map(|it| host.path(&format!("nixos-system-{it}"))).collect();
    for (number, path) in (2..).zip(&paths) {
        host.link(&format!("system-{number}-link"), &path.to_string());
    }
    host.link("system", "system-4-link");
    (host, paths)
}

fn reject(host: &Host, restorable: &Restorable) -> Option<String> {
    let links = scan(&host.places).links;
    let found = links.into_iter().filter(|it| it.path.ends_with("system-4-link"));
    let rejections: Vec<_> =
        found.map(|link| Rejection { link, reason: "unsigned".to_owned() }).collect();
    let moved = host.quarantine().reject(&rejections, restorable, NOW).unwrap();
    assert!(moved.failures.is_empty(), "{moved:?}");
    assert_eq!(moved.records.len(), 1, "{moved:?}");
    host.reads("system")
}

fn of(admitted: &[&StorePath], kept: &[&StorePath]) -> Restorable {
    let own = |paths: &[&StorePath]| paths.iter().map(|it| (*it).clone()).collect();
    Restorable { admitted: own(admitted), kept: own(kept) }
}

#[test]
fn the_generation_that_runs_comes_first_then_the_admitted_ones_before_it() {
    // Indices: paths[0] is generation 2.
    type Row = (&'static [usize], &'static [usize], Option<usize>, &'static str);
    let table: [Row; 8] = [
        (&[0, 1, 4], &[], None, "system-3-link"),
        (&[0, 1, 4], &[], Some(4), "system-6-link"),
        (&[0, 1, 4], &[], Some(0), "system-2-link"),
        // What runs and is not admitted is no goal.
        (&[0, 1, 4], &[], Some(3), "system-3-link"),
        // But if it is left alone anyway, it is.
        (&[0, 1], &[3], Some(3), "system-5-link"),
        (&[3, 4], &[0], None, "system-6-link"),
        (&[], &[0, 1], None, "system-3-link"),
        // Only the one that is older than the enrolment.
        (&[], &[], None, "system-1-link"),
    ];
    for (admitted, kept, runs, expected) in table {
        let (host, paths) = host();
        let pick = |numbers: &[usize]| numbers.iter().map(|it| &paths[*it]).collect::<Vec<_>>();
        if let Some(runs) = runs {
            symlink(paths[runs].to_string(), &host.places.running()[0]).unwrap();
        }
        let found = reject(&host, &of(&pick(admitted), &pick(kept)));
        assert_eq!(found.as_deref(), Some(expected), "{admitted:?} {kept:?} {runs:?}");
    }
}

#[test]
fn another_profile_is_no_place_to_go_back_to() {
    let (host, paths) = host();
    let other = host.path("nixos-system-other");
    host.link("system-profiles/test-9-link", &other.to_string());
    assert_eq!(reject(&host, &of(&[&other, &paths[0]], &[])).as_deref(), Some("system-2-link"));
    assert!(host.names().iter().all(|name| name != "system-7-link"), "no link is made");
}

#[test]
fn a_named_profile_goes_with_its_only_generation() {
    let (host, _) = host();
    let evil = host.evil.to_string();
    host.link("system-profiles/test-1-link", &evil);
    host.link("system-profiles/test", "test-1-link");
    host.link("system-profiles/stray", &evil);
    let rejections = || -> Vec<_> {
        let links = scan(&host.places).links.into_iter();
        let named = links.filter(|it| it.profile != Profile::System);
        named.map(|link| Rejection { link, reason: String::new() }).collect()
    };
    let before = host.roots();
    let quarantine = host.quarantine();
    let moved = quarantine.reject(&rejections(), &of(&[&host.good], &[]), NOW).unwrap();
    assert_eq!((moved.records.len(), moved.left.len()), (2, 0), "{moved:?}");
    assert_eq!(rejections(), []);
    assert!(host.roots().is_superset(&before), "nothing is lost to the garbage collector");
    // It is led there late, and not left dangling.
    host.link("system-profiles/test", "test-1-link");
    let links = scan(&host.places).links;
    let moved = quarantine.mend(&links, &of(&[], &[]), NOW);
    assert_eq!(moved.restored, [(Profile::Named("test".into()), None)]);
    assert_eq!(host.reads("system-profiles/test"), None);
    assert_eq!(host.reads("system").as_deref(), Some("system-4-link"), "control");
}

#[test]
fn a_profile_that_is_led_to_a_link_that_went_is_mended() {
    // As Nix does it: the link is there, and gone, when the profile is led to it.
    let (host, _) = host();
    host.link("system", "system-2-link");
    let restorable = of(&[&host.good], &[]);
    host.link("system-3-link", &host.good.to_string());
    let mut late = |step| {
        if step == Step::Settled {
            host.link("system", "system-4-link");
        }
        ControlFlow::Continue(())
    };
    let rejections: Vec<_> = scan(&host.places)
        .links
        .into_iter()
        .filter(|it| it.path.ends_with("system-4-link"))
        .map(|link| Rejection { link, reason: String::new() })
        .collect();
    let quarantine = host.quarantine();
    let moved = quarantine.reject_watched(&rejections, &restorable, NOW, &mut late).unwrap();
    assert_eq!(moved.restored, [(Profile::System, Some(OsString::from("system-3-link")))]);
    assert_eq!(host.reads("system").as_deref(), Some("system-3-link"));
    // Later still: at the next look.
    host.link("system", "system-4-link");
    let links = || scan(&host.places).links;
    let nothing = quarantine.mend(&links(), &of(&[], &[]), NOW);
    assert_eq!(
        nothing.restored,
        [(Profile::System, Some(OsString::from("system-1-link")))],
        "it stays"
    );
    host.link("system", "system-4-link");
    let moved = quarantine.mend(&links(), &restorable, NOW);
    assert_eq!(moved.restored, [(Profile::System, Some(OsString::from("system-3-link")))]);
    assert_eq!(quarantine.mend(&links(), &restorable, NOW).restored, [], "once");
    // One that dangles for another reason is none of ours.
    host.link("system", "system-9-link");
    let moved = quarantine.mend(&links(), &restorable, NOW);
    assert!(moved.restored.is_empty() && moved.failures.is_empty(), "{moved:?}");
    assert_eq!(host.reads("system").as_deref(), Some("system-9-link"));
    assert!(host.places.profiles.join("system.lock").symlink_metadata().is_err());
}

#[test]
fn why_a_link_would_stand_is_known_without_moving_it() {
    let (host, paths) = host();
    let links = scan(&host.places).links;
    let of_number = |number: u32| {
        let name = format!("system-{number}-link");
        links.iter().find(|it| it.path.ends_with(&name)).unwrap()
    };
    let quarantine = host.quarantine();
    let staying = quarantine.staying().unwrap();
    let stand = |number, restorable: &Restorable| {
        quarantine.must_stand(of_number(number), &links, &staying, restorable)
    };
    assert_eq!(stand(4, &of(&[&paths[0]], &[])), None);
    assert_eq!(stand(4, &of(&[], &[])), None, "there is one that is older than the enrolment");
    fs::remove_file(host.places.profiles.join("system-1-link")).unwrap();
    let links = scan(&host.places).links;
    let link = |name: &str| links.iter().find(|it| it.path.ends_with(name)).unwrap();
    let stand = |name: &str, restorable: &Restorable| {
        quarantine.must_stand(link(name), &links, &staying, restorable)
    };
    let nothing = Some(LeftBecause::NothingToRestore);
    assert_eq!(stand("system-4-link", &of(&[], &[])), nothing);
    assert_eq!(stand("system-4-link", &of(&[&paths[0]], &[])), None, "control");
    assert_eq!(stand("system-5-link", &of(&[], &[])), None, "the profile does not lead to it");
    symlink(paths[3].to_string(), &host.places.running()[1]).unwrap();
    assert_eq!(stand("system-5-link", &of(&[], &[])), Some(LeftBecause::Running));
    assert_eq!(stand("system-6-link", &of(&[], &[])), None, "control");
    host.link("system-profiles/test", &host.evil.to_string());
    let links = scan(&host.places).links;
    let named = links.iter().find(|it| it.path.ends_with("test")).unwrap();
    assert_eq!(quarantine.must_stand(named, &links, &staying, &of(&[], &[])), None, "goes");
    assert!(host.names().contains("system-4-link"), "nothing was moved");
}
