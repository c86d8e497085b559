//! A walk holds one descriptor per open level and one for a file, and gives all of them back. Alone
//! in its program, since descriptors are counted for the process.

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

use std::fs;

use narwarden_linux::tree::{Attributes, Event, Limits, StoreDirectory, Walk};

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn descriptors_follow_the_depth() {
    let outer = tempfile::tempdir().unwrap();
    let mut path = outer.path().join("root");
    for level in 0..40 {
        for leaf in ["a", "z"] {
            fs::create_dir_all(path.join(leaf)).unwrap();
            fs::write(path.join(leaf).join("file"), "contents").unwrap();
        }
        path.push(format!("level{level}"));
    }
    let store = StoreDirectory::open(outer.path()).unwrap();
    let before = open_descriptors();
    let mut walk = Walk::open(&store, b"root", Limits::default(), Attributes::List).unwrap();
    let mut buffer = [0; 3];
    let (mut directories, mut files, mut deepest) = (0, 0, 0);
    while let Some(event) = walk.next(&mut buffer).unwrap() {
        match event {
            Event::Directory { .. } => directories += 1,
            Event::DirectoryEnd => directories -= 1,
            Event::File { .. } => files += 1,
            Event::FileEnd => files -= 1,
            Event::Entry { .. } | Event::EntryEnd | Event::Contents(_) | Event::Symlink { .. } => {}
        }
        assert_eq!(open_descriptors() - before, directories + files);
        deepest = deepest.max(directories);
    }
    assert_eq!(deepest, 41);
    assert_eq!(open_descriptors(), before, "a complete walk holds nothing");

    let mut walk = Walk::open(&store, b"root", Limits::default(), Attributes::List).unwrap();
    for _ in 0..60 {
        walk.next(&mut buffer).unwrap();
    }
    assert!(open_descriptors() > before);
    drop(walk);
    assert_eq!(open_descriptors(), before, "an abandoned walk holds nothing");
}
