//! D15: which rows a reader sees while others write, and what it says where it may not see them.
//!
//! The matrix is that of SQLite's WAL mode (wal.html, "Read-Only Databases"): who reads, and which of `-wal` and
//! `-shm` are there. What another user sees is tested by this program run again as one; without root, by a
//! directory that its owner may not write to either.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the support")]

mod support;

#[path = "database/concurrent.rs"]
mod concurrent;
#[path = "database/hostile.rs"]
mod hostile;
#[path = "database/limits.rs"]
mod limits;
#[path = "database/matrix.rs"]
mod matrix;
#[path = "database/size.rs"]
mod size;
