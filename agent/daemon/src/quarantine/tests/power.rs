//! Power is lost, or a record torn, at every point where that makes a difference.

use super::host::{Host, NOW, because};
use crate::generations::{Kind, scan};
use crate::quarantine::reject::Step;
use crate::quarantine::{Held, LeftBecause, QuarantineError, Recovered, State};
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;

#[test]
fn without_power_after_any_step_nothing_is_lost() {
    for last in [Step::Recorded, Step::Restored, Step::Moved, Step::Settled] {
        for direct in ["through a generation", "straight to the store"] {
            let host = Host::new();
            if direct == "straight to the store" {
                fs::remove_file(host.places.profiles.join("system-3-link")).unwrap();
                host.link("system", &host.evil.to_string());
            }
            let what = format!("{last:?}, {direct}");
            let roots = host.roots();
            let mut stop = |step| {
                if step == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let rejections = host.rejections();
            let moved =
                host.quarantine().reject_watched(&rejections, &host.restorable(), NOW, &mut stop);
            assert!(moved.unwrap().failures.is_empty(), "{what}");
            assert!(host.roots().is_superset(&roots), "{what}");
            let current = scan(&host.places).links.into_iter().find(|it| it.kind == Kind::Current);
            assert!(current.unwrap().target.is_ok(), "{what}: the profile never dangles");

            let recovered = host.quarantine().recover(NOW).unwrap();
            let expected = match (last, direct) {
                (Step::Recorded, _) | (Step::Restored, "through a generation") => 1,
                (_, _) => 0,
            };
            assert_eq!(recovered.undone.len(), expected, "{what}: {recovered:?}");
            assert!(recovered.forgotten.is_empty() && recovered.damages.is_empty());
            assert!(host.roots().is_superset(&roots), "{what}");
            let _ = host.reject();
            assert!(host.is_clean(), "{what}");
            assert!(host.roots().is_superset(&roots), "{what}");
            let held = host.held();
            assert_eq!(held.len(), 1, "{what}");
            assert_eq!(held[0].record.as_ref().unwrap().state, State::Held, "{what}");
            assert_eq!(host.quarantine().recover(NOW).unwrap(), Recovered::default(), "{what}");
        }
    }
}

#[test]
fn many_at_once_and_power_lost_in_the_middle() {
    let host = Host::new();
    for number in 4..20 {
        host.link(&format!("system-{number}-link"), &host.evil.to_string());
        host.link(&format!("system-profiles/comin-{number}-link"), &host.evil.to_string());
    }
    host.link("system-profiles/comin", "comin-19-link");
    let mut steps = 0;
    let mut stop = |step| {
        steps += usize::from(step == Step::Moved);
        if steps == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let rejections = host.rejections();
    let _ =
        host.quarantine().reject_watched(&rejections, &host.restorable(), NOW, &mut stop).unwrap();
    let recovered = host.quarantine().recover(NOW).unwrap();
    assert!(!recovered.undone.is_empty() && !recovered.finished.is_empty(), "{recovered:?}");
    let _ = host.reject();
    assert!(host.is_clean());
    // The named profile had no other generation, and is gone.
    assert_eq!(host.held().len(), 17 + 16);
    assert_eq!(host.reads("system-profiles/comin"), None);
}

#[test]
fn a_release_that_was_interrupted() {
    // The record says so, and the link has not been moved yet, or has been.
    for moved in ["not yet", "moved"] {
        let host = Host::new();
        let _ = host.reject();
        let [held] = host.held().try_into().unwrap();
        let mut record = held.record.unwrap();
        record.state = State::Releasing { link: record.was.clone() };
        record.save(&host.places).unwrap();
        let link = host.places.quarantine.join(held.id.as_str());
        if moved == "moved" {
            fs::rename(link, host.places.profiles.join("system-3-link")).unwrap();
        }
        let recovered = host.quarantine().recover(NOW).unwrap();
        if moved == "moved" {
            assert_eq!(recovered.finished, [held.id]);
            assert_eq!(because(&host.reject()), [LeftBecause::Released]);
        } else {
            assert_eq!(recovered.undone, std::slice::from_ref(&held.id));
            assert_eq!(host.held()[0].record.as_ref().unwrap().state, State::Held);
        }
    }
}

#[test]
fn records_that_were_torn_are_kept_and_the_links_too() {
    let host = Host::new();
    let _ = host.reject();
    let [held] = host.held().try_into().unwrap();
    let path = crate::state::records(&host.places).join(format!("{}.json", held.id));
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let (listed, damages) = host.quarantine().list().unwrap();
        assert_eq!(damages.len(), 1, "{length}");
        assert_eq!(listed, [Held { record: None, ..held.clone() }], "{length}");
        let error = host.quarantine().release(&held.id, NOW).unwrap_err();
        assert!(matches!(error, QuarantineError::NoRecord { .. }), "{error}");
        let aside = path.with_file_name(format!("{}.json.damaged-1", held.id));
        assert_eq!(fs::read(&aside).unwrap(), whole[..length]);
        fs::remove_file(aside).unwrap();
    }
    // A record under another one's name is no record of it.
    fs::write(&path, &whole).unwrap();
    let other = path.with_file_name("system-9-x.json");
    fs::rename(&path, other).unwrap();
    assert_eq!(host.quarantine().list().unwrap().1.len(), 1);
    // It can be thrown away all the same.
    host.quarantine().discard(&held.id).unwrap();
    assert_eq!(host.held(), []);
}

#[test]
fn a_copy_that_was_made_before_anything_was_moved() {
    let host = Host::new();
    let mut stop = |_| ControlFlow::Break(());
    let rejections = host.rejections();
    let quarantine = host.quarantine();
    let _ = quarantine.reject_watched(&rejections, &host.restorable(), NOW, &mut stop).unwrap();
    let copy = host.places.quarantine.join("system-3-20261001T120000Z");
    symlink(host.evil.to_string(), &copy).unwrap();
    assert_eq!(quarantine.recover(NOW).unwrap().undone.len(), 1);
    assert!(copy.symlink_metadata().is_err());
    assert_eq!(host.reads("system-3-link"), Some(host.evil.to_string()));
}
