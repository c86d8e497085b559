//! What the calling thread had the disk read.
//!
//! getrusage(2) `RUSAGE_THREAD`, `ru_inblock`; always nothing in a kernel without `CONFIG_TASK_IO_ACCOUNTING`.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

/// The unit of `ru_inblock`, whatever a block of the disk is.
const BLOCK: u64 = 512;

/// How many bytes the calling thread had the disk read since it began, ahead of its reading or not.
#[must_use]
pub fn read_by_this_thread() -> u64 {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: `usage` may be written during the call, which is all that it asks for.
    let result = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
    if result != 0 {
        return 0;
    }
    // SAFETY: the call wrote all of it, since it succeeded.
    let usage = unsafe { usage.assume_init() };
    u64::try_from(usage.ru_inblock).unwrap_or(0).saturating_mul(BLOCK)
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
