//! What reading does to what the host has in memory: what was not there is not there afterwards, what was stays, and
//! what is about to be read is asked for.
#![allow(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the support")]

mod support;

use std::fs::{self, File};
use std::io::Write as _;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use narwarden_linux::prefetch::{Extent, Found, prefetch};
use narwarden_linux::tree::{BEGINNING, StoreDirectory};
use rustix::fs::{Advice, fadvise};

const LARGE: usize = 24 << 20;
const PAGE: usize = 4096;

/// Which pages of a file are in memory. Asked with cachestat(2), since a read that must not wait has the disk read
/// ahead all the same.
fn cached(file: &File) -> Vec<usize> {
    let pages = usize::try_from(file.metadata().unwrap().len()).unwrap().div_ceil(PAGE);
    let is_cached = |page: &usize| {
        let range = [(page * PAGE) as u64, PAGE as u64];
        let mut counts = [0_u64; 5];
        // SAFETY: both arrays have the layout of `struct cachestat_range` and `struct cachestat`, and live longer
        // than the call.
        let result =
            unsafe { libc::syscall(451, file.as_raw_fd(), range.as_ptr(), counts.as_mut_ptr(), 0) };
        assert_eq!(result, 0, "cachestat(2)");
        counts[0] != 0
    };
    (0..pages).filter(is_cached).collect()
}

/// Puts a file out of memory.
fn forget(file: &File) {
    file.sync_all().unwrap();
    fadvise(file, 0, None, Advice::DontNeed).unwrap();
}

/// Whether cachestat(2) is there, without which nothing can be told, nor is anything given up again.
fn can_count() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let new = (numbers.next(), numbers.next()) >= (Some(6), Some(5));
    if !new {
        eprintln!("SKIPPED, needs Linux 6.5: what is in memory");
    }
    new
}

/// A store with a tree in it: `root/large`, and `root/small/0` to `root/small/19`, none of it in memory. `None` where
/// the file system is memory itself.
fn store() -> Option<(tempfile::TempDir, File, Vec<File>)> {
    if !can_count() {
        return None;
    }
    let store = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let make = |name: &str, size: usize| {
        let path = store.path().join("root").join(name);
        File::create(&path).unwrap().write_all(&vec![7; size]).unwrap();
        let file = File::open(path).unwrap();
        forget(&file);
        file
    };
    fs::create_dir_all(store.path().join("root/small")).unwrap();
    let large = make("large", LARGE);
    let small: Vec<_> = (0..20).map(|number| make(&format!("small/{number}"), 20_000)).collect();
    if cached(&large).is_empty() && small.iter().all(|file| cached(file).is_empty()) {
        return Some((store, large, small));
    }
    eprintln!("SKIPPED, needs a file system that lies on a disk: what is in memory");
    None
}

fn walk(store: &Path) {
    support::walk(store, b"root").unwrap();
}

#[test]
fn a_large_file_leaves_memory_as_it_was() {
    let Some((store, large, _)) = store() else { return };
    walk(store.path());
    let beginning = usize::try_from(BEGINNING).unwrap() / PAGE;
    let left = cached(&large);
    assert!(left.len() <= 3 * beginning, "{} pages are left", left.len());

    // Control: read as anybody would, all of it stays.
    forget(&large);
    std::io::copy(&mut &large, &mut std::io::sink()).unwrap();
    assert_eq!(cached(&large).len(), LARGE / PAGE);
}

#[test]
fn what_the_host_has_in_memory_stays_there() {
    let Some((store, large, _)) = store() else { return };
    // All of it, and one page of it only, in the middle of a window.
    std::io::copy(&mut &large, &mut std::io::sink()).unwrap();
    walk(store.path());
    assert_eq!(cached(&large).len(), LARGE / PAGE);

    forget(&large);
    let page = 3000;
    fadvise(&large, 0, None, Advice::Random).unwrap();
    large.read_exact_at(&mut [0; 1], (page * PAGE) as u64).unwrap();
    let before = cached(&large);
    assert!(before.contains(&page) && before.len() < 1000, "{}", before.len());
    walk(store.path());
    let after = cached(&large);
    assert!(before.iter().all(|page| after.contains(page)));
}

#[test]
fn what_is_about_to_be_read_is_asked_for() {
    let Some((outer, large, small)) = store() else { return };
    let store = StoreDirectory::open(outer.path()).unwrap();
    let mut asked = 0;
    let mut go_on = |bytes| {
        asked += bytes;
        ControlFlow::Continue(())
    };
    // The first file tells, and nothing is asked for.
    assert_eq!(prefetch(&store, b"root", Extent::FirstFile, &mut go_on), Found::Missing);
    assert_eq!(prefetch(&store, b"root", Extent::Everything, &mut go_on), Found::Missing);
    assert_eq!(asked, 20 * 20_000 + BEGINNING);
    let begin = Instant::now();
    while small.iter().any(|file| cached(file).len() < 5) {
        assert!(begin.elapsed() < Duration::from_secs(60), "it was not read");
        std::thread::sleep(Duration::from_millis(1));
    }
    // Of a large file the beginning; the kernel may round up.
    assert!(cached(&large).len() < LARGE / PAGE / 4);

    // Whoever has it in memory is left alone after a few files.
    asked = 0;
    let mut go_on = |bytes| {
        asked += bytes;
        ControlFlow::Continue(())
    };
    std::io::copy(&mut &large, &mut std::io::sink()).unwrap();
    assert_eq!(prefetch(&store, b"root", Extent::FirstFile, &mut go_on), Found::Cached);
    assert_eq!(prefetch(&store, b"root", Extent::Everything, &mut go_on), Found::Cached);
    assert_eq!(prefetch(&store, b"none", Extent::Everything, &mut go_on), Found::Nothing);
    assert_eq!(prefetch(&store, b"..", Extent::FirstFile, &mut go_on), Found::Nothing);
    assert!(asked <= 7 * 20_000 + BEGINNING, "{asked}");
}

#[test]
fn reading_ahead_follows_no_link_and_ends_when_it_is_told() {
    let Some((outer, _, small)) = store() else { return };
    let root = outer.path().join("root");
    fs::rename(root.join("small"), outer.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("../elsewhere", root.join("small")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    let store = StoreDirectory::open(outer.path()).unwrap();
    let mut go_on = |_| ControlFlow::Continue(());
    prefetch(&store, b"root", Extent::Everything, &mut go_on);
    assert!(small.iter().all(|file| cached(file).is_empty()));

    // Control: where it is no link, it is read; unless somebody says that it is over.
    fs::remove_file(root.join("small")).unwrap();
    fs::rename(outer.path().join("elsewhere"), root.join("small")).unwrap();
    let mut left = 3;
    let mut some = |_| {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    prefetch(&store, b"root", Extent::Everything, &mut some);
    assert_eq!(left, 0);
    prefetch(&store, b"root", Extent::Everything, &mut go_on);
    let begin = Instant::now();
    while small.iter().any(|file| cached(file).is_empty()) {
        assert!(begin.elapsed() < Duration::from_secs(60), "it was not read");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// To open a device is to do something already. What is opened is counted as looked at.
#[test]
fn a_root_that_is_no_file_is_not_opened() {
    let outer = tempfile::tempdir().unwrap();
    let pipe = outer.path().join("root");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    fs::write(outer.path().join("file"), "text").unwrap();
    let store = StoreDirectory::open(outer.path()).unwrap();
    let mut go_on = |_| ControlFlow::Continue(());
    for extent in [Extent::FirstFile, Extent::Everything] {
        assert_eq!(prefetch(&store, b"root", extent, &mut go_on), Found::Nothing);
        // Control: a root that is a file.
        assert_ne!(prefetch(&store, b"file", extent, &mut go_on), Found::Nothing);
    }
}
