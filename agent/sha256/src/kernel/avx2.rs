//! AVX2, eight streams: for processors that have it and not the SHA extensions, which are faster.
#![allow(unsafe_code, reason = "loads, and functions that need what a processor may not have")]

use core::arch::x86_64::{
    __m256i as Vector, _mm256_add_epi32, _mm256_and_si256, _mm256_loadu_si256, _mm256_or_si256,
    _mm256_permute2x128_si256, _mm256_set_epi32, _mm256_set1_epi32, _mm256_shuffle_epi8,
    _mm256_slli_epi32, _mm256_srli_epi32, _mm256_storeu_si256, _mm256_unpackhi_epi32,
    _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use crate::stream::Block;

/// This processor and the system have AVX2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found(());

impl Found {
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2");
        found.then_some(Self(()))
    }

    pub(super) fn compress(self, states: &mut [[u32; 8]; 8], blocks: &[&[Block]; 8]) {
        // SAFETY: `self` exists, so `detect` found the features that the function is compiled for.
        unsafe { compress(states, blocks) }
    }
}

wide!(8, , #[target_feature(enable = "avx2")]);
load_blocks8!(#[target_feature(enable = "avx2")]);

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; 32]) -> Vector {
    let swap = _mm256_set_epi32(
        0x0c0d_0e0f,
        0x0809_0a0b,
        0x0405_0607,
        0x0001_0203,
        0x0c0d_0e0f,
        0x0809_0a0b,
        0x0405_0607,
        0x0001_0203,
    );
    // SAFETY: the load needs no alignment, and `bytes` are the 32 bytes that it reads.
    _mm256_shuffle_epi8(unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }, swap)
}

#[inline]
#[target_feature(enable = "avx2")]
fn from_words(words: &[u32; 8]) -> Vector {
    // SAFETY: the load needs no alignment, and `words` are the 32 bytes that it reads.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn to_words(vector: Vector) -> [u32; 8] {
    let mut words = [0; 8];
    // SAFETY: the store needs no alignment, and `words` are the 32 bytes that it writes.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) };
    words
}

#[inline]
#[target_feature(enable = "avx2")]
fn splat(word: u32) -> Vector {
    _mm256_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx2")]
fn add(a: Vector, b: Vector) -> Vector {
    _mm256_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor3(a: Vector, b: Vector, c: Vector) -> Vector {
    _mm256_xor_si256(_mm256_xor_si256(a, b), c)
}

#[inline]
#[target_feature(enable = "avx2")]
fn choose(a: Vector, b: Vector, c: Vector) -> Vector {
    _mm256_xor_si256(c, _mm256_and_si256(a, _mm256_xor_si256(b, c)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn majority(a: Vector, b: Vector, c: Vector) -> Vector {
    _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(c, _mm256_or_si256(a, b)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const R: i32, const L: i32>(a: Vector) -> Vector {
    const { assert!(R + L == 32) };
    _mm256_or_si256(_mm256_srli_epi32::<R>(a), _mm256_slli_epi32::<L>(a))
}

#[inline]
#[target_feature(enable = "avx2")]
fn shift<const R: i32>(a: Vector) -> Vector {
    _mm256_srli_epi32::<R>(a)
}

#[inline]
#[target_feature(enable = "avx2")]
fn low_words(a: Vector, b: Vector) -> Vector {
    _mm256_unpacklo_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn high_words(a: Vector, b: Vector) -> Vector {
    _mm256_unpackhi_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn low_pairs(a: Vector, b: Vector) -> Vector {
    _mm256_unpacklo_epi64(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn high_pairs(a: Vector, b: Vector) -> Vector {
    _mm256_unpackhi_epi64(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn low_halves(a: Vector, b: Vector) -> Vector {
    _mm256_permute2x128_si256::<0x20>(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn high_halves(a: Vector, b: Vector) -> Vector {
    _mm256_permute2x128_si256::<0x31>(a, b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::lanes::x8 as arrays;

    #[target_feature(enable = "avx2")]
    fn agree(a: [u32; 8], b: [u32; 8], c: [u32; 8], bytes: &[u8; 32]) {
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
        assert_eq!(to_words(low_halves(x, y)), arrays::low_halves(a, b));
        assert_eq!(to_words(high_halves(x, y)), arrays::high_halves(a, b));
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
            return println!("functions of kernel avx2-x8: not on this processor");
        }
        proptest!(|(a: [u32; 8], b: [u32; 8], c: [u32; 8], bytes: [u8; 32])| {
            // SAFETY: `detect` found the features that the function is compiled for.
            unsafe { agree(a, b, c, &bytes) };
        });
    }
}
