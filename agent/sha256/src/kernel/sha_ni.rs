//! The SHA extensions of x86, for one stream or several interleaved.
//!
//! `sha256rnds2` takes four cycles and the next one of the same stream needs its result, but others
//! may start before. Several streams fill the gaps: the code of four rounds of one is followed by
//! that of the others, which is near enough for the processor to overlap them.
#![allow(unsafe_code, reason = "loads, and functions that need what a processor may not have")]

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_loadu_si128, _mm_set_epi64x, _mm_sha256msg1_epu32,
    _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
    _mm_storeu_si128,
};

use super::constants::K;
use crate::stream::Block;

/// This processor has the SHA extensions, SSSE3 and SSE4.1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found(());

impl Found {
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1");
        found.then_some(Self(()))
    }

    pub(super) fn compress<const N: usize>(
        self,
        states: &mut [[u32; 8]; N],
        blocks: &[&[Block]; N],
    ) {
        // SAFETY: `self` exists, so `detect` found the features that the function is compiled for.
        unsafe { compress(states, blocks) }
    }
}

/// One stream within a block.
#[derive(Clone, Copy)]
struct Stream {
    abef: __m128i,
    cdgh: __m128i,
    /// The last sixteen words of the message schedule.
    w: [__m128i; 4],
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn compress<const N: usize>(states: &mut [[u32; 8]; N], blocks: &[&[Block]; N]) {
    let count = blocks.iter().map(|blocks| blocks.len()).min().unwrap_or(0);
    let mut blocks = blocks.map(|blocks| blocks.iter());
    let mut streams = states.each_ref().map(|state| load_state(state));
    for _ in 0..count {
        let before = streams.each_ref().map(|stream| (stream.abef, stream.cdgh));
        for (stream, blocks) in streams.iter_mut().zip(&mut blocks) {
            if let Some(block) = blocks.next() {
                stream.w = load_block(block);
            }
        }
        let (start, rest) = K.split_at(4);
        if let [k0, k1, k2, k3] = start {
            streams.iter_mut().for_each(|stream| rounds(stream, stream.w[0], k0));
            streams.iter_mut().for_each(|stream| rounds(stream, stream.w[1], k1));
            streams.iter_mut().for_each(|stream| rounds(stream, stream.w[2], k2));
            streams.iter_mut().for_each(|stream| rounds(stream, stream.w[3], k3));
        }
        for k in rest {
            for stream in &mut streams {
                schedule(stream);
                rounds(stream, stream.w[3], k);
            }
        }
        for (stream, (abef, cdgh)) in streams.iter_mut().zip(before) {
            stream.abef = _mm_add_epi32(stream.abef, abef);
            stream.cdgh = _mm_add_epi32(stream.cdgh, cdgh);
        }
    }
    for (state, stream) in states.iter_mut().zip(&streams) {
        store_state(state, stream);
    }
}

/// Four rounds.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn rounds(stream: &mut Stream, w: __m128i, k: &[u32; 4]) {
    let wk = _mm_add_epi32(w, load(k));
    stream.cdgh = _mm_sha256rnds2_epu32(stream.cdgh, stream.abef, wk);
    let wk = _mm_shuffle_epi32(wk, 0x0e);
    stream.abef = _mm_sha256rnds2_epu32(stream.abef, stream.cdgh, wk);
}

/// The next four words of the message schedule take the place of the first four.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn schedule(stream: &mut Stream) {
    let [w0, w1, w2, w3] = stream.w;
    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
    stream.w = [w1, w2, w3, _mm_sha256msg2_epu32(sum, w3)];
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load_block(block: &Block) -> [__m128i; 4] {
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let (quarters, _) = block.as_chunks::<16>();
    let mut w = [swap; 4];
    for (w, bytes) in w.iter_mut().zip(quarters) {
        // SAFETY: the load needs no alignment, and `bytes` are the 16 bytes that it reads.
        *w = _mm_shuffle_epi8(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }, swap);
    }
    w
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load(words: &[u32; 4]) -> __m128i {
    // SAFETY: the load needs no alignment, and `words` are the 16 bytes that it reads.
    unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load_state(&[a, b, c, d, e, f, g, h]: &[u32; 8]) -> Stream {
    let zero = load(&[0; 4]);
    Stream { abef: load(&[f, e, b, a]), cdgh: load(&[h, g, d, c]), w: [zero; 4] }
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn store_state(state: &mut [u32; 8], stream: &Stream) {
    let [f, e, b, a] = store(stream.abef);
    let [h, g, d, c] = store(stream.cdgh);
    *state = [a, b, c, d, e, f, g, h];
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn store(register: __m128i) -> [u32; 4] {
    let mut words = [0; 4];
    // SAFETY: the store needs no alignment, and `words` are the 16 bytes that it writes.
    unsafe { _mm_storeu_si128(words.as_mut_ptr().cast(), register) };
    words
}
