//! The rules of narwarden, and nothing but the rules.
//!
//! Everything here is a function of its arguments: no file, clock, environment, thread or network is
//! touched, so every decision can be tested from a table. Bytes and the time come in from outside.
//!
//! ```text
//! trust + policy ─┐
//! closure ────────┴─► plan ─► (measure) ─evidence─► verify ─judgements─► verdict ─► report
//! ```
//!
//! The modules stand in the order of that flow; none imports from one further down.

// Formats: what Nix writes, parsed once and printed back the same.
pub mod content_address;
pub mod fingerprint;
pub mod git_object;
pub mod hash;
pub mod nar;
pub mod narinfo;
pub mod nix32;
pub mod self_reference;
pub mod signature;
pub mod sink;
pub mod store_path;

// What an operator pins.
pub mod diagnostic;
pub mod moment;
pub mod policy;
pub mod requirement;
pub mod trust;

// What a store claims, and what is found out about it.
pub mod agent;
pub mod claim;
pub mod closure;
pub mod evidence;
pub mod metadata;
pub mod plan;
pub mod reason;
pub mod report;
pub mod verdict;
pub mod verify;

// What operators see of it: the journal, the warden's socket, and the chain of receipts.
pub mod event;
pub mod interface;
pub mod receipt;
