//! The whole way: plan → seals → measure → verify → verdict.

use crate::agent;
use crate::location::Location;
use crate::measure::{Options, Progress, measure_jobs};
use crate::seal::Seals;
use narwarden_core::agent::Agent;
use narwarden_core::closure::PathIndex;
use narwarden_core::evidence::{Measured, Unmeasured};
use narwarden_core::plan::{Contents, Job, Plan};
use narwarden_core::report::{Effort, Report};
use narwarden_core::verdict::Verdict;
use narwarden_core::verify::{self, Finding, Judgement};
use std::collections::BTreeMap;
use std::time::Instant;

/// A verdict with what it rests on.
#[derive(Debug)]
#[must_use]
pub struct Judged {
    /// May it run?
    pub verdict: Verdict,
    /// What was found, denials first.
    pub findings: Vec<Finding>,
    /// What is thought of each path.
    pub judgements: Vec<Judgement>,
    /// What was measured of each path.
    pub measured: BTreeMap<PathIndex, Measured>,
    /// What was found of the daemon's own unit.
    pub agent: Agent,
    /// What it took.
    pub effort: Effort,
}

impl Judged {
    /// The same for people and machines.
    #[must_use]
    pub fn report(&self, plan: &Plan<'_>) -> Report {
        Report::new(plan, &self.judgements, &self.verdict, &self.findings, self.effort)
    }
}

/// Judges what `plan` asks for by the store at `location`.
pub fn judge(
    location: &Location,
    plan: &Plan<'_>,
    options: Options,
    progress: &Progress,
) -> Judged {
    judge_sealed(location, plan, options, progress, None)
}

/// The same; what `seals` can answer is not measured, and what is measured is sealed.
pub fn judge_sealed(
    location: &Location,
    plan: &Plan<'_>,
    options: Options,
    progress: &Progress,
    seals: Option<&Seals>,
) -> Judged {
    let begin = Instant::now();
    let jobs: Vec<Job<'_>> = plan.jobs().collect();
    let (mut measured, rest) = match seals {
        Some(seals) => seals.answer(jobs, options.threads, progress),
        None => (BTreeMap::new(), jobs),
    };
    let mut hashed = measure_jobs(location, rest, options, progress, seals);
    // They were taken away, or the clock was set: what they said in between is not known to be so.
    if seals.is_some_and(|seals| !seals.hold()) {
        let doubted = plan.jobs().filter(|job| measured.contains_key(&job.index)).collect();
        progress.forget_sealed(measured.len() as u64);
        measured.clear();
        hashed.extend(measure_jobs(location, doubted, options, progress, None));
    }
    let sealed_paths = measured.len() as u64;
    let hashed_bytes = hashed.values().map(size).sum();
    measured.extend(hashed);
    let judgements = verify_all(plan, &measured, options);
    let agent = agent::look(location, plan);
    let (verdict, findings) = Verdict::of(plan, &judgements, &agent);
    let effort = Effort { hashed_bytes, sealed_paths, seconds: begin.elapsed().as_secs_f64() };
    Judged { verdict, findings, judgements, measured, agent, effort }
}

/// Checking signatures is the same work for every path, so the paths are dealt out evenly.
fn verify_all(
    plan: &Plan<'_>,
    measured: &BTreeMap<PathIndex, Measured>,
    options: Options,
) -> Vec<Judgement> {
    let unmeasured = match plan.contents() {
        Contents::Measured => Measured::Not(Unmeasured::Interrupted),
        Contents::Claimed => Measured::NotAsked,
    };
    let checks: Vec<PathIndex> = plan.checks().map(|(index, _)| index).collect();
    let verify = |share: &[PathIndex]| -> Vec<Judgement> {
        let evidence = |index| measured.get(index).unwrap_or(&unmeasured);
        share.iter().map(|index| verify::judge(plan, *index, evidence(index))).collect()
    };
    let share = checks.len().div_ceil(options.threads.get()).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = checks
            .chunks(share)
            .map(|share| {
                (share, std::thread::Builder::new().spawn_scoped(scope, move || verify(share)))
            })
            .collect();
        let judgements = threads.into_iter().flat_map(|(share, thread)| match thread {
            // A share whose thread panicked is judged by nobody, and what nobody judged is refused.
            Ok(thread) => thread.join().unwrap_or_default(),
            Err(_) => verify(share),
        });
        judgements.collect()
    })
}

fn size(measured: &Measured) -> u64 {
    match measured {
        Measured::Bytes(evidence) => evidence.nar_size.get(),
        Measured::Not(_) | Measured::NotAsked => 0,
    }
}
