//! What the tests of the kernels share.

use narwarden_sha256::{Compressor, Kernel, Lane, Sha256};
use sha2::Digest as _;

/// The kernels of this processor; says which ones, and which are not looked at here.
pub(crate) fn kernels() -> Vec<Kernel> {
    let (here, elsewhere) =
        Kernel::ALL.iter().partition::<Vec<_>, _>(|kernel| kernel.is_available());
    for kernel in &here {
        println!("kernel {kernel}: runs");
    }
    for kernel in elsewhere {
        println!("kernel {kernel}: not on this processor");
    }
    here
}

/// Each alone, and all together as they are chosen.
pub(crate) fn compressors() -> Vec<Compressor> {
    let mut compressors = vec![Compressor::detect()];
    compressors.extend(kernels().into_iter().map(|kernel| Compressor::with(&[kernel])));
    compressors
}

/// Bytes without a pattern that repeats within a block.
pub(crate) fn text(length: usize, seed: usize) -> Vec<u8> {
    let mut state = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        state.to_be_bytes()[0]
    };
    (0..length).map(next).collect()
}

pub(crate) fn expected(text: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(text).into()
}

/// The digests of `texts` as lanes, all in one update.
pub(crate) fn digests(compressor: &Compressor, texts: &[Vec<u8>]) -> Vec<[u8; 32]> {
    let mut streams = vec![Sha256::new(); texts.len()];
    let (mut lanes, mut tails) = (Vec::new(), Vec::new());
    for (stream, text) in streams.iter_mut().zip(texts) {
        let (lane, tail) = Lane::split(stream, text);
        lanes.push(lane);
        tails.push(tail);
    }
    compressor.update(&mut lanes);
    assert!(lanes.iter().all(|lane| lane.blocks.is_empty()), "all blocks are taken");
    streams.into_iter().zip(tails).map(|(stream, tail)| stream.finish(tail)).collect()
}
