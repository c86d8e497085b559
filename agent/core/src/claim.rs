//! What the Nix database says about a path: where to look, and nothing more.
//!
//! `ultimate`, `deriver`, `registrationTime` and realisations are not here: no verdict may depend on them.

use crate::content_address::ContentAddress;
use crate::hash::NarHash;
use crate::signature::Signatures;
use crate::store_path::StorePath;

/// One row of `ValidPaths`, as far as it could be read.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The path that the row is about.
    pub path: StorePath,
    /// The NAR hash it claims.
    pub nar_hash: Option<NarHash>,
    /// The size of the NAR in bytes; `None` for a row of an ancient Nix that did not know.
    pub nar_size: Option<u64>,
    /// The content address it claims.
    pub content_address: Option<ContentAddress>,
    /// The signatures it carries, by whomever.
    pub signatures: Signatures,
    /// What in the row is not what Nix writes.
    pub defects: Vec<Defect>,
}

/// A column that does not hold what Nix writes there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// The column.
    pub column: &'static str,
    /// What is wrong with it; any of the row's own text in it is escaped and cut short.
    pub problem: String,
}
