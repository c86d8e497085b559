//! AVX-512, sixteen streams: it rotates, and has any function of three bits, in one instruction.
#![allow(unsafe_code, reason = "loads, and functions that need what a processor may not have")]

use core::arch::x86_64::{
    __m512i as Vector, _mm512_add_epi32, _mm512_loadu_si512, _mm512_ror_epi32, _mm512_set1_epi32,
    _mm512_set4_epi32, _mm512_shuffle_epi8, _mm512_shuffle_i32x4, _mm512_srli_epi32,
    _mm512_storeu_si512, _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use crate::stream::Block;

/// This processor and the system have AVX-512F and BW.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found(());

impl Found {
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        found.then_some(Self(()))
    }

    pub(super) fn compress(self, states: &mut [[u32; 8]; 16], blocks: &[&[Block]; 16]) {
        // SAFETY: `self` exists, so `detect` found the features that the function is compiled for.
        unsafe { compress(states, blocks) }
    }
}

wide!(16, , #[target_feature(enable = "avx512f,avx512bw")]);
load_blocks16!(#[target_feature(enable = "avx512f,avx512bw")]);

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(bytes: &Block) -> Vector {
    let swap = _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    // SAFETY: the load needs no alignment, and `bytes` are the 64 bytes that it reads.
    _mm512_shuffle_epi8(unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }, swap)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn from_words(words: &[u32; 16]) -> Vector {
    // SAFETY: the load needs no alignment, and `words` are the 64 bytes that it reads.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn to_words(vector: Vector) -> [u32; 16] {
    let mut words = [0; 16];
    // SAFETY: the store needs no alignment, and `words` are the 64 bytes that it writes.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) };
    words
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn splat(word: u32) -> Vector {
    _mm512_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn add(a: Vector, b: Vector) -> Vector {
    _mm512_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn xor3(a: Vector, b: Vector, c: Vector) -> Vector {
    _mm512_ternarylogic_epi32::<0x96>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn choose(a: Vector, b: Vector, c: Vector) -> Vector {
    _mm512_ternarylogic_epi32::<0xca>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn majority(a: Vector, b: Vector, c: Vector) -> Vector {
    _mm512_ternarylogic_epi32::<0xe8>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn rotate<const R: i32, const L: i32>(a: Vector) -> Vector {
    const { assert!(R + L == 32) };
    _mm512_ror_epi32::<R>(a)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn shift<const R: u32>(a: Vector) -> Vector {
    _mm512_srli_epi32::<R>(a)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn low_words(a: Vector, b: Vector) -> Vector {
    _mm512_unpacklo_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn high_words(a: Vector, b: Vector) -> Vector {
    _mm512_unpackhi_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn low_pairs(a: Vector, b: Vector) -> Vector {
    _mm512_unpacklo_epi64(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn high_pairs(a: Vector, b: Vector) -> Vector {
    _mm512_unpackhi_epi64(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn even_quarters(a: Vector, b: Vector) -> Vector {
    _mm512_shuffle_i32x4::<0x88>(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn odd_quarters(a: Vector, b: Vector) -> Vector {
    _mm512_shuffle_i32x4::<0xdd>(a, b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::lanes::x16 as arrays;

    #[target_feature(enable = "avx512f,avx512bw")]
    fn agree(a: [u32; 16], b: [u32; 16], c: [u32; 16], bytes: &[u8; 64]) {
        let [x, y, z] = [a, b, c].map(|words| from_words(&words));
        assert_eq!(to_words(x), a);
        assert_eq!(to_words(load(bytes)), arrays::load(bytes));
        assert_eq!(to_words(splat(a[0])), arrays::splat(a[0]));
        assert_eq!(to_words(add(x, y)), arrays::add(a, b));
        assert_eq!(to_words(xor3(x, y, z)), arrays::xor3(a, b, c));
        assert_eq!(to_words(choose(x, y, z)), arrays::choose(a, b, c));
        assert_eq!(to_words(majority(x, y, z)), arrays::majority(a, b, c));
        assert_eq!(to_words(low_words(x, y)), arrays::low_words(a, b));
        assert_eq!(to_words(high_words(x, y)), arrays::high_words(a, b));
        assert_eq!(to_words(low_pairs(x, y)), arrays::low_pairs(a, b));
        assert_eq!(to_words(high_pairs(x, y)), arrays::high_pairs(a, b));
        assert_eq!(to_words(even_quarters(x, y)), arrays::even_quarters(a, b));
        assert_eq!(to_words(odd_quarters(x, y)), arrays::odd_quarters(a, b));
        assert_eq!(to_words(shift::<3>(x)), arrays::shift::<3>(a));
        assert_eq!(to_words(shift::<10>(x)), arrays::shift::<10>(a));
        macro_rules! rotate {
            ($($right:literal $left:literal),*) => {
                $(assert_eq!(
                    to_words(rotate::<$right, $left>(x)),
                    arrays::rotate::<$right, $left>(a)
                );)*
            };
        }
        rotate!(2 30, 6 26, 7 25, 11 21, 13 19, 17 15, 18 14, 19 13, 22 10, 25 7);
    }

    /// What few processors can run is these functions; the rest is run by `lanes.rs`.
    #[test]
    #[allow(clippy::print_stdout)]
    fn each_function_does_what_it_does_to_arrays() {
        if Found::detect().is_none() {
            return println!("functions of kernel avx512-x16: not on this processor");
        }
        proptest!(|(a: [u32; 16], b: [u32; 16], c: [u32; 16], bytes: [u8; 64])| {
            // SAFETY: `detect` found the features that the function is compiled for.
            unsafe { agree(a, b, c, &bytes) };
        });
    }
}
