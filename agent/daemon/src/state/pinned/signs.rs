//! What there only is on a host that was enrolled once, so that rules that went missing are not taken for rules that
//! never were.
//!
//! A daemon that was never enrolled writes too: the head of receipts that there are none of, verdicts by no rules
//! on what somebody tried to run, and since when no scrub was done. Those are no sign.

use super::FILE;
use crate::places::Places;
use crate::scrub::state::{self as scrub, ScrubState};
use crate::state::atomic::peek;
use crate::state::{StateError, admissions, records, sync_directory};
use narwarden_core::receipt::{CURRENT, HEAD, Head, LONGEST_HEAD, OLDER};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde_json::Value;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Among the links in quarantine, and no name of one. Nix takes a regular file there for a root only if it is named
/// like a store path (`LocalStore::findRoots`).
const SIGN: &str = ".enrolled";
const TEXT: &str = "narwarden was enrolled on this host. With this file here and nothing in /var/lib/narwarden, \
                    nothing is admitted until `narwarden enroll --pin`.\n";
/// More than any file of state has.
const LONGEST: u64 = 32 << 20;

/// Leaves a sign outside of the state directory.
pub(super) fn leave(places: &Places) {
    // Tried again at each start; a host without it is guarded all the same, for as long as its state is there.
    let _ = make(places);
}

fn make(places: &Places) -> Result<(), StateError> {
    let directory = &places.quarantine;
    let path = directory.join(SIGN);
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    std::fs::create_dir_all(directory).map_err(StateError::io("create", directory))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(&path, flags, Mode::from_raw_mode(0o644)) {
        Ok(file) => {
            let mut file = File::from(file);
            file.write_all(TEXT.as_bytes()).map_err(StateError::io("write", &path))?;
            file.sync_all().map_err(StateError::io("sync", &path))?;
            sync_directory(directory)
        }
        Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(StateError::io("create", &path)(errno)),
    }
}

/// Anything that shows an enrolment: other state, damaged state, quarantined generations, the sign itself.
pub(super) fn find(places: &Places) -> Result<Option<PathBuf>, StateError> {
    for directory in [&places.state, &records(places), &places.quarantine] {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(StateError::io("list", directory)(error)),
        };
        for entry in entries {
            let path = entry.map_err(StateError::io("list", directory))?.path();
            if path != records(places) && !(*directory == places.state && is_no_sign(&path)) {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}

/// Whether the file may be there without an enrolment. What cannot be read may not.
fn is_no_sign(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    // Power was lost while it was written.
    let unfinished = |of: &str| name == format!(".{of}.new");
    if [FILE, HEAD, admissions::FILE, scrub::FILE].into_iter().any(unfinished) {
        return true;
    }
    match name {
        HEAD => is_head_of_nothing(path),
        CURRENT | OLDER => is_of_no_rules(path),
        admissions::FILE => peek(path, LONGEST)
            .and_then(|body| serde_json::from_slice::<Vec<Value>>(&body).ok())
            .is_some_and(|all| all.iter().all(|it| names_no_rules(it.get("key")))),
        scrub::FILE => peek(path, LONGEST)
            .and_then(|body| serde_json::from_slice::<ScrubState>(&body).ok())
            .is_some_and(|it| it.is_of_no_round()),
        _ => false,
    }
}

/// Whether it names no line, or there are lines that speak for themselves.
fn is_head_of_nothing(path: &Path) -> bool {
    let body = peek(path, LONGEST_HEAD).and_then(|body| String::from_utf8(body).ok());
    let lines = || path.with_file_name(CURRENT).metadata().is_ok_and(|it| it.len() > 0);
    body.and_then(|text| Head::parse(&text)).is_some_and(|head| head.sequence == 0 || lines())
}

fn is_of_no_rules(path: &Path) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(path, flags, Mode::empty()) else { return false };
    let mut text = String::new();
    if File::from(file).take(LONGEST).read_to_string(&mut text).is_err() {
        return false;
    }
    let line = |line: &str| serde_json::from_str::<Value>(line).ok();
    text.lines().all(|text| line(text).is_some_and(|it| names_no_rules(it.get("receipt"))))
}

fn names_no_rules(of: Option<&Value>) -> bool {
    of.and_then(|it| it.get("trust")).and_then(Value::as_str) == Some("")
}
