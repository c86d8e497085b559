//! Lanes of any lengths, in updates of any sizes, by each kernel of this processor and by those that are chosen:
//! each stream has the digest that crate `sha2` gives.
#![no_main]

use std::sync::OnceLock;

use arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use narwarden_sha256::{BLOCK, Compressor, Kernel, Lane, Sha256};
use sha2::Digest as _;

/// More than any kernel has, and more than are looked at together.
const LANES: usize = 40;
/// Of one lane. More would only be slower.
const LONGEST: usize = 200 * BLOCK;

#[derive(Debug)]
struct Case<'a> {
    /// Each lane is a piece of `bytes`, repeated up to a length.
    lanes: Vec<(u8, u16)>,
    /// For each update, which compressor, and how much of what each lane has left, in 255ths.
    updates: Vec<(u8, Vec<u8>)>,
    bytes: &'a [u8],
}

impl<'a> Arbitrary<'a> for Case<'a> {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let lanes = input.int_in_range(0..=LANES)?;
        let lanes = (0..lanes).map(|_| input.arbitrary()).collect::<Result<_>>()?;
        let updates = input.int_in_range(0..=4)?;
        let updates = (0..updates).map(|_| input.arbitrary()).collect::<Result<_>>()?;
        Ok(Self { lanes, updates, bytes: input.bytes(input.len())? })
    }
}

/// As they are chosen, and each kernel alone.
fn compressors() -> &'static [Compressor] {
    static ALL: OnceLock<Vec<Compressor>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = vec![Compressor::detect()];
        for &kernel in Kernel::ALL {
            if kernel.is_available() {
                eprintln!("kernel {kernel}: runs");
                all.push(Compressor::with(&[kernel]));
            } else {
                eprintln!("kernel {kernel}: not on this processor");
            }
        }
        all
    })
}

fuzz_target!(|case: Case<'_>| {
    let text = |&(start, length): &(u8, u16)| -> Vec<u8> {
        let bytes = if case.bytes.is_empty() { &[0][..] } else { case.bytes };
        let start = usize::from(start) % bytes.len();
        bytes.iter().cycle().skip(start).take(usize::from(length) % LONGEST).copied().collect()
    };
    let texts: Vec<_> = case.lanes.iter().map(text).collect();
    let mut streams = vec![Sha256::new(); texts.len()];
    let mut rests: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    for (compressor, parts) in &case.updates {
        let mut lanes = Vec::new();
        for (place, (stream, rest)) in streams.iter_mut().zip(&mut rests).enumerate() {
            let part = parts.get(place).copied().unwrap_or(255);
            let blocks = rest.len() / BLOCK * usize::from(part) / 255;
            let (now, later) = rest.split_at(blocks * BLOCK);
            *rest = later;
            lanes.push(Lane::split(stream, now).0);
        }
        let all = compressors();
        all[usize::from(*compressor) % all.len()].update(&mut lanes);
        assert!(lanes.iter().all(|lane| lane.blocks.is_empty()));
    }
    for ((stream, rest), text) in streams.into_iter().zip(rests).zip(&texts) {
        assert_eq!(stream.finish(rest)[..], sha2::Sha256::digest(text)[..]);
    }
});
