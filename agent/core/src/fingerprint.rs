//! The string that signatures of a store path are made over.
//!
//! ```text
//! fingerprint = "1;" path ";sha256:" nix32(narHash) ";" narSize ";" [ path ( "," path )* ]
//! ```
//!
//! The last part is the references: full paths, the path itself among them if it refers to itself,
//! each once and sorted bytewise. Nothing else is signed: not the deriver, the `ca`, a file's owner
//! or any mode but the executable bit.
//! Source: Nix manual, "Store Object Signing"; Nix `src/libstore/path-info.cc`.

use core::num::NonZeroU64;

use crate::hash::NarHash;
use crate::store_path::StorePath;

/// The fingerprint of a path. `references` may come in any order, and more than once.
///
/// Nix signs nothing of unknown size, which it stores as 0.
pub fn fingerprint(
    path: &StorePath,
    nar_hash: &NarHash,
    nar_size: NonZeroU64,
    references: &[StorePath],
) -> String {
    let mut sorted: Vec<_> = references.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    let references: Vec<_> = sorted.into_iter().map(StorePath::to_string).collect();
    format!("1;{path};{nar_hash};{nar_size};{}", references.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(base_name: &str) -> StorePath {
        StorePath::from_base_name(base_name).unwrap()
    }

    #[test]
    fn references_are_a_sorted_set() {
        let [a, b] = ["0", "1"].map(|digit| path(&format!("{}-n", digit.repeat(32))));
        let print = |references: &[StorePath]| {
            let hash = NarHash::from_bytes([0; 32]);
            fingerprint(&a, &hash, NonZeroU64::MIN, references)
        };
        let zeros = "0".repeat(52);
        assert_eq!(print(&[]), format!("1;{a};sha256:{zeros};1;"));
        assert_eq!(print(core::slice::from_ref(&b)), format!("1;{a};sha256:{zeros};1;{b}"));
        let both = format!("1;{a};sha256:{zeros};1;{a},{b}");
        assert_eq!(print(&[b.clone(), a.clone(), b.clone()]), both);
        assert_eq!(print(&[a.clone(), b]), both);
    }
}
