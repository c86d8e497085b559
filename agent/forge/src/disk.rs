//! Metadata as Nix leaves it, and the way back for those who write to a store.

use crate::error::ForgeError;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Gives everything at `at` the modes and times that Nix leaves; the executable bit stays.
///
/// # Errors
/// What the system refuses.
pub fn canonicalise(at: &Path) -> Result<(), ForgeError> {
    let failed = |error| ForgeError::Io { path: at.to_owned(), error };
    let found = at.symlink_metadata().map_err(failed)?;
    if found.is_dir() {
        for entry in fs::read_dir(at).map_err(failed)? {
            canonicalise(&entry.map_err(failed)?.path())?;
        }
        fs::set_permissions(at, Permissions::from_mode(0o555)).map_err(failed)?;
    } else if found.is_file() {
        let mode = if found.permissions().mode() & 0o100 == 0 { 0o444 } else { 0o555 };
        fs::set_permissions(at, Permissions::from_mode(mode)).map_err(failed)?;
    }
    set_time(at, 1)
}

/// Makes every directory at `at`, and `at` itself, writable for its owner.
///
/// # Errors
/// What the system refuses.
pub fn unlock(at: &Path) -> Result<(), ForgeError> {
    let failed = |error| ForgeError::Io { path: at.to_owned(), error };
    let found = at.symlink_metadata().map_err(failed)?;
    if found.is_dir() {
        fs::set_permissions(at, Permissions::from_mode(0o755)).map_err(failed)?;
        for entry in fs::read_dir(at).map_err(failed)? {
            unlock(&entry.map_err(failed)?.path())?;
        }
    } else if found.is_file() {
        let mode = found.permissions().mode() | 0o200;
        fs::set_permissions(at, Permissions::from_mode(mode)).map_err(failed)?;
    }
    Ok(())
}

/// Sets the modification time, of a link itself too.
pub(crate) fn set_time(at: &Path, seconds: i64) -> Result<(), ForgeError> {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, at, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| ForgeError::Io { path: at.to_owned(), error: errno.into() })
}
