//! The daemon itself, with real marks, against the attacks of rows G01 to G17 of the threat model.
//!
//! Needs root and fanotify(7), and says so where it skips. Each test runs in a mount and a process namespace of its
//! own, below a tmpfs that nothing else uses, and marks nothing else: what goes wrong hangs nobody, and for a
//! bounded time. The parts that stand for the journal and the service manager are threads here.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "what a test does not expect ends it"
)]

#[path = "live/activation.rs"]
mod activation;
#[path = "live/admission.rs"]
mod admission;
#[path = "live/death.rs"]
mod death;
#[path = "live/host.rs"]
mod host;
#[path = "live/inodes.rs"]
mod inodes;
#[path = "live/links.rs"]
mod links;
#[path = "live/load.rs"]
mod load;
#[path = "live/manager.rs"]
mod manager;
#[path = "live/patience.rs"]
mod patience;
#[path = "live/profiles.rs"]
mod profiles;
#[path = "live/system.rs"]
mod system;
