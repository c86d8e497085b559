//! The SHA-2 extension of 64-bit Arm, for one stream or two interleaved.
#![allow(unsafe_code, reason = "loads, and functions that need what a processor may not have")]

use core::arch::aarch64::{
    uint32x4_t, vaddq_u32, vld1q_u8, vld1q_u32, vreinterpretq_u32_u8, vrev32q_u8, vsha256h2q_u32,
    vsha256hq_u32, vsha256su0q_u32, vsha256su1q_u32, vst1q_u32,
};
use core::arch::asm;
use std::arch::is_aarch64_feature_detected;

use super::constants::K;
use crate::stream::Block;

/// This processor has the SHA-2 extension.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found(());

impl Found {
    pub(super) fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("sha2").then_some(Self(()))
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
    abcd: uint32x4_t,
    efgh: uint32x4_t,
    /// The last sixteen words of the message schedule, the oldest first.
    w: [uint32x4_t; 4],
}

#[target_feature(enable = "neon,sha2")]
fn compress<const N: usize>(states: &mut [[u32; 8]; N], blocks: &[&[Block]; N]) {
    let [k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10, k11, k12, k13, k14, k15] = &K;
    let mut blocks = blocks.map(|blocks| blocks.iter());
    let mut streams = states.each_ref().map(|state| load_state(state));
    'blocks: loop {
        for (stream, blocks) in streams.iter_mut().zip(&mut blocks) {
            let Some(block) = blocks.next() else { break 'blocks };
            stream.w = load_block(block);
        }
        let before = streams.each_ref().map(|stream| (stream.abcd, stream.efgh));
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
        for (stream, (abcd, efgh)) in streams.iter_mut().zip(before) {
            stream.abcd = vaddq_u32(stream.abcd, abcd);
            stream.efgh = vaddq_u32(stream.efgh, efgh);
        }
    }
    for (state, stream) in states.iter_mut().zip(&streams) {
        store_state(state, stream);
    }
}

/// Four rounds of each stream, with words of the block itself.
#[inline]
#[target_feature(enable = "neon,sha2")]
fn first<const N: usize>(streams: &mut [Stream; N], k: &[u32; 4]) {
    for stream in streams {
        let [w0, w1, w2, w3] = stream.w;
        stream.w = [w1, w2, w3, w0];
        rounds(stream, w0, k);
    }
}

/// Four rounds of each stream, with the next words of the message schedule in place of the oldest.
#[inline]
#[target_feature(enable = "neon,sha2")]
fn later<const N: usize>(streams: &mut [Stream; N], k: &[u32; 4]) {
    for stream in streams {
        let [w0, w1, w2, w3] = stream.w;
        let w4 = vsha256su1q_u32(vsha256su0q_u32(w0, w1), w2, w3);
        stream.w = [w1, w2, w3, w4];
        rounds(stream, w4, k);
    }
}

#[inline]
#[target_feature(enable = "neon,sha2")]
fn rounds(stream: &mut Stream, w: uint32x4_t, k: &[u32; 4]) {
    let wk = vaddq_u32(w, load(k));
    let abcd = stream.abcd;
    stream.abcd = vsha256hq_u32(abcd, stream.efgh, wk);
    stream.efgh = vsha256h2q_u32(stream.efgh, abcd, wk);
    // Keeps the streams interleaved, as in `sha_ni.rs`.
    // SAFETY: there is no instruction, and a comment changes nothing.
    unsafe {
        asm!("/* {0:v} */", inout(vreg) stream.efgh, options(nomem, nostack, preserves_flags));
    }
}

#[inline]
#[target_feature(enable = "neon,sha2")]
fn load_block(block: &Block) -> [uint32x4_t; 4] {
    let mut w = [load(&[0; 4]); 4];
    for (w, bytes) in w.iter_mut().zip(block.as_chunks::<16>().0) {
        // SAFETY: the load needs no alignment, and `bytes` are the 16 bytes that it reads.
        *w = vreinterpretq_u32_u8(vrev32q_u8(unsafe { vld1q_u8(bytes.as_ptr()) }));
    }
    w
}

#[inline]
#[target_feature(enable = "neon,sha2")]
fn load(words: &[u32; 4]) -> uint32x4_t {
    // SAFETY: the load reads these four words.
    unsafe { vld1q_u32(words.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon,sha2")]
fn load_state(&[a, b, c, d, e, f, g, h]: &[u32; 8]) -> Stream {
    Stream { abcd: load(&[a, b, c, d]), efgh: load(&[e, f, g, h]), w: [load(&[0; 4]); 4] }
}

#[inline]
#[target_feature(enable = "neon,sha2")]
fn store_state(state: &mut [u32; 8], stream: &Stream) {
    let [a, b, c, d] = store(stream.abcd);
    let [e, f, g, h] = store(stream.efgh);
    *state = [a, b, c, d, e, f, g, h];
}

#[inline]
#[target_feature(enable = "neon,sha2")]
fn store(register: uint32x4_t) -> [u32; 4] {
    let mut words = [0; 4];
    // SAFETY: the store writes these four words.
    unsafe { vst1q_u32(words.as_mut_ptr(), register) };
    words
}
