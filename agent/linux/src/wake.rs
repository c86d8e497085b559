//! Rings a thread that sleeps in poll(2) on other descriptors.
//!
//! eventfd(2). Any number of rings before the thread looks are one.
//!
//! ```
//! use narwarden_linux::wake::Wake;
//! use rustix::event::{PollFd, PollFlags, Timespec, poll};
//!
//! let wake = Wake::new()?;
//! let rung = || poll(&mut [PollFd::new(&wake, PollFlags::IN)], Some(&Timespec::default()));
//! assert_eq!(rung()?, 0);
//! wake.ring();
//! wake.ring();
//! assert_eq!(rung()?, 1);
//! wake.clear();
//! assert_eq!(rung()?, 0);
//! # Ok::<(), std::io::Error>(())
//! ```

use std::io;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{read, retry_on_intr, write};

/// A bell. Share it by reference or in an `Arc`; ready to read while it was rung and not cleared.
#[derive(Debug)]
pub struct Wake(OwnedFd);

impl Wake {
    /// A bell that was not rung.
    ///
    /// # Errors
    /// Too many open files, or no memory.
    pub fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(eventfd(0, flags)?))
    }

    /// Rings. Never blocks.
    pub fn ring(&self) {
        // The one refusal possible, a full counter, means that it was rung already.
        let _ = retry_on_intr(|| write(&self.0, &1_u64.to_ne_bytes()));
    }

    /// Forgets all rings so far, and tells whether there were any: clear first, then look at what was rung for. Never
    /// blocks.
    pub fn clear(&self) -> Rung {
        // The one refusal possible, an empty counter, means that it was not rung.
        match retry_on_intr(|| read(&self.0, &mut [0; 8])) {
            Ok(_) => Rung::Yes,
            Err(_) => Rung::No,
        }
    }
}

/// Whether a bell was rung since it was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// Once or more often.
    Yes,
    /// Not once.
    No,
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    #[test]
    fn wakes_a_sleeper_and_never_blocks() {
        let wake = Wake::new().unwrap();
        wake.clear();
        thread::scope(|scope| {
            let sleeper =
                scope.spawn(|| poll(&mut [PollFd::new(&wake, PollFlags::IN)], None).unwrap());
            wake.ring();
            assert_eq!(sleeper.join().unwrap(), 1);
        });
        // A counter at its limit: a ring more must return.
        write(&wake.0, &(u64::MAX - 2).to_ne_bytes()).unwrap();
        wake.ring();
        wake.ring();
        wake.clear();
        wake.clear();
    }
}
