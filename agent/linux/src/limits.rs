//! Raises the number of files this process may hold open: a walk holds one descriptor per level of
//! directories, and several walks run side by side.
//!
//! getrlimit(2), `RLIMIT_NOFILE`.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Enough for a hundred walks at their greatest depth; far below what costs kernel memory.
const WANTED: u64 = 65_536;

/// Raises the soft limit on open files as far as the hard limit allows, to 65,536 at most, and
/// returns the limit then in force. It is never lowered.
pub fn raise_open_file_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    let target = limit.maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    if limit.current.is_some_and(|current| current < target) {
        limit.current = Some(target);
        // A refusal (seccomp, a hard limit lowered meanwhile) leaves the old limit, told below.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How much memory could be used without pushing out what others use, in bytes; nothing where the system does not
/// tell.
#[must_use]
pub fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_memory_is_available() {
        assert!(available_memory().unwrap() > 1 << 20);
    }

    #[test]
    fn raises_and_never_lowers() {
        let before = getrlimit(Resource::Nofile);
        let now = raise_open_file_limit();
        assert!(now >= before.current.unwrap_or(u64::MAX));
        assert!(now >= before.maximum.unwrap_or(u64::MAX).min(WANTED));
        assert_eq!(raise_open_file_limit(), now);
    }
}
