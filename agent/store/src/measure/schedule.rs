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

/// So many lanes, and how many bytes they take together while a lane alone takes a hundred; measured with SHA-NI,
/// and with AVX-512 in the last row.
const STEPS: [(u64, u64); 4] = [(1, 100), (2, 145), (4, 170), (16, 266)];

/// No store has more: what is claimed beyond it is not worth calculating with.
const MOST: u64 = 1 << 50;

/// The number of lanes, of at most `width`: the most with which the longest NAR is done before all the others are,
/// even if those go as fast as they can. Where none is, the number with which the later of the two is soonest.
pub(super) fn lanes(width: usize, ahead: Ahead) -> usize {
    let width = width.max(1) as u64;
    let usable = || STEPS.iter().copied().filter(move |(lanes, _)| *lanes <= width);
    let best = usable().map(|(_, speed)| speed).max().unwrap_or(100);
    let each = ahead.rest.min(MOST) / ahead.threads.max(1) as u64;
    let time = |bytes: u64, speed: u64| bytes.saturating_mul(100) / speed.max(1);
    let longest = |lanes: u64, speed| time(ahead.longest.min(MOST).saturating_mul(lanes), speed);

    let in_time = |(lanes, speed): &(u64, u64)| longest(*lanes, *speed) <= time(each, best);
    let most = usable().filter(in_time).map(|(lanes, _)| lanes).max().filter(|lanes| *lanes > 1);
    let soonest = || {
        let end = |(lanes, speed): &(u64, u64)| longest(*lanes, *speed).max(time(each, *speed));
        usable().min_by_key(end).map(|(lanes, _)| lanes)
    };
    most.or_else(soonest).and_then(|lanes| usize::try_from(lanes).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    #[test]
    fn the_longest_is_not_what_all_wait_for() {
        let table = [
            // Width, longest, rest, threads; lanes.
            (16, 600 * MB, 5_500 * MB, 2, 2),
            (16, 600 * MB, 8_500 * MB, 2, 4),
            (4, 600 * MB, 5_500 * MB, 2, 4),
            (16, 600 * MB, 1_200 * MB, 2, 1),
            (16, 600 * MB, 1_200 * MB, 1, 2),
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
