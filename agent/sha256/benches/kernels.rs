//! Bytes a second and core of each kernel of this processor, with all of its lanes in use:
//! `cargo bench -p narwarden-sha256`.
#![allow(missing_docs)]

use divan::Bencher;
use divan::counter::BytesCount;
use narwarden_sha256::{Block, Compressor, Kernel, Lane, Sha256};

fn main() {
    divan::main();
}

fn here() -> impl Iterator<Item = Kernel> {
    Kernel::ALL.iter().copied().filter(|kernel| kernel.is_available())
}

/// What is read of a big file at a time.
#[divan::bench(args = here())]
fn lanes_of_64_kib(bencher: Bencher<'_, '_>, kernel: Kernel) {
    full_lanes(bencher, kernel, 64 << 10);
}

/// What most files have.
#[divan::bench(args = here())]
fn lanes_of_4_kib(bencher: Bencher<'_, '_>, kernel: Kernel) {
    full_lanes(bencher, kernel, 4 << 10);
}

fn full_lanes(bencher: Bencher<'_, '_>, kernel: Kernel, bytes: usize) {
    let compressor = Compressor::with(&[kernel]);
    let texts = texts(kernel.lanes(), bytes);
    let mut streams = vec![Sha256::new(); texts.len()];
    bencher
        .counter(BytesCount::new(bytes * texts.len()))
        .bench_local(|| update(&compressor, &mut streams, &texts));
}

/// As kernels are chosen, with so many streams in flight.
#[divan::bench(args = [1, 2, 3, 4, 8, 12, 16, 32])]
fn chosen_for_streams(bencher: Bencher<'_, '_>, streams: usize) {
    let compressor = Compressor::detect();
    let texts = texts(streams, 64 << 10);
    let mut streams = vec![Sha256::new(); texts.len()];
    bencher
        .counter(BytesCount::new((64 << 10) * texts.len()))
        .bench_local(|| update(&compressor, &mut streams, &texts));
}

fn texts(lanes: usize, bytes: usize) -> Vec<Vec<Block>> {
    (1..).take(lanes).map(|fill| vec![[fill; 64]; bytes / 64]).collect()
}

fn update(compressor: &Compressor, streams: &mut [Sha256], texts: &[Vec<Block>]) {
    let lanes = streams.iter_mut().zip(texts);
    let mut lanes: Vec<_> = lanes.map(|(stream, blocks)| Lane { stream, blocks }).collect();
    compressor.update(&mut lanes);
}
