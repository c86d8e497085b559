//! Store paths: their text, and how one follows from what it commits to.
//!
//! ```text
//! path      = "/nix/store/" base-name
//! base-name = hash-part "-" name
//! hash-part = 32 nix32 digits                                    ; 20 bytes
//! name      = 1*211 ( 'A'..'Z' | 'a'..'z' | '0'..'9' | '+' | '-' | '.' | '_' | '?' | '=' )
//!             ; but not "." or "..", nor starting ".-" or "..-"
//!
//! hash-part = nix32( compress( sha256( kind ":sha256:" hex(inner) ":/nix/store:" name ) ) )
//! ```
//!
//! `compress` folds 32 bytes to 20: byte i is combined with byte i mod 20 by exclusive or.
//! Source: Nix manual, "Complete Store Path Calculation"; Nix `src/libstore/path.cc`,
//! `store-dir-config.cc`.

use core::fmt;
use std::sync::Arc;

use data_encoding::HEXLOWER;

use crate::hash;
use crate::nix32::{self, Excerpt, Nix32Error};

/// The store directory of every NixOS system. It is hashed into each path, so it is no setting.
pub const STORE_DIR: &str = "/nix/store";

/// Digits of a hash part.
const HASH_PART_LEN: usize = nix32::encoded_len(20);
/// Longest name, such that `<base-name>.chroot` and the like still fit in `NAME_MAX`.
const MAX_NAME_LEN: usize = 211;

/// A path directly below [`STORE_DIR`]. Ordered bytewise by its text, as Nix sorts references.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath {
    // First, for the derived order; the hash only repeats its start.
    base_name: Arc<str>,
    hash: [u8; 20],
}

impl StorePath {
    /// Reads a full path, with nothing after the base name, not even a slash.
    pub fn parse(full: &str) -> Result<Self, StorePathError> {
        full.strip_prefix(STORE_DIR)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| StorePathError::NotInStore { path: Excerpt::of(full) })
            .and_then(Self::from_base_name)
    }

    /// Reads what follows `/nix/store/`.
    pub fn from_base_name(base_name: &str) -> Result<Self, StorePathError> {
        let Some((hash_part, name)) = base_name
            .split_at_checked(HASH_PART_LEN)
            .and_then(|(hash_part, rest)| Some((hash_part, rest.strip_prefix('-')?)))
        else {
            return Err(StorePathError::NoHashPart { base_name: Excerpt::of(base_name) });
        };
        let hash = nix32::decode(hash_part).map_err(|error| StorePathError::HashPart {
            base_name: Excerpt::of(base_name),
            error,
        })?;
        check_name(name)?;
        Ok(Self { base_name: base_name.into(), hash })
    }

    /// The path of `name` that commits to `inner` in the way `kind` says.
    pub fn make(kind: &str, inner: &[u8; 32], name: &str) -> Result<Self, StorePathError> {
        check_name(name)?;
        let inner = HEXLOWER.encode(inner);
        let long = hash::sha256(format!("{kind}:sha256:{inner}:{STORE_DIR}:{name}").as_bytes());
        let mut hash = [0; 20];
        for part in long.chunks(hash.len()) {
            hash.iter_mut().zip(part).for_each(|(folded, byte)| *folded ^= byte);
        }
        Ok(Self { base_name: format!("{}-{name}", nix32::encode(&hash)).into(), hash })
    }

    /// What follows `/nix/store/`.
    pub fn base_name(&self) -> &str {
        &self.base_name
    }

    /// The 32 digits that self-references are searched by.
    pub fn hash_part(&self) -> &str {
        self.base_name.get(..HASH_PART_LEN).unwrap_or_default()
    }

    /// The hash part, decoded.
    pub const fn hash_bytes(&self) -> [u8; 20] {
        self.hash
    }

    /// What follows the hash part and its dash.
    pub fn name(&self) -> &str {
        self.base_name.get(HASH_PART_LEN + 1..).unwrap_or_default()
    }

    /// Whether Nix takes the path for a derivation, which goes by the name alone.
    pub fn is_derivation(&self) -> bool {
        self.name().ends_with(".drv")
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{STORE_DIR}/{}", self.base_name)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StorePath({self})")
    }
}

fn check_name(name: &str) -> Result<(), StorePathError> {
    let excerpt = || Excerpt::of(name);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte);
    if name.is_empty() {
        Err(StorePathError::NameEmpty)
    } else if name.len() > MAX_NAME_LEN {
        Err(StorePathError::NameTooLong { name: excerpt() })
    } else if !name.bytes().all(allowed) {
        Err(StorePathError::NameCharacter { name: excerpt() })
    } else if matches!(name.split('-').next(), Some("." | "..")) {
        Err(StorePathError::NameDots { name: excerpt() })
    } else {
        Ok(())
    }
}

/// Why a text is not a store path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorePathError {
    /// The first 32 characters are not nix32.
    #[error("\"{base_name}\" does not start with a hash: {error}")]
    HashPart {
        /// The base name.
        base_name: Excerpt,
        /// What is wrong with its hash part.
        error: Nix32Error,
    },
    /// A character outside the set of the grammar.
    #[error("the store path name \"{name}\" has a character that nix does not allow")]
    NameCharacter {
        /// The name.
        name: Excerpt,
    },
    /// `.`, `..`, or a name starting with one of them and a dash.
    #[error("the store path name \"{name}\" starts with a reserved dot component")]
    NameDots {
        /// The name.
        name: Excerpt,
    },
    /// Nothing after the dash.
    #[error("the store path has an empty name")]
    NameEmpty,
    /// More than 211 characters.
    #[error("the store path name \"{name}\" is longer than {MAX_NAME_LEN} characters")]
    NameTooLong {
        /// The name.
        name: Excerpt,
    },
    /// Too short for a hash, or no dash after it.
    #[error("\"{base_name}\" is not a hash, a dash and a name")]
    NoHashPart {
        /// The base name.
        base_name: Excerpt,
    },
    /// Not below the store directory.
    #[error("\"{path}\" is not below {STORE_DIR}")]
    NotInStore {
        /// The path.
        path: Excerpt,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASH: &str = "g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q";

    #[test]
    fn hostile_paths_are_refused() {
        let long = format!("{HASH}-{}", "x".repeat(212));
        for base_name in [
            "",
            "-",
            "-x",
            HASH,
            "g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3-x",
            "g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q_x",
            "g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3\u{e9}-x",
            "e1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-x",
            "G1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-x",
            &long,
        ] {
            assert!(StorePath::from_base_name(base_name).is_err(), "{base_name:?}");
        }
        for name in
            ["", ".", "..", ".-", ".-x", "..-", "..-x", "a/b", "a/", "a b", "a\n", "a\0", "ä", "a~"]
        {
            assert!(StorePath::from_base_name(&format!("{HASH}-{name}")).is_err(), "{name:?}");
            assert!(StorePath::make("source", &[0; 32], name).is_err(), "{name:?}");
        }
        for full in ["", "/", "/nix/store", "/nix/store/", "nix/store/H-x", "/nix/store//H-x"]
            .into_iter()
            .chain(["/nix/storeH-x", "/nix/store/H-x/", "/nix/store/H-x/bin", "/gnu/store/H-x"])
            .chain(["/nix/store/../store/H-x", " /nix/store/H-x", "/nix/store/H-x\n", "H-x"])
        {
            assert!(StorePath::parse(&full.replace('H', HASH)).is_err(), "{full:?}");
        }
    }

    #[test]
    fn parts_of_a_path() {
        let path = StorePath::parse(&format!("{STORE_DIR}/{HASH}-foo-1.0+b?=_.drv")).unwrap();
        assert_eq!(path.hash_part(), HASH);
        assert_eq!(path.name(), "foo-1.0+b?=_.drv");
        assert_eq!(nix32::encode(&path.hash_bytes()), HASH);
        assert!(path.is_derivation());
        for name in [".x", "...", "...-x", "..x", "-", "--", &"x".repeat(211)] {
            let path = StorePath::from_base_name(&format!("{HASH}-{name}")).unwrap();
            assert_eq!(path.name(), name);
            assert!(!path.is_derivation());
        }
    }

    #[test]
    fn order_is_that_of_the_text() {
        // In the bytes of the hash, the rightmost digit would decide.
        let texts = ["01000000000000000000000000000000-a", "10000000000000000000000000000000-a"];
        let [one, other] = texts.map(|text| StorePath::from_base_name(text).unwrap());
        assert!(one < other && one.hash_bytes() > other.hash_bytes());
    }

    proptest! {
        #[test]
        fn made_paths_survive(inner: [u8; 32], name in "[A-Za-z0-9+_?=][A-Za-z0-9+._?=-]{0,210}") {
            let path = StorePath::make("source", &inner, &name).unwrap();
            prop_assert_eq!(StorePath::parse(&path.to_string()), Ok(path.clone()));
            prop_assert_eq!(path.name(), name);
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = StorePath::parse(&format!("{STORE_DIR}/{text}"));
        }
    }
}
