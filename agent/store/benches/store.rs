//! A store of its own, small enough to stay in the page cache: `cargo bench -p narwarden-store`.
//!
//! Whole closures of a real size, and every Nix beside, are for `bench/run`.

#![expect(clippy::unwrap_used, reason = "what cannot be set up has no timing")]

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use narwarden_core::closure::Closure;
use narwarden_core::metadata::Owner;
use narwarden_core::plan::{Contents, Plan, Scope};
use narwarden_core::policy::{BUILT_IN, Policy, Rulebook};
use narwarden_core::store_path::StorePath;
use narwarden_core::trust::TrustSet;
use narwarden_core::verdict::Verdict;
use narwarden_forge::{Addressing, Forge, NOW, Tree, Workshop, ci};
use narwarden_linux::boot::Clock;
use narwarden_store::{
    Belief, Database, Location, Options, Progress, Seals, Shelf, judge, judge_sealed, measure,
};
use std::os::unix::fs::MetadataExt as _;

const SIZES: [usize; 3] = [10, 100, 1_000];
const FILES: usize = 10;
const FILE: usize = 2_000;

fn main() {
    divan::main();
}

struct Store {
    workshop: Workshop,
    location: Location,
    toplevel: StorePath,
    owner: Owner,
}

impl Store {
    /// This many signed paths of ten files, each referring to the two before it and half its number.
    fn of(paths: usize) -> Self {
        let workshop = Workshop::new().unwrap();
        let mut forge = Forge::new(workshop.root()).unwrap();
        forge.connection().execute_batch("BEGIN").unwrap();
        let mut made: Vec<StorePath> = Vec::new();
        for number in 0..paths {
            let file = |file| {
                (format!("share/f{file}"), Tree::file(format!("{number} {file} ").repeat(FILE / 8)))
            };
            let references: Vec<&StorePath> =
                [number / 2, number.wrapping_sub(1), number.wrapping_sub(2)]
                    .iter()
                    .filter_map(|it| made.get(*it))
                    .collect();
            let tree = Tree::directory((0..FILES).map(file));
            let path = forge
                .add(&format!("package-{number}"), &tree, Addressing::Input, &references)
                .unwrap();
            forge.sign(&path, &[&ci()]).unwrap();
            made.push(path);
        }
        forge.connection().execute_batch("COMMIT").unwrap();
        let found = forge.root().metadata().unwrap();
        let owner = Owner { uid: found.uid(), gid: found.gid() };
        let toplevel = made.pop().unwrap();
        Self { location: Location::new(forge.root()), workshop, toplevel, owner }
    }

    fn closure(&self) -> Closure {
        Database::at(&self.location).closure(&self.toplevel).unwrap().value
    }

    fn options(&self) -> Options {
        Options { owner: self.owner, ..Options::default() }
    }
}

fn rulebook() -> Rulebook {
    let trust = format!("version = 1\n[keys]\nci = {{ public = \"{}\" }}\n", ci().public_key());
    let trust = TrustSet::parse(&trust).unwrap().trust;
    Policy::parse(BUILT_IN).unwrap().policy.bind(&trust).unwrap().rulebook
}

/// What the database claims of a closure: the query, and every row parsed.
#[divan::bench(args = SIZES)]
fn closure_query(bencher: Bencher<'_, '_>, paths: usize) {
    let store = Store::of(paths);
    bencher.counter(ItemsCount::new(paths)).bench_local(|| black_box(store.closure()));
}

/// Signatures over what is claimed, on all cores.
#[divan::bench(args = SIZES)]
fn signatures_of_a_closure(bencher: Bencher<'_, '_>, paths: usize) {
    let (store, rulebook) = (Store::of(paths), rulebook());
    let closure = store.closure();
    let plan = Plan::new(&closure, &rulebook, Scope::Closure, Contents::Claimed, NOW);
    bencher.counter(ItemsCount::new(paths)).bench_local(|| {
        let judged = judge(&store.location, &plan, store.options(), &Progress::default());
        assert!(matches!(judged.verdict, Verdict::Limited(_)));
    });
}

/// Every file read and hashed, on all cores.
#[divan::bench(args = SIZES)]
fn measuring(bencher: Bencher<'_, '_>, paths: usize) {
    let (store, rulebook) = (Store::of(paths), rulebook());
    let closure = store.closure();
    let plan = Plan::new(&closure, &rulebook, Scope::Closure, Contents::Measured, NOW);
    let bytes: u64 = plan.jobs().map(|job| job.claimed_size).sum();
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| measure(&store.location, &plan, store.options(), &Progress::default()));
}

/// Every path sealed, and nothing changed: each file and directory looked at and none read, and the signatures.
#[divan::bench(args = SIZES)]
fn seal_walk(bencher: Bencher<'_, '_>, paths: usize) {
    let (store, rulebook) = (Store::of(paths), rulebook());
    let closure = store.closure();
    let plan = Plan::new(&closure, &rulebook, Scope::Closure, Contents::Measured, NOW);
    let book = store.workshop.root().join("book-of-seals");
    let open = || {
        // By then the files are old enough to be sealed.
        let mut clock = Clock::now().unwrap();
        clock.wall.seconds += 10;
        let shelf = Shelf::new(&book);
        Seals::open(shelf, &store.location, store.owner, Belief::Fitting, clock).unwrap()
    };
    let judge = |seals: &Seals| {
        judge_sealed(&store.location, &plan, store.options(), &Progress::default(), Some(seals))
    };
    let seals = open();
    assert!(matches!(judge(&seals).verdict, Verdict::Admit(_)));
    assert_eq!(seals.close().sealed, paths as u64);
    let seals = open();
    bencher
        .counter(ItemsCount::new(paths * (FILES + 2)))
        .bench_local(|| assert_eq!(judge(&seals).effort.sealed_paths, paths as u64));
}
