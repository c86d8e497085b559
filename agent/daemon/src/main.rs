//! `narwardend`: the order in which the warden comes up.
//!
//! ```text
//! state ─► groups adopted or made ─► gate answers ─► marks ─► sandbox ─► engine, watcher, clerk ─► socket ─► READY=1
//! ```
//!
//! The gate answers before anything else is known, so that nothing ever waits for the warden to be ready; what it
//! does not know yet waits for a verdict, and nobody else does.

use anyhow::Context as _;
use clap::Parser;
use jiff::Timestamp;
use narwarden_core::event::{Event, EventKind, Field};
use narwarden_linux::fanotify::{Group, Kind};
use narwarden_linux::journal::Journal;
use narwarden_linux::sandbox::Landlock;
use narwarden_linux::successor::Running;
use narwarden_linux::systemd::{Notifier, take_fds};
use narwarden_linux::wake::Wake;
use narwarden_store::Options;
use narwardend::audit::{self, Announce, Clerk, JournalVoice, Ledger};
use narwardend::confine::confine;
use narwardend::desk::{Desk, no_earlier_than_decided, pinned_mode};
use narwardend::engine::{Engine, Queue, RulesCell};
use narwardend::entry_points::open_store;
use narwardend::gate::{Ask, Gate, Pause, Scans, Settings, Stats};
use narwardend::hints;
use narwardend::mode::{Mode, ModeCell};
use narwardend::places::Places;
use narwardend::policy_cell::PolicyCell;
use narwardend::renewal::{HOLD, Renewal, WATCH};
use narwardend::scrub::Scrub;
use narwardend::service::Service;
use narwardend::state::admissions::{Admissions, BootId};
use narwardend::state::pinned::{Loaded, Pinned};
use narwardend::state::{self, Damage};
use narwardend::table::Table;
use narwardend::watcher::{Marks, Watcher};
use rustix::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Lets the kernel refuse the activation of a generation that nothing vouches for.
///
/// Runs as a systemd service; see narwardend.service. `narwarden status` shows what it does.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Guard the system below DIR instead of this one
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Where to write events
    #[arg(long, value_name = "SOCKET", default_value = "/run/systemd/journal/socket")]
    journal: PathBuf,
    /// Where another version of this program would lie, which SIGHUP makes it become
    #[arg(long, value_name = "PROGRAM", default_value = "/run/current-system/sw/bin/narwardend")]
    successor: PathBuf,
}

const BUSY_JOURNAL: Duration = Duration::from_millis(500);

fn main() -> anyhow::Result<()> {
    // First of all: a predecessor that became this program left SIGHUP blocked, and every thread has to be like that.
    narwarden_linux::signals::hold_back_hangups().context("cannot hold back SIGHUP")?;
    let arguments = Arguments::parse();
    narwarden_linux::limits::raise_open_file_limit();
    let running = Running::now().context("cannot tell which program this is")?;
    let inherited = take_fds().context("cannot take over what systemd kept")?;
    let notifier = Notifier::from_environment().context("cannot notify systemd")?;
    let places = Places::below(&arguments.root);
    let journal = Journal::at(&arguments.journal, BUSY_JOURNAL).context("cannot make a socket")?;
    let journal = Arc::new(JournalVoice::new(journal));
    let announce = || -> Arc<dyn Announce> { Arc::<JournalVoice>::clone(&journal) };
    let ((watch, watch_is), (hold, hold_is)) = groups(inherited, &journal)?;
    let table = Table::default();
    let settings = Arc::new(Settings::new(ModeCell::new(Mode::Enforce)));
    let (rules, damage) = (RulesCell::default(), Arc::new(Mutex::new(Vec::new())));
    let loaded = load(&places, &journal, &damage);
    let (admissions, damages) = Admissions::load(&places).unwrap_or_else(|error| {
        trouble(&journal, "reading the verdicts of the past", &error);
        (Admissions::none(&places), None)
    });
    if let Some(pinned) = &loaded {
        let now = no_earlier_than_decided(Timestamp::now(), &admissions);
        settings.mode.set_policy(pinned_mode(pinned, now));
        rules.put(pinned.rulebook().clone(), &table);
    }
    let (asks, asked) = sync_channel::<Ask>(4096);
    let (attempts, attempted) = sync_channel(1024);
    let (wake, pause) = (Arc::new(Wake::new()?), Arc::new(Pause::default()));
    let (scans, stats) = (Arc::new(Scans::default()), Arc::new(Stats::default()));
    let gate = Gate {
        table: table.clone(),
        watch: watch.clone(),
        hold: hold.clone(),
        wake: Arc::clone(&wake),
        settings: Arc::clone(&settings),
        asks: asks.clone(),
        attempts,
        scans: Arc::clone(&scans),
        pause: Arc::clone(&pause),
        stats: Arc::clone(&stats),
    };
    // Should the gate end, the process does: the watch group closes, and systemd starts another one.
    spawn("gate", move || {
        let ended = gate.run();
        complain(&format!("the gate ended: {ended:?}"));
        std::process::abort();
    })?;
    let renewal = Renewal {
        running,
        places: std::env::current_exe().into_iter().chain([arguments.successor]).collect(),
        arguments: std::env::args_os().skip(1).collect(),
        watch: watch.clone(),
        hold: hold.clone(),
        wake: Arc::clone(&wake),
        pause,
        announce: announce(),
    };
    let (renew, renewals) = channel();
    spawn("renewal", move || renewal.run(&renewals))?;
    let store = open_store(&places.location.store_directory())
        .with_context(|| format!("cannot open {}", places.location.store_directory().display()))?;
    let guarded = std::fs::File::open(places.location.store_directory())?;
    let watched = watch.watch_filesystem(guarded.as_fd());
    watch_is.needs(watched, "cannot watch the store's file system", &journal)?;
    let stored = notifier.store_fd(HOLD, hold.as_fd());
    hold_is.needs(stored, "cannot hand the group to systemd", &journal)?;
    let taken = notifier.wait_until_handled(Duration::from_secs(5));
    hold_is.needs(taken, "systemd did not take the group", &journal)?;

    // From here on, no thread can do more than its work asks for.
    let enforced = confine(&places, &arguments.journal, notifier.socket());
    if enforced.landlock == Landlock::Nothing || !enforced.problems.is_empty() {
        let event = Event::new(EventKind::SandboxIncomplete).with(Field::Error, &enforced);
        let _ = journal.announce(&event);
    }
    let queue = Arc::new(Queue::default());
    let pinned = PolicyCell::new(Arc::clone(&settings));
    let links = Arc::default();
    let (ledger, more) = Ledger::open(&places, announce());
    for one in damages.into_iter().chain(more) {
        report_damage(&one, &journal, &damage);
    }
    let admissions = Arc::new(Mutex::new(admissions));
    let subscribers = audit::Subscribers::default();
    let shelf = places.seals();
    let (scrub, torn) = Scrub::load(&places, announce());
    let scrub = Arc::new(scrub);
    if let Some(one) = torn {
        report_damage(&one, &journal, &damage);
    }
    let desk = Arc::new(Desk {
        shelf: shelf.clone(),
        scrub: Arc::clone(&scrub),
        places: places.clone(),
        table: table.clone(),
        queue: Arc::clone(&queue),
        rules: rules.clone(),
        pinned: pinned.clone(),
        settings: Arc::clone(&settings),
        stats: Arc::clone(&stats),
        journal: Arc::clone(&journal),
        admissions: Arc::clone(&admissions),
        subscribers: Arc::clone(&subscribers),
        asks: asks.clone(),
        links: Arc::clone(&links),
        scans: Arc::clone(&scans),
        damage: Arc::clone(&damage),
    });
    if let Some(loaded) = loaded {
        desk.put(*loaded);
        // All of the store is yet to be looked at for the first time; once is enough.
        let _ = scans.take_loss();
    }
    let mut clerk = Clerk {
        announce: announce(),
        ledger,
        admissions: Arc::clone(&admissions),
        boot: BootId::current()?,
        asks: asks.clone(),
        subscribers,
    };
    let engine = Engine {
        places: places.clone(),
        rules,
        table: table.clone(),
        queue: Arc::clone(&queue),
        options: Options::default(),
        shelf,
        scrub,
    };
    spawn("verifier", move || engine.run(&mut clerk))?;
    let voice = announce();
    spawn("attempts", move || audit::attempts(&*voice, &attempted))?;
    // Before the first look: what comes between the two would be seen by neither.
    let hints = hints::watch(&places, &asks, &scans);
    let watcher = Watcher {
        places: places.clone(),
        store,
        table,
        queue,
        marks: Marks::new(watch, hold, wake),
        scans: Arc::clone(&scans),
        pinned,
        settings,
        announce: announce(),
        links,
        vital: Mutex::default(),
        said: Mutex::default(),
        admissions: Arc::clone(&admissions),
        memory: Mutex::default(),
    };
    spawn("watcher", move || watcher.run(&asked))?;
    let told = Arc::clone(&desk);
    spawn("clock", move || {
        if let Err(error) = hints::clock(|| told.clock_was_set()) {
            told.trouble("watching the clock", &error);
        }
    })?;
    let service = Service { desk, notifier, stats, scans, journal, renewal: renew };
    let ended = service.run(&places.run.join("io.narwarden"));
    drop(hints);
    ended
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map(drop).with_context(|| format!("cannot start the thread {name}"))
}

/// Where a group comes from.
#[derive(Clone, Copy)]
enum Provenance {
    /// From a predecessor, with all that was done for it.
    Inherited,
    /// Made just now.
    New,
}

impl Provenance {
    /// What a new group is nothing without was done for an inherited one before: to end would be worse than to go on.
    fn needs(
        self,
        done: std::io::Result<()>,
        what: &'static str,
        journal: &JournalVoice,
    ) -> anyhow::Result<()> {
        match (self, done) {
            (_, Ok(())) => Ok(()),
            (Self::New, Err(error)) => Err(error).context(what),
            (Self::Inherited, Err(error)) => {
                trouble(journal, what, &error);
                Ok(())
            }
        }
    }
}

/// The groups that a predecessor left behind, with their orphans denied, or new ones: to watch, and to hold.
fn groups(
    inherited: Vec<(String, OwnedFd)>,
    journal: &JournalVoice,
) -> anyhow::Result<((Group, Provenance), (Group, Provenance))> {
    let (mut watch, mut hold) = (None, None);
    for (name, group) in inherited {
        let (kind, place) = match name.as_str() {
            WATCH => (Kind::Watch, &mut watch),
            HOLD => (Kind::Hold, &mut hold),
            _ => continue,
        };
        let (group, orphans) = Group::adopt(group, kind).context("cannot adopt the kept group")?;
        if orphans.denied > 0 {
            let event = Event::new(EventKind::HeldOrphanDenied);
            let _ = journal.announce(&event.with(Field::Count, orphans.denied));
        }
        *place = Some(group);
    }
    let made = || "cannot make a fanotify group (CAP_SYS_ADMIN, and Linux 6.0 or newer)";
    let or_new = |kept: Option<Group>, new: fn() -> std::io::Result<Group>| match kept {
        Some(group) => Ok((group, Provenance::Inherited)),
        None => new().map(|group| (group, Provenance::New)).with_context(made),
    };
    Ok((or_new(watch, Group::watch)?, or_new(hold, Group::hold)?))
}

/// What is pinned. Where that cannot be told nothing is, and everything denied: the gate answers all the same.
fn load(
    places: &Places,
    journal: &JournalVoice,
    damage: &Mutex<Vec<String>>,
) -> Option<Box<Pinned>> {
    if let Err(error) = state::prepare_run(places) {
        trouble(journal, "making the directory of the socket", &error);
    }
    if let Err(error) = state::prepare(places) {
        // What others may write to pins nothing.
        trouble(journal, "opening the state directory", &error);
        return None;
    }
    let damaged = |what: String| {
        damage.lock().unwrap_or_else(PoisonError::into_inner).push(what.clone());
        Event::new(EventKind::StateDamaged).with(Field::Error, what)
    };
    let event = match Pinned::load(places) {
        Ok(Loaded::Pinned(pinned)) => return Some(pinned),
        Ok(Loaded::FirstStart) => match Pinned::first(places, Timestamp::now()) {
            Ok(Some(pinned)) => {
                let event = Event::new(EventKind::RulesPinned)
                    .with(Field::TrustVersion, pinned.trust().version())
                    .with(Field::TrustDigest, pinned.trust().digest())
                    .with(Field::PolicyDigest, pinned.policy_digest());
                let _ = journal.announce(&event);
                return Some(Box::new(pinned));
            }
            Ok(None) => {
                Event::new(EventKind::NotEnrolled).with(Field::Error, "nothing was ever pinned")
            }
            Err(error) => Event::new(EventKind::NotEnrolled).with(Field::Error, error),
        },
        Ok(Loaded::Lost(lost)) => damaged(lost.to_string()),
        Err(error) => damaged(error.to_string()),
    };
    let _ = journal.announce(&event);
    None
}

fn trouble(journal: &JournalVoice, what: &str, error: &dyn std::fmt::Display) {
    let event = Event::new(EventKind::Trouble).with(Field::What, what).with(Field::Error, error);
    let _ = journal.announce(&event);
}

fn report_damage(damage: &Damage, journal: &JournalVoice, known: &Mutex<Vec<String>>) {
    let event = Event::new(EventKind::StateDamaged)
        .with(Field::File, damage.path.display())
        .with(Field::Error, &damage.found);
    let _ = journal.announce(&event);
    if let Ok(mut known) = known.lock() {
        known.push(damage.to_string());
    }
}

fn complain(text: &str) {
    use std::io::Write as _;
    // There is nobody else to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}
