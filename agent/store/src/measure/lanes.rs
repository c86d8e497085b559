//! What one thread does: several NARs in step, so that their hashes are computed together.
//!
//! Each lane reads until its buffer is full, then all buffers are hashed at once. A lane whose NAR ends takes the
//! next job, whatever the others do; one that fails leaves only its own NAR undone.

use super::nar::NarBuffer;
use super::path::{Reached, Reading};
use super::schedule::{Ahead, lanes};
use super::{Lanes, Options, Pace, Progress, follow};
use crate::seal::Seals;
use narwarden_core::closure::PathIndex;
use narwarden_core::evidence::{Evidence, Measured, Unmeasured};
use narwarden_core::plan::Job;
use narwarden_linux::tree::StoreDirectory;
use narwarden_sha256::Compressor;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What all threads work on.
#[derive(Debug)]
pub(super) struct Work<'p> {
    pub(super) store: StoreDirectory,
    /// Largest first.
    pub(super) jobs: Vec<Job<'p>>,
    pub(super) next: AtomicUsize,
    /// How much of each was read; all, once it is done with.
    pub(super) read: Vec<AtomicU64>,
    /// The sizes of all jobs, as they are claimed, and what had been read of others before.
    pub(super) claimed: u64,
    pub(super) read_before: u64,
    pub(super) options: Options,
    pub(super) compressor: Compressor,
    pub(super) seals: Option<&'p Seals>,
}

impl Work<'_> {
    /// How much of the job at `place` was read; `u64::MAX` once it is done with.
    pub(super) fn read(&self, place: usize) -> u64 {
        self.read.get(place).map_or(u64::MAX, |read| read.load(Ordering::Relaxed))
    }

    fn set_read(&self, place: usize, bytes: u64) {
        if let Some(read) = self.read.get(place) {
            read.store(bytes, Ordering::Relaxed);
        }
    }
}

/// One NAR at the place that it has come to.
#[derive(Debug)]
struct Lane<'p> {
    job: Job<'p>,
    /// Among all jobs.
    place: usize,
    reading: Reading,
    attempt: Attempt,
    nar: NarBuffer,
    state: State,
}

/// `nix store optimise` replaces files by links with the same bytes: to change once is no attack yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    First,
    Second,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Reads,
    Complete,
    Failed(Unmeasured),
}

/// Measures until there is nothing left to do.
pub(super) fn run(work: &Work<'_>, progress: &Progress) -> Vec<(PathIndex, Measured)> {
    let (lanes, spare, done) = (Vec::new(), Vec::new(), Vec::new());
    let mut thread = Thread { work, progress, lanes, spare, done, pace: Pace::default() };
    loop {
        thread.refill();
        if thread.lanes.is_empty() {
            return std::mem::take(&mut thread.done);
        }
        follow(&mut thread.pace, progress);
        thread.step();
    }
}

struct Thread<'w, 'p> {
    work: &'w Work<'p>,
    progress: &'w Progress,
    lanes: Vec<Lane<'p>>,
    spare: Vec<NarBuffer>,
    done: Vec<(PathIndex, Measured)>,
    pace: Pace,
}

impl Drop for Thread<'_, '_> {
    /// The thread may have been the caller's own.
    fn drop(&mut self) {
        self.pace.leave();
    }
}

impl<'p> Thread<'_, 'p> {
    /// Takes jobs while more lanes pay.
    fn refill(&mut self) {
        let work = self.work;
        loop {
            let upcoming = work.jobs.get(work.next.load(Ordering::Relaxed));
            let Some(upcoming) = upcoming else { return };
            let held = self.lanes.iter().map(Lane::left).max().unwrap_or(0);
            let read = self.progress.bytes().saturating_sub(work.read_before);
            let ahead = Ahead {
                longest: held.max(upcoming.claimed_size),
                rest: work.claimed.saturating_sub(read),
                threads: work.options.threads.get(),
            };
            let pay = match work.options.lanes {
                Lanes::AsManyAsPay => lanes(work.compressor.width(), ahead),
                Lanes::Exactly(lanes) => lanes.get(),
            };
            if self.lanes.len() >= pay {
                return;
            }
            let place = work.next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = work.jobs.get(place) else { return };
            self.begin(*job, place);
        }
    }

    fn begin(&mut self, job: Job<'p>, place: usize) {
        let mut nar = self.spare.pop().unwrap_or_else(NarBuffer::new);
        let reading = if self.progress.is_cancelled() {
            Err(Unmeasured::Interrupted)
        } else {
            Reading::begin(self.work, &job, &mut nar)
        };
        match reading {
            Ok(reading) => {
                let (attempt, state) = (Attempt::First, State::Reads);
                self.lanes.push(Lane { job, place, reading, attempt, nar, state });
            }
            Err(why) => {
                self.spare.push(nar);
                self.end(&job, place, Err(why));
            }
        }
    }

    /// Reads a buffer of each NAR and hashes all of them together.
    fn step(&mut self) {
        let Self { work, progress, lanes, .. } = self;
        for lane in lanes.iter_mut() {
            lane.fill(work, progress);
        }
        let mut streams: Vec<_> = lanes.iter_mut().map(|lane| lane.nar.lane()).collect();
        work.compressor.update(&mut streams);
        for lane in lanes {
            lane.nar.hashed();
            work.set_read(lane.place, lane.nar.size());
        }
        for place in (0..self.lanes.len()).rev() {
            if self.lanes.get(place).is_some_and(|lane| lane.state != State::Reads) {
                let lane = self.lanes.swap_remove(place);
                self.retire(lane);
            }
        }
    }

    fn retire(&mut self, lane: Lane<'p>) {
        let Lane { job, place, reading, mut nar, state, .. } = lane;
        let evidence = match state {
            State::Failed(why) => Err(why),
            State::Complete => reading.finish(&mut nar).map(|(evidence, observer)| {
                if let Some(seals) = self.work.seals {
                    seals.measured(&job, &evidence, observer);
                }
                evidence
            }),
            State::Reads => Err(Unmeasured::Interrupted),
        };
        self.spare.push(nar);
        self.end(&job, place, evidence);
    }

    fn end(&mut self, job: &Job<'_>, place: usize, evidence: Result<Evidence, Unmeasured>) {
        if let (Some(seals), Err(why)) = (self.work.seals, &evidence) {
            seals.not_measured(job, why);
        }
        let measured = evidence.map_or_else(Measured::Not, Measured::Bytes);
        self.work.set_read(place, u64::MAX);
        self.done.push((job.index, measured));
        self.progress.paths.fetch_add(1, Ordering::Relaxed);
    }
}

impl Lane<'_> {
    /// What is still to be hashed of it, if what is claimed of it is true.
    fn left(&self) -> u64 {
        self.job.claimed_size.saturating_sub(self.nar.size())
    }

    fn fill(&mut self, work: &Work<'_>, progress: &Progress) {
        self.state = match self.reading.fill(&mut self.nar, progress) {
            Ok(Reached::Full) => State::Reads,
            Ok(Reached::End) => State::Complete,
            Err(Unmeasured::Changed(_)) if self.attempt == Attempt::First => {
                self.attempt = Attempt::Second;
                match Reading::begin(work, &self.job, &mut self.nar) {
                    Ok(reading) => {
                        self.reading = reading;
                        State::Reads
                    }
                    Err(why) => State::Failed(why),
                }
            }
            Err(why) => State::Failed(why),
        };
    }
}
