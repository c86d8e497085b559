//! Divides the blocks of many streams among kernels: the widest that pays while enough streams have
//! blocks, narrower ones when fewer have.

use core::cmp::Reverse;

use crate::kernel::{Batch, Kernel, Ready, WIDEST};
use crate::stream::{BLOCK, Block, Sha256};

/// Lanes that are looked at together. Bounds the work to choose among them; more than a few times
/// the widest kernel has no use.
const GROUP: usize = 32;

/// Blocks that are taken at least before the choice of lanes is made anew, unless one ends. Choosing
/// takes less than a hundredth of the time that they take.
const STEP: usize = 64;

/// Blocks of one stream.
#[derive(Debug)]
pub struct Lane<'a> {
    /// What they are added to.
    pub stream: &'a mut Sha256,
    /// The blocks, in order. [`Compressor::update`] leaves none.
    pub blocks: &'a [Block],
}

impl<'a> Lane<'a> {
    /// The whole blocks of `bytes` as a lane, and the rest of less than a block.
    #[must_use]
    pub const fn split<'b: 'a>(stream: &'a mut Sha256, bytes: &'b [u8]) -> (Self, &'b [u8]) {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        (Self { stream, blocks }, rest)
    }
}

/// The kernels of this processor, and when each of them pays.
#[derive(Clone, Copy, Debug)]
pub struct Compressor {
    /// For one stream that has blocks, for two, and so on.
    by_streams: [Ready; WIDEST],
    width: usize,
}

impl Compressor {
    /// With all that this processor has.
    #[must_use]
    pub fn detect() -> Self {
        Self::with(Kernel::ALL)
    }

    /// With those of `kernels` that this processor has, and [`Kernel::Portable`] where that leaves
    /// none for a single stream.
    #[must_use]
    pub fn with(kernels: &[Kernel]) -> Self {
        let mut by_streams = [Ready::PORTABLE; WIDEST];
        for (streams, best) in (1..).zip(&mut by_streams) {
            let usable = kernels.iter().copied().filter(|kernel| kernel.is_available());
            if let Some(found) = fastest(usable, streams).and_then(Kernel::ready) {
                *best = found;
            }
        }
        let [.., last] = by_streams;
        Self { by_streams, width: last.kernel().lanes() }
    }

    /// How many streams should be in flight: the lanes of the kernel that is best when there are
    /// enough. More are welcome.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// The kernel that is used while `streams` of them have blocks.
    #[must_use]
    pub fn kernel(&self, streams: usize) -> Kernel {
        self.ready(streams).kernel()
    }

    /// Adds the blocks of each lane to its stream. Lanes may be uneven, empty, none, or more than
    /// [`width`](Self::width).
    pub fn update(&self, lanes: &mut [Lane<'_>]) {
        for group in lanes.chunks_mut(GROUP) {
            while self.step(group).is_some() {}
        }
    }

    fn ready(&self, streams: usize) -> Ready {
        let place = streams.clamp(1, WIDEST) - 1;
        self.by_streams.get(place).copied().unwrap_or(Ready::PORTABLE)
    }

    /// Runs one kernel over the longest lanes. How many blocks it took of each, if there were any.
    fn step(&self, lanes: &mut [Lane<'_>]) -> Option<usize> {
        let mut order = [(Reverse(0), 0); GROUP];
        let mut streams = 0;
        for (place, lane) in lanes.iter().enumerate().filter(|(_, lane)| !lane.blocks.is_empty()) {
            if let Some(next) = order.get_mut(streams) {
                *next = (Reverse(lane.blocks.len()), place);
                streams += 1;
            }
        }
        let ready = self.ready(streams);
        let order = order.get_mut(..streams)?;
        order.sort_unstable();
        let (chosen, left) = order.split_at(ready.kernel().lanes().min(streams));
        let (Reverse(shortest), _) = chosen.last()?;
        // Those that are left must not be what remains at the end, with too few lanes for a wide
        // kernel: as soon as they are the longest, it is their turn.
        let count = match left.first() {
            Some((Reverse(longest), _)) => (*shortest).min(shortest - longest + STEP),
            None => *shortest,
        };

        let mut batch = Batch { states: [[0; 8]; WIDEST], blocks: [&[]; WIDEST] };
        let slots = batch.states.iter_mut().zip(&mut batch.blocks);
        for ((state, blocks), (_, place)) in slots.zip(chosen) {
            let Some(lane) = lanes.get_mut(*place) else { continue };
            (*blocks, lane.blocks) = lane.blocks.split_at(count);
            lane.stream.blocks += count as u64;
            *state = lane.stream.state;
        }
        // Lanes that nobody needs compute what the first computes; their state is thrown away.
        let [first, others @ ..] = &mut batch.blocks;
        for spare in others.iter_mut().skip(chosen.len() - 1) {
            *spare = first;
        }
        ready.compress(&mut batch);
        for (state, (_, place)) in batch.states.iter().zip(chosen) {
            if let Some(lane) = lanes.get_mut(*place) {
                lane.stream.state = *state;
            }
        }
        Some(count)
    }
}

/// Which of them takes the most bytes in a given time while only so many streams have blocks. The
/// first of equals: narrow ones come first in [`Kernel::ALL`], and leave less that is uneven.
fn fastest(kernels: impl Iterator<Item = Kernel>, streams: usize) -> Option<Kernel> {
    let rate = |kernel: Kernel| kernel.worth() * streams.min(kernel.lanes()) / kernel.lanes();
    kernels.min_by_key(|kernel| Reverse(rate(*kernel)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_that_pays() {
        use Kernel::*;
        let x86 = [Portable, ShaNiX1, ShaNiX2, ShaNiX3, ShaNiX4, Avx2X8];
        let with_avx512 = [&x86[..], &[Avx512X16]].concat();
        let cases: [(&[Kernel], &[Kernel]); 5] = [
            (&[Portable, LanesX8, LanesX16], &[Portable; 16]),
            (&[Portable, Avx2X8], &[&[Portable; 2], &[Avx2X8; 14][..]].concat()),
            (&x86, &[&[ShaNiX1, ShaNiX2, ShaNiX3], &[ShaNiX4; 13][..]].concat()),
            (
                &with_avx512,
                &[&[ShaNiX1, ShaNiX2, ShaNiX3], &[ShaNiX4; 9][..], &[Avx512X16; 4]].concat(),
            ),
            (&[Portable, ArmX1, ArmX2], &[&[ArmX1], &[ArmX2; 15][..]].concat()),
        ];
        for (kernels, expected) in cases {
            let found: Vec<_> =
                (1..=16).filter_map(|n| fastest(kernels.iter().copied(), n)).collect();
            assert_eq!(found, expected);
        }
    }

    /// Nine streams for eight lanes: the ninth must not be computed alone when the others are done.
    #[test]
    fn lanes_end_together() {
        const BLOCKS: usize = 640;
        let text = vec![[7; BLOCK]; BLOCKS];
        let mut streams = [const { Sha256::new() }; 9];
        let mut lanes: Vec<_> =
            streams.iter_mut().map(|stream| Lane { stream, blocks: &text }).collect();
        let compressor = Compressor::with(&[Kernel::LanesX8]);
        let taken: usize = std::iter::from_fn(|| compressor.step(&mut lanes)).sum();
        assert!(taken <= BLOCKS * 9 / 8 + 2 * STEP, "{taken}");
        assert!(streams.iter().all(|stream| stream.blocks == BLOCKS as u64));
    }
}
