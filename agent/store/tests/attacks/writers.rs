//! D17, D19, D20: writers that are active while or after a path is judged.

use super::support::{
    Found, Kind, assert_admitted, assert_denied, by_bytes, good, is_root, judged_with,
};
use narwarden_core::plan::Contents;
use narwarden_core::reason::Reason;
use narwarden_core::store_path::StorePath;
use narwarden_forge::{Addressing, Forge, Generation, Rules, Setup, Tree, ci};
use narwarden_store::Progress;
use rustix::fs::{
    AtFlags, CWD, RenameFlags, Timespec, Timestamps, futimens, renameat_with, statat,
};
use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const LARGE: usize = 48 << 20;

/// Adds a signed path of one large file, and a signed toplevel that refers to it.
fn large(forge: &mut Forge, generation: &Generation) -> (StorePath, StorePath) {
    let path = forge.add("large", &Tree::file(vec![0; LARGE]), Addressing::Input, &[]).unwrap();
    forge.sign(&path, &[&ci()]).unwrap();
    let toplevel = forge.toplevel_with(generation, &[&path]).unwrap();
    (path, toplevel)
}

/// A descriptor for writing, opened before the file was made read-only.
fn open_early(forge: &mut Forge, path: &StorePath) -> File {
    let at = forge.physical(path);
    std::fs::set_permissions(&at, Permissions::from_mode(0o644)).unwrap();
    let file = OpenOptions::new().write(true).open(&at).unwrap();
    narwarden_forge::canonicalise(&at).unwrap();
    file
}

/// Puts the modification time back to what Nix leaves.
fn cover_up(file: &File) {
    let time = Timespec { tv_sec: 1, tv_nsec: 0 };
    futimens(file, &Timestamps { last_access: time, last_modification: time }).unwrap();
}

fn judge_while(forge: &Forge, toplevel: &StorePath, work: impl FnOnce(&Progress) + Send) -> Found {
    let setup = Setup { rules: Rules::good(), contents: Contents::Measured };
    judged_with(forge.root(), toplevel, &setup, work)
}

/// Runs `work` while another thread does `this` over and over, also when `work` panics.
fn while_repeating(this: impl Fn() + Sync, work: impl FnOnce()) {
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stopped.load(Ordering::Relaxed) {
                this();
            }
        });
        let _stop = Stop(&stopped);
        work();
    });
}

/// Waits until so many bytes are hashed; false when that takes too long.
fn wait_for(progress: &Progress, bytes: u64) -> bool {
    let begin = Instant::now();
    while progress.bytes() < bytes {
        if begin.elapsed() > Duration::from_secs(30) {
            return false;
        }
        std::hint::spin_loop();
    }
    true
}

/// Writes into the file and takes it back, size and time too, in each of the first `readings` of it.
fn interfere(progress: &Progress, file: &File, place: u64, readings: u64) -> Readings {
    let mut caught = Readings::All;
    for reading in 0..readings {
        let begun = reading * LARGE as u64;
        if wait_for(progress, begun + (8 << 20)) {
            file.write_all_at(b"!", place).unwrap();
            file.write_all_at(b"\0", place).unwrap();
            cover_up(file);
        }
        if progress.bytes() >= begun + LARGE as u64 {
            caught = Readings::Some;
        }
    }
    caught
}

/// In which readings the writer was in time.
#[derive(Clone, Copy, PartialEq)]
enum Readings {
    All,
    Some,
}

#[test]
fn d17_bytes_changed_and_put_back_while_they_are_read() {
    let (_workshop, mut forge, generation) = good();
    let (path, toplevel) = large(&mut forge, &generation);
    assert_admitted(&by_bytes(&forge, &toplevel));
    let file = open_early(&mut forge, &path);
    // Ahead of the reader and behind it; afterwards, all is as if nothing had been.
    for place in [0, LARGE as u64 - 1] {
        let twice = (0..20).any(|_| {
            let mut caught = Readings::Some;
            let found = judge_while(&forge, &toplevel, |progress| {
                caught = interfere(progress, &file, place, 2);
            });
            if caught == Readings::All {
                assert_denied(&found, &["large changed-while-read"]);
            }
            caught == Readings::All
        });
        assert!(twice, "the reader was never overtaken");
        // A path is read once more before it is refused, as `nix store optimise` may be at work.
        let found = judge_while(&forge, &toplevel, |progress| {
            interfere(progress, &file, place, 1);
        });
        assert_admitted(&found);
    }
    // Control: the same bytes, nobody writing.
    assert_admitted(&by_bytes(&forge, &toplevel));
}

#[test]
fn d17_bytes_changed_for_good_while_they_are_read() {
    // The second reading reads what is there then.
    let (_workshop, mut forge, generation) = good();
    let (path, toplevel) = large(&mut forge, &generation);
    let file = open_early(&mut forge, &path);
    for place in [0, LARGE as u64 - 1] {
        let found = judge_while(&forge, &toplevel, |progress| {
            if wait_for(progress, 8 << 20) {
                file.write_all_at(b"!", place).unwrap();
                cover_up(&file);
            }
        });
        assert!(matches!(found.verdict, Kind::Deny(_)), "{found:#?}");
        assert_denied(&by_bytes(&forge, &toplevel), &["large content-drift"]);
        file.write_all_at(b"\0", place).unwrap();
        cover_up(&file);
        assert_admitted(&by_bytes(&forge, &toplevel));
    }
}

#[test]
fn d17_a_file_that_is_rewritten_all_the_time_is_never_admitted() {
    let (_workshop, mut forge, generation) = good();
    let (path, toplevel) = large(&mut forge, &generation);
    let file = open_early(&mut forge, &path);
    while_repeating(
        || {
            // Never the right bytes: one of the two places is always wrong.
            file.write_all_at(b"!", 0).unwrap();
            file.write_all_at(b"\0", LARGE as u64 - 1).unwrap();
            file.write_all_at(b"!", LARGE as u64 - 1).unwrap();
            file.write_all_at(b"\0", 0).unwrap();
            cover_up(&file);
            file.write_all_at(b"!", 0).unwrap();
        },
        || {
            for _ in 0..8 {
                let found = by_bytes(&forge, &toplevel);
                assert!(matches!(found.verdict, Kind::Deny(_)), "{found:#?}");
            }
        },
    );
    file.write_all_at(b"\0", 0).unwrap();
    file.write_all_at(b"\0", LARGE as u64 - 1).unwrap();
    cover_up(&file);
    assert_admitted(&by_bytes(&forge, &toplevel));
}

#[test]
fn d17_growing_and_shrinking_while_read_end_and_deny() {
    let (_workshop, mut forge, generation) = good();
    let (path, toplevel) = large(&mut forge, &generation);
    let file = open_early(&mut forge, &path);
    for size in [LARGE as u64 * 2, 1 << 20] {
        let found = judge_while(&forge, &toplevel, |progress| {
            if wait_for(progress, 8 << 20) {
                file.set_len(size).unwrap();
                cover_up(&file);
            }
        });
        assert!(
            matches!(
                found.verdict,
                Kind::Deny(Reason::ChangedWhileRead | Reason::ContentDrift | Reason::TooLarge)
            ),
            "{found:#?}"
        );
        file.set_len(LARGE as u64).unwrap();
        cover_up(&file);
    }
    assert_admitted(&by_bytes(&forge, &toplevel));
}

#[test]
fn d17_a_tree_that_is_swapped_while_read_is_never_mixed() {
    // The good tree and an evil one change places all the time: admitted is at most what is all good, and
    // what is admitted was there.
    let (_workshop, mut forge, generation) = good();
    let names = (0..400).map(|number| (number.to_string(), Tree::file("good")));
    let part = forge.add("part", &Tree::directory(names), Addressing::Input, &[]).unwrap();
    forge.sign(&part, &[&ci()]).unwrap();
    let toplevel = forge.toplevel_with(&generation, &[&part]).unwrap();
    let at = forge.physical(&part);
    let mut places = vec![forge.root().join("nix/store/.evil")];
    if is_root("trees that come from another directory") {
        places.push(forge.root().join("evil"));
    }
    for evil in places {
        std::fs::create_dir(&evil).unwrap();
        for number in 0..400 {
            let bytes = if number == 200 { "evil" } else { "good" };
            std::fs::write(evil.join(number.to_string()), bytes).unwrap();
        }
        narwarden_forge::canonicalise(&evil).unwrap();
        while_repeating(
            || renameat_with(CWD, &at, CWD, &evil, RenameFlags::EXCHANGE).unwrap(),
            || (0..40).for_each(|_| assert_at_most_changed(&by_bytes(&forge, &toplevel))),
        );
        let (here, there) = (Tree::read(&at).unwrap(), Tree::read(&evil).unwrap());
        assert_ne!(here, there);
        let Tree::Directory(files) = here else { panic!("no directory") };
        let found = by_bytes(&forge, &toplevel);
        if files[&b"200"[..]] == Tree::file("good") {
            assert_admitted(&found);
        } else {
            assert_denied(&found, &["part content-drift"]);
            renameat_with(CWD, &at, CWD, &evil, RenameFlags::EXCHANGE).unwrap();
        }
    }
}

fn assert_at_most_changed(found: &Found) {
    let known = ["part changed-while-read", "part content-drift"];
    assert!(found.why().iter().all(|it| known.contains(&it.as_str())), "{found:#?}");
}

#[test]
fn d17_a_writer_with_an_early_descriptor_is_seen_by_the_next_judgement() {
    let (_workshop, mut forge, generation) = good();
    let file = open_early(&mut forge, &generation.text);
    assert_admitted(&by_bytes(&forge, &generation.toplevel));
    file.write_all_at(b"ID=evil!", 0).unwrap();
    let why = ["os-release content-address-mismatch", "os-release content-drift"];
    let with_time = ["os-release metadata-drift", why[0], why[1]];
    assert_denied(&by_bytes(&forge, &generation.toplevel), &with_time);
    cover_up(&file);
    assert_denied(&by_bytes(&forge, &generation.toplevel), &why);
}

#[test]
fn d19_d20_nothing_is_remembered_of_an_earlier_judgement() {
    // Altered within the tick of the admission, size and time put back: a fresh judgement reads again.
    let (_workshop, mut forge, generation) = good();
    let file = open_early(&mut forge, &generation.text);
    let at = forge.physical(&generation.text);
    let seen = |at: &std::path::Path| {
        let found = statat(CWD, at, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        (found.st_size, found.st_mtime, found.st_ino)
    };
    let before = seen(&at);
    assert_admitted(&by_bytes(&forge, &generation.toplevel));
    file.write_all_at(b"ID=NIXOS", 0).unwrap();
    cover_up(&file);
    assert_eq!(seen(&at), before);
    let why = ["os-release content-address-mismatch", "os-release content-drift"];
    assert_denied(&by_bytes(&forge, &generation.toplevel), &why);
}
