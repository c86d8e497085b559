//! What the tests share: a judgement that cannot hang the suite, and what came of it in a form to compare.

use narwarden_core::metadata::Owner;
use narwarden_core::plan::{Contents, Plan, Scope};
use narwarden_core::policy::{Policy, Rulebook};
use narwarden_core::reason::{Reason, Severity};
use narwarden_core::store_path::StorePath;
use narwarden_core::trust::TrustSet;
use narwarden_core::verdict::Verdict;
use narwarden_forge::{Forge, Generation, NOW, Rules, Setup, Workshop};
use narwarden_store::{Database, Location, Options, Progress, judge};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// No judgement of a test takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of a judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) verdict: Kind,
    /// What denied, by name of the path (empty for the whole) and reason, in order.
    pub(crate) denials: Vec<(String, Reason)>,
    pub(crate) notes: Vec<(String, Reason)>,
    /// All details, for failures.
    pub(crate) details: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Admit,
    Limited,
    Deny(Reason),
    /// The database could not be read, so there is nothing to judge.
    Unknown,
}

impl Found {
    /// The denials without repetitions, as `name reason`.
    pub(crate) fn why(&self) -> Vec<String> {
        let mut why: Vec<String> =
            self.denials.iter().map(|(name, reason)| format!("{name} {}", reason.code())).collect();
        why.sort();
        why.dedup();
        why
    }
}

/// A fresh store with the good generation in it.
pub(crate) fn good() -> (Workshop, Forge, Generation) {
    let workshop = Workshop::new().unwrap();
    let mut forge = Forge::new(workshop.root()).unwrap();
    let generation = forge.good_generation().unwrap();
    (workshop, forge, generation)
}

/// Judged by the good rules and the bytes.
pub(crate) fn by_bytes(forge: &Forge, toplevel: &StorePath) -> Found {
    by(forge, toplevel, Rules::good())
}

pub(crate) fn by(forge: &Forge, toplevel: &StorePath, rules: Rules) -> Found {
    judged(forge.root(), toplevel, &Setup { rules, contents: Contents::Measured })
}

pub(crate) fn by_policy(forge: &Forge, toplevel: &StorePath, policy: &str) -> Found {
    by(forge, toplevel, Rules { policy: policy.to_owned(), ..Rules::good() })
}

/// Judges the whole way.
pub(crate) fn judged(root: &Path, toplevel: &StorePath, setup: &Setup) -> Found {
    judged_with(root, toplevel, setup, |_| {})
}

/// The same; `meanwhile` gets the progress, on a thread of its own.
pub(crate) fn judged_with(
    root: &Path,
    toplevel: &StorePath,
    setup: &Setup,
    meanwhile: impl FnOnce(&Progress) + Send,
) -> Found {
    let (root, toplevel) = (root.to_owned(), toplevel.clone());
    let rulebook = rulebook(&setup.rules);
    let contents = setup.contents;
    let progress = Arc::new(Progress::default());
    let shared = Arc::clone(&progress);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        sender.send(whole_way(&root, &toplevel, &rulebook, contents, &shared))
    });
    std::thread::scope(|scope| {
        scope.spawn(|| meanwhile(&progress));
    });
    receiver.recv_timeout(PATIENCE).expect("the judgement hangs, or panicked")
}

fn whole_way(
    root: &Path,
    toplevel: &StorePath,
    rulebook: &Rulebook,
    contents: Contents,
    progress: &Progress,
) -> Found {
    let location = Location::new(root);
    let closure = match Database::at(&location).closure(toplevel) {
        Ok(read) => read.value,
        Err(error) => {
            let details = vec![error.to_string()];
            let (denials, notes) = (Vec::new(), Vec::new());
            return Found { verdict: Kind::Unknown, denials, notes, details };
        }
    };
    let plan = Plan::new(&closure, rulebook, Scope::Closure, contents, NOW);
    let judged = judge(&location, &plan, options(root), progress);
    let verdict = match &judged.verdict {
        Verdict::Admit(admission) => {
            assert_eq!(admission.toplevel(), toplevel);
            Kind::Admit
        }
        Verdict::Limited(_) => Kind::Limited,
        Verdict::Deny(denial) => Kind::Deny(denial.first()),
    };
    let named = |severity| {
        let findings = judged.findings.iter().filter(move |it| it.severity == severity);
        findings
            .map(|it| {
                let path = it.path.and_then(|index| closure.claim(index));
                (path.map_or(String::new(), |claim| claim.path.name().to_owned()), it.reason)
            })
            .collect()
    };
    let details = judged.findings.iter().map(|it| format!("{}: {}", it.reason.code(), it.detail));
    let details = details.collect();
    Found { verdict, denials: named(Severity::Deny), notes: named(Severity::Note), details }
}

pub(crate) fn rulebook(rules: &Rules) -> Rulebook {
    let trust = TrustSet::parse(&rules.trust).unwrap().trust;
    Policy::parse(&rules.policy).unwrap().policy.bind(&trust).unwrap().rulebook
}

/// A forged store belongs to whoever forged it.
fn options(root: &Path) -> Options {
    let owner = root.metadata().unwrap();
    Options { owner: Owner { uid: owner.uid(), gid: owner.gid() }, ..Options::default() }
}

/// Whether this process is root; says so if not, because something is not tested then.
pub(crate) fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED, needs root: {what}");
    }
    root
}

/// What a test asserts of a denial: the reasons by path, all of them and no others.
#[track_caller]
pub(crate) fn assert_denied(found: &Found, expected: &[&str]) {
    assert!(matches!(found.verdict, Kind::Deny(_)), "{found:#?}");
    let mut expected: Vec<_> = expected.iter().map(|it| (*it).to_owned()).collect();
    expected.sort();
    assert_eq!(found.why(), expected, "{found:#?}");
}

#[track_caller]
pub(crate) fn assert_admitted(found: &Found) {
    assert_eq!(found.verdict, Kind::Admit, "{found:#?}");
    assert_eq!(found.denials, []);
}
