//! What seals answer for, and what they must not. Each refusal stands beside the same case without its cause.

#![allow(clippy::print_stderr, reason = "says what is not tested")]

mod attacks;
mod hostile;
mod rules;

use super::{Belief, NoSeals, Outcome, Seals, Shelf};
use crate::measure::{Options, Progress};
use crate::{Database, Judged, Location, judge_sealed};
use narwarden_core::evidence::Measured;
use narwarden_core::metadata::Owner;
use narwarden_core::plan::{Contents, Plan, Scope};
use narwarden_core::policy::{Policy, Rulebook};
use narwarden_core::trust::TrustSet;
use narwarden_core::verdict::Verdict;
use narwarden_forge::{Forge, Generation, NOW, Rules, Workshop};
use narwarden_linux::boot::Clock;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// A forged store with a place for seals.
struct Bench {
    _workshop: Workshop,
    _shelf: tempfile::TempDir,
    forge: Forge,
    generation: Generation,
    book: PathBuf,
    rules: Rules,
}

/// What came of one verification.
struct Came {
    admitted: bool,
    sealed: u64,
    hashed: u64,
    paths: u64,
    outcome: Outcome,
    /// The NAR hash of each path, in order.
    hashes: Vec<String>,
}

/// `None` where the file system of the tests has no seals.
fn bench() -> Option<Bench> {
    let workshop = Workshop::new().unwrap();
    let mut forge = Forge::new(workshop.root()).unwrap();
    let generation = forge.good_generation().unwrap();
    let shelf = tempfile::tempdir().unwrap();
    let book = shelf.path().join("seals");
    let (rules, _workshop, _shelf) = (Rules::good(), workshop, shelf);
    let bench = Bench { _workshop, _shelf, forge, generation, book, rules };
    match bench.open(Belief::Fitting, later(10)) {
        Ok(_) => Some(bench),
        Err(NoSeals::FileSystem(kind)) => {
            eprintln!("SKIPPED, needs ext4, XFS or Btrfs: seals ({kind:#x})");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The clock as it will show in so many seconds: the forged files are old by then.
fn later(seconds: i64) -> Clock {
    let mut clock = Clock::now().unwrap();
    clock.wall.seconds += seconds;
    clock
}

impl Bench {
    fn owner(&self) -> Owner {
        let metadata = self.forge.root().metadata().unwrap();
        Owner { uid: metadata.uid(), gid: metadata.gid() }
    }

    fn location(&self) -> Location {
        Location::new(self.forge.root())
    }

    fn open(&self, belief: Belief, clock: Clock) -> Result<Seals, NoSeals> {
        Seals::open(Shelf::new(&self.book), &self.location(), self.owner(), belief, clock)
    }

    /// Judges when the forged files are old.
    fn judge(&self) -> Came {
        self.judge_by(self.open(Belief::Fitting, later(10)).unwrap())
    }

    fn judge_by(&self, seals: Seals) -> Came {
        let judged = self.judge_with(&seals);
        let hash = |measured: &Measured| match measured {
            Measured::Bytes(evidence) => evidence.nar_hash.to_string(),
            Measured::Not(why) => format!("{why:?}"),
            Measured::NotAsked => String::new(),
        };
        Came {
            admitted: matches!(judged.verdict, Verdict::Admit(_)),
            sealed: judged.effort.sealed_paths,
            hashed: judged.effort.hashed_bytes,
            paths: judged.measured.len() as u64,
            hashes: judged.measured.values().map(hash).collect(),
            outcome: seals.close(),
        }
    }

    fn judge_with(&self, seals: &Seals) -> Judged {
        let trust = TrustSet::parse(&self.rules.trust).unwrap().trust;
        let rulebook: Rulebook =
            Policy::parse(&self.rules.policy).unwrap().policy.bind(&trust).unwrap().rulebook;
        let location = self.location();
        let closure = Database::at(&location).closure(&self.generation.toplevel).unwrap().value;
        let plan = Plan::new(&closure, &rulebook, Scope::Closure, Contents::Measured, NOW);
        let options = Options { owner: self.owner(), ..Options::default() };
        judge_sealed(&location, &plan, options, &Progress::default(), Some(seals))
    }

    /// With every path sealed.
    fn sealed(self) -> Self {
        let first = self.judge();
        assert!(first.admitted);
        assert_eq!((first.sealed, first.outcome.sealed), (0, first.paths));
        assert_eq!(first.outcome.troubles, [] as [&str; 0]);
        self
    }
}

#[test]
fn what_did_not_change_is_not_hashed_again() {
    let Some(bench) = bench() else { return };
    let bench = bench.sealed();
    for _ in 0..2 {
        let again = bench.judge();
        assert!(again.admitted);
        assert_eq!((again.sealed, again.hashed), (again.paths, 0));
        assert_eq!(again.outcome, Outcome::default());
    }
    // The names of a tree that has too many are not kept: it is listed instead.
    let first = bench.judge();
    std::fs::remove_file(&bench.book).unwrap();
    let hashed = bench.judge();
    assert_eq!(hashed.hashes, first.hashes);
    assert!(hashed.hashed > 0);
}
