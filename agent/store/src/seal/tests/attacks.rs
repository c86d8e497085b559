//! D17, D19, D20: what changes a sealed tree, and what would if it were sealed.

use super::{Bench, bench, later};
use crate::seal::{Belief, Doubt};
use narwarden_forge::canonicalise;
use rustix::fs::{AtFlags, CWD, RenameFlags, Timespec, Timestamps, XattrFlags};
use std::fs::{OpenOptions, Permissions, rename, set_permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// Sets the time of modification to what Nix leaves, of a link itself.
fn put_back(path: &Path) {
    let one = Timespec { tv_sec: 1, tv_nsec: 0 };
    let times = Timestamps { last_access: one, last_modification: one };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn writable<T>(path: &Path, work: impl FnOnce() -> T) -> T {
    let mode = path.metadata().unwrap().permissions();
    set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    let result = work();
    set_permissions(path, mode).unwrap();
    put_back(path);
    result
}

/// Each changes one path and leaves its metadata canonical.
#[test]
fn d19_a_change_moves_a_stamp_that_cannot_be_put_back() {
    type Attack = fn(&Bench);
    fn file(bench: &Bench) -> std::path::PathBuf {
        bench.forge.file(&bench.generation.bash, "bin/bash")
    }
    let table: [(&str, Attack); 8] = [
        ("bytes of the same length", |bench| {
            let file = file(bench);
            writable(&file, || {
                let mut bytes = std::fs::read(&file).unwrap();
                bytes[0] ^= 1;
                std::fs::write(&file, bytes).unwrap();
            });
        }),
        ("the same bytes again", |bench| {
            let file = file(bench);
            writable(&file, || std::fs::write(&file, std::fs::read(&file).unwrap()).unwrap());
        }),
        ("a mode there and back", |bench| writable(&file(bench), || {})),
        ("another file of the same bytes in its place", |bench| {
            let file = file(bench);
            let directory = file.parent().unwrap();
            writable(directory, || {
                let copy = directory.join("copy");
                std::fs::copy(&file, &copy).unwrap();
                put_back(&copy);
                rename(&copy, &file).unwrap();
            });
        }),
        ("a name more", |bench| {
            let file = file(bench);
            let directory = file.parent().unwrap();
            writable(directory, || symlink("bash", directory.join("more")).unwrap());
            put_back(&directory.join("more"));
            put_back(directory);
        }),
        ("a name that was there for a moment", |bench| {
            let file = file(bench);
            let directory = file.parent().unwrap();
            writable(directory, || {
                symlink("bash", directory.join("more")).unwrap();
                std::fs::remove_file(directory.join("more")).unwrap();
            });
        }),
        ("a hard link elsewhere", |bench| {
            std::fs::hard_link(file(bench), bench.forge.root().join("link")).unwrap();
        }),
        ("an extended attribute", |bench| {
            let file = file(bench);
            writable(&file, || {
                // Not everywhere; the mode there and back is enough then.
                let _ = rustix::fs::setxattr(&file, "user.x", b"1", XattrFlags::empty());
                let _ = rustix::fs::removexattr(&file, "user.x");
            });
        }),
    ];
    for (what, attack) in table {
        let Some(bench) = bench() else { return };
        let bench = bench.sealed();
        let control = bench.judge();
        assert_eq!(control.sealed, control.paths, "{what}: not changed yet");
        attack(&bench);
        let came = bench.judge();
        assert_eq!(came.sealed, came.paths - 1, "{what}: that path alone is hashed");
        assert!(came.hashed > 0, "{what}");
        let changed = matches!(what, "bytes of the same length" | "a name more");
        assert_eq!(came.admitted, !changed, "{what}");
        assert_eq!(came.hashes != control.hashes, changed, "{what}");
    }
}

/// Two files change places: each is what it was, and the names are the same.
#[test]
fn an_exchange_of_two_names_is_seen() {
    let Some(bench) = bench() else { return };
    let bench = bench.sealed();
    let file = bench.forge.file(&bench.generation.bash, "bin/bash");
    let (directory, link) = (file.parent().unwrap(), file.with_file_name("sh"));
    writable(directory, || {
        rustix::fs::renameat_with(CWD, &file, CWD, &link, RenameFlags::EXCHANGE).unwrap();
    });
    let came = bench.judge();
    assert_eq!(came.sealed, came.paths - 1);
    assert!(!came.admitted);
}

/// D20: whoever writes within the tick in which a file was measured leaves it with the stamp that it has.
#[test]
fn d20_what_is_as_young_as_its_measuring_is_not_sealed() {
    let Some(bench) = bench() else { return };
    let file = bench.forge.file(&bench.generation.bash, "bin/bash");
    canonicalise(&file).unwrap();
    // Judged now, by the true clock, and by one that a stamp of the future is ahead of.
    for seconds in [0, -100_000] {
        let came = bench.judge_by(bench.open(Belief::Fitting, later(seconds)).unwrap());
        assert!(came.admitted);
        assert_eq!(came.outcome.sealed, 0);
        assert_eq!(came.outcome.doubts.len() as u64, came.paths);
        assert!(came.outcome.doubts.iter().all(|it| *it == Doubt::Young));
        assert!(!bench.book.exists(), "there is nothing to be written down");
    }
    bench.sealed();
}

/// D17: a write that is under way has moved its stamps already.
#[test]
fn d17_what_somebody_may_be_writing_to_is_measured_and_not_sealed() {
    let Some(bench) = bench() else { return };
    let file = bench.forge.file(&bench.generation.bash, "bin/bash");
    let writer = writable(&file, || OpenOptions::new().write(true).open(&file).unwrap());
    let came = bench.judge();
    assert!(came.admitted);
    assert_eq!(came.outcome.doubts, [Doubt::Writer]);
    assert_eq!(came.outcome.sealed, came.paths - 1);
    let again = bench.judge();
    assert_eq!((again.sealed, &*again.outcome.doubts), (again.paths - 1, &[Doubt::Writer][..]));
    drop(writer);
    let alone = bench.judge();
    assert_eq!((alone.sealed, alone.outcome.sealed), (alone.paths - 1, 1));
    assert_eq!(bench.judge().sealed, alone.paths);
}

/// What is kept is what was measured: an expired or revoked key denies at once.
#[test]
fn l02_a_revoked_key_denies_although_every_seal_fits() {
    let Some(bench) = bench() else { return };
    let mut bench = bench.sealed();
    let good = bench.rules.trust.clone();
    bench.rules.trust =
        good.replacen("\" }\n", "\", revoked = 2026-01-01, reason = \"stolen\" }\n", 1);
    assert_ne!(bench.rules.trust, good);
    let came = bench.judge();
    assert!(!came.admitted);
    assert_eq!((came.sealed, came.hashed), (came.paths, 0));
    bench.rules.trust = good;
    assert!(bench.judge().admitted);
}
