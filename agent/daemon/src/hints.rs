//! Hints that something moved: in the profiles, in the store. Nothing rests on them; a timer asks too. And the clock.

use crate::gate::Ask;
use crate::places::Places;
use narwarden_core::store_path::StorePath;
use narwarden_linux::clock::{ClockChange, ClockWatch};
use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use rustix::event::{PollFd, PollFlags, poll};
use std::sync::mpsc::SyncSender;

/// Passes hints on for as long as the result is held.
#[must_use]
pub fn watch(places: &Places, asks: &SyncSender<Ask>) -> Option<RecommendedWatcher> {
    let store = places.location.store_directory();
    let (asks, below) = (asks.clone(), store.clone());
    let pass_on = move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let appeared =
            matches!(event.kind, EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_)));
        let mut links = event.need_rescan();
        for path in &event.paths {
            match path.strip_prefix(&below).ok().and_then(|name| name.to_str()) {
                Some(name) if appeared => {
                    if let Ok(path) = StorePath::from_base_name(name) {
                        // A full queue is worked off by a watcher that will look around anyway.
                        let _ = asks.try_send(Ask::Appeared(path));
                    }
                }
                Some(_) => {}
                None => links = true,
            }
        }
        if links {
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
