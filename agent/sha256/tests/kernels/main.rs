//! Each kernel that this processor has, against crate `sha2`: any lengths, splits and orders.
#![allow(clippy::print_stdout)]

mod support;
mod vectors;

use narwarden_sha256::{BLOCK, Compressor, Kernel, Lane, Sha256};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use support::{compressors, digests, expected, kernels, text};

/// Blocks up to which every length and split is tried.
const SMALL: usize = 5;

#[test]
fn every_small_length_and_every_split() {
    let text = text(SMALL * BLOCK, 1);
    for compressor in compressors() {
        for length in 0..=text.len() {
            let text = &text[..length];
            for split in 0..=length / BLOCK {
                let mut stream = Sha256::new();
                let (first, second) = text.split_at(split * BLOCK);
                let (lane, rest) = Lane::split(&mut stream, first);
                assert!(rest.is_empty());
                compressor.update(&mut [lane]);
                // The rest as a tail, whole blocks included, and as a lane.
                let in_tail = stream.clone().finish(second);
                let (lane, tail) = Lane::split(&mut stream, second);
                compressor.update(&mut [lane]);
                assert_eq!(in_tail, expected(text), "{length} at {split}, {compressor:?}");
                assert_eq!(stream.finish(tail), in_tail, "{length} at {split}, {compressor:?}");
            }
        }
    }
}

#[test]
fn any_number_of_lanes() {
    for compressor in compressors() {
        for lanes in 0..=70 {
            let texts: Vec<_> = (0..lanes).map(|n| text(n * 97 % 1500, n)).collect();
            let found = digests(&compressor, &texts);
            for (text, found) in texts.iter().zip(found) {
                assert_eq!(found, expected(text), "{lanes} lanes, {compressor:?}");
            }
        }
    }
}

/// One long lane among short ones, at each place; and empty ones among others.
#[test]
fn uneven_lanes() {
    for compressor in compressors() {
        for lanes in [2, 3, 4, 5, 8, 9, 16, 17, 33] {
            for long in 0..lanes {
                let length = |n| if n == long { 300 * BLOCK + 7 } else { n % 3 * BLOCK };
                let texts: Vec<_> = (0..lanes).map(|n| text(length(n), n)).collect();
                for (text, found) in texts.iter().zip(digests(&compressor, &texts)) {
                    assert_eq!(found, expected(text), "{long} of {lanes}, {compressor:?}");
                }
            }
        }
    }
}

/// What one lane holds is nothing to the others, whichever it is.
#[test]
fn lanes_are_apart() {
    for compressor in compressors() {
        let texts: Vec<_> = (0..17).map(|n| text(3 * BLOCK, n)).collect();
        let before = digests(&compressor, &texts);
        for changed in 0..texts.len() {
            let mut texts = texts.clone();
            texts[changed][BLOCK] ^= 1;
            let after = digests(&compressor, &texts);
            for (lane, (before, after)) in before.iter().zip(&after).enumerate() {
                assert_eq!(before == after, lane != changed, "{lane}, {compressor:?}");
            }
        }
    }
}

/// A stream may go from kernel to kernel.
#[test]
fn a_long_stream_through_all_kernels_in_turn() {
    let text = text(3 << 20, 3);
    let compressors = compressors();
    let mut stream = Sha256::new();
    let mut rest = &text[..];
    for (turn, compressor) in compressors.iter().cycle().enumerate() {
        let blocks = 1 + turn * 37 % 1023;
        if blocks * BLOCK > rest.len() {
            break;
        }
        let (now, later) = rest.split_at(blocks * BLOCK);
        compressor.update(&mut [Lane::split(&mut stream, now).0]);
        rest = later;
    }
    assert_eq!(stream.finish(rest), expected(&text));
}

#[test]
fn what_is_not_there_is_not_used() {
    let none = Compressor::with(&[]);
    assert_eq!((none.width(), none.kernel(1)), (1, Kernel::Portable));
    for &kernel in Kernel::ALL {
        let compressor = Compressor::with(&[kernel]);
        let used = if kernel.is_available() { kernel } else { Kernel::Portable };
        assert_eq!(compressor.width(), used.lanes());
        for streams in 0..100 {
            assert_eq!(compressor.kernel(streams), used);
        }
    }
    let detected = Compressor::detect();
    assert!((0..100).all(|streams| detected.kernel(streams).is_available()));
    println!("chosen for 1, 2, … streams: {}", {
        let name = |streams| detected.kernel(streams).name();
        (1..=16).map(name).collect::<Vec<_>>().join(" ")
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Lanes of any lengths, in updates of any sizes, each by some kernels and in some order.
    #[test]
    fn any_splits_by_any_kernels_in_any_order(
        lengths in vec(prop_oneof![0..3 * BLOCK, 0..20_000usize], 0..40),
        updates in vec((vec(any::<Index>(), 1..4), vec(any::<Index>(), 40), any::<Index>()), 1..6),
    ) {
        let here: Vec<Kernel> =
            Kernel::ALL.iter().copied().filter(|kernel| kernel.is_available()).collect();
        let texts: Vec<_> = lengths.iter().zip(0..).map(|(length, n)| text(*length, n)).collect();
        let mut streams = vec![Sha256::new(); texts.len()];
        let mut rests: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        for (kernels, cuts, turn) in &updates {
            let kernels: Vec<_> = kernels.iter().map(|index| *index.get(&here)).collect();
            let mut lanes = Vec::new();
            for ((stream, rest), cut) in streams.iter_mut().zip(&mut rests).zip(cuts) {
                let (now, later) = rest.split_at(cut.index(rest.len() / BLOCK + 1) * BLOCK);
                *rest = later;
                lanes.push(Lane::split(stream, now).0);
            }
            if !lanes.is_empty() {
                let turn = turn.index(lanes.len());
                lanes.rotate_left(turn);
            }
            Compressor::with(&kernels).update(&mut lanes);
        }
        for ((stream, rest), text) in streams.into_iter().zip(rests).zip(&texts) {
            prop_assert_eq!(stream.finish(rest), expected(text));
        }
    }
}

/// For a log of the tests: what they were able to look at.
#[test]
fn the_kernels_of_this_processor() {
    assert!(kernels().contains(&Kernel::Portable));
}
