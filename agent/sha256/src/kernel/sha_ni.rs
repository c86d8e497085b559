//! The SHA extensions of x86, for one stream or several interleaved.
//!
//! `sha256rnds2` takes four cycles, and the next one of the same stream needs its result; those of
//! other streams may start meanwhile. So four rounds of one stream are followed by four of the next
//! one, near enough to each other for the processor to overlap them.
//!
//! With AVX enabled besides, instructions of three operands save the copies that those of two need.
//! It is not asked for: on Zen 3 three and four streams are 5 % slower with it, and one and two are
//! no faster. Without the comment in `rounds` they would be: that gains 20 to 25 %.
#![allow(unsafe_code, reason = "loads, and functions that need what a processor may not have")]

use core::arch::asm;
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
    /// The last sixteen words of the message schedule, the oldest first.
    w: [__m128i; 4],
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn compress<const N: usize>(states: &mut [[u32; 8]; N], blocks: &[&[Block]; N]) {
    let [k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10, k11, k12, k13, k14, k15] = &K;
    let mut blocks = blocks.map(|blocks| blocks.iter());
    let mut streams = states.each_ref().map(|state| load_state(state));
    'blocks: loop {
        for (stream, blocks) in streams.iter_mut().zip(&mut blocks) {
            let Some(block) = blocks.next() else { break 'blocks };
            stream.w = load_block(block);
        }
        let before = streams.each_ref().map(|stream| (stream.abef, stream.cdgh));
        first(&mut streams, k0);
        first(&mut streams, k1);
        first(&mut streams, k2);
        first(&mut streams, k3);
        later(&mut streams, k4);
        later(&mut streams, k5);
        later(&mut streams, k6);
        later(&mut streams, k7);
        later(&mut streams, k8);
        later(&mut streams, k9);
        later(&mut streams, k10);
        later(&mut streams, k11);
        later(&mut streams, k12);
        later(&mut streams, k13);
        later(&mut streams, k14);
        later(&mut streams, k15);
        for (stream, (abef, cdgh)) in streams.iter_mut().zip(before) {
            stream.abef = _mm_add_epi32(stream.abef, abef);
            stream.cdgh = _mm_add_epi32(stream.cdgh, cdgh);
        }
    }
    for (state, stream) in states.iter_mut().zip(&streams) {
        store_state(state, stream);
    }
}

/// Four rounds of each stream, with words of the block itself.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn first<const N: usize>(streams: &mut [Stream; N], k: &[u32; 4]) {
    for stream in streams {
        let [w0, w1, w2, w3] = stream.w;
        stream.w = [w1, w2, w3, w0];
        rounds(stream, w0, k);
    }
}

/// Four rounds of each stream, with the next words of the message schedule in place of the oldest.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn later<const N: usize>(streams: &mut [Stream; N], k: &[u32; 4]) {
    for stream in streams {
        let [w0, w1, w2, w3] = stream.w;
        let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
        let w4 = _mm_sha256msg2_epu32(sum, w3);
        stream.w = [w1, w2, w3, w4];
        rounds(stream, w4, k);
    }
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn rounds(stream: &mut Stream, w: __m128i, k: &[u32; 4]) {
    let wk = _mm_add_epi32(w, load(k));
    stream.cdgh = _mm_sha256rnds2_epu32(stream.cdgh, stream.abef, wk);
    let wk = _mm_shuffle_epi32(wk, 0x0e);
    stream.abef = _mm_sha256rnds2_epu32(stream.abef, stream.cdgh, wk);
    // The compiler would put all rounds of one stream before those of the next, to need fewer
    // registers, and nothing would overlap. It keeps the order of statements like this one.
    // SAFETY: there is no instruction, and a comment changes nothing.
    unsafe {
        asm!("/* {} */", inout(xmm_reg) stream.abef, options(nomem, nostack, preserves_flags));
    }
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
