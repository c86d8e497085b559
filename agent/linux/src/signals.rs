//! `SIGHUP` held back for as long as there is nobody to take it.
//!
//! What a signal does, execve(2) resets to the default, and that of `SIGHUP` is to end the process. What is blocked
//! stays blocked, and what is pending stays pending: so a program that is executed by a thread that
//! [held it back](hold_back_hangups) gets it when it is ready, and cannot be ended by it before. pthread_sigmask(3).
//!
//! ```
//! use narwarden_linux::signals::{hold_back_hangups, let_hangups_in};
//!
//! hold_back_hangups()?; // before any other thread is there
//! let renewal = std::thread::spawn(|| { /* executes the successor */ });
//! // ... a handler is installed ...
//! let_hangups_in()?;
//! # renewal.join().unwrap();
//! # Ok::<(), std::io::Error>(())
//! ```

use std::io;

use nix::sys::signal::{SigSet, Signal};

/// Blocks `SIGHUP` for the calling thread, for all threads that it starts from now on, and for the program that one of
/// these executes. One that comes is delivered when a thread lets it in.
///
/// To be called first in `main`: a thread that was there before still takes it.
///
/// # Errors
/// What pthread_sigmask(3) says; it says nothing.
pub fn hold_back_hangups() -> io::Result<()> {
    Ok(hangup().thread_block()?)
}

/// Unblocks it for the calling thread alone, once there is a handler; the others need none, since one thread is enough.
///
/// # Errors
/// As [`hold_back_hangups`].
pub fn let_hangups_in() -> io::Result<()> {
    Ok(hangup().thread_unblock()?)
}

fn hangup() -> SigSet {
    SigSet::from(Signal::SIGHUP)
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::raise;

    use super::*;

    fn is_blocked() -> bool {
        SigSet::thread_get_mask().unwrap().contains(Signal::SIGHUP)
    }

    /// In threads of its own, and sent to these alone: the others of this process would end with it.
    #[test]
    fn is_held_back_for_a_thread_and_those_it_starts_and_let_in_for_one() {
        let first = std::thread::spawn(|| {
            assert!(!is_blocked());
            hold_back_hangups().unwrap();
            assert!(is_blocked());
            raise(Signal::SIGHUP).unwrap();
            let other = std::thread::spawn(|| {
                assert!(is_blocked());
                let_hangups_in().unwrap();
                assert!(!is_blocked());
            });
            other.join().unwrap();
            assert!(is_blocked());
            // It is still there to be delivered.
            assert_eq!(hangup().wait().unwrap(), Signal::SIGHUP);
            let_hangups_in().unwrap();
            assert!(!is_blocked());
        });
        first.join().unwrap();
    }
}
