//! The NAR of random trees, by the whole way from disk to hash, against `nix-store --dump`.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use narwarden_core::claim::Claim;
use narwarden_core::closure::{Closure, ClosureParts, PathIndex};
use narwarden_core::evidence::Measured;
use narwarden_core::hash::{Algorithm, Hasher, NarHash};
use narwarden_core::plan::{Contents, Plan, Scope};
use narwarden_core::policy::{BUILT_IN, Policy};
use narwarden_core::signature::Signatures;
use narwarden_core::sink::ByteSink as _;
use narwarden_core::store_path::StorePath;
use narwarden_core::trust::TrustSet;
use narwarden_store::{Location, Options, Progress, measure};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

const BASE_NAME: &str = "00000000000000000000000000000000-tree";
/// Any key will do: nothing is signed here.
const KEY: &str = "k:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";

#[derive(Clone, Debug)]
enum Node {
    File { size: usize, first: u8, mode: u32 },
    Link(Vec<u8>),
    Directory(BTreeMap<Vec<u8>, Node>),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![prop::sample::select(b"aAzZ.-_~ \n\t\\*\x01\x7f".to_vec()), 1..=255_u8];
    let byte = byte.prop_filter("part of one name", |byte| *byte != b'/');
    let fixed: Vec<Vec<u8>> = vec![
        b"a".to_vec(),
        b"a-".to_vec(),
        b"a.b".to_vec(),
        b"a~nix~case~hack~1".to_vec(),
        b"...".to_vec(),
        b"\xc3\xa9".to_vec(),
        b"e\xcc\x81".to_vec(),
        b"\xff\xfe".to_vec(),
        vec![b'n'; 255],
        vec![0xff; 255],
    ];
    prop_oneof![vec(byte, 1..12), prop::sample::select(fixed)]
        .prop_filter("a name", |name| !matches!(name.as_slice(), b"." | b".."))
}

/// Where padding, the writer's batch (4 KiB), pipes and buffers (8, 64 and 128 KiB) end.
fn size() -> impl Strategy<Value = usize> {
    let edge = prop::sample::select(vec![0, 8, 16, 4096, 8192, 65_536, 131_072]);
    prop_oneof![
        3 => (edge, 0..17_usize).prop_map(|(edge, off)| (edge + off).saturating_sub(8)),
        1 => 0..200_000_usize,
    ]
}

fn leaf() -> impl Strategy<Value = Node> {
    // The owner may always read; only the owner's execute bit counts.
    let mode = prop::sample::select(vec![0o444, 0o555, 0o644, 0o755, 0o455, 0o544, 0o411]);
    let target = vec(1..=255_u8, 1..300);
    prop_oneof![
        4 => (size(), any::<u8>(), mode)
            .prop_map(|(size, first, mode)| Node::File { size, first, mode }),
        1 => prop_oneof![target, Just(vec![b't'; 4095])].prop_map(Node::Link),
        1 => Just(Node::Directory(BTreeMap::new())),
    ]
}

fn tree() -> impl Strategy<Value = Node> {
    leaf().prop_recursive(5, 40, 8, |node| btree_map(name(), node, 0..8).prop_map(Node::Directory))
}

fn plant(node: &Node, at: &Path) {
    match node {
        Node::File { size, first, mode } => {
            // No two neighbouring blocks are alike.
            let bytes = (0..=250).cycle().map(|step| first.wrapping_add(step));
            let bytes: Vec<u8> = bytes.take(*size).collect();
            fs::write(at, bytes).unwrap();
            fs::set_permissions(at, Permissions::from_mode(*mode)).unwrap();
        }
        Node::Link(target) => symlink(OsStr::from_bytes(target), at).unwrap(),
        Node::Directory(entries) => {
            fs::create_dir(at).unwrap();
            for (name, node) in entries {
                plant(node, &at.join(OsStr::from_bytes(name)));
            }
        }
    }
}

/// The tree by Nix: hash and size.
fn dumped(path: &Path) -> (NarHash, u64) {
    let mut nix = Command::new("nix-store")
        .arg("--dump")
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("nix-store");
    let (mut hasher, mut size, mut buffer) = (Hasher::new(Algorithm::Sha256), 0, vec![0; 65_536]);
    let mut out = nix.stdout.take().unwrap();
    loop {
        let read = out.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        hasher.write(&buffer[..read]);
        size += read as u64;
    }
    assert!(nix.wait().unwrap().success());
    (NarHash::try_from(hasher.finish()).unwrap(), size)
}

/// The tree by narwarden.
fn measured(root: &Path) -> (NarHash, u64) {
    let trust = format!("[keys]\nk = {{ public = \"{KEY}\" }}\n");
    let trust = TrustSet::parse(&trust).unwrap().trust;
    let rulebook = Policy::parse(BUILT_IN).unwrap().policy.bind(&trust).unwrap().rulebook;
    let path = StorePath::from_base_name(BASE_NAME).unwrap();
    let claim = Claim {
        path: path.clone(),
        nar_hash: None,
        nar_size: None,
        content_address: None,
        signatures: Signatures::default(),
        defects: Vec::new(),
    };
    let parts = ClosureParts { claims: vec![claim], ..ClosureParts::default() };
    let closure = Closure::new(path, parts).unwrap();
    let plan =
        Plan::new(&closure, &rulebook, Scope::Closure, Contents::Measured, Default::default());
    let location = Location::new(root);
    let mut measured = measure(&location, &plan, Options::default(), &Progress::default());
    match measured.remove(&PathIndex::TOPLEVEL) {
        Some(Measured::Bytes(evidence)) => (evidence.nar_hash, evidence.nar_size.get()),
        other => panic!("{other:?}"),
    }
}

/// A store with one path in it.
fn store_of(node: &Node) -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let store = root.path().join("nix/store");
    fs::create_dir_all(&store).unwrap();
    let path = store.join(BASE_NAME);
    plant(node, &path);
    (root, path)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    #[ignore = "needs Nix: tests/run nix"]
    fn random_trees_are_archived_as_nix_does(node in tree()) {
        let (root, path) = store_of(&node);
        prop_assert_eq!(measured(root.path()), dumped(&path));
    }
}

/// Every size around the edges, in one directory, and a tree as deep as every Nix can dump.
#[test]
#[ignore = "needs Nix: tests/run nix"]
fn edges_are_archived_as_nix_does() {
    let edges = [0_usize, 8, 4096, 8192, 65_536, 131_072, 1 << 20];
    let file = |size: usize, mode| Node::File { size, first: 7, mode };
    let mut entries = BTreeMap::new();
    for (edge, off) in edges.iter().flat_map(|edge| (0..=18).map(move |off| (edge, off))) {
        let size = (edge + off).saturating_sub(9);
        entries.insert(format!("{size}").into_bytes(), file(size, 0o444));
        entries.insert(format!("{size}x").into_bytes(), file(size, 0o555));
    }
    let deep =
        (0..62).fold(file(1, 0o444), |inner, _| Node::Directory([(b"d".to_vec(), inner)].into()));
    for node in [
        Node::Directory(entries),
        deep,
        file(0, 0o555),
        file(65_536, 0o444),
        Node::Link(b"/nix/store/x".to_vec()),
        Node::Directory(BTreeMap::new()),
    ] {
        let (root, path) = store_of(&node);
        assert_eq!(measured(root.path()), dumped(&path), "{path:?}");
    }
}
