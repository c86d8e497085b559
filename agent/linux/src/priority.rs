//! How much of the processor and the disk the calling thread may take from others: what nobody waits for yet gives way
//! to everything else, and is put back to full speed as soon as somebody does.
//!
//! `SCHED_IDLE` (`sched(7)`) gives way completely, but only a thread that may have nice value 0 may leave it again
//! (`RLIMIT_NICE`, `CAP_SYS_NICE`); elsewhere it is `SCHED_BATCH`, which may always be left. Nice values are not
//! touched, since they could not be lowered again. The priority of reading is the lowest of the "best effort" class,
//! not "idle", so that a busy disk slows it down and does not stop it.
//!
//! `sched_setscheduler(2)`, `ioprio_set(2)`, `getrlimit(2)`.
#![allow(unsafe_code)]

use std::io;

use rustix::process::{Resource, getrlimit};

/// How urgent a thread's work is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Nobody waits for it.
    Background,
    /// Like every other thread.
    #[default]
    Full,
}

/// What `RLIMIT_NICE` must be for nice value 0: it counts from 20 downwards.
const NICE_0: u64 = 20;

const IOPRIO_WHO_PROCESS: libc::c_int = 1;
const IOPRIO_CLASS_SHIFT: libc::c_int = 13;
const IOPRIO_BEST_EFFORT: libc::c_int = 2;
/// The lowest of a class.
const LOWEST: libc::c_int = 7;
/// Class "none", which follows the nice value: what every thread begins with.
const IOPRIO_DEFAULT: libc::c_int = 0;

/// Gives the calling thread this priority. Threads that it starts begin with the same.
///
/// # Errors
/// What the system refused; the rest is done all the same.
pub fn set(priority: Priority) -> io::Result<()> {
    let (policy, disk) = match priority {
        Priority::Background => (background(), IOPRIO_BEST_EFFORT << IOPRIO_CLASS_SHIFT | LOWEST),
        Priority::Full => (libc::SCHED_OTHER, IOPRIO_DEFAULT),
    };
    let scheduled = set_policy(policy);
    set_disk(disk).and(scheduled)
}

/// What can be left again.
fn background() -> libc::c_int {
    match getrlimit(Resource::Nice).current {
        Some(limit) if limit < NICE_0 => libc::SCHED_BATCH,
        Some(_) | None => libc::SCHED_IDLE,
    }
}

fn set_policy(policy: libc::c_int) -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority: 0 };
    // SAFETY: `parameter` is valid for reading during the call, which is all that it asks for; 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn set_disk(priority: libc::c_int) -> io::Result<()> {
    // SAFETY: ioprio_set(2) takes three numbers and no pointer; 0 is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, priority) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scheduling policy and priority of reading of the calling thread.
    fn in_force() -> (libc::c_int, libc::c_long) {
        // SAFETY: sched_getscheduler(2) and ioprio_get(2) take numbers and no pointer.
        unsafe {
            (
                libc::sched_getscheduler(0),
                libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0),
            )
        }
    }

    #[test]
    fn a_thread_gives_way_and_comes_back_as_often_as_it_is_told() {
        // A thread of its own: the one of the harness stays as it is.
        let worker = std::thread::spawn(|| {
            let before = in_force();
            for _ in 0..2 {
                set(Priority::Background).unwrap();
                let (policy, disk) = in_force();
                assert_eq!(policy, background());
                assert_ne!(policy, libc::SCHED_OTHER);
                assert_eq!(disk, 2 << 13 | 7);
                set(Priority::Full).unwrap();
                assert_eq!(in_force().0, libc::SCHED_OTHER);
            }
            assert_eq!(in_force().0, before.0);
            assert!(matches!(in_force().1 >> 13, 0 | 2), "best effort, or none");
        });
        worker.join().unwrap();
    }

    #[test]
    fn idle_only_where_it_can_be_left() {
        let limit = getrlimit(Resource::Nice).current;
        let idle = limit.is_none_or(|limit| limit >= 20);
        assert_eq!(background() == libc::SCHED_IDLE, idle);
    }
}
