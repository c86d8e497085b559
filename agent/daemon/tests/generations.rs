//! Links as a boot loader installer finds them, whatever somebody made of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the workplace")]

mod workplace;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use narwarden_forge::{Forge, Workshop};
use narwardend::generations::{Bootable, Gap, Kind, Link, LinkProblem, Profile, Scan, scan};
use narwardend::places::Places;
use workplace::Workplace;

fn named<'a>(scan: &'a Scan, name: &str) -> &'a Link {
    scan.links.iter().find(|link| link.path.ends_with(name)).unwrap_or_else(|| panic!("{name}"))
}

fn nobody(_: &Link) -> bool {
    false
}

#[test]
fn a_real_profile() {
    let workshop = Workshop::new().unwrap();
    let generation = Forge::new(workshop.root()).unwrap().good_generation().unwrap();
    let scan = scan(&Places::below(workshop.root()));
    assert_eq!((scan.gaps.len(), scan.links.len()), (0, 2));
    let (current, first) = (named(&scan, "system"), named(&scan, "system-1-link"));
    assert_eq!((current.kind, first.kind), (Kind::Current, Kind::Generation(1)));
    assert_eq!(current.through.as_deref(), Some(OsStr::new("system-1-link")));
    assert_eq!(
        (&current.target, &first.target),
        (&Ok(generation.toplevel.clone()), &Ok(generation.toplevel))
    );
    assert_eq!(scan.bootable(nobody), Bootable::Unadmitted(vec![first.clone()]));
    assert_eq!(scan.bootable(|_| true), Bootable::AdmittedOnly);
}

#[test]
fn where_links_lead() {
    let place = Workplace::new();
    let good = place.path("nixos-system-good");
    let gone = place.absent("nixos-system-gone");
    let inside = format!("{good}/bin");
    let elsewhere = |target: &str| Err(LinkProblem::Elsewhere(target.into()));
    let table = [
        ("system-1-link", good.to_string(), Ok(good.clone())),
        ("system-2-link", gone.to_string(), Err(LinkProblem::Dangling(gone.clone()))),
        ("system-3-link", "/home/evil/toplevel".into(), elsewhere("/home/evil/toplevel")),
        ("system-4-link", inside.clone(), elsewhere(&inside)),
        ("system-5-link", "/nix/store".into(), elsewhere("/nix/store")),
        ("system-6-link", "/nix/store/../../etc".into(), elsewhere("/nix/store/../../etc")),
        ("system-7-link", "system-1-link".into(), Ok(good.clone())),
        ("system-8-link", "system-8-link".into(), Err(LinkProblem::TooManyLinks)),
        ("system-9-link", "nothing".into(), elsewhere("nothing")),
        ("system-10-link", "..".into(), elsewhere("..")),
        ("system-11-link", "/nix/var/nix/profiles/system-1-link".into(), Ok(good.clone())),
        ("system-12-link", "/nix/store/x\u{1b}[2J".into(), elsewhere("/nix/store/x\u{1b}[2J")),
        ("system-13-link", "./system-1-link".into(), elsewhere("./system-1-link")),
        ("system-evil-link", good.to_string(), Ok(good.clone())),
        ("system", "system-2-link".into(), Err(LinkProblem::Dangling(gone))),
        ("system-profiles/comin", "comin-3-link".into(), Ok(good.clone())),
        ("system-profiles/comin-3-link", good.to_string(), Ok(good.clone())),
        ("system-profiles/straight", good.to_string(), Ok(good.clone())),
    ];
    for (name, target, _) in &table {
        place.link(name, target);
    }
    for name in ["system.lock", "default", "per-user", ".0_system-9-link"] {
        place.link(name, good.to_string());
    }
    fs::create_dir(place.profile("system-20-link")).unwrap();
    fs::write(place.profile("system-profiles/file"), "").unwrap();
    let scan = scan(&place.places);
    assert_eq!(scan.gaps, []);
    assert_eq!(scan.links.len(), table.len() + 2);
    for (name, target, expected) in table {
        let link = named(&scan, name);
        assert_eq!((link.raw.to_str(), &link.target), (Some(target.as_str()), &expected), "{name}");
        if let Err(problem) = &link.target {
            assert!(!problem.to_string().contains('\u{1b}'), "{problem}");
        }
    }
    assert_eq!(named(&scan, "system-20-link").target, Err(LinkProblem::NotALink("a directory")));
    assert_eq!(named(&scan, "system-evil-link").kind, Kind::Unnumbered);
    assert_eq!(named(&scan, "comin-3-link").profile, Profile::Named("comin".into()));

    let Bootable::Unadmitted(links) = scan.bootable(|link| link.target.as_ref() == Ok(&good))
    else {
        panic!()
    };
    let names: BTreeSet<_> = links.iter().map(|link| link.name().to_str().unwrap()).collect();
    let numbers = ["2", "3", "4", "5", "6", "8", "9", "10", "12", "13", "20"];
    let expected: BTreeSet<_> = numbers.map(|it| format!("system-{it}-link")).into();
    assert_eq!(names, expected.iter().map(String::as_str).collect());
    // With nobody admitted, a current link counts where no generation stands for it.
    let Bootable::Unadmitted(links) = scan.bootable(nobody) else { panic!() };
    let current: Vec<_> =
        links.iter().filter(|it| it.kind == Kind::Current).map(Link::name).collect();
    assert_eq!(current, ["straight"]);
}

#[test]
fn names_of_any_bytes() {
    let place = Workplace::new();
    let good = place.path("nixos-system-good").to_string();
    let directory = place.profile("system-profiles");
    fs::create_dir(&directory).unwrap();
    let odd = OsStr::from_bytes(b"a\xff\n-2-link");
    symlink(&good, directory.join(odd)).unwrap();
    let scan = scan(&place.places);
    let [link] = scan.links.as_slice() else { panic!("{scan:?}") };
    assert_eq!(link.kind, Kind::Generation(2));
    assert_eq!(link.mark().link, "a%FF%0A-2-link");
    assert_eq!(Profile::parse(&link.mark().profile).as_ref(), Some(&link.profile));
}

#[test]
fn a_directory_that_is_none_is_a_gap() {
    let elsewhere = |place: &Workplace| {
        let elsewhere = place.root.path().join("elsewhere");
        fs::create_dir_all(&elsewhere).unwrap();
        elsewhere
    };
    type Replace = fn(&Workplace, &std::path::Path);
    let table: [(&str, Replace); 3] = [
        ("a symbolic link", |place, at| symlink(place.root.path().join("elsewhere"), at).unwrap()),
        ("a symbolic link", |_, at| symlink("nowhere", at).unwrap()),
        ("a regular file", |_, at| fs::write(at, "").unwrap()),
    ];
    for name in ["nix/var/nix/profiles", "nix/var/nix/profiles/system-profiles"] {
        for (expected, replace) in table {
            let place = Workplace::new();
            elsewhere(&place);
            let at = place.root.path().join(name);
            let _ = fs::remove_dir(&at);
            replace(&place, &at);
            let scan = scan(&place.places);
            assert_eq!(scan.gaps[0], Gap::NotADirectory { path: at, found: expected });
            assert!(matches!(scan.bootable(|_| true), Bootable::Unknown(_)));
        }
    }
    let place = Workplace::new();
    fs::remove_dir(&place.places.profiles).unwrap();
    assert!(matches!(scan(&place.places).bootable(|_| true), Bootable::Unknown(_)));
}

#[test]
fn a_thousand_generations() {
    let place = Workplace::new();
    for number in 1..=1000 {
        place.generation(number, &format!("nixos-system-{number}"));
    }
    let scan = scan(&place.places);
    assert_eq!((scan.links.len(), scan.gaps.len()), (1001, 0));
    let numbers: Vec<_> = scan.links.iter().map(|link| link.kind).collect();
    assert!(numbers.is_sorted());
}

#[test]
fn more_links_than_anybody_needs() {
    let place = Workplace::new();
    for number in 0..66_000 {
        symlink("x", place.profile(&format!("system-{number}-link"))).unwrap();
    }
    let scan = scan(&place.places);
    assert!(
        matches!(scan.gaps.as_slice(), [Gap::TooMany { limit: 65_536, .. }]),
        "{:?}",
        scan.gaps
    );
    assert!(matches!(scan.bootable(|_| true), Bootable::Unknown(_)));
}

#[test]
fn a_link_that_is_flipped_all_the_time() {
    let place = Workplace::new();
    let targets = [1, 2].map(|number| place.generation(number, &format!("nixos-system-{number}")));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for flip in 0..1000 {
                let new = place.profile(".new");
                symlink(format!("system-{}-link", flip % 2 + 1), &new).unwrap();
                fs::rename(&new, place.profile("system")).unwrap();
                std::thread::sleep(Duration::from_micros(50));
            }
            done.store(true, Ordering::Release);
        });
        let mut scans = 0;
        while !done.load(Ordering::Acquire) {
            let scan = scan(&place.places);
            let target = named(&scan, "system").target.as_ref().unwrap();
            assert!(targets.contains(target));
            for generation in ["system-1-link", "system-2-link"] {
                named(&scan, generation);
            }
            match scan.gaps.as_slice() {
                [] => {}
                [Gap::Unsettled { .. }] => {
                    assert!(matches!(scan.bootable(|_| true), Bootable::Unknown(_)));
                }
                other => panic!("{other:?}"),
            }
            scans += 1;
        }
        assert!(scans > 10, "{scans}");
    });
    assert_eq!(scan(&place.places).gaps, []);
}

#[test]
fn a_link_that_is_renamed_all_the_time() {
    // Between two names, with so many others that a listing takes several calls: it may be missed in both.
    let place = Workplace::new();
    for number in 0..2000 {
        symlink("x", place.profile(&format!("system-{number}-link"))).unwrap();
    }
    let names = ["system-5000-link", "system-5001-link"].map(|name| place.profile(name));
    symlink("x", &names[0]).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _at_the_end = SetOnDrop(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                fs::rename(&names[0], &names[1]).unwrap();
                fs::rename(&names[1], &names[0]).unwrap();
            }
        });
        let mut unsettled = 0;
        for _ in 0..50 {
            let scan = scan(&place.places);
            unsettled += usize::from(!scan.gaps.is_empty());
            assert!(scan.links.len() > 2000 || !scan.gaps.is_empty());
        }
        assert!(unsettled > 25, "{unsettled}");
    });
}

/// Lets the other thread end even where an assertion fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_directory_that_is_replaced_all_the_time() {
    let place = Workplace::new();
    place.generation(1, "nixos-system-1");
    let aside = place.root.path().join("nix/var/nix/aside");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..300 {
                fs::rename(&place.places.profiles, &aside).unwrap();
                symlink("aside", &place.places.profiles).unwrap();
                std::thread::sleep(Duration::from_micros(100));
                fs::remove_file(&place.places.profiles).unwrap();
                fs::rename(&aside, &place.places.profiles).unwrap();
                std::thread::sleep(Duration::from_micros(100));
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            let scan = scan(&place.places);
            // Either everything was there, or it is said that not.
            assert!(scan.links.len() == 2 || !scan.gaps.is_empty(), "{scan:?}");
        }
    });
    assert_eq!(scan(&place.places).links.len(), 2);
}
