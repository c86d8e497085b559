//! Files without which the host would stand still, and which therefore are never held.
//!
//! Two store paths with the same contents share inodes (`auto-optimise-store`), so an `activate` that is a copy of
//! the shell *is* the shell to the kernel. Holding it would make every process wait for the gate.

use crate::places::Places;
use narwarden_core::store_path::StorePath;
use narwarden_linux::elf::interpreter;
use narwarden_linux::file_id::FileId;
use narwarden_store::Target;
use narwarden_store::agent::RUNNING;
use narwarden_store::resolve::{Found, resolve};
use rustix::fd::{AsFd, AsRawFd as _};
use rustix::fs::{Mode, OFlags, open};
use std::collections::BTreeSet;

/// What every start of a process, a session or a unit may need, below the running system: all that lies in these
/// directories.
const DIRECTORIES: [&str; 4] = ["sw/bin", "sw/sbin", "systemd/bin", "systemd/lib/systemd"];

/// And this one, which they load.
const LOADED_BY: [&str; 3] = ["sw/bin/bash", "sw/bin/sh", "systemd/lib/systemd/systemd"];

/// How many names of a directory are looked at; a system has some thousand.
const MOST_NAMES: usize = 1 << 16;

/// The inodes of such files in the system that runs and the one that was booted, as far as they are there. They are
/// found through the running system's own links, by nothing that the database says.
#[must_use]
pub fn essential(places: &Places, store: impl AsFd) -> BTreeSet<FileId> {
    let mut files = BTreeSet::new();
    for link in RUNNING {
        let Ok(system) = Target::Path(link.into()).resolve(&places.location) else { continue };
        let mut names = vec!["init".to_owned()];
        for directory in DIRECTORIES {
            names.extend(below(&store, &system, directory));
        }
        for name in &names {
            if let Ok(found) = resolve(&store, &system, name).and_then(Found::into_file) {
                files.insert(found.id);
            }
        }
        for name in LOADED_BY {
            files.extend(loader(places, &store, &system, name));
        }
    }
    files
}

fn below(store: impl AsFd, system: &StorePath, directory: &str) -> Vec<String> {
    let held = resolve(store, system, directory).and_then(Found::into_directory);
    let Ok(held) = held else { return Vec::new() };
    let listed = std::fs::read_dir(format!("/proc/self/fd/{}", held.as_raw_fd()));
    let names =
        listed.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.take(MOST_NAMES).map(|name| format!("{directory}/{name}")).collect()
}

/// Every program is begun by its loader, which the kernel opens to execute it.
fn loader(places: &Places, store: impl AsFd, system: &StorePath, name: &str) -> Option<FileId> {
    let found = resolve(store, system, name).and_then(Found::into_file).ok()?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let program = format!("/proc/self/fd/{}", found.file.as_raw_fd());
    let program = open(program, flags, Mode::empty()).ok()?;
    let loader = interpreter(program.as_fd()).ok()??;
    FileId::at(&places.location.physical(&loader)).ok()
}
