//! Whose signatures on a path are good.
//!
//! Signatures that are malformed or by keys nobody pinned are counted and otherwise ignored: every user who
//! may talk to the Nix daemon may add them (`AddSignatures`, since Nix 2.17), so they must never be a veto.

use crate::signature::Signatures;
use crate::trust::{KeyIndex, KeySet, Standing, TrustSet};
use jiff::Timestamp;

/// Who signed a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signers {
    /// Pinned keys with a good signature that counts now.
    pub valid: KeySet,
    /// Pinned keys with a good signature that does not count now, and why.
    pub lapsed: Vec<(KeyIndex, Standing)>,
    /// How many signatures under the name of a pinned key are not by it, or over something else.
    pub failed: u64,
    /// How many signatures are under names that no pinned key has.
    pub unknown: u64,
    /// How many are no signatures at all.
    pub malformed: u64,
}

/// Holds every signature against the pinned keys of its name.
#[must_use]
pub(super) fn signers(
    trust: &TrustSet,
    fingerprint: &str,
    signatures: &Signatures,
    now: Timestamp,
) -> Signers {
    let mut found = Signers { malformed: signatures.malformed, ..Signers::default() };
    let mut good = KeySet::EMPTY;
    for signature in &signatures.well_formed {
        let mut named = trust.keys().filter(|(_, key)| key.public.name() == signature.key_name());
        let Some(first) = named.next() else {
            found.unknown += 1;
            continue;
        };
        let by = std::iter::once(first)
            .chain(named)
            .find(|(_, key)| key.public.verifies(fingerprint.as_bytes(), signature));
        let Some((index, key)) = by else {
            found.failed += 1;
            continue;
        };
        if good.contains(index) {
            continue;
        }
        good.insert(index);
        match key.validity.standing(now) {
            Standing::Valid => found.valid.insert(index),
            lapsed @ (Standing::NotYetValid | Standing::Expired | Standing::Revoked) => {
                found.lapsed.push((index, lapsed));
            }
        }
    }
    found
}

impl Signers {
    /// The keys whose good signature does not count now.
    #[must_use]
    pub fn lapsed_keys(&self) -> KeySet {
        self.lapsed.iter().map(|(key, _)| *key).collect()
    }
}
