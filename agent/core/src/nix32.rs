//! Nix's base 32 ("nix32"): bytes to text and back, in the canonical spelling only.
//!
//! ```text
//! text  = digit*          ; ceil(8n / 5) digits for n bytes
//! digit = '0'..'9' | 'a'..'z' without 'e' 'o' 't' 'u'
//! ```
//!
//! The digit k places from the right carries bits 5k..5k+4 of the bytes read as one little-endian
//! number; whatever lies beyond the last byte must be zero. So a value has exactly one spelling.
//! Source: Nix manual, "Store Path Specification"; Nix `src/libutil/base-nix-32.cc`.
//!
//! Being the first module, it also holds [`Excerpt`], how every error here quotes hostile text.

use core::fmt;

/// The digits by value. `e`, `o`, `t` and `u` are left out.
pub const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// How many digits `bytes` bytes take.
pub const fn encoded_len(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// The one spelling of `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    let byte = |index: usize| bytes.get(index).copied().unwrap_or(0);
    (0..encoded_len(bytes.len()))
        .rev()
        .map(|digit| {
            let (index, shift) = (digit * 5 / 8, digit * 5 % 8);
            let window = u16::from_le_bytes([byte(index), byte(index + 1)]) >> shift;
            // The mask keeps the index inside the alphabet.
            ALPHABET.get(usize::from(window & 31)).map_or('0', |&digit| char::from(digit))
        })
        .collect()
}

/// The `N` bytes that [`encode`] writes as `text`.
pub fn decode<const N: usize>(text: &str) -> Result<[u8; N], Nix32Error> {
    if text.len() != encoded_len(N) {
        return Err(Nix32Error::Length { expected: encoded_len(N), found: text.len() });
    }
    let mut bytes = [0; N];
    for (place, digit) in text.bytes().rev().enumerate() {
        let value = ALPHABET
            .iter()
            .zip(0_u16..)
            .find_map(|(&known, value)| (known == digit).then_some(value))
            .ok_or(Nix32Error::Digit { position: text.len() - 1 - place })?;
        let (index, shift) = (place * 5 / 8, place * 5 % 8);
        let [low, high] = (value << shift).to_le_bytes();
        for (index, bits) in [(index, low), (index + 1, high)] {
            match bytes.get_mut(index) {
                Some(byte) => *byte |= bits,
                None if bits == 0 => {}
                None => return Err(Nix32Error::SpareBits),
            }
        }
    }
    Ok(bytes)
}

/// Why a text is not the nix32 spelling of that many bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nix32Error {
    /// A byte outside [`ALPHABET`]; upper case is outside.
    #[error("byte {position} is not a nix32 digit")]
    Digit {
        /// Where, counted from the left in bytes.
        position: usize,
    },
    /// Too short or too long.
    #[error("nix32 text has {found} bytes where {expected} are needed")]
    Length {
        /// What the number of bytes asks for.
        expected: usize,
        /// What the text has, in bytes.
        found: usize,
    },
    /// A second spelling of some other text: bits set beyond the last byte.
    #[error("nix32 text sets bits beyond its last byte")]
    SpareBits,
}

/// A bounded, escaped quotation of what an attacker may have written, fit for terminal and journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// Longest quotation, in characters; a whole store path with a usual name fits.
    pub const MAX_CHARS: usize = 80;

    /// Quotes the start of `text`, which need not be UTF-8.
    pub fn of(text: impl AsRef<[u8]>) -> Self {
        let pieces = text.as_ref().utf8_chunks().flat_map(|chunk| {
            let valid = chunk.valid().chars().map(|char| char.escape_debug().to_string());
            valid.chain(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")))
        });
        let (mut quotation, mut room) = (String::new(), Self::MAX_CHARS);
        for piece in pieces {
            let Some(left) = room.checked_sub(piece.chars().count()) else {
                quotation.push('…');
                break;
            };
            room = left;
            quotation.push_str(&piece);
        }
        Self(quotation)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_texts_are_refused() {
        use Nix32Error::{Digit, Length, SpareBits};
        for (text, error) in [
            ("", Length { expected: 4, found: 0 }),
            ("000", Length { expected: 4, found: 3 }),
            ("00000", Length { expected: 4, found: 5 }),
            ("0e00", Digit { position: 1 }),
            ("0A00", Digit { position: 1 }),
            ("000 ", Digit { position: 3 }),
            ("\u{e9}00", Digit { position: 1 }),
            ("000\0", Digit { position: 3 }),
            ("h000", SpareBits),
            ("z000", SpareBits),
        ] {
            assert_eq!(decode::<2>(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn known_texts() {
        assert_eq!(encode(b""), "");
        assert_eq!(decode::<0>(""), Ok([]));
        assert_eq!(encode(&[0xff, 0xff]), "1zzz");
        assert_eq!(encode(&[0x1f]), "0z");
        let hash = [
            0xfe, 0x1f, 0x66, 0xa4, 0xc6, 0xb1, 0x1b, 0x54, 0x1b, 0xa4, 0x64, 0xbd, 0xdb, 0x50,
            0xfa, 0xde, 0x46, 0x61, 0x79, 0x58,
        ];
        assert_eq!(decode(&encode(&hash)), Ok(hash));
        for (bytes, digits) in [(16, 26), (20, 32), (32, 52), (64, 103)] {
            assert_eq!(encoded_len(bytes), digits);
        }
    }

    #[test]
    fn excerpts_are_short_and_harmless() {
        for (text, quotation) in [
            (&b"plain"[..], "plain"),
            (b"\x1b[2J\n\"", r#"\u{1b}[2J\n\""#),
            ("\u{202e}gpj".as_bytes(), r"\u{202e}gpj"),
            (b"a\xff\xfeb", r"a\xff\xfeb"),
        ] {
            assert_eq!(Excerpt::of(text).to_string(), quotation);
        }
        let long = Excerpt::of("x".repeat(1 << 20)).to_string();
        assert_eq!(long.chars().count(), Excerpt::MAX_CHARS + 1);
        assert!(long.ends_with('…'));
        assert!(Excerpt::of([0; 4096]).to_string().chars().count() <= Excerpt::MAX_CHARS + 1);
    }

    proptest! {
        #[test]
        fn bytes_survive(bytes: [u8; 32]) {
            prop_assert_eq!(decode(&encode(&bytes)), Ok(bytes));
        }

        #[test]
        fn what_decodes_is_canonical(text in "[0-9a-z]{52}") {
            if let Ok(bytes) = decode::<32>(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = decode::<20>(&text);
            let _ = Excerpt::of(text);
        }
    }
}
