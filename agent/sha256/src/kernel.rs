//! The kernels: which there are, which this processor has, and what they are worth.

mod constants;
mod portable;
#[cfg(target_arch = "x86_64")]
mod sha_ni;

#[cfg(not(target_arch = "x86_64"))]
mod absent;
#[cfg(not(target_arch = "x86_64"))]
use absent as sha_ni;

use core::fmt;

use crate::stream::Block;

/// Lanes of the widest kernel.
pub(crate) const WIDEST: usize = 16;

/// A way to compute the compression function, for as many streams at once as it has lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// Whatever crate `sha2` does here, one stream at a time. Everywhere.
    Portable,
    /// The SHA extensions of x86, one stream.
    ShaNiX1,
    /// The same, two streams interleaved.
    ShaNiX2,
    /// The same, three streams.
    ShaNiX3,
    /// The same, four streams.
    ShaNiX4,
}

impl Kernel {
    /// All of them, narrow ones first.
    pub const ALL: &[Self] =
        &[Self::Portable, Self::ShaNiX1, Self::ShaNiX2, Self::ShaNiX3, Self::ShaNiX4];

    /// How many streams it computes at once.
    #[must_use]
    pub const fn lanes(self) -> usize {
        match self {
            Self::Portable | Self::ShaNiX1 => 1,
            Self::ShaNiX2 => 2,
            Self::ShaNiX3 => 3,
            Self::ShaNiX4 => 4,
        }
    }

    /// What the documentation, tests and benchmarks call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::ShaNiX1 => "sha-ni-x1",
            Self::ShaNiX2 => "sha-ni-x2",
            Self::ShaNiX3 => "sha-ni-x3",
            Self::ShaNiX4 => "sha-ni-x4",
        }
    }

    /// Whether this processor has what it takes.
    #[must_use]
    pub fn is_available(self) -> bool {
        self.ready().is_some()
    }

    /// The kernel, if this processor has what it takes.
    pub(crate) fn ready(self) -> Option<Ready> {
        let run = match self {
            Self::Portable => Run::Portable,
            Self::ShaNiX1 | Self::ShaNiX2 | Self::ShaNiX3 | Self::ShaNiX4 => {
                Run::ShaNi(sha_ni::Found::detect()?)
            }
        };
        Some(Ready { kernel: self, run })
    }

    /// Bytes in a given time with all lanes in use, where one stream with the SHA extensions is 100.
    pub(crate) const fn worth(self) -> usize {
        match self {
            Self::Portable => 20,
            Self::ShaNiX1 => 100,
            Self::ShaNiX2 => 145,
            Self::ShaNiX3 => 167,
            Self::ShaNiX4 => 170,
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// States and blocks of up to [`WIDEST`] streams. Those of the first `lanes()` are computed.
pub(crate) struct Batch<'a> {
    pub(crate) states: [[u32; 8]; WIDEST],
    pub(crate) blocks: [&'a [Block]; WIDEST],
}

/// A kernel that this processor has: made by [`Kernel::ready`] only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    kernel: Kernel,
    run: Run,
}

#[derive(Clone, Copy, Debug)]
enum Run {
    Portable,
    ShaNi(sha_ni::Found),
}

impl Ready {
    pub(crate) const PORTABLE: Self = Self { kernel: Kernel::Portable, run: Run::Portable };

    pub(crate) const fn kernel(self) -> Kernel {
        self.kernel
    }

    /// Takes as many blocks of each lane as the shortest has.
    pub(crate) fn compress(self, batch: &mut Batch<'_>) {
        match self.run {
            Run::Portable => with_lanes(batch, portable::compress),
            Run::ShaNi(found) => match self.kernel.lanes() {
                4.. => with_lanes::<4>(batch, |states, blocks| found.compress(states, blocks)),
                3 => with_lanes::<3>(batch, |states, blocks| found.compress(states, blocks)),
                2 => with_lanes::<2>(batch, |states, blocks| found.compress(states, blocks)),
                0 | 1 => with_lanes::<1>(batch, |states, blocks| found.compress(states, blocks)),
            },
        }
    }
}

fn with_lanes<const N: usize>(
    batch: &mut Batch<'_>,
    compress: impl FnOnce(&mut [[u32; 8]; N], &[&[Block]; N]),
) {
    const { assert!(N > 0 && N <= WIDEST) };
    if let (Some(states), Some(blocks)) =
        (batch.states.first_chunk_mut(), batch.blocks.first_chunk())
    {
        compress(states, blocks);
    }
}
