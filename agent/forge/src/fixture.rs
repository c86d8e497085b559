//! Fixtures: small closures that exist as text only, to test a policy with. The format is `docs/policy-test.md`.
//!
//! ```text
//! trust set ─► stand-in keys ──┐
//! fixture ─► closure, claims ──┴─► plan ─► (what the fixture says was measured) ─► verify ─► verdict
//! ```
//!
//! Only the measuring is made up: plan, signatures, verify and verdict are those of a host. Since nobody has the
//! secret halves of the pinned keys at hand, throw-away keys stand in for them. So a fixture tests rules, and not
//! that the right public key was pinned.

mod address;
mod build;
mod document;
mod expect;
mod judge;
mod names;
mod stand_in;
#[cfg(test)]
mod tests;

pub use expect::{Expected, Place};
pub use judge::{Observed, Outcome, Use};
pub use stand_in::{StandIns, TrustTexts};

use address::Address;
use document::Found;
use jiff::Timestamp;
use narwarden_core::closure::Closure;
use narwarden_core::hash::NarHash;
use narwarden_core::metadata::Deviation;

/// A closure, what is measured of it, and what must come of that.
#[derive(Debug)]
pub struct Fixture {
    about: String,
    now: Timestamp,
    closure: Closure,
    /// In the order of the closure's claims.
    paths: Vec<Made>,
    expected: Expected,
}

/// A path of the closure, with what its measuring comes to.
#[derive(Debug)]
struct Made {
    label: String,
    contents: Contents,
    address: Option<Address>,
    found: Found,
    deviations: Vec<Deviation>,
}

/// What a path's bytes are, and what they become.
#[derive(Clone, Copy, Debug)]
struct Contents {
    /// What its signers saw.
    signed: NarHash,
    /// Anything else.
    other: NarHash,
}

impl Fixture {
    /// How many paths a closure may have: whoever needs more tests something else than a policy.
    pub const MOST_PATHS: usize = 256;
    /// How many signatures all paths may carry together: each is verified once for every demand of the policy.
    pub const MOST_SIGNATURES: usize = 1024;
    /// How long the file may be, in bytes.
    pub const LONGEST: u64 = 64 << 10;

    /// What it is about, in its author's words.
    #[must_use]
    pub fn about(&self) -> &str {
        &self.about
    }

    /// The moment that it is judged at.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// What must come of it.
    #[must_use]
    pub fn expected(&self) -> &Expected {
        &self.expected
    }

    /// The store path that `place` stands for: the toplevel's for the whole, none for one without a row.
    #[must_use]
    pub fn store_path(&self, place: &Place) -> Option<String> {
        let Place::Path(label) = place else { return Some(self.closure.toplevel().to_string()) };
        let at = self.paths.iter().position(|path| path.label == *label)?;
        let (_, claim) = self.closure.claims().nth(at)?;
        Some(claim.path.to_string())
    }
}
