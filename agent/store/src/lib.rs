//! The Nix store on disk: its database read as claims, its trees read as evidence.
//!
//! Reading only. Nothing here decides anything: claims and evidence go to `narwarden-core`, which does.
//!
//! ```text
//! location ─► database ─► Closure ─┐
//!          └► measure ─► Measured ─┴─► judge ─► verdict
//! ```

pub mod database;
pub mod judge;
pub mod location;
pub mod measure;
pub mod target;

pub use database::{Database, DatabaseError, ReadMode};
pub use judge::{Judged, judge};
pub use location::Location;
pub use measure::{Lanes, Options, Pace, Progress, measure, measure_jobs};
pub use target::{Target, TargetError};
