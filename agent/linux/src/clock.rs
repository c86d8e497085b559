//! Tells when somebody set the wall clock, so that what was timed by it can be looked at again.
//!
//! timerfd_create(2), `TFD_TIMER_CANCEL_ON_SET`: a timer that never ends, and that the kernel cancels
//! when the clock jumps (clock_settime(2), `ADJ_SETOFFSET` of adjtimex(2), the end of a suspend). A
//! clock that is only sped up or slowed down does not jump.
//!
//! ```
//! use narwarden_linux::clock::{ClockChange, ClockWatch};
//!
//! let watch = ClockWatch::new()?; // to be polled, for reading
//! if watch.was_set()? == ClockChange::Set {
//!     println!("every deadline is to be computed again");
//! }
//! # Ok::<(), std::io::Error>(())
//! ```

use std::io;

use rustix::event::Timespec;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, read, retry_on_intr};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

/// Whether the clock was set since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClockChange {
    /// It was, once or several times, forwards or backwards, or the system slept.
    Set,
    /// It went on as always.
    Steady,
}

/// Ready to read when the clock was set after it was made, and [`was_set`](Self::was_set) not called.
#[derive(Debug)]
pub struct ClockWatch(OwnedFd);

impl ClockWatch {
    /// Watches from now on.
    ///
    /// # Errors
    /// Those of timerfd_create(2): too many open files, or no memory.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let watch = Self(timerfd_create(TimerfdClockId::Realtime, flags)?);
        watch.arm()?;
        Ok(watch)
    }

    /// Whether the clock was set since the last call, and watches on. Never blocks.
    ///
    /// # Errors
    /// What read(2) and timerfd_settime(2) say; none is known for a descriptor in order.
    pub fn was_set(&self) -> io::Result<ClockChange> {
        match retry_on_intr(|| read(&self.0, &mut [0; 8])) {
            Err(Errno::AGAIN) => Ok(ClockChange::Steady),
            // Bytes would mean that the end of time was reached, which takes setting the clock.
            Ok(_) | Err(Errno::CANCELED) => {
                self.arm()?;
                Ok(ClockChange::Set)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn arm(&self) -> io::Result<()> {
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        let never = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec: i64::MAX, tv_nsec: 0 },
        };
        match timerfd_settime(&self.0, flags, &never) {
            // The clock was set once more since the read that says so; the timer is armed all the same.
            Ok(_) | Err(Errno::CANCELED) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for ClockWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
#[allow(clippy::print_stderr, reason = "says what is not tested")]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::{FdFlags, fcntl_getfd};
    use rustix::time::{ClockId, clock_gettime, clock_settime};

    use super::*;

    fn readable(watch: &ClockWatch) -> bool {
        poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&Timespec::default())).unwrap() == 1
    }

    /// Sets the clock to what it shows already: a jump of less than a microsecond.
    fn set_clock() -> Result<(), Errno> {
        clock_settime(ClockId::Realtime, clock_gettime(ClockId::Realtime))
    }

    /// One test, since the clock is the same for all.
    #[test]
    fn tells_that_the_clock_was_set_and_when_it_was_not() {
        let watch = ClockWatch::new().unwrap();
        assert_eq!(fcntl_getfd(&watch).unwrap(), FdFlags::CLOEXEC);
        for _ in 0..3 {
            assert!(!readable(&watch));
            assert_eq!(watch.was_set().unwrap(), ClockChange::Steady, "never blocks");
        }
        if let Err(errno) = set_clock() {
            return eprintln!("SKIPPED, needs root: a clock that is set ({errno})");
        }
        for times in [1, 3, 1] {
            for _ in 1..times {
                set_clock().unwrap();
            }
            assert!(readable(&watch));
            assert_eq!(watch.was_set().unwrap(), ClockChange::Set);
            assert!(!readable(&watch));
            assert_eq!(watch.was_set().unwrap(), ClockChange::Steady);
            set_clock().unwrap();
        }
        // Set between the read and the arming, which the kernel tells by refusing, and arms all the same.
        watch.arm().unwrap();
        assert!(!readable(&watch));
        set_clock().unwrap();
        assert_eq!(watch.was_set().unwrap(), ClockChange::Set, "armed");

        let late = ClockWatch::new().unwrap();
        assert!(!readable(&late), "what was before is not told");
        assert_eq!(late.was_set().unwrap(), ClockChange::Steady);
    }
}
