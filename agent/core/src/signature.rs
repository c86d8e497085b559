//! Public keys and signatures of store paths.
//!
//! ```text
//! key       = name ":" base64( 32 bytes )
//! signature = name ":" base64( 64 bytes )
//! name      = 1*255 bytes without ":", white space or control characters
//! column    = [ signature ] ( " " [ signature ] )*  ; `sigs` in the database
//! ```
//!
//! Base64 is canonical and padded (RFC 4648 section 3.5). The scheme is Ed25519 (RFC 8032 section
//! 5.1) in its strict form, as in libsodium: no second encoding, no point of small order.
//!
//! Any user of the Nix daemon may add signatures to any path. A malformed one is therefore counted
//! and otherwise has no effect, least of all on the good ones beside it.
//! Source: Nix manual, "Store Object Signing"; Nix `src/libutil/signature/local-keys.cc`.

mod small_order;

use crate::nix32::Excerpt;
use core::fmt;
use data_encoding::BASE64;
use ed25519_dalek::VerifyingKey;

/// The name a key goes by in signatures, as a rule a host and a number: `cache.nixos.org-1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(Box<str>);

impl KeyName {
    /// Longest name, in bytes; Nix itself has no limit.
    pub const MAX_LEN: usize = 255;

    /// Reads a name.
    pub fn parse(name: &str) -> Result<Self, KeyNameError> {
        if name.is_empty() {
            Err(KeyNameError::Empty)
        } else if name.len() > Self::MAX_LEN {
            Err(KeyNameError::TooLong { name: Excerpt::of(name) })
        } else if name
            .contains(|char: char| char == ':' || char.is_whitespace() || char.is_control())
        {
            Err(KeyNameError::Character { name: Excerpt::of(name) })
        } else {
            Ok(Self(name.into()))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyName({:?})", self.0)
    }
}

/// A key that signatures can be made with, under one name.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: KeyName,
    key: VerifyingKey,
}

impl PublicKey {
    /// Reads `name:base64`.
    pub fn parse(text: &str) -> Result<Self, PublicKeyError> {
        let Some((name, encoded)) = text.split_once(':') else {
            return Err(PublicKeyError::NoColon { text: Excerpt::of(text) });
        };
        let name = KeyName::parse(name)?;
        let bytes = crate::hash::decode_base64(encoded).ok_or(PublicKeyError::NotBase64)?;
        let Ok(bytes) = <[u8; 32]>::try_from(bytes.as_slice()) else {
            return Err(PublicKeyError::Length { found: bytes.len() });
        };
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| PublicKeyError::NotAPoint)?;
        if key.is_weak() {
            return Err(PublicKeyError::Weak);
        }
        // RFC 8032 section 5.1.3 has one encoding of a point; decoding alone takes others too.
        if key.to_edwards().compress().to_bytes() != bytes {
            return Err(PublicKeyError::NotAPoint);
        }
        Ok(Self { name, key })
    }

    /// The name its signatures must carry.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The raw key. Two names for equal bytes are one key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether this key made `signature` over `message`, under its own name.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        let bytes = ed25519_dalek::Signature::from_bytes(&signature.bytes);
        self.name == signature.key_name && small_order::verifies(&self.key, message, &bytes)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, BASE64.encode(self.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// A signature and the name of the key that is said to have made it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature {
    key_name: KeyName,
    bytes: [u8; 64],
}

impl Signature {
    /// Reads `name:base64`.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let Some((name, encoded)) = text.split_once(':') else {
            return Err(SignatureError::NoColon { text: Excerpt::of(text) });
        };
        let key_name = KeyName::parse(name)?;
        let bytes = crate::hash::decode_base64(encoded).ok_or(SignatureError::NotBase64)?;
        let Ok(bytes) = <[u8; 64]>::try_from(bytes.as_slice()) else {
            return Err(SignatureError::UnsupportedLength { found: bytes.len() });
        };
        Ok(Self { key_name, bytes })
    }

    /// Whose key is said to have made it.
    pub const fn key_name(&self) -> &KeyName {
        &self.key_name
    }

    /// The raw signature.
    pub const fn to_bytes(&self) -> [u8; 64] {
        self.bytes
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.key_name, BASE64.encode(&self.bytes))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

/// The signatures attached to a path: claims, none of them verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signatures {
    /// Those worth trying, sorted, each once.
    pub well_formed: Vec<Signature>,
    /// How many others there were.
    pub malformed: u64,
}

impl Signatures {
    /// Reads the `sigs` column of the database. Only a space separates.
    pub fn parse_column(text: &str) -> Self {
        text.split(' ').filter(|token| !token.is_empty()).collect()
    }
}

impl<'a> FromIterator<&'a str> for Signatures {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        let mut signatures = Self::default();
        for text in texts {
            match Signature::parse(text) {
                Ok(signature) => signatures.well_formed.push(signature),
                Err(_) => signatures.malformed = signatures.malformed.saturating_add(1),
            }
        }
        signatures.well_formed.sort_unstable();
        signatures.well_formed.dedup();
        signatures
    }
}

/// Why a text cannot name a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyNameError {
    /// A colon, white space or control character, which no signature could carry.
    #[error("the key name \"{name}\" has a colon, white space or control character")]
    Character {
        /// The name.
        name: Excerpt,
    },
    /// No text at all.
    #[error("the key name is empty")]
    Empty,
    /// More than [`KeyName::MAX_LEN`] bytes.
    #[error("the key name \"{name}\" is too long")]
    TooLong {
        /// The name.
        name: Excerpt,
    },
}

/// Why a text is not a public key to be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Another kind of key, or a secret one.
    #[error("an ed25519 public key has 32 bytes, not {found}")]
    Length {
        /// The bytes encoded.
        found: usize,
    },
    /// The name is not one.
    #[error(transparent)]
    Name(#[from] KeyNameError),
    /// Nothing says where the name ends.
    #[error("the public key \"{text}\" has no colon")]
    NoColon {
        /// The text.
        text: Excerpt,
    },
    /// No point of the curve, or not in its one encoding: nobody's key.
    #[error("the public key is not the encoding of a curve point")]
    NotAPoint,
    /// The key is not base64, or not canonical base64.
    #[error("the public key is not canonical base64")]
    NotBase64,
    /// A point of small order: everybody can make its signatures.
    #[error("the public key is weak: its signatures can be made by anyone")]
    Weak,
}

/// Why a text is not a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The name is not one.
    #[error(transparent)]
    Name(#[from] KeyNameError),
    /// Nothing says where the name ends.
    #[error("the signature \"{text}\" has no colon")]
    NoColon {
        /// The text.
        text: Excerpt,
    },
    /// The signature is not base64, or not canonical base64.
    #[error("the signature is not canonical base64")]
    NotBase64,
    /// Of another scheme than Ed25519, perhaps a post-quantum one, or truncated.
    #[error("an ed25519 signature has 64 bytes, not {found}")]
    UnsupportedLength {
        /// The bytes encoded.
        found: usize,
    },
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    // RFC 8032 section 7.1, TEST 2.
    const KEY: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const MESSAGE: &[u8] = &[0x72];
    const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
    /// The order of the group, little-endian.
    const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    fn key(name: &str, hex: &str) -> Result<PublicKey, PublicKeyError> {
        PublicKey::parse(&format!("{name}:{}", BASE64.encode(&bytes::<32>(hex))))
    }

    fn signature(name: &str, bytes: [u8; 64]) -> Signature {
        Signature::parse(&format!("{name}:{}", BASE64.encode(&bytes))).unwrap()
    }

    #[test]
    fn keys_nobody_or_everybody_has() {
        use PublicKeyError::{NotAPoint, Weak};
        let f = "f".repeat(60);
        for (hex, error) in [
            // Orders 1, 2, 4 and 8.
            (format!("01{}", "0".repeat(62)), Weak),
            (format!("ec{f}7f"), Weak),
            ("0".repeat(64), Weak),
            ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05".into(), Weak),
            // y = 2 is not on the curve; y = p + 3 is a second spelling of one that is.
            (format!("02{}", "0".repeat(62)), NotAPoint),
            (format!("f0{f}7f"), NotAPoint),
        ] {
            assert_eq!(key("k", &hex), Err(error), "{hex}");
        }
        assert!(key("k", &format!("03{}", "0".repeat(62))).is_ok());
    }

    #[test]
    fn hostile_texts_are_refused() {
        use KeyNameError::{Character, Empty, TooLong};
        let good = BASE64.encode(&bytes::<64>(SIGNATURE));
        let quote = |name: &str| Excerpt::of(name);
        let (long, ml_dsa) = ("n".repeat(256), BASE64.encode(&[0; 2420]));
        for (text, error) in [
            ("".into(), SignatureError::NoColon { text: quote("") }),
            (good.clone(), SignatureError::NoColon { text: quote(&good) }),
            (format!(":{good}"), Empty.into()),
            (format!(" :{good}"), Character { name: quote(" ") }.into()),
            (format!("a\u{2003}b:{good}"), Character { name: quote("a\u{2003}b") }.into()),
            (format!("a\x1b:{good}"), Character { name: quote("a\x1b") }.into()),
            (format!("{long}:{good}"), TooLong { name: quote(&long) }.into()),
            (format!("k:{good}\n"), SignatureError::NotBase64),
            (format!("k:k:{good}"), SignatureError::NotBase64),
            (format!("k:{}", good.trim_end_matches('=')), SignatureError::NotBase64),
            (format!("k:{}", good.replace("AA==", "AB==")), SignatureError::NotBase64),
            ("k:".into(), SignatureError::UnsupportedLength { found: 0 }),
            (format!("k:{ml_dsa}"), SignatureError::UnsupportedLength { found: 2420 }),
        ] {
            assert_eq!(Signature::parse(&text), Err(error), "{text:?}");
        }
        for text in ["", "k", "k:", ":AAAA", "k:====", "k k:AAAA", &format!("k:{good}")] {
            assert!(PublicKey::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_the_signature_itself_verifies() {
        let (key, good) = (key("k", KEY).unwrap(), bytes::<64>(SIGNATURE));
        assert!(key.verifies(MESSAGE, &signature("k", good)));
        assert!(!key.verifies(MESSAGE, &signature("K", good)));
        assert!(!key.verifies(b"", &signature("k", good)));
        for bit in 0..512 {
            let mut flipped = good;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verifies(MESSAGE, &signature("k", flipped)), "bit {bit}");
        }
        // The scalar plus the group order satisfies the equation too.
        let (mut malleated, mut carry) = (good, 0);
        for (byte, order) in malleated[32..].iter_mut().zip(bytes::<32>(ORDER)) {
            carry += u16::from(*byte) + u16::from(order);
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        assert!(!key.verifies(MESSAGE, &signature("k", malleated)));
    }

    #[test]
    fn junk_in_a_column_is_only_counted() {
        let [one, other] = [signature("a", [1; 64]), signature("b", [2; 64])];
        for (column, well_formed, malformed) in [
            (String::new(), vec![], 0),
            ("   ".into(), vec![], 0),
            (format!("{other} {one}  {other} "), vec![one.clone(), other.clone()], 0),
            (format!("x {one} :y a:AAAA x"), vec![one.clone()], 4),
            (format!("{one}\n{other}"), vec![], 1),
            (format!("{one} {other}\r"), vec![one], 1),
        ] {
            assert_eq!(Signatures::parse_column(&column), Signatures { well_formed, malformed });
        }
    }

    proptest! {
        #[test]
        fn signatures_survive(name in "[!-9;-~]{1,255}", half: [u8; 32]) {
            let bytes: [u8; 64] = [half, half].concat().try_into().unwrap();
            let signature = signature(&name, bytes);
            prop_assert_eq!(signature.to_bytes(), bytes);
            prop_assert_eq!(signature.key_name().as_str(), name);
            prop_assert_eq!(Signature::parse(&signature.to_string()), Ok(signature));
        }

        #[test]
        fn no_text_panics(text: String, key: [u8; 32]) {
            let _ = Signatures::parse_column(&text);
            let _ = PublicKey::parse(&text);
            if let Ok(key) = PublicKey::parse(&format!("k:{}", BASE64.encode(&key))) {
                prop_assert_eq!(PublicKey::parse(&key.to_string()), Ok(key));
            }
        }
    }
}
