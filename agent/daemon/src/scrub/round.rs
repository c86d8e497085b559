//! One turn at a round: as many paths as there is time for, in the order of their names.

use super::{Round, Scrub, Tools};
use crate::engine::Urgency;
use crate::generations;
use crate::places::Places;
use jiff::Timestamp;
use narwarden_core::closure::{Closure, PathIndex};
use narwarden_core::event::{Event, EventKind, Field};
use narwarden_core::evidence::{Evidence, Measured, Unmeasured};
use narwarden_core::hash::NarHash;
use narwarden_core::metadata::Owner;
use narwarden_core::plan::{ContentAsk, Job};
use narwarden_core::reason::Reason;
use narwarden_core::store_path::StorePath;
use narwarden_linux::boot::Clock;
use narwarden_store::{Belief, Database, Progress, Seals, Target, measure_jobs};
use std::collections::{BTreeMap, BTreeSet};

/// How many paths are measured before it is written down how far it is.
const BATCH_PATHS: usize = 64;
/// How many bytes of NARs, unless one path alone has more.
const BATCH_BYTES: u64 = 256 << 20;
/// How many paths a round looks at.
const MOST: usize = 1 << 18;

/// What the database says of a path.
#[derive(Clone, Copy, Debug)]
struct Claimed {
    hash: Option<NarHash>,
    size: u64,
}

/// A path that is not what it is said to be.
#[derive(Debug)]
struct Drift {
    path: StorePath,
    reason: Reason,
    detail: String,
}

impl Scrub {
    /// Scrubs until `progress` is cancelled or the round is over.
    pub fn turn(&self, tools: &Tools<'_>, progress: &Progress) {
        let everything = wanted(&self.places);
        let mut round = {
            let mut state = self.state();
            if state.round.is_none() {
                state.begin(Timestamp::now());
            }
            let Some(round) = &mut state.round else { return };
            round.total = everything.len() as u64;
            round.clone()
        };
        let after = round.after.clone();
        let mut rest = everything.iter().filter(|(path, _)| *path.base_name() > *after);
        loop {
            let batch = batch(&mut rest);
            if batch.is_empty() {
                break;
            }
            let (done, measured) = self.measure(&batch, tools, progress);
            let drift: Vec<Drift> = batch
                .iter()
                .zip(&measured)
                .filter_map(|((path, claimed), measured)| drift(path, *claimed, measured))
                .collect();
            self.report(&self.still_wanted(drift), tools, &mut round);
            for measured in &measured {
                round.bytes = round.bytes.saturating_add(size(measured));
            }
            round.paths = round.paths.saturating_add(done as u64);
            if let Some((path, _)) = done.checked_sub(1).and_then(|last| batch.get(last)) {
                round.after = path.base_name().to_owned();
            }
            if !self.keep(&round) || done < batch.len() {
                // Somebody began it anew, or there is something to verify.
                return;
            }
        }
        self.end(&round);
    }

    /// Measures a batch; how many of it from its beginning are done with, and what they are.
    fn measure(
        &self,
        batch: &[(&StorePath, Claimed)],
        tools: &Tools<'_>,
        progress: &Progress,
    ) -> (usize, Vec<Measured>) {
        let jobs: Vec<Job<'_>> = PathIndex::of_a_list()
            .zip(batch)
            .map(|(index, (path, claimed))| Job {
                index,
                path,
                claimed_size: claimed.size,
                content: ContentAsk::Nothing,
            })
            .collect();
        let order: Vec<PathIndex> = jobs.iter().map(|job| job.index).collect();
        let owner = tools.options.owner;
        let seals = seals(&self.places, tools, owner);
        let mut measured =
            measure_jobs(&self.places.location, jobs, tools.options, progress, seals.as_ref());
        if let Some(seals) = seals {
            // What could not be written costs time; what could not be taken away is said by the next to open it.
            for trouble in seals.close().troubles {
                self.trouble("keeping seals", &trouble);
            }
        }
        let measured: Vec<Measured> = order
            .iter()
            .map_while(|index| match measured.remove(index) {
                None | Some(Measured::Not(Unmeasured::Interrupted)) => None,
                Some(known) => Some(known),
            })
            .collect();
        (measured.len(), measured)
    }

    /// What was collected as garbage since it was listed has not drifted.
    fn still_wanted(&self, drift: Vec<Drift>) -> Vec<Drift> {
        if drift.is_empty() {
            return drift;
        }
        let wanted = wanted(&self.places);
        drift.into_iter().filter(|drift| wanted.contains_key(&drift.path)).collect()
    }

    fn report(&self, drift: &[Drift], tools: &Tools<'_>, round: &mut Round) {
        if drift.is_empty() {
            return;
        }
        round.drift = round.drift.saturating_add(drift.len() as u64);
        let paths: BTreeSet<&StorePath> = drift.iter().map(|it| &it.path).collect();
        let mut affected = tools.table.forget_containing(paths.iter().copied());
        for toplevel in toplevels(&self.places) {
            let closure = Database::at(&self.places.location).closure(&toplevel);
            let needs =
                |closure: &Closure| closure.claims().any(|(_, claim)| paths.contains(&claim.path));
            if closure.is_ok_and(|closure| needs(&closure.value)) {
                tools.table.forget(&toplevel);
                affected.insert(toplevel);
            }
        }
        for Drift { path, reason, detail } in drift {
            let event = Event::new(EventKind::ScrubDrift)
                .with(Field::StorePath, path)
                .with(Field::Reason, reason.code())
                .with(Field::Detail, detail)
                .with(Field::Count, affected.len());
            // Whatever needs the path is judged again, and that is written down or denies.
            let _ = self.announce.announce(&event);
        }
        for toplevel in affected {
            tools.queue.want(toplevel, Urgency::Ahead);
        }
    }

    /// Writes down how far it is; false where another round was begun meanwhile.
    fn keep(&self, round: &Round) -> bool {
        let mut state = self.state();
        let same = state.round.as_ref().is_some_and(|it| it.begun == round.begun);
        if same {
            state.round = Some(round.clone());
            self.save(&state);
        }
        same
    }

    fn end(&self, round: &Round) {
        if !self.keep(round) {
            return;
        }
        let ended = {
            let mut state = self.state();
            let ended = state.end(Timestamp::now());
            self.save(&state);
            ended
        };
        if let Some(last) = ended {
            let event = Event::new(EventKind::ScrubFinished)
                .with(Field::Paths, last.paths)
                .with(Field::Count, last.drift)
                .with(Field::Seconds, last.ended.duration_since(last.begun).as_secs());
            let _ = self.announce.announce(&event);
        }
    }
}

fn seals(places: &Places, tools: &Tools<'_>, owner: Owner) -> Option<Seals> {
    let clock = Clock::now().ok()?;
    Seals::open(tools.shelf.clone(), &places.location, owner, Belief::Renew, clock).ok()
}

fn batch<'a>(
    rest: &mut impl Iterator<Item = (&'a StorePath, &'a Claimed)>,
) -> Vec<(&'a StorePath, Claimed)> {
    let (mut batch, mut bytes) = (Vec::new(), 0_u64);
    while batch.len() < BATCH_PATHS && bytes < BATCH_BYTES {
        let Some((path, claimed)) = rest.next() else { break };
        bytes = bytes.saturating_add(claimed.size);
        batch.push((path, *claimed));
    }
    batch
}

/// What runs, what was booted, and what every link leads to.
fn toplevels(places: &Places) -> BTreeSet<StorePath> {
    let scan = generations::scan(places);
    let links = scan.links.iter().filter_map(|link| link.store_path().cloned());
    let running = places.running();
    let running = running
        .iter()
        .filter_map(|link| Target::parse(link.to_str()?).resolve(&places.location).ok());
    links.chain(running).collect()
}

/// All paths of their closures, with what is said of them.
fn wanted(places: &Places) -> BTreeMap<StorePath, Claimed> {
    let mut wanted = BTreeMap::new();
    for toplevel in toplevels(places) {
        let Ok(closure) = Database::at(&places.location).closure(&toplevel) else { continue };
        for (_, claim) in closure.value.claims() {
            if wanted.len() < MOST {
                let claimed = Claimed { hash: claim.nar_hash, size: claim.nar_size.unwrap_or(0) };
                wanted.insert(claim.path.clone(), claimed);
            }
        }
    }
    wanted
}

fn size(measured: &Measured) -> u64 {
    match measured {
        Measured::Bytes(evidence) => evidence.nar_size.get(),
        Measured::Not(_) | Measured::NotAsked => 0,
    }
}

fn drift(path: &StorePath, claimed: Claimed, measured: &Measured) -> Option<Drift> {
    let found = |reason, detail| Some(Drift { path: path.clone(), reason, detail });
    match measured {
        Measured::NotAsked => None,
        Measured::Bytes(Evidence { nar_hash, metadata, .. }) => {
            let differs = claimed.hash.is_some_and(|hash| hash != *nar_hash);
            match (differs, metadata.listed().first()) {
                (true, _) => {
                    let claimed = claimed.hash.map(|hash| hash.to_string()).unwrap_or_default();
                    found(
                        Reason::ContentDrift,
                        format!("it hashes to {nar_hash}, and was registered with {claimed}"),
                    )
                }
                (false, Some((place, deviation))) => {
                    found(Reason::MetadataDrift, format!("{place} {deviation}"))
                }
                (false, None) => None,
            }
        }
        Measured::Not(why) => match why {
            Unmeasured::Missing => found(Reason::MissingPath, "there is nothing there".to_owned()),
            Unmeasured::Unreadable(detail) | Unmeasured::UnsupportedFile(detail) => {
                found(Reason::Unreadable, detail.clone())
            }
            Unmeasured::Changed(detail) => found(Reason::ContentDrift, detail.clone()),
            Unmeasured::TooLarge(detail) => found(Reason::TooLarge, detail.clone()),
            Unmeasured::ForeignMount(detail) => found(Reason::MetadataDrift, detail.clone()),
            Unmeasured::Interrupted => None,
        },
    }
}
