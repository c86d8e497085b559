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
            let usable = kernels.iter().filter_map(|kernel| kernel.ready());
            // The first of equals is the narrower one, since fewer lanes mean less that is uneven.
            if let Some(found) = usable.min_by_key(|ready| Reverse(rate(ready.kernel(), streams))) {
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
            while self.step(group) {}
        }
    }

    fn ready(&self, streams: usize) -> Ready {
        let place = streams.clamp(1, WIDEST) - 1;
        self.by_streams.get(place).copied().unwrap_or(Ready::PORTABLE)
    }

    /// Runs one kernel over the longest lanes; whether there was anything to do.
    fn step(&self, lanes: &mut [Lane<'_>]) -> bool {
        let mut order = [(Reverse(0), 0); GROUP];
        let mut streams = 0;
        for (place, lane) in lanes.iter().enumerate().filter(|(_, lane)| !lane.blocks.is_empty()) {
            if let Some(next) = order.get_mut(streams) {
                *next = (Reverse(lane.blocks.len()), place);
                streams += 1;
            }
        }
        let ready = self.ready(streams);
        let Some(order) = order.get_mut(..streams) else { return false };
        order.sort_unstable();
        let (chosen, left) = order.split_at(ready.kernel().lanes().min(streams));
        let Some((Reverse(shortest), _)) = chosen.last() else { return false };
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
        true
    }
}

/// What `kernel` is worth while only so many streams have blocks.
fn rate(kernel: Kernel, streams: usize) -> usize {
    kernel.worth() * streams.min(kernel.lanes()) / kernel.lanes()
}
