//! Waits that end.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// What takes longer hangs, on a host that others keep busy too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);

/// The status of a process that ends in time.
pub(crate) fn wait(child: &mut Child, what: &str) -> ExitStatus {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begin.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("hangs: {what}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until it is so, which must come in time.
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
