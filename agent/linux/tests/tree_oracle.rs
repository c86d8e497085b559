//! Random trees: a walk gives out what a naive recursion with std finds, whatever the buffer.

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

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use narwarden_linux::tree::Limits;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use support::{Seen, walk_with};

#[derive(Clone, Debug)]
enum Node {
    File(Vec<u8>, u32),
    Link(Vec<u8>),
    Directory(Vec<(Vec<u8>, Node)>),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(b'a'), Just(b'.'), Just(b'\n'), 1..=255_u8];
    vec(byte.prop_filter("one name", |byte| *byte != b'/'), 1..6)
        .prop_filter("one name", |name| !matches!(name.as_slice(), b"." | b".."))
}

fn node() -> impl Strategy<Value = Node> {
    let mode = prop_oneof![Just(0o444), Just(0o555), Just(0o4755)];
    let leaf = prop_oneof![
        (vec(any::<u8>(), 0..200), mode).prop_map(|(bytes, mode)| Node::File(bytes, mode)),
        vec(1..=255_u8, 1..40).prop_map(Node::Link),
    ];
    leaf.prop_recursive(5, 40, 8, |inner| {
        btree_map(name(), inner, 0..8).prop_map(|map| {
            // As created, the order says nothing.
            Node::Directory(map.into_iter().rev().collect())
        })
    })
}

fn create(path: &Path, node: &Node) {
    match node {
        Node::File(bytes, mode) => {
            fs::write(path, bytes).unwrap();
            fs::set_permissions(path, Permissions::from_mode(*mode)).unwrap();
        }
        Node::Link(target) => symlink(OsStr::from_bytes(target), path).unwrap(),
        Node::Directory(entries) => {
            fs::create_dir(path).unwrap();
            for (name, node) in entries {
                create(&path.join(OsStr::from_bytes(name)), node);
            }
        }
    }
}

/// An event without what std cannot tell.
type Told = (&'static str, Vec<u8>, (u32, u64, u64));

fn naive(path: &Path, told: &mut Vec<Told>) {
    let metadata = path.symlink_metadata().unwrap();
    let facts = (metadata.mode() & 0o7777, metadata.ino(), metadata.size());
    if metadata.is_symlink() {
        let target = fs::read_link(path).unwrap().into_os_string().into_vec();
        told.push(("symlink", target, facts));
    } else if metadata.is_file() {
        told.push(("file", vec![], facts));
        let bytes = fs::read(path).unwrap();
        if !bytes.is_empty() {
            told.push(("contents", bytes, (0, 0, 0)));
        }
        told.push(("file end", vec![], (0, 0, 0)));
    } else {
        told.push(("directory", vec![], facts));
        let mut names: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_vec())
            .collect();
        names.sort();
        for name in names {
            told.push(("entry", name.clone(), (0, 0, 0)));
            naive(&path.join(OsStr::from_bytes(&name)), told);
            told.push(("entry end", vec![], (0, 0, 0)));
        }
        told.push(("directory end", vec![], (0, 0, 0)));
    }
}

fn told(seen: Seen) -> Told {
    match seen {
        Seen::Directory(m, _) => ("directory", vec![], (m.mode, m.inode, m.size)),
        Seen::Entry(name) => ("entry", name, (0, 0, 0)),
        Seen::EntryEnd => ("entry end", vec![], (0, 0, 0)),
        Seen::DirectoryEnd => ("directory end", vec![], (0, 0, 0)),
        Seen::File(m, _) => ("file", vec![], (m.mode, m.inode, m.size)),
        Seen::Contents(bytes) => ("contents", bytes, (0, 0, 0)),
        Seen::FileEnd => ("file end", vec![], (0, 0, 0)),
        Seen::Symlink(m, target) => ("symlink", target, (m.mode, m.inode, m.size)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_walk_finds_what_a_recursion_finds(node in node(), buffer in 1..300_usize) {
        let store = tempfile::tempdir().unwrap();
        create(&store.path().join("root"), &node);
        let mut expected = Vec::new();
        naive(&store.path().join("root"), &mut expected);
        let seen = walk_with(store.path(), b"root", Limits::default(), buffer, |_, _| {}).unwrap();
        prop_assert_eq!(seen.into_iter().map(told).collect::<Vec<_>>(), expected);
    }
}
