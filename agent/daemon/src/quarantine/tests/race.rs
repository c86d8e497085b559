//! Somebody else changes the profile at the same time, with Nix's lock or without.

use super::host::{Host, NOW, WAIT, because};
use crate::generations::Profile;
use crate::quarantine::lock::ProfileLock;
use crate::quarantine::reject::Step;
use crate::quarantine::{LeftBecause, QuarantineError};
use rustix::fs::{FlockOperation, flock};
use std::fs;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

#[test]
fn a_lock_that_others_hold_is_waited_for_but_not_for_long() {
    let host = Host::new();
    let path = host.places.profiles.join("system.lock");
    let lock = fs::File::create(&path).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let begin = Instant::now();
    let moved = host.reject();
    // That it comes back at all is what "not for long" means: the lock is never let go.
    assert!(begin.elapsed() >= WAIT, "{:?}", begin.elapsed());
    assert!(matches!(moved.failures.as_slice(), [(Profile::System, QuarantineError::Busy { .. })]));
    assert_eq!(host.reads("system").as_deref(), Some("system-3-link"), "nothing was touched");
    assert!(path.exists());

    // Nix lets it go: deleted first, then written to.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(WAIT / 3);
            fs::remove_file(&path).unwrap();
            (&lock).write_all(b"d").unwrap();
            flock(&lock, FlockOperation::Unlock).unwrap();
        });
        assert_eq!(host.reject().records.len(), 1);
    });
    assert!(!path.exists(), "as Nix leaves it");
    // A lock file that was left behind is as good as none; one with something in it is never taken.
    let host = Host::new();
    let path = host.places.profiles.join("system.lock");
    fs::write(&path, "").unwrap();
    assert_eq!(host.reject().records.len(), 1);
    let host = Host::new();
    fs::write(host.places.profiles.join("system.lock"), "d").unwrap();
    assert!(matches!(host.reject().failures.as_slice(), [(_, QuarantineError::Busy { .. })]));
    // The lock is Nix's: while it is held here, nobody else gets it.
    let held = ProfileLock::take(&host.places.profiles.join("other"), WAIT).unwrap();
    let other = fs::File::open(host.places.profiles.join("other.lock")).unwrap();
    assert!(flock(&other, FlockOperation::NonBlockingLockExclusive).is_err());
    drop(held);
    assert_eq!(other.metadata().unwrap().len(), 1, "those who wait see that it is stale");
}

#[test]
fn somebody_who_takes_no_lock_is_not_overwritten() {
    // `nix-env --set` flips the profile all the time between two generations, both admitted meanwhile.
    let host = Host::new();
    host.link("system-4-link", &host.good.to_string());
    host.link("system", "system-2-link");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for flip in 0..1000 {
                let new = host.places.profiles.join(".flip");
                symlink(["system-2-link", "system-4-link"][flip % 2], &new).unwrap();
                fs::rename(&new, host.places.profiles.join("system")).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            host.link("system-3-link", &host.evil.to_string());
            let moved = host.reject();
            assert_eq!(moved.restored, [], "it never led to the rejected one");
            assert_eq!(moved.records.len(), 1, "{moved:?}");
        }
    });
    assert!(["system-2-link", "system-4-link"].contains(&host.reads("system").unwrap().as_str()));
    assert!(host.is_clean());
}

#[test]
fn a_profile_that_is_no_directory_of_its_own_is_not_changed() {
    let host = Host::new();
    let rejections = host.rejections();
    let elsewhere = host.root.path().join("elsewhere");
    fs::rename(&host.places.profiles, &elsewhere).unwrap();
    symlink(&elsewhere, &host.places.profiles).unwrap();
    let moved = host.quarantine().reject(&rejections, &host.restorable(), NOW).unwrap();
    assert!(matches!(
        moved.failures.as_slice(),
        [(_, QuarantineError::Io { operation: "open", .. })]
    ));
    assert_eq!(fs::read_link(elsewhere.join("system")).unwrap().to_str(), Some("system-3-link"));
}

/// Does something right after a step.
fn after(step: Step, mut act: impl FnMut()) -> impl FnMut(Step) -> ControlFlow<()> {
    move |done| {
        if done == step {
            act();
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn a_profile_that_was_switched_meanwhile_is_left_alone() {
    let host = Host::new();
    let mut watch = after(Step::Recorded, || host.link("system", "system-1-link"));
    let rejections = host.rejections();
    let moved = host.quarantine().reject_watched(&rejections, &host.restorable(), NOW, &mut watch);
    let moved = moved.unwrap();
    assert!(
        matches!(moved.failures.as_slice(), [(_, QuarantineError::Unsettled { .. })]),
        "{moved:?}"
    );
    assert_eq!(host.reads("system").as_deref(), Some("system-1-link"));
    assert!(host.reads("system-3-link").is_some() && host.held().is_empty());
    assert_eq!(host.quarantine().released().unwrap().len(), 0, "and no record stays behind");
    // The next time it is done.
    assert_eq!(host.reject().records.len(), 1);
    assert_eq!(host.reads("system").as_deref(), Some("system-1-link"));
    assert!(host.is_clean());
}

#[test]
fn a_link_that_was_replaced_meanwhile_is_put_back() {
    let host = Host::new();
    let other = host.old.to_string();
    let mut watch = after(Step::Restored, || host.link("system-3-link", &other));
    let rejections = host.rejections();
    let moved = host.quarantine().reject_watched(&rejections, &host.restorable(), NOW, &mut watch);
    let moved = moved.unwrap();
    assert_eq!((because(&moved), moved.records.len()), (vec![LeftBecause::Changed], 0));
    assert_eq!(host.reads("system-3-link"), Some(other.clone()));
    assert_eq!(host.held(), []);

    let host = Host::new();
    let at = host.places.profiles.join("system-3-link");
    let mut watch = after(Step::Restored, || fs::remove_file(&at).unwrap());
    let rejections = host.rejections();
    let moved = host.quarantine().reject_watched(&rejections, &host.restorable(), NOW, &mut watch);
    assert_eq!(because(&moved.unwrap()), [LeftBecause::Gone]);
}
