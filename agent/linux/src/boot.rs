//! Which run of the kernel this is, what its clocks show, and which kind of file system a directory lies on: what
//! decides how long a time stamp of a file means anything.
//!
//! random(4), clock_gettime(2), statfs(2).

use std::io;

use rustix::fd::AsFd;
use rustix::fs::{fstatfs, fstatvfs};
use rustix::time::{ClockId, clock_gettime};

use crate::metadata::Time;

/// Names one run of the kernel: drawn anew at each boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BootId([u8; 16]);

impl BootId {
    /// That of the running kernel.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn current() -> io::Result<Self> {
        random_uuid("/proc/sys/kernel/random/boot_id").map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Sixteen bytes, of which 122 bits are random.
///
/// # Errors
/// When they cannot be had.
pub fn nonce() -> io::Result<[u8; 16]> {
    random_uuid("/proc/sys/kernel/random/uuid")
}

fn random_uuid(path: &str) -> io::Result<[u8; 16]> {
    let text = std::fs::read_to_string(path)?;
    let digits: String = text.trim_end().chars().filter(|it| *it != '-').collect();
    let number = u128::from_str_radix(&digits, 16);
    let number = number.map_err(|_| io::Error::other(format!("{path} holds no UUID")))?;
    Ok(number.to_be_bytes())
}

/// What the clocks show at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The wall clock, as coarse as files are stamped: what is written from now on has no earlier stamp.
    pub wall: Time,
    /// Seconds since the kernel began to run, those of sleep with them. Nobody can set it.
    pub since_boot: u64,
    /// By how many nanoseconds the wall clock is ahead of the monotonic one. Speeding a clock up or slowing it
    /// down moves both alike; setting it, and sleep, change this.
    pub lead: i128,
}

/// The two coarse clocks show the same tick when the wall clock shows the same before and after.
const ATTEMPTS: u32 = 1000;

impl Clock {
    /// Looks at all of them.
    ///
    /// # Errors
    /// When they cannot be read within one tick.
    pub fn now() -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            let before = clock_gettime(ClockId::RealtimeCoarse);
            let steady = clock_gettime(ClockId::MonotonicCoarse);
            let after = clock_gettime(ClockId::RealtimeCoarse);
            if before != after {
                continue;
            }
            let nanoseconds = |time: rustix::time::Timespec| {
                i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
            };
            let wall = Time {
                seconds: before.tv_sec,
                nanoseconds: u32::try_from(before.tv_nsec).unwrap_or_default(),
            };
            let since_boot = clock_gettime(ClockId::Boottime).tv_sec;
            return Ok(Self {
                wall,
                since_boot: u64::try_from(since_boot).unwrap_or_default(),
                lead: nanoseconds(before) - nanoseconds(steady),
            });
        }
        Err(io::Error::other("the clocks never showed the same tick"))
    }
}

/// A file system, as statfs(2) tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileSystem {
    /// The magic number of its kind.
    pub kind: u64,
    /// The number that tells it from others of its kind.
    pub id: u64,
}

impl FileSystem {
    /// That on which an open file lies; `O_PATH` is enough.
    ///
    /// # Errors
    /// Those of fstatfs(2).
    pub fn of(file: impl AsFd) -> io::Result<Self> {
        let file = file.as_fd();
        // Positive on every architecture, in whatever type.
        let kind = u64::try_from(fstatfs(file)?.f_type).unwrap_or(0);
        Ok(Self { kind, id: fstatvfs(file)?.f_fsid })
    }

    /// Whether its time stamps tell of every change: each write(2), each first write to a mapped page and each change
    /// of a name or of metadata moves the change time of what it changes, at once.
    ///
    /// Known of ext2 to ext4, XFS, Btrfs, F2FS and bcachefs. Not of tmpfs and ZFS, where bytes written through a
    /// mapping move it later or never; not of overlayfs, whose change times may be those of another file; not
    /// of what lies on another machine (NFS, 9p, virtiofs) or in another process (FUSE).
    #[must_use]
    pub fn stamps_every_change(&self) -> bool {
        const EXT: u64 = 0xef53;
        const XFS: u64 = 0x5846_5342;
        const BTRFS: u64 = 0x9123_683e;
        const F2FS: u64 = 0xf2f5_2010;
        const BCACHEFS: u64 = 0xca45_1a4e;
        [EXT, XFS, BTRFS, F2FS, BCACHEFS].contains(&self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_boot_has_one_id_and_no_nonce_comes_twice() {
        assert_eq!(BootId::current().unwrap(), BootId::current().unwrap());
        assert_ne!(nonce().unwrap(), nonce().unwrap());
    }

    /// Unless the clock is set meanwhile, as hosts do to their virtual machines now and then: not hundreds of times.
    #[test]
    fn the_lead_of_the_wall_clock_is_exact() {
        let mut last = Clock::now().unwrap();
        let mut moved = 0;
        for _ in 0..200 {
            let next = Clock::now().unwrap();
            moved += u32::from(next.lead != last.lead);
            assert!(next.since_boot >= last.since_boot);
            last = next;
            std::thread::sleep(Duration::from_micros(100));
        }
        assert!(moved < 10, "{moved} times");
    }

    #[test]
    fn kinds_are_told_apart() {
        let proc = FileSystem::of(std::fs::File::open("/proc").unwrap()).unwrap();
        assert_eq!(proc.kind, 0x9fa0);
        assert!(!proc.stamps_every_change());
    }
}
