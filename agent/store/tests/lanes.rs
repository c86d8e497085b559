//! Several NARs at a time, against one after the other: the same of each, whatever the others are and whatever becomes
//! of them.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::ffi::OsStr;
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use narwarden_core::claim::Claim;
use narwarden_core::closure::{Closure, ClosureParts};
use narwarden_core::evidence::{Measured, Unmeasured};
use narwarden_core::metadata::Owner;
use narwarden_core::plan::{Contents, Plan, Scope};
use narwarden_core::policy::{BUILT_IN, Policy};
use narwarden_core::signature::Signatures;
use narwarden_core::sink::Executable;
use narwarden_core::store_path::StorePath;
use narwarden_core::trust::TrustSet;
use narwarden_forge::Tree;
use narwarden_store::{Lanes, Location, Options, Pace, Progress, measure};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use rustix::fs::{CWD, Mode, mkfifoat};

/// Any key will do: nothing is signed here.
const KEY: &str = "k:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";
/// What one call of a walk may read, with some to spare.
const BUFFER: u64 = 80 << 10;

/// What lies at the place of one path.
#[derive(Clone, Debug)]
enum Content {
    Tree(Tree),
    /// A named pipe beside some files.
    Pipe(usize),
    /// A file far larger than is claimed.
    TooLarge,
    Nothing,
}

/// A path with the size that the database claims.
#[derive(Clone, Debug)]
struct Given {
    content: Content,
    claimed: Option<u64>,
}

fn path(place: usize) -> StorePath {
    StorePath::from_base_name(&format!("{place:032}-path")).unwrap()
}

fn write(tree: &Tree, at: &Path) {
    match tree {
        Tree::File { executable, contents } => {
            fs::write(at, contents).unwrap();
            let mode = if *executable == Executable::Yes { 0o555 } else { 0o444 };
            fs::set_permissions(at, fs::Permissions::from_mode(mode)).unwrap();
        }
        Tree::Symlink(target) => symlink(OsStr::from_bytes(target), at).unwrap(),
        Tree::Directory(entries) => {
            fs::create_dir(at).unwrap();
            entries.iter().for_each(|(name, tree)| write(tree, &at.join(OsStr::from_bytes(name))));
        }
    }
}

/// A store with these paths in it.
fn store(given: &[Given]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let store = root.path().join("nix/store");
    fs::create_dir_all(&store).unwrap();
    for (place, Given { content, .. }) in given.iter().enumerate() {
        let at = store.join(path(place).base_name());
        match content {
            Content::Tree(tree) => write(tree, &at),
            Content::Pipe(size) => {
                fs::create_dir(&at).unwrap();
                fs::write(at.join("a"), vec![7; *size]).unwrap();
                mkfifoat(CWD, at.join("b"), Mode::RUSR).unwrap();
            }
            Content::TooLarge => fs::File::create(&at).unwrap().set_len(1 << 40).unwrap(),
            Content::Nothing => {}
        }
    }
    root
}

/// What is measured of each path, in order.
fn measured(
    given: &[Given],
    root: &Path,
    threads: usize,
    lanes: usize,
    progress: &Progress,
) -> Vec<Measured> {
    let trust = format!("[keys]\nk = {{ public = \"{KEY}\" }}\n");
    let trust = TrustSet::parse(&trust).unwrap().trust;
    let rulebook = Policy::parse(BUILT_IN).unwrap().policy.bind(&trust).unwrap().rulebook;
    let claim = |(place, given): (usize, &Given)| Claim {
        path: path(place),
        nar_hash: None,
        nar_size: given.claimed,
        content_address: None,
        signatures: Signatures::default(),
        defects: Vec::new(),
    };
    let claims: Vec<_> = given.iter().enumerate().map(claim).collect();
    let references = (1..u32::try_from(claims.len()).unwrap()).map(|place| (0, place)).collect();
    let parts = ClosureParts { claims, references, ..ClosureParts::default() };
    let closure = Closure::new(path(0), parts).unwrap();
    let plan =
        Plan::new(&closure, &rulebook, Scope::Closure, Contents::Measured, Default::default());
    let owner = root.metadata().unwrap();
    let options = Options {
        threads: NonZeroUsize::new(threads).unwrap(),
        owner: Owner { uid: owner.uid(), gid: owner.gid() },
        lanes: NonZeroUsize::new(lanes).map_or(Lanes::AsManyAsPay, Lanes::Exactly),
    };
    let measured = measure(&Location::new(root), &plan, options, progress);
    assert!(measured.keys().map(|index| index.position()).eq(0..given.len()));
    measured.into_values().collect()
}

/// Each path as it must come out, by another way to read and hash it.
fn expected(given: &Given, measured: &Measured) {
    match (&given.content, measured) {
        (Content::Tree(tree), Measured::Bytes(evidence)) => {
            assert_eq!((evidence.nar_hash, evidence.nar_size), tree.nar().unwrap());
        }
        (Content::Pipe(_), Measured::Not(Unmeasured::UnsupportedFile(_)))
        | (Content::TooLarge, Measured::Not(Unmeasured::TooLarge(_)))
        | (Content::Nothing, Measured::Not(Unmeasured::Missing)) => {}
        (content, measured) => panic!("{content:?} came out as {measured:?}"),
    }
}

/// Around the ends of blocks, of what is read ahead, and of buffers.
fn size() -> impl Strategy<Value = usize> {
    let edge = prop::sample::select(vec![0, 64, 4096, 65_536, 73_728, 131_072, 262_144]);
    prop_oneof![
        4 => 0..3000_usize,
        3 => (edge, 0..400_usize).prop_map(|(edge, off)| (edge + off).saturating_sub(200)),
        1 => 0..300_000_usize,
    ]
}

fn leaf() -> impl Strategy<Value = Tree> {
    // No two neighbouring blocks are alike.
    let bytes = |(size, first): (usize, u8)| -> Vec<u8> {
        (0..=250).cycle().map(|step| first.wrapping_add(step)).take(size).collect()
    };
    prop_oneof![
        5 => (size(), any::<u8>()).prop_map(bytes).prop_map(Tree::file),
        1 => (size(), any::<u8>()).prop_map(bytes).prop_map(Tree::executable),
        1 => vec(1..=255_u8, 1..300).prop_map(Tree::symlink),
        1 => Just(Tree::symlink(vec![b't'; 4095])),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    leaf().prop_recursive(3, 12, 6, |node| {
        btree_map("[a-z]{1,8}", node, 0..8).prop_map(Tree::directory)
    })
}

fn given() -> impl Strategy<Value = Given> {
    let content = prop_oneof![
        12 => tree().prop_map(Content::Tree),
        1 => size().prop_map(Content::Pipe),
        1 => Just(Content::TooLarge),
        1 => Just(Content::Nothing),
    ];
    // The order that jobs are taken in, and how many at a time, come from these; so does what is too large.
    let claimed = prop_oneof![Just(None), (1..1_u64 << 30).prop_map(Some)];
    (content, claimed).prop_map(|(content, claimed)| Given { content, claimed })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_number_at_a_time_comes_out_as_one_after_the_other(
        given in vec(given(), 1..20),
        threads in 1..4_usize,
        lanes in 0..20_usize,
    ) {
        let root = store(&given);
        let progress = Progress::default();
        let measured = measured(&given, root.path(), threads, lanes, &progress);
        prop_assert_eq!(measured.len(), given.len());
        given.iter().zip(&measured).for_each(|(given, measured)| expected(given, measured));
        prop_assert_eq!(progress.paths(), given.len() as u64);
    }
}

fn files(count: usize, size: usize) -> Vec<Given> {
    let one = |place: usize| Given {
        content: Content::Tree(Tree::file(vec![u8::try_from(place % 251).unwrap(); size])),
        claimed: Some(size as u64),
    };
    (0..count).map(one).collect()
}

/// Measures while `meanwhile` runs, which must end.
fn while_measuring(
    given: &[Given],
    threads: usize,
    meanwhile: impl FnOnce(&Path, &Progress) + Send,
) -> (Vec<Measured>, Progress) {
    let (root, progress) = (store(given), Progress::default());
    let measured = std::thread::scope(|scope| {
        scope.spawn(|| meanwhile(root.path(), &progress));
        measured(given, root.path(), threads, 0, &progress)
    });
    (measured, progress)
}

fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !reached() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        std::hint::spin_loop();
    }
}

#[test]
fn who_is_told_to_stop_reads_no_more_than_one_buffer() {
    const SIZE: usize = 6 << 20;
    let (given, threads) = (files(12, SIZE), 2);
    let stopped_at = AtomicU64::new(u64::MAX);
    let (measured, progress) = while_measuring(&given, threads, |_, progress| {
        wait_until("nothing is read", || progress.bytes() > 1 << 20);
        progress.cancel();
        stopped_at.store(progress.bytes(), Ordering::Relaxed);
    });
    let more = progress.bytes() - stopped_at.load(Ordering::Relaxed);
    assert!(more <= threads as u64 * BUFFER, "{more}");
    let interrupted = |it: &Measured| matches!(it, Measured::Not(Unmeasured::Interrupted));
    assert!(measured.iter().any(interrupted));

    // Control: all of it is read where nobody says so.
    let (measured, progress) = while_measuring(&given, threads, |_, _| {});
    assert_eq!(progress.bytes(), 12 * SIZE as u64);
    assert!(!measured.iter().any(interrupted));
}

#[test]
fn a_neighbour_that_changes_all_the_time_is_the_only_one_to_be_refused() {
    let given = files(6, 4 << 20);
    // Whoever writes must come in time twice, since a path that changed is read once more.
    let caught = (0..50).any(|_| {
        let (measured, _) = while_measuring(&given, 1, |root, progress| {
            let at = root.join("nix/store").join(path(3).base_name());
            wait_until("it never ends", || {
                fs::set_permissions(&at, fs::Permissions::from_mode(0o444)).unwrap();
                progress.paths() == 6
            });
        });
        let others = [0, 1, 2, 4, 5];
        others.into_iter().for_each(|place| expected(&given[place], &measured[place]));
        match &measured[3] {
            Measured::Not(Unmeasured::Changed(_)) => true,
            Measured::Bytes(_) => false,
            other @ (Measured::Not(_) | Measured::NotAsked) => panic!("{other:?}"),
        }
    });
    assert!(caught, "the reader was never overtaken");
}

/// The scheduling policies of the threads that measure (proc_pid_stat(5), field 41).
fn policies() -> Vec<u32> {
    let mut policies = Vec::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let Ok(stat) = fs::read_to_string(task.unwrap().path().join("stat")) else { continue };
        let (name, rest) = stat.split_once('(').unwrap().1.rsplit_once(')').unwrap();
        if name == "measure" {
            policies.push(rest.split_whitespace().nth(38).unwrap().parse().unwrap());
        }
    }
    policies
}

#[test]
fn what_nobody_waits_for_gives_way_until_somebody_does() {
    const SCHED_OTHER: u32 = 0;
    // Long enough to be looked at; it is broken off afterwards.
    let given: Vec<_> = files(2, 64 << 20);
    let (root, progress) = (store(&given), Progress::default());
    let at = |place| root.path().join("nix/store").join(path(place).base_name());
    for place in 0..2 {
        fs::set_permissions(at(place), fs::Permissions::from_mode(0o644)).unwrap();
        fs::OpenOptions::new().write(true).open(at(place)).unwrap().set_len(48 << 30).unwrap();
    }
    let given: Vec<_> =
        (0..2).map(|_| Given { content: Content::Nothing, claimed: Some(48 << 30) }).collect();
    progress.set_pace(Pace::Background);
    std::thread::scope(|scope| {
        let measuring = scope.spawn(|| measured(&given, root.path(), 2, 0, &progress));
        let all = |wanted: fn(u32) -> bool| {
            let policies = policies();
            policies.len() >= 2 && policies.into_iter().all(wanted)
        };
        wait_until("it does not give way", || all(|policy| policy != SCHED_OTHER));
        progress.set_pace(Pace::Full);
        wait_until("it goes on giving way", || all(|policy| policy == SCHED_OTHER));
        progress.set_pace(Pace::Background);
        wait_until("it does not give way again", || all(|policy| policy != SCHED_OTHER));
        progress.cancel();
        let measured = measuring.join().unwrap();
        assert!(measured.iter().all(|it| matches!(it, Measured::Not(Unmeasured::Interrupted))));
    });
}
