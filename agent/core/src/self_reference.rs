//! The hash of a path modulo itself: what a self-referential content address commits to.
//!
//! Every occurrence of the path's own hash part in the stream, left to right and without overlap,
//! is read as 32 NUL bytes. Two definitions are in use:
//!
//! ```text
//! strict = hash( replaced-stream ( "|" offset )* )  ; decimal, ascending; Nix to 2.16, from 2.35
//! legacy = hash( replaced-stream )                  ; Nix 2.17 to 2.34, Lix
//! ```
//!
//! Legacy is not binding: occurrences and NULs can be swapped under it without a trace. Without any
//! occurrence both are the plain hash.
//! Source: Nix manual, "Store Object Content Addressing", self-references; Nix
//! `src/libstore/references.cc`; release notes of Nix 2.35.

use core::mem;

use crate::hash::{Algorithm, Hash, Hasher};
use crate::sink::ByteSink;

/// How many offsets are kept, 16 MiB of them; a stream may have one in every 32 bytes.
const MAX_OFFSETS: usize = 1 << 21;

/// Hashes a stream modulo the occurrences of one hash part.
#[derive(Clone, Debug)]
pub struct SelfReferenceHasher {
    needle: Box<[u8]>,
    zeros: Box<[u8]>,
    /// By the last byte of a window: how far the next window that can match is (Horspool).
    shifts: Box<[usize; 256]>,
    /// The end of the stream so far, shorter than the needle: an occurrence may start in it.
    tail: Vec<u8>,
    hasher: Hasher,
    /// Bytes before `tail`.
    hashed: u64,
    offsets: Vec<u64>,
    occurrences: u64,
}

/// What a stream hashes to, modulo the occurrences of one hash part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modulo {
    /// With the offsets; nothing if there were too many to keep, and then nothing is proven.
    pub strict: Option<Hash>,
    /// Without the offsets.
    pub legacy: Hash,
    /// How many occurrences were found.
    pub occurrences: u64,
}

impl SelfReferenceHasher {
    /// Looks for `hash_part`, that of the path to which the stream belongs.
    pub fn new(hash_part: &str, algorithm: Algorithm) -> Self {
        let needle: Box<[u8]> = hash_part.as_bytes().into();
        let mut shifts = Box::new([needle.len(); 256]);
        // From left to right, so that the last place of a byte decides.
        for (&byte, shift) in needle.iter().zip((1..needle.len()).rev()) {
            if let Some(slot) = shifts.get_mut(usize::from(byte)) {
                *slot = shift;
            }
        }
        Self {
            zeros: vec![0; needle.len()].into(),
            tail: Vec::with_capacity(2 * needle.len()),
            needle,
            shifts,
            hasher: Hasher::new(algorithm),
            hashed: 0,
            offsets: Vec::new(),
            occurrences: 0,
        }
    }

    /// The hashes of everything written.
    pub fn finish(mut self) -> Modulo {
        self.hasher.write(&self.tail);
        let legacy = self.hasher.clone().finish();
        let complete = self.offsets.len() as u64 == self.occurrences;
        let strict = complete.then(|| {
            for offset in &self.offsets {
                self.hasher.write(format!("|{offset}").as_bytes());
            }
            self.hasher.finish()
        });
        Modulo { strict, legacy, occurrences: self.occurrences }
    }

    /// Hashes `text` up to where an occurrence could still start, and returns the rest.
    fn advance<'a>(&mut self, mut text: &'a [u8]) -> &'a [u8] {
        while let Some(start) = self.find(text) {
            let (before, rest) = text.split_at_checked(start).unwrap_or((text, &[]));
            self.hash(before);
            if self.offsets.len() < MAX_OFFSETS {
                self.offsets.push(self.hashed);
            }
            self.occurrences = self.occurrences.saturating_add(1);
            self.hasher.write(&self.zeros);
            self.hashed = self.hashed.saturating_add(self.needle.len() as u64);
            text = rest.get(self.needle.len()..).unwrap_or_default();
        }
        let decided = (text.len() + 1).saturating_sub(self.needle.len()).min(text.len());
        let (before, rest) = text.split_at_checked(decided).unwrap_or((text, &[]));
        self.hash(before);
        rest
    }

    fn hash(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
        self.hashed = self.hashed.saturating_add(bytes.len() as u64);
    }

    /// Where the needle first occurs.
    fn find(&self, text: &[u8]) -> Option<usize> {
        let last = self.needle.len().checked_sub(1)?;
        let mut start = 0;
        loop {
            let byte = *text.get(start + last)?;
            if self.needle.last() == Some(&byte)
                && text.get(start..=start + last) == Some(&self.needle)
            {
                return Some(start);
            }
            start += self.shifts.get(usize::from(byte)).copied().unwrap_or(1);
        }
    }
}

impl ByteSink for SelfReferenceHasher {
    fn write(&mut self, mut bytes: &[u8]) {
        if !self.tail.is_empty() {
            // Decide every start in the tail; that takes less than another needle of new bytes.
            let old = self.tail.len();
            let mut seam = mem::take(&mut self.tail);
            let reach = self.needle.len().saturating_sub(1);
            seam.extend_from_slice(bytes.get(..reach).unwrap_or(bytes));
            let decided = seam.len() - self.advance(&seam).len();
            if let Some(eaten) = decided.checked_sub(old) {
                seam.clear();
                bytes = bytes.get(eaten..).unwrap_or_default();
            } else {
                // The seam took all the new bytes, and it is still too short.
                seam.drain(..decided);
                bytes = &[];
            }
            self.tail = seam;
        }
        if !bytes.is_empty() {
            let rest = self.advance(bytes);
            self.tail.extend_from_slice(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEEDLE: &str = "0123456789abcdfghijklmnpqrsvwxyz";
    /// Overlaps with itself at every distance.
    const RUN: &str = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";
    /// Overlaps with itself at every second distance.
    const PAIRS: &str = "azazazazazazazazazazazazazazazaz";

    fn modulo<'a>(needle: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Modulo {
        let mut hasher = SelfReferenceHasher::new(needle, Algorithm::Sha256);
        pieces.into_iter().for_each(|piece| hasher.write(piece));
        hasher.finish()
    }

    /// The definition, one byte at a time.
    fn oracle(needle: &str, text: &[u8]) -> Modulo {
        let (mut replaced, mut suffix, mut offset, mut occurrences) = (vec![], String::new(), 0, 0);
        while offset < text.len() {
            if text[offset..].starts_with(needle.as_bytes()) {
                suffix += &format!("|{offset}");
                replaced.extend([0; 32]);
                offset += 32;
                occurrences += 1;
            } else {
                replaced.push(text[offset]);
                offset += 1;
            }
        }
        let hash = |bytes: &[u8]| {
            let mut hasher = Hasher::new(Algorithm::Sha256);
            hasher.write(bytes);
            hasher.finish()
        };
        let legacy = hash(&replaced);
        replaced.extend(suffix.bytes());
        Modulo { strict: Some(hash(&replaced)), legacy, occurrences }
    }

    #[test]
    fn found_across_every_cut() {
        for needle in [NEEDLE, RUN, PAIRS] {
            let text = format!("zz{needle}a{needle}{needle}{}z{needle}az", &needle[..31]);
            let text = text.as_bytes();
            let expected = oracle(needle, text);
            assert!(expected.occurrences >= 4);
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let pieces = [&text[..first], &text[first..second], &text[second..]];
                    assert_eq!(modulo(needle, pieces), expected, "{needle} {first} {second}");
                }
            }
            for size in 1..text.len() {
                assert_eq!(modulo(needle, text.chunks(size)), expected, "{needle} {size}");
            }
        }
    }

    #[test]
    fn legacy_does_not_bind_but_strict_does() {
        let zeros = [0; 32];
        let [one, other] = [
            modulo(NEEDLE, [NEEDLE.as_bytes(), &zeros]),
            modulo(NEEDLE, [&zeros, NEEDLE.as_bytes()]),
        ];
        assert_eq!(one.legacy, other.legacy);
        assert_ne!(one.strict, other.strict);
    }

    #[test]
    fn no_occurrence_is_the_plain_hash() {
        for text in [&b""[..], b"x", &NEEDLE.as_bytes()[1..], &[0; 100]] {
            let found = modulo(NEEDLE, [text]);
            assert_eq!(found.strict, Some(found.legacy));
            assert_eq!(found.legacy.as_bytes(), crate::hash::sha256(text));
        }
        assert_eq!(modulo("", [&b"x"[..], b"y"]).legacy.as_bytes(), crate::hash::sha256(b"xy"));
    }

    #[test]
    fn too_many_offsets_prove_nothing() {
        let many = NEEDLE.repeat(1 << 10);
        let mut hasher = SelfReferenceHasher::new(NEEDLE, Algorithm::Sha256);
        for _ in 0..MAX_OFFSETS >> 10 {
            hasher.write(many.as_bytes());
        }
        assert!(hasher.clone().finish().strict.is_some());
        hasher.write(NEEDLE.as_bytes());
        let found = hasher.finish();
        assert_eq!((found.strict, found.occurrences), (None, MAX_OFFSETS as u64 + 1));
    }

    proptest! {
        #[test]
        fn same_as_the_definition(
            pick in 0..3_usize,
            parts in prop::collection::vec((0..4_u8, 0..40_usize), 0..12),
            cuts in prop::collection::vec(0..500_usize, 0..6),
        ) {
            let needle = [NEEDLE, RUN, PAIRS][pick];
            let text: Vec<u8> = parts.iter().flat_map(|&(kind, len)| match kind {
                0 => needle.as_bytes().to_vec(),
                1 => needle.as_bytes()[..len.min(32)].to_vec(),
                2 => b"z".repeat(len),
                _ => vec![0; len],
            }).collect();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]);
            prop_assert_eq!(modulo(needle, pieces), oracle(needle, &text));
        }
    }
}
