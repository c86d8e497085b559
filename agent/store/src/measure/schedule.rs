//! How many NARs a thread reads at a time.
//!
//! A processor hashes several streams at once faster than one after the other, and each of them slower than alone:
//! sixteen lanes together are nearly three times as fast as one, and each a sixth as fast. A NAR is one stream from
//! its first byte to its last. So the largest must not be among so many others that it is what all wait for in
//! the end; and where it is not, more lanes are better.
//!
//! Decided from claimed sizes, which may lie: then it takes longer, and nothing else.

/// What the thread that asks has to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    /// Bytes still to be hashed of the largest NAR that it reads or would read next.
    pub(super) longest: u64,
    /// Bytes still to be hashed of all NARs, by all threads.
    pub(super) rest: u64,
    /// How many threads there are.
    pub(super) threads: usize,
}

/// So many lanes, and how many bytes they take together while a lane alone takes a hundred. Reading counted in;
/// measured on processors with and without AVX-512, whose sixteen lanes are the last row.
const STEPS: [(usize, u64); 4] = [(1, 100), (2, 130), (4, 145), (16, 187)];

/// The number of lanes, of at most `width`, with which both the longest NAR and all others are done soonest.
pub(super) fn lanes(width: usize, ahead: Ahead) -> usize {
    let usable = STEPS.iter().filter(|(lanes, _)| *lanes <= width.max(1));
    let best = usable.map(|&(lanes, speed)| (end(lanes, speed, ahead), lanes)).reduce(|best, next| {
        // Of those that end at the same time the wider one: what is left over is done faster.
        if next.0 <= best.0 { next } else { best }
    });
    best.map_or(1, |(_, lanes)| lanes)
}

/// When all will be done, in bytes that one lane alone would take.
fn end(lanes: usize, speed: u64, ahead: Ahead) -> u64 {
    let longest = ahead.longest.saturating_mul(lanes as u64);
    let each = ahead.rest / ahead.threads.max(1) as u64;
    longest.max(each).saturating_mul(100) / speed.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    #[test]
    fn the_longest_is_not_what_all_wait_for() {
        let table = [
            // Width, longest, rest, threads; lanes.
            (16, 600 * MB, 5_500 * MB, 2, 4),
            (16, 600 * MB, 1_200 * MB, 2, 1),
            (16, 600 * MB, 600 * MB, 1, 16),
            (16, 600 * MB, 600 * MB, 2, 1),
            (16, 300 * MB, 900 * MB, 2, 2),
            (16, 50 * MB, 2_000 * MB, 2, 16),
            (16, 50 * MB, 60_000 * MB, 64, 16),
            (4, 50 * MB, 2_000 * MB, 2, 4),
            (2, 50 * MB, 2_000 * MB, 2, 2),
            (1, 50 * MB, 2_000 * MB, 2, 1),
            (0, 50 * MB, 2_000 * MB, 2, 1),
            // Nothing is claimed, or too much: any number will do.
            (16, 0, 0, 2, 16),
            (16, u64::MAX, u64::MAX, 2, 1),
            (16, u64::MAX, 0, 0, 1),
        ];
        for (width, longest, rest, threads, expected) in table {
            let ahead = Ahead { longest, rest, threads };
            assert_eq!(lanes(width, ahead), expected, "{width} {ahead:?}");
        }
    }
}
