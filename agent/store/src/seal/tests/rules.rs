//! What seals are bound to, and when they end.

use super::hostile::forge_evidence;
use super::{Bench, bench, later};
use crate::seal::book::LIFETIME;
use crate::seal::write::Writer;
use crate::seal::{Belief, NoSeals, Outcome, Seals, Shelf};
use narwarden_core::metadata::Owner;
use narwarden_linux::boot::Clock;
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;

fn at(bench: &Bench, change: impl FnOnce(&mut Clock)) -> u64 {
    let mut clock = later(10);
    change(&mut clock);
    let seals = bench.open(Belief::Fitting, clock).unwrap();
    bench.judge_by(seals).sealed
}

#[test]
fn seals_end_with_the_clock_they_were_made_by_and_with_their_time() {
    let Some(bench) = bench() else { return };
    let bench = bench.sealed();
    let book = std::fs::read(&bench.book).unwrap();
    let again = || std::fs::write(&bench.book, &book).unwrap();
    let all = at(&bench, |_| {});
    assert!(all > 0);
    assert_eq!(at(&bench, |clock| clock.since_boot += LIFETIME - 5), all);
    again();
    assert_eq!(at(&bench, |clock| clock.since_boot += LIFETIME + 5), 0, "too old");
    again();
    assert_eq!(at(&bench, |clock| clock.since_boot = 0), 0, "made later than now");
    again();
    const SECOND: i128 = 1_000_000_000;
    for nudge in [SECOND / 4, -SECOND / 4] {
        assert_eq!(at(&bench, |clock| clock.lead += nudge), all, "the clock was nudged");
        again();
    }
    for step in [SECOND, -SECOND] {
        assert_eq!(at(&bench, |clock| clock.lead += step), 0, "the clock was set");
        again();
    }
    again();
    assert_eq!(at(&bench, |_| {}), all);
}

/// A clock that was set while it was measured seals nothing, and no book is left to be believed.
#[test]
fn d20_a_clock_that_is_set_meanwhile_seals_nothing() {
    let Some(bench) = bench() else { return };
    let mut clock = later(10);
    clock.lead -= 1_000_000_000;
    let came = bench.judge_by(bench.open(Belief::Fitting, clock).unwrap());
    assert!(came.admitted);
    assert_eq!(came.outcome.sealed, 0);
    assert!(!bench.book.exists());
    bench.sealed();
}

#[test]
fn a_store_of_somebody_else_has_seals_of_its_own() {
    let Some(bench) = bench() else { return };
    let bench = bench.sealed();
    let Owner { uid, gid } = bench.owner();
    let open = |owner| {
        let shelf = Shelf::new(&bench.book);
        Seals::open(shelf, &bench.location(), owner, Belief::Fitting, later(10)).unwrap()
    };
    assert!(open(Owner { uid, gid }).book.is_some());
    assert!(open(Owner { uid: uid + 1, gid }).book.is_none());
    assert!(open(Owner { uid, gid: gid + 1 }).book.is_none());
}

/// The same store under another directory is another one, although its files are the same.
#[test]
fn another_store_directory_is_another_store() {
    let Some(bench) = bench() else { return };
    let bench = bench.sealed();
    let store = bench.location().store_directory();
    let moved = store.with_file_name("moved");
    std::fs::rename(&store, &moved).unwrap();
    std::fs::create_dir(&store).unwrap();
    for entry in std::fs::read_dir(&moved).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions();
        let directory = entry.metadata().unwrap().is_dir();
        if directory {
            set_permissions(entry.path(), Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::rename(entry.path(), store.join(entry.file_name())).unwrap();
        if directory {
            set_permissions(store.join(entry.file_name()), mode).unwrap();
        }
    }
    let came = bench.judge();
    assert_eq!(came.sealed, 0);
    assert!(came.admitted);
}

/// Another question about the same bytes is not answered by what was measured for the first.
#[test]
fn another_content_address_is_another_question() {
    let Some(bench) = bench() else { return };
    let bench = bench.sealed();
    let bash = bench.generation.bash.to_string();
    let ca = "fixed:r:sha256:0000000000000000000000000000000000000000000000000000";
    let changed = bench
        .forge
        .connection()
        .execute("update ValidPaths set ca = ?1 where path = ?2 and ca is null", [ca, &bash])
        .unwrap();
    assert_eq!(changed, 1);
    let came = bench.judge();
    assert_eq!(came.sealed, came.paths - 1);
    // And then it is known as well.
    assert_eq!(bench.judge().sealed, came.paths);
}

#[test]
fn everything_is_hashed_where_no_seal_is_to_be_believed() {
    let Some(bench) = bench() else { return };
    let bench = bench.sealed();
    let book = std::fs::read(&bench.book).unwrap();
    let full = |bench: &Bench| bench.judge_by(bench.open(Belief::None, later(10)).unwrap());
    let came = full(&bench);
    assert!(came.admitted && came.hashed > 0);
    assert_eq!((came.sealed, came.outcome.sealed, came.outcome.refuted), (0, 0, 0));
    assert_eq!(std::fs::read(&bench.book).unwrap(), book, "nothing contradicted it");

    // Of two paths, the book says what was never measured: their trees look right, and only hashing tells.
    forge_evidence(&bench, 2);
    let believed = bench.judge();
    assert!(!believed.admitted, "a forged book is believed: that is what hashing all of it is for");
    let came = full(&bench);
    assert!(came.admitted);
    assert_eq!(came.outcome.refuted, 2);
    let after = bench.judge();
    assert!(after.admitted);
    assert_eq!(after.sealed, after.paths - 2, "what was refuted is gone, and the rest is kept");
}

/// What one run refutes is not put back by another that began before, and would seal something itself.
#[test]
fn what_was_refuted_does_not_come_back_by_another_run() {
    let Some(bench) = bench() else { return };
    let bench = bench.sealed();
    let open = |belief| bench.open(belief, later(10)).unwrap();
    forge_evidence(&bench, 1);
    // Moves a time stamp, and nothing else.
    let changed = bench.forge.root().join(&bench.generation.toplevel.to_string()[1..]);
    set_permissions(&changed, changed.metadata().unwrap().permissions()).unwrap();
    let early = open(Belief::Fitting);
    assert_eq!(bench.judge_by(open(Belief::None)).outcome.refuted, 1);
    let early = bench.judge_by(early);
    assert!(!early.admitted && early.hashed > 0, "control: it believes the book that it opened");
    assert_eq!(early.outcome, Outcome::default(), "and puts down nothing");
    let after = bench.judge();
    assert!(after.admitted);
    assert_eq!(after.sealed, after.paths - 2, "all but what was refuted, and what changed");
}

/// Nor does it stay because another run writes at the same time.
#[test]
fn what_was_refuted_is_gone_where_another_run_takes_the_name() {
    let Some(bench) = bench() else { return };
    let bench = bench.sealed();
    forge_evidence(&bench, 1);
    let refuting = bench.open(Belief::Renew, later(10)).unwrap();
    let _ = bench.judge_with(&refuting);
    let _other = Writer::begin(&bench.book).unwrap();
    assert_eq!(refuting.close(), Outcome { refuted: 1, ..Outcome::default() });
    let after = bench.judge();
    assert_eq!((after.admitted, after.sealed), (true, 0));
}

#[test]
fn a_book_that_was_revoked_is_none_wherever_it_cannot_be_removed() {
    let Some(bench) = bench() else { return };
    let token = bench.book.with_file_name("token");
    let shelf = || Shelf::with_token(&bench.book, &token);
    let open = || {
        let (location, owner) = (bench.location(), bench.owner());
        Seals::open(shelf(), &location, owner, Belief::Fitting, later(10)).unwrap()
    };
    let first = bench.judge_by(open());
    assert_eq!(first.outcome.sealed, first.paths);
    let again = bench.judge_by(open());
    assert_eq!(again.sealed, again.paths);
    let kept = std::fs::read(&bench.book).unwrap();

    // It is put back where it was, as if removing it had failed.
    shelf().revoke().unwrap();
    assert!(!bench.book.exists() && !token.exists());
    std::fs::write(&bench.book, &kept).unwrap();
    set_permissions(&bench.book, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(bench.judge_by(open()).sealed, 0);
    // By the next one, an older book is not believed either.
    std::fs::write(&bench.book, &kept).unwrap();
    assert_eq!(bench.judge_by(open()).sealed, 0);
    // Control: with the token that it was written with, it would have been.
    std::fs::write(&bench.book, &kept).unwrap();
    std::fs::write(&token, &kept[16 + 4 + 72..16 + 4 + 72 + 16]).unwrap();
    assert_eq!(bench.judge_by(open()).sealed, first.paths);
}

/// Whoever revokes seals while they are used has what they said not count.
#[test]
fn seals_that_are_revoked_meanwhile_do_not_hold() {
    let Some(bench) = bench() else { return };
    let shelf = Shelf::with_token(&bench.book, bench.book.with_file_name("token"));
    let open = || {
        let (location, owner) = (bench.location(), bench.owner());
        Seals::open(shelf.clone(), &location, owner, Belief::Fitting, later(10)).unwrap()
    };
    let first = bench.judge_by(open());
    let (seals, control) = (open(), open());
    assert!(control.hold());
    shelf.revoke().unwrap();
    assert!(!seals.hold());
    let came = bench.judge_by(seals);
    assert!(came.admitted);
    assert_eq!((came.sealed, came.hashed), (0, first.hashed), "all of it was measured");
    assert_eq!(came.outcome.sealed, 0);
    assert!(!bench.book.exists(), "no book of before is put back");
}

#[test]
fn a_file_system_that_does_not_stamp_every_change_has_no_seals() {
    let shared = tempfile::tempdir_in("/dev/shm");
    let Ok(root) = shared else { return eprintln!("SKIPPED, needs a tmpfs at /dev/shm") };
    let location = crate::Location::new(root.path());
    std::fs::create_dir_all(location.store_directory()).unwrap();
    let shelf = Shelf::new(root.path().join("seals"));
    let opened = Seals::open(shelf, &location, Owner::ROOT, Belief::Fitting, later(0));
    assert_eq!(opened.unwrap_err(), NoSeals::FileSystem(0x0102_1994));
}
