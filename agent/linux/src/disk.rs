//! What the calling thread had the disk read.
//!
//! getrusage(2) `RUSAGE_THREAD`, `ru_inblock`; always nothing in a kernel without `CONFIG_TASK_IO_ACCOUNTING`.

use nix::sys::resource::{UsageWho, getrusage};

/// The unit of `ru_inblock`, whatever a block of the disk is.
const BLOCK: u64 = 512;

/// How many bytes the calling thread had the disk read since it began, ahead of its reading or not.
#[must_use]
pub fn read_by_this_thread() -> u64 {
    let blocks = getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.block_reads());
    u64::try_from(blocks).unwrap_or(0).saturating_mul(BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_memory_is_not_read_from_the_disk() {
        let before = read_by_this_thread();
        let _ = std::fs::read("/proc/self/status").unwrap();
        assert_eq!(read_by_this_thread(), before);
    }
}
