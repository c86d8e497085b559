//! Every attack of the threat model that is decided from bytes and claims: who is denied, for what, and that
//! the same store is admitted once the defence is taken out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod addresses;
mod demonstration;
mod disk;
mod metadata;
mod references;
mod root;
mod rows;
mod signatures;
mod writers;
