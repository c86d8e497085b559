//! Who came through an admitted entry point, by process: the right to run the program behind it.

use narwarden_linux::fanotify::Request;
use narwarden_linux::process::Process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::fcntl_dupfd_cloexec;
use std::collections::HashMap;
use std::os::fd::OwnedFd;

/// Processes that were let through and are still there. A pidfd names one process for as long as it is held, so
/// a number that was used again is never mistaken for it (pidfd_open(2)).
#[derive(Debug, Default)]
pub(super) struct Passed(HashMap<u32, OwnedFd>);

const TIDY_AT: usize = 256;

impl Passed {
    /// The process behind the request came through. Without a pidfd it cannot be remembered, and will be denied.
    pub(super) fn admit(&mut self, request: &Request) {
        if self.0.len() >= TIDY_AT {
            self.0.retain(|_, process| is_alive(process));
        }
        if let Some(Ok(held)) = request.pidfd().map(|pidfd| fcntl_dupfd_cloexec(pidfd, 0)) {
            self.0.insert(request.pid(), held);
        }
    }

    /// Whether the process, or the one that started it, came through.
    pub(super) fn came_through(&mut self, request: &Request, process: &Process) -> bool {
        [Some(request.pid()), process.parent()].into_iter().flatten().any(|pid| {
            let alive = self.0.get(&pid).is_some_and(is_alive);
            if !alive {
                self.0.remove(&pid);
            }
            alive
        })
    }
}

/// A pidfd becomes readable when its process ends.
fn is_alive(process: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut fds, Some(&now)), Ok(0))
}
