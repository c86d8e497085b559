//! Strict verification (RFC 8032 section 5.1.7, and no point of small order) without decoding R.
//!
//! `verify` and `verify_strict` both refuse S >= L, compute sB - kA with the same k and no cofactor, encode it, and
//! compare these bytes with R. The strict one also refuses an R that does not decode, an R of small order, and an A of
//! small order. Where the bytes are equal, R came out of the encoder: it decodes, to the point that was encoded, and as
//! every point has one such encoding, its order is small if it is one of the eight here. (E\[8\] has eight elements.)
//! Where they are not, both refuse, however R is spelled. A is no such point: `PublicKey::parse` takes none. Points of
//! mixed order are none of these, and the same equation holds or fails for them in both.

use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};

/// The points whose order divides 8: first byte, the 30 between, last byte.
const POINTS: [(u8, &[u8; 30], u8); 8] = [
    (0x01, &[0; 30], 0x00),
    (0xec, &[0xff; 30], 0x7f),
    (0x00, &[0; 30], 0x00),
    (0x00, &[0; 30], 0x80),
    (0x26, &ORDER_8[0], 0x05),
    (0x26, &ORDER_8[0], 0x85),
    (0xc7, &ORDER_8[1], 0x7a),
    (0xc7, &ORDER_8[1], 0xfa),
];

const ORDER_8: [[u8; 30]; 2] = [
    [
        0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
        0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc,
    ],
    [
        0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
        0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03,
    ],
];

/// The answer of `VerifyingKey::verify_strict` for a `key` that is not weak, in four fifths of its time.
pub(super) fn verifies(key: &VerifyingKey, message: &[u8], signature: &Signature) -> bool {
    let [first, between @ .., last] = signature.r_bytes();
    !POINTS.contains(&(*first, between, *last)) && key.verify(message, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer as _, SigningKey};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn points() -> Vec<[u8; 32]> {
        let join = |(first, between, last): &(u8, &[u8; 30], u8)| {
            let mut point = [*first; 32];
            point[1..31].copy_from_slice(&between[..]);
            point[31] = *last;
            point
        };
        POINTS.iter().map(join).collect()
    }

    #[test]
    fn the_table_is_the_eight_points_of_small_order() {
        let points = points();
        // A group of order 8 has eight elements, so that none is missing if there are eight different ones.
        assert_eq!(points.iter().collect::<BTreeSet<_>>().len(), 8);
        for point in points {
            let decoded = VerifyingKey::from_bytes(&point).unwrap();
            assert!(decoded.is_weak(), "{point:02x?}");
            assert_eq!(decoded.to_edwards().compress().to_bytes(), point, "not canonical");
        }
    }

    proptest! {
        /// Good ones, ones with any bit turned, and every R of the table.
        #[test]
        fn the_answer_is_that_of_the_strict_one(seed: [u8; 32], message: Vec<u8>, bit in 0..512_usize, point in 0..9_usize) {
            let signing = SigningKey::from_bytes(&seed);
            let (key, good) = (signing.verifying_key(), signing.sign(&message).to_bytes());
            let mut turned = good;
            turned[bit / 8] ^= 1 << (bit % 8);
            let mut replaced = good;
            if let Some(point) = points().get(point) {
                replaced[..32].copy_from_slice(point);
            }
            for bytes in [good, turned, replaced] {
                let signature = Signature::from_bytes(&bytes);
                let strict = key.verify_strict(&message, &signature).is_ok();
                prop_assert_eq!(verifies(&key, &message, &signature), strict);
            }
            prop_assert!(verifies(&key, &message, &Signature::from_bytes(&good)));
        }
    }
}
