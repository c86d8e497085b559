//! The state of one stream, and its end: padding and digest (FIPS 180-4, 5.1.1 and 6.2).

use sha2::block_api::compress256;

/// Bytes of a block.
pub const BLOCK: usize = 64;

/// What the compression function takes at a time.
pub type Block = [u8; BLOCK];

/// Where the length stands in the last block: 64 bits, at the end.
const LENGTH_AT: usize = BLOCK - 8;

/// FIPS 180-4, 5.3.3.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// One stream. It takes whole blocks, as a lane of [`Compressor::update`](crate::Compressor::update),
/// until it is finished with the rest.
#[derive(Clone, Debug)]
pub struct Sha256 {
    pub(crate) state: [u32; 8],
    /// So far. Cannot overflow: 2^64 blocks take longer than there is time.
    pub(crate) blocks: u64,
}

impl Sha256 {
    /// A stream of which nothing was read.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: INITIAL, blocks: 0 }
    }

    /// The digest of all blocks so far and then `tail`, which may have any length.
    ///
    /// SHA-256 is defined for less than 2^64 bits. The length of a longer stream is counted modulo
    /// 2^64, as everywhere; there is none.
    #[must_use]
    pub fn finish(mut self, tail: &[u8]) -> [u8; 32] {
        let (whole, rest) = tail.as_chunks::<BLOCK>();
        compress256(&mut self.state, whole);

        let mut padded = [[0; BLOCK]; 2];
        for (to, from) in padded.as_flattened_mut().iter_mut().zip(rest.iter().chain(&[0x80])) {
            *to = *from;
        }
        let bits = (u128::from(self.blocks) * BLOCK as u128 + tail.len() as u128) * 8;
        let [.., a, b, c, d, e, f, g, h] = bits.to_be_bytes();
        let length = [a, b, c, d, e, f, g, h];
        let [first, second] = &mut padded;
        if rest.len() < LENGTH_AT {
            if let Some(place) = first.last_chunk_mut() {
                *place = length;
            }
            compress256(&mut self.state, &[*first]);
        } else {
            if let Some(place) = second.last_chunk_mut() {
                *place = length;
            }
            compress256(&mut self.state, &padded);
        }

        let mut digest = [0; 32];
        for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(self.state) {
            *bytes = word.to_be_bytes();
        }
        digest
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2^60 blocks are 2^69 bits, which the length of 64 bits says as zero.
    #[test]
    fn a_length_that_nothing_has() {
        let mut last = [0; BLOCK];
        last[0] = 0x80;
        let mut state = INITIAL;
        compress256(&mut state, &[last]);
        let expected: Vec<u8> = state.iter().flat_map(|word| word.to_be_bytes()).collect();
        assert_eq!(Sha256 { state: INITIAL, blocks: 1 << 60 }.finish(b"")[..], expected);
        assert_ne!(Sha256 { state: INITIAL, blocks: u64::MAX }.finish(b"")[..], expected);
        assert_ne!(Sha256 { state: INITIAL, blocks: 1 }.finish(b"")[..], expected);
    }
}
