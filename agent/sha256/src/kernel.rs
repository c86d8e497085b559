//! The kernels: which there are, which this processor has, and what they are worth.

#[macro_use]
mod wide;

mod constants;
mod lanes;
mod portable;

#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod sha_ni;

mod absent;
#[cfg(not(target_arch = "aarch64"))]
use absent as arm;
#[cfg(not(target_arch = "x86_64"))]
use absent as avx2;
#[cfg(not(target_arch = "x86_64"))]
use absent as avx512;
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
    /// AVX2, eight streams.
    Avx2X8,
    /// AVX-512, sixteen streams.
    Avx512X16,
    /// The SHA-2 extension of 64-bit Arm, one stream.
    ArmX1,
    /// The same, two streams interleaved.
    ArmX2,
    /// The code of [`Avx2X8`](Self::Avx2X8) over arrays: slow, everywhere, for tests.
    LanesX8,
    /// The code of [`Avx512X16`](Self::Avx512X16) over arrays: slow, everywhere, for tests.
    LanesX16,
}

impl Kernel {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Portable,
        Self::ShaNiX1,
        Self::ShaNiX2,
        Self::ShaNiX3,
        Self::ShaNiX4,
        Self::Avx2X8,
        Self::Avx512X16,
        Self::ArmX1,
        Self::ArmX2,
        Self::LanesX8,
        Self::LanesX16,
    ];

    /// How many streams it computes at once.
    #[must_use]
    pub const fn lanes(self) -> usize {
        match self {
            Self::Portable | Self::ShaNiX1 | Self::ArmX1 => 1,
            Self::ShaNiX2 | Self::ArmX2 => 2,
            Self::ShaNiX3 => 3,
            Self::ShaNiX4 => 4,
            Self::Avx2X8 | Self::LanesX8 => 8,
            Self::Avx512X16 | Self::LanesX16 => 16,
        }
    }

    /// What tests and benchmarks call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::ShaNiX1 => "sha-ni-x1",
            Self::ShaNiX2 => "sha-ni-x2",
            Self::ShaNiX3 => "sha-ni-x3",
            Self::ShaNiX4 => "sha-ni-x4",
            Self::Avx2X8 => "avx2-x8",
            Self::Avx512X16 => "avx512-x16",
            Self::ArmX1 => "arm-x1",
            Self::ArmX2 => "arm-x2",
            Self::LanesX8 => "lanes-x8",
            Self::LanesX16 => "lanes-x16",
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
            Self::ShaNiX1 => Run::ShaNiX1(sha_ni::Found::detect()?),
            Self::ShaNiX2 => Run::ShaNiX2(sha_ni::Found::detect()?),
            Self::ShaNiX3 => Run::ShaNiX3(sha_ni::Found::detect()?),
            Self::ShaNiX4 => Run::ShaNiX4(sha_ni::Found::detect()?),
            Self::Avx2X8 => Run::Avx2X8(avx2::Found::detect()?),
            Self::Avx512X16 => Run::Avx512X16(avx512::Found::detect()?),
            Self::ArmX1 => Run::ArmX1(arm::Found::detect()?),
            Self::ArmX2 => Run::ArmX2(arm::Found::detect()?),
            Self::LanesX8 => Run::LanesX8,
            Self::LanesX16 => Run::LanesX16,
        };
        Some(Ready { kernel: self, run })
    }

    /// Bytes in a given time with all lanes in use, where one stream of SHA-NI is about 100.
    ///
    /// Constants, and not what a clock says at the start: a moment that something disturbs would
    /// choose for as long as the program runs. Only the order counts, and where two of them cross.
    /// SHA-NI and AVX2 are measured on Zen 3 (`benches/kernels.rs`). There `sha256rnds2` starts every
    /// other cycle, so that SHA-NI takes 64 cycles a block or more; AVX-512 needs some 25 operations
    /// a round of sixteen streams, which at two a cycle are 51 cycles a block, and was measured as
    /// 265 on Zen 5. For Arm and for the portable kernel they are estimates, and nothing hangs on
    /// them but that one is more than the other.
    pub(crate) const fn worth(self) -> usize {
        match self {
            Self::LanesX8 | Self::LanesX16 => 1,
            Self::Portable => 25,
            Self::Avx2X8 => 100,
            Self::ShaNiX1 | Self::ArmX1 => 101,
            Self::ArmX2 => 150,
            Self::ShaNiX2 => 185,
            Self::ShaNiX3 => 200,
            Self::ShaNiX4 => 205,
            Self::Avx512X16 => 265,
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
    ShaNiX1(sha_ni::Found),
    ShaNiX2(sha_ni::Found),
    ShaNiX3(sha_ni::Found),
    ShaNiX4(sha_ni::Found),
    Avx2X8(avx2::Found),
    Avx512X16(avx512::Found),
    ArmX1(arm::Found),
    ArmX2(arm::Found),
    LanesX8,
    LanesX16,
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
            Run::ShaNiX1(found) => with_lanes::<1>(batch, |s, b| found.compress(s, b)),
            Run::ShaNiX2(found) => with_lanes::<2>(batch, |s, b| found.compress(s, b)),
            Run::ShaNiX3(found) => with_lanes::<3>(batch, |s, b| found.compress(s, b)),
            Run::ShaNiX4(found) => with_lanes::<4>(batch, |s, b| found.compress(s, b)),
            Run::Avx2X8(found) => with_lanes::<8>(batch, |s, b| found.compress(s, b)),
            Run::Avx512X16(found) => with_lanes::<16>(batch, |s, b| found.compress(s, b)),
            Run::ArmX1(found) => with_lanes::<1>(batch, |s, b| found.compress(s, b)),
            Run::ArmX2(found) => with_lanes::<2>(batch, |s, b| found.compress(s, b)),
            Run::LanesX8 => with_lanes(batch, lanes::x8::compress),
            Run::LanesX16 => with_lanes(batch, lanes::x16::compress),
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
