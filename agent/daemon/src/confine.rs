//! What the threads that read what others wrote are left: Landlock rules and capabilities, by what the daemon works
//! with.
//!
//! Held to it are all threads that are started afterwards. The gate and the thread that may replace the program are
//! started before: the kernel opens files on behalf of the one, and the other begins a new program.

use crate::places::Places;
use narwarden_linux::sandbox::{AbstractSockets, Access, Capability, Enforced, Rules, restrict};
use std::ffi::OsStr;
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Restricts this thread and all that it starts.
pub fn confine(places: &Places, journal: &Path, manager: Option<&OsStr>) -> Enforced {
    make_what_is_missing(places);
    let at = |path: &str| places.location.physical(Path::new(path));
    let mut paths = vec![
        // All of it: /etc may be another file system after each switch, and a rule for it would hold for the old one.
        (at("/"), Access::Read),
        (PathBuf::from("/proc"), Access::Read),
        (PathBuf::from("/sys/devices/system/cpu"), Access::Read),
        // SQLite makes the index of a database's log.
        (at("/nix/var/nix/db"), Access::Change),
        (places.profiles.clone(), Access::Change),
        (places.quarantine.clone(), Access::Change),
        (places.temp_roots(), Access::Change),
        (places.gc_lock(), Access::Write),
        (places.state.clone(), Access::Change),
        (places.run.clone(), Access::Change),
        // Whoever was refused is told so.
        (PathBuf::from("/dev"), Access::Write),
    ];
    let sockets = [journal.parent(), manager.and_then(path_of), places.gc_socket().parent()]
        .into_iter()
        .flatten()
        .map(|directory| (directory.to_owned(), Access::Connect))
        .collect::<Vec<_>>();
    paths.extend(sockets.into_iter().filter(|(directory, _)| directory.exists()));
    let abstract_sockets = match manager.map(OsStr::as_bytes) {
        Some([b'@', ..]) => AbstractSockets::Allow,
        Some(_) | None => AbstractSockets::Deny,
    };
    // Hashed is what is there, whatever its mode says.
    let capabilities = vec![Capability::CAP_DAC_READ_SEARCH];
    restrict(&Rules { paths, abstract_sockets, capabilities })
}

/// The directory of a socket that has a place among the files.
fn path_of(socket: &OsStr) -> Option<&Path> {
    Path::new(socket).parent().filter(|directory| directory.is_absolute())
}

/// A rule holds for what is there when it is made. Nix makes these, with these modes, when it first needs them.
fn make_what_is_missing(places: &Places) {
    for directory in [&places.temp_roots(), &places.quarantine] {
        // Where that fails, it is among what the sandbox says is missing.
        let _ = DirBuilder::new().recursive(true).mode(0o755).create(directory);
    }
    let _ = OpenOptions::new().create(true).append(true).mode(0o600).open(places.gc_lock());
}
