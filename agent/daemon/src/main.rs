//! `narwardend`: the order in which the warden comes up.
//!
//! ```text
//! state ─► groups adopted or made ─► gate answers ─► marks ─► engine, watcher, clerk ─► socket ─► READY=1
//! ```
//!
//! The gate answers before anything else is known, so that nothing ever waits for the warden to be ready; what it
//! does not know yet waits for a verdict, and nobody else does.

use anyhow::Context as _;
use clap::Parser;
use jiff::Timestamp;
use narwarden_core::event::{Event, EventKind, Field};
use narwarden_linux::fanotify::Group;
use narwarden_linux::file_id::FileId;
use narwarden_linux::journal::Journal;
use narwarden_linux::systemd::{Notifier, take_fds, watchdog_interval};
use narwarden_linux::wake::Wake;
use narwarden_store::Options;
use narwardend::audit::{self, Announce, Clerk, JournalVoice};
use narwardend::desk::{Desk, first_mode};
use narwardend::engine::{Engine, Queue, RulesCell};
use narwardend::entry_points::open_store;
use narwardend::gate::{Ask, Gate, Scans, Stats};
use narwardend::mode::{Mode, ModeCell};
use narwardend::places::Places;
use narwardend::policy_cell::PolicyCell;
use narwardend::state::admissions::{Admissions, BootId};
use narwardend::state::pinned::{Loaded, Pinned};
use narwardend::state::receipts::Receipts;
use narwardend::state::{self, Damage};
use narwardend::table::Table;
use narwardend::watcher::Watcher;
use narwardend::{hints, ipc};
use rustix::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

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
    /// Programs beside Nix that may read what is not admitted
    #[arg(long, value_name = "PROGRAM")]
    reader: Vec<PathBuf>,
}

/// The name of the group in systemd's descriptor store.
const HOLD: &str = "narwarden-hold";
/// Nix, where NixOS has it.
const NIX: [&str; 2] = ["/run/current-system/sw/bin/nix", "/nix/var/nix/profiles/default/bin/nix"];
/// Before systemd gives up on a starting unit (`DefaultTimeoutStartSec=`).
const LONGEST_START: Duration = Duration::from_secs(60);
const BUSY_JOURNAL: Duration = Duration::from_millis(500);

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    narwarden_linux::limits::raise_open_file_limit();
    let inherited = take_fds().context("cannot take over what systemd kept")?;
    let notifier = Notifier::from_environment().context("cannot notify systemd")?;
    let places = Places::below(&arguments.root);
    let journal = Journal::at(&arguments.journal, BUSY_JOURNAL).context("cannot make a socket")?;
    let journal = Arc::new(JournalVoice::new(journal));
    state::prepare(&places)?;
    std::fs::create_dir_all(&places.run)
        .with_context(|| format!("cannot make {}", places.run.display()))?;

    let (watch, hold) = groups(inherited, &journal)?;
    let table = Table::default();
    let mode = Arc::new(ModeCell::new(Mode::Enforce));
    let (asks, asked) = sync_channel::<Ask>(4096);
    let (attempts, attempted) = sync_channel(1024);
    let (wake, scans, stats) = (Arc::new(Wake::new()?), Arc::new(Scans::default()), Arc::new(Stats::default()));
    let damage = Arc::new(Mutex::new(Vec::new()));
    let pinned = load(&places, &journal, &damage)?;
    let deadline = pinned.as_ref().map_or(Duration::from_secs(60), |it| it.gate().deadline);
    let gate = Gate {
        table: table.clone(),
        watch: watch.clone(),
        hold: hold.clone(),
        wake: Arc::clone(&wake),
        mode: Arc::clone(&mode),
        readers: Arc::new(RwLock::new(readers(&places, &arguments.reader))),
        deadline,
        asks: asks.clone(),
        attempts,
        scans: Arc::clone(&scans),
        stats: Arc::clone(&stats),
    };
    // Should the gate end, the process does: the watch group closes, and systemd starts another one.
    spawn("gate", move || {
        let ended = gate.run();
        eprintln_once(&format!("the gate ended: {ended:?}"));
        std::process::abort();
    })?;
    let store = open_store(&places.location.store_directory())
        .with_context(|| format!("cannot open {}", places.location.store_directory().display()))?;
    let guarded = std::fs::File::open(places.location.store_directory())?;
    watch.watch_filesystem(guarded.as_fd()).context("cannot watch the store's file system")?;
    notifier.store_fd(HOLD, hold.as_fd()).context("cannot hand the group to systemd")?;
    notifier.wait_until_handled(Duration::from_secs(5)).context("systemd did not take the group")?;

    let queue = Arc::new(Queue::default());
    let rules = RulesCell::default();
    let cell = PolicyCell::new(Arc::clone(&mode));
    let links = Arc::default();
    let (admissions, damaged) = Admissions::load(&places)?;
    let (receipts, more) = Receipts::open(&places)?;
    for one in damaged.into_iter().chain(more) {
        report_damage(&one, &journal, &damage);
    }
    let admissions = Arc::new(Mutex::new(admissions));
    let subscribers = audit::Subscribers::default();
    let desk = Arc::new(Desk {
        places: places.clone(),
        table: table.clone(),
        queue: Arc::clone(&queue),
        rules: rules.clone(),
        pinned: cell.clone(),
        mode: Arc::clone(&mode),
        stats: Arc::clone(&stats),
        journal: Arc::clone(&journal),
        admissions: Arc::clone(&admissions),
        subscribers: Arc::clone(&subscribers),
        asks: asks.clone(),
        links: Arc::clone(&links),
        damage,
    });
    if let Some(pinned) = pinned {
        mode.set(first_mode(&pinned, Timestamp::now()));
        desk.put(*pinned);
    }
    let mut clerk = Clerk {
        announce: Arc::<JournalVoice>::clone(&journal),
        receipts,
        admissions,
        boot: BootId::current()?,
        table: table.clone(),
        asks: asks.clone(),
        subscribers,
    };
    let options = Options::default();
    let location = places.location.clone();
    let engine = Engine { location, rules, table: table.clone(), queue: Arc::clone(&queue), options };
    spawn("verifier", move || engine.run(&mut clerk))?;
    let voice = Arc::<JournalVoice>::clone(&journal);
    spawn("attempts", move || audit::attempts(&*voice, &attempted))?;
    let watcher = Watcher {
        places: places.clone(),
        store,
        table,
        queue,
        watch,
        hold,
        wake,
        scans: Arc::clone(&scans),
        pinned: cell,
        announce: Arc::<JournalVoice>::clone(&journal),
        links,
    };
    spawn("watcher", move || watcher.run(&asked))?;
    let _hints = hints::watch(&places, &asks);
    serve(&places, desk, &notifier, (&stats, &scans), &journal)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map(drop).with_context(|| format!("cannot start the thread {name}"))
}

/// The group that a predecessor left behind, with its orphans denied, or a new one.
fn groups(
    inherited: Vec<(String, OwnedFd)>,
    journal: &JournalVoice,
) -> anyhow::Result<(Group, Group)> {
    let kept = inherited.into_iter().find(|(name, _)| name == HOLD);
    let hold = match kept {
        Some((_, group)) => {
            let (group, orphans) = Group::adopt(group).context("cannot adopt the kept group")?;
            if orphans.denied > 0 {
                let event = Event::new(EventKind::HeldOrphanDenied);
                let _ = journal.announce(&event.with(Field::Count, orphans.denied));
            }
            group
        }
        None => Group::hold().context("cannot make a group (CAP_SYS_ADMIN)")?,
    };
    Ok((Group::watch().context("cannot make a group (CAP_SYS_ADMIN)")?, hold))
}

fn load(
    places: &Places,
    journal: &JournalVoice,
    damage: &Mutex<Vec<String>>,
) -> anyhow::Result<Option<Box<Pinned>>> {
    let event = match Pinned::load(places) {
        Ok(Loaded::Pinned(pinned)) => return Ok(Some(pinned)),
        Ok(Loaded::FirstStart) => match Pinned::first(places, Timestamp::now()) {
            Ok(Some(pinned)) => return Ok(Some(Box::new(pinned))),
            Ok(None) => Event::new(EventKind::NotEnrolled).with(Field::Error, "nothing was ever pinned"),
            Err(error) => Event::new(EventKind::NotEnrolled).with(Field::Error, error),
        },
        Ok(Loaded::Lost(lost)) => {
            let what = format!("{lost:?}");
            damage.lock().map_err(|_| anyhow::anyhow!("a thread panicked"))?.push(what.clone());
            Event::new(EventKind::StateDamaged).with(Field::Error, what)
        }
        Err(error) => Event::new(EventKind::StateDamaged).with(Field::Error, error),
    };
    let _ = journal.announce(&event);
    Ok(None)
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

fn readers(places: &Places, more: &[PathBuf]) -> Vec<FileId> {
    let nix = NIX.map(|path| places.location.physical(path.as_ref()));
    nix.iter().chain(more).filter_map(|path| FileId::at(path).ok()).collect()
}

fn eprintln_once(text: &str) {
    use std::io::Write as _;
    // There is nobody else to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Serves the socket, and lets the watchdog know for as long as the gate's heart beats.
fn serve(
    places: &Places,
    desk: Arc<Desk>,
    notifier: &Notifier,
    (stats, scans): (&Stats, &Scans),
    journal: &JournalVoice,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let socket = places.run.join("io.narwarden");
    runtime.block_on(async {
        let listener = ipc::bind(&socket)
            .with_context(|| format!("cannot make the socket {}", socket.display()))?;
        let mut serving = Box::pin(ipc::serve(listener, Arc::clone(&desk)));
        use tokio::signal::unix::{SignalKind, signal};
        let (mut hangup, mut terminate) =
            (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?);
        let mut beat = tokio::time::interval(watchdog_interval().unwrap_or(Duration::from_secs(10)));
        let mut last = 0;
        // Ready is who holds what there is in the store: an interpreter could read it until then.
        let mut look = tokio::time::interval(Duration::from_millis(20));
        let (begin, mut ready) = (Instant::now(), false);
        loop {
            tokio::select! {
                ended = &mut serving => return ended.context("the socket cannot be served"),
                _ = look.tick(), if !ready => {
                    ready = scans.is_all_known() || begin.elapsed() > LONGEST_START;
                    if ready {
                        notifier.ready("guarding")?;
                        let event = Event::new(EventKind::Started)
                            .with(Field::Version, env!("CARGO_PKG_VERSION"));
                        let _ = journal.announce(&event.with(Field::Mode, "see narwarden status"));
                    }
                }
                _ = hangup.recv() => {
                    let _ = notifier.reloading();
                    let _ = desk.asks.try_send(Ask::Scan);
                    let _ = notifier.ready("guarding");
                }
                _ = terminate.recv() => {
                    let _ = notifier.stopping();
                    let _ = journal.announce(&Event::new(EventKind::Stopped).with(Field::Error, "SIGTERM"));
                    return Ok(());
                }
                _ = beat.tick() => {
                    let beats = stats.snapshot().beats;
                    if beats != last {
                        last = beats;
                        let _ = notifier.watchdog();
                    }
                }
            }
        }
    })
}
