//! Files without which the host would stand still, and which therefore are never held.
//!
//! Two store paths with the same contents share inodes (`auto-optimise-store`), so an `activate` that is a copy of
//! the shell *is* the shell to the kernel. Holding it would make every process wait for the gate.

use super::resolve::{Found, resolve};
use crate::places::Places;
use narwarden_linux::file_id::FileId;
use narwarden_store::Target;
use rustix::fd::AsFd;
use std::collections::BTreeSet;

/// What every start of a process, a session or a unit may need, below the running system.
const NAMES: [&str; 21] = [
    "init",
    "systemd/lib/systemd/systemd",
    "systemd/lib/systemd/systemd-executor",
    "systemd/lib/systemd/systemd-journald",
    "systemd/lib/systemd/systemd-logind",
    "systemd/lib/systemd/systemd-udevd",
    "sw/bin/agetty",
    "sw/bin/bash",
    "sw/bin/cat",
    "sw/bin/dbus-broker",
    "sw/bin/dbus-daemon",
    "sw/bin/env",
    "sw/bin/login",
    "sw/bin/ls",
    "sw/bin/mount",
    "sw/bin/narwarden",
    "sw/bin/nix",
    "sw/bin/sh",
    "sw/bin/sshd",
    "sw/bin/systemctl",
    "sw/bin/systemd-run",
];

/// The inodes of such files in the system that runs and the one that was booted, as far as they are there.
#[must_use]
pub fn essential(places: &Places, store: impl AsFd) -> BTreeSet<FileId> {
    let mut files = BTreeSet::new();
    for link in ["/run/current-system", "/run/booted-system"] {
        let Ok(system) = Target::Path(link.into()).resolve(&places.location) else { continue };
        for name in NAMES {
            if let Ok(found) = resolve(&store, &system, name).and_then(Found::into_file) {
                files.insert(found.id);
            }
        }
    }
    files
}
