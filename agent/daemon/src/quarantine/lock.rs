//! Nix's lock on a profile.
//!
//! As `PathLocks` does it: `<profile>.lock`, mode 0600, flock(2) exclusively; a file that is no longer empty was
//! deleted by its last holder, so another has to be made; whoever is done deletes it, and then writes to it, so that
//! those who still wait on it see that. Nix `src/libstore/pathlocks.cc`, `profiles.cc`.

use super::QuarantineError;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, statat};
use rustix::io::{Errno, retry_on_intr};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long to wait before the lock is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// Held until dropped.
#[derive(Debug)]
#[must_use = "the lock is held until this is dropped"]
pub(super) struct ProfileLock {
    path: PathBuf,
    file: File,
}

impl ProfileLock {
    /// Locks `profile`, trying for as long as `wait`.
    pub(super) fn take(profile: &Path, wait: Duration) -> Result<Self, QuarantineError> {
        let mut path = profile.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let mut waited = Duration::ZERO;
        loop {
            if let Some(file) = attempt(&path)? {
                return Ok(Self { path, file });
            }
            if waited >= wait {
                return Err(QuarantineError::Busy { path });
            }
            std::thread::sleep(PAUSE);
            waited = waited.saturating_add(PAUSE);
        }
    }
}

impl Drop for ProfileLock {
    fn drop(&mut self) {
        // Removing it is a courtesy, as in Nix; a lock file that stays behind empty is a good one.
        if std::fs::remove_file(&self.path).is_ok() {
            let _ = self.file.write_all(b"d");
        }
    }
}

fn attempt(path: &Path) -> Result<Option<File>, QuarantineError> {
    let flags =
        OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = retry_on_intr(|| rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR));
    let file = File::from(file.map_err(QuarantineError::io("open", path))?);
    match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(errno) => return Err(QuarantineError::io("lock", path)(errno)),
    }
    let ours = fstat(&file).map_err(QuarantineError::io("look at", path))?;
    let there = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW);
    let stands = ours.st_size == 0
        && there.is_ok_and(|there| (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino));
    Ok(stands.then_some(file))
}
