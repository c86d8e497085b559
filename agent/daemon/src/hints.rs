//! Hints that something moved: in the profiles, in the store. Nothing rests on them; a timer asks too. And the clock.

use crate::gate::{Ask, Noted, Scans};
use crate::places::Places;
use narwarden_core::store_path::StorePath;
use narwarden_linux::clock::{ClockChange, ClockWatch};
use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use rustix::event::{PollFd, PollFlags, poll};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

/// Passes hints on for as long as the result is held.
#[must_use]
pub fn watch(
    places: &Places,
    asks: &SyncSender<Ask>,
    scans: &Arc<Scans>,
) -> Option<RecommendedWatcher> {
    let store = places.location.store_directory();
    let (asks, scans, below) = (asks.clone(), Arc::clone(scans), store.clone());
    let pass_on = move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return scans.lose() };
        let lost = event.need_rescan();
        if lost {
            scans.lose();
        }
        // Reading raises events too, our own among them.
        let Some(change) = change(&event.kind) else { return };
        let mut links = lost;
        for path in &event.paths {
            match path.strip_prefix(&below) {
                Ok(name) if is_relink(name) => {
                    if scans.relinked() == Noted::Now {
                        // Where the queue is full, whoever works it off sees that it was noted.
                        let _ = asks.try_send(Ask::Relinked);
                    }
                }
                Ok(name) => {
                    if let Some(path) = named(name)
                        && asks.try_send(Ask::Appeared(path)).is_err()
                    {
                        scans.lose();
                    }
                }
                Err(_) => links |= change == Change::Name,
            }
        }
        if links {
            // A full queue is worked off by a watcher that reads the links anyway.
            let _ = asks.try_send(Ask::Scan);
        }
    };
    let mut watcher = notify::recommended_watcher(pass_on).ok()?;
    for directory in [places.profiles.clone(), places.profiles.join("system-profiles"), store] {
        // What is not there cannot be watched; the timer finds it when it comes.
        let _ = watcher.watch(&directory, RecursiveMode::NonRecursive);
    }
    Some(watcher)
}

/// What happened to a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    /// It came, went, or is another file's.
    Name,
    /// Its owner, mode or times are others.
    Metadata,
}

fn change(kind: &EventKind) -> Option<Change> {
    match kind {
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
            Some(Change::Name)
        }
        EventKind::Modify(ModifyKind::Metadata(_)) => Some(Change::Metadata),
        EventKind::Any
        | EventKind::Access(_)
        | EventKind::Modify(ModifyKind::Any | ModifyKind::Data(_) | ModifyKind::Other)
        | EventKind::Other => None,
    }
}

/// The store path that a name in the store is about. Nix makes a path, then writes its files, then sets its times, and
/// then removes its lock: each of these is a moment at which it may have become a toplevel.
fn named(name: &Path) -> Option<StorePath> {
    let name = name.to_str()?;
    StorePath::from_base_name(name.strip_suffix(".lock").unwrap_or(name)).ok()
}

/// The names under which Nix puts a file in the place of another of the same contents (nix `optimise-store.cc`).
fn is_relink(name: &Path) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(".tmp-link-"))
}

/// Tells each time that the wall clock is set, for as long as it can be watched.
///
/// # Errors
/// Why it cannot be.
pub fn clock(was_set: impl Fn()) -> std::io::Result<()> {
    let watch = ClockWatch::new()?;
    loop {
        let mut fds = [PollFd::new(&watch, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match watch.was_set()? {
            ClockChange::Set => was_set(),
            ClockChange::Steady => {}
        }
    }
}
