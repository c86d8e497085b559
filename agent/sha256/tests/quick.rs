//! Every kernel against crate `sha2`.
#![allow(clippy::print_stdout, clippy::cast_possible_truncation)]
use narwarden_sha256::{Compressor, Kernel, Lane, Sha256};
use sha2::Digest as _;

#[test]
fn each_kernel_agrees_with_sha2() {
    for &kernel in Kernel::ALL {
        if !kernel.is_available() {
            println!("kernel {kernel}: not on this processor");
            continue;
        }
        let texts: Vec<Vec<u8>> = (0..37usize)
            .map(|i| (0..i * 997 % 20000).map(|j| (j * 31 + i * 7) as u8).collect())
            .collect();
        let mut streams = vec![Sha256::new(); texts.len()];
        let mut tails = Vec::new();
        let mut lanes: Vec<Lane<'_>> = streams
            .iter_mut()
            .zip(&texts)
            .map(|(s, t)| {
                let (l, r) = Lane::split(s, t);
                tails.push(r);
                l
            })
            .collect();
        Compressor::with(&[kernel]).update(&mut lanes);
        Compressor::detect().update(&mut lanes);
        for ((s, t), text) in streams.into_iter().zip(tails).zip(&texts) {
            assert_eq!(s.finish(t)[..], sha2::Sha256::digest(text)[..]);
        }
        println!("kernel {kernel}: ran");
    }
}
