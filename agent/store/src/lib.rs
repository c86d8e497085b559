//! The Nix store on disk: its database read as claims, its trees read as evidence.
//!
//! Reading only. Nothing here decides anything: claims and evidence go to `narwarden-core`, which does.
//!
//! ```text
//! location ─► database ─► Closure ─────────┐
//!          ├► seal ─► measure ─► Measured ─┼─► judge ─► verdict
//!          └► resolve ─► agent ─► Agent ───┘
//! ```

pub mod agent;
pub mod database;
pub mod judge;
pub mod location;
pub mod measure;
pub mod resolve;
pub mod seal;
pub mod target;

pub use database::{Database, DatabaseError, ReadMode};
pub use judge::{Judged, judge, judge_sealed};
pub use location::Location;
pub use measure::{Lanes, Options, Pace, Progress, measure, measure_jobs};
pub use seal::{Belief, NoSeals, Seals, Shelf};
pub use target::{Target, TargetError};
