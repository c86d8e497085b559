//! What was measured of a path, by reading its bytes.

use crate::hash::{Hash, NarHash};
use crate::metadata::Deviation;
use crate::sink::Executable;
use std::num::NonZeroU64;

/// What came of measuring one path.
#[derive(Clone, Debug)]
pub enum Measured {
    /// Its bytes were read from the first to the last, and held still meanwhile.
    Bytes(Evidence),
    /// They could not be, which is not the same as being wrong, and denies all the same.
    Not(Unmeasured),
    /// Nobody asked for it: only signatures are judged, over what the database claims.
    NotAsked,
}

/// What the bytes of a path are.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// SHA-256 of the path's NAR.
    pub nar_hash: NarHash,
    /// The size of that NAR in bytes.
    pub nar_size: NonZeroU64,
    /// What the content address comes out as, where one was asked for.
    pub content: MeasuredContent,
    /// Where metadata differs from what Nix leaves behind.
    pub metadata: MeasuredMetadata,
}

/// What a content address comes out as when it is recomputed from the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeasuredContent {
    /// The path claims none.
    NotAsked,
    /// The method takes a single regular file, and the path is something else.
    NotARegularFile,
    /// What the claimed method gives.
    Hash {
        /// By the rule that binds every byte. `None` where the path has more references to itself than are
        /// kept track of.
        strict: Option<Hash>,
        /// By the rule of Nix 2.17 to 2.34, where it differs.
        legacy: Option<Hash>,
        /// Whether the root is an executable file.
        executable: Executable,
    },
}

/// Deviations of a path's metadata: the first few of them, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeasuredMetadata {
    listed: Vec<(String, Deviation)>,
    total: u64,
}

impl MeasuredMetadata {
    /// How many deviations are kept with their place, so that a path full of them takes bounded memory.
    pub const LISTED: usize = 8;

    /// Counts a deviation at `place`, an escaped path inside the store path that is asked for only if kept.
    pub fn add(&mut self, deviation: Deviation, place: impl FnOnce() -> String) {
        self.total += 1;
        if self.listed.len() < Self::LISTED {
            self.listed.push((place(), deviation));
        }
    }

    /// The first deviations, with their places inside the store path.
    #[must_use]
    pub fn listed(&self) -> &[(String, Deviation)] {
        &self.listed
    }

    /// How many there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// Why a path could not be measured. Texts are escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmeasured {
    /// There is nothing at its place.
    Missing,
    /// The system refused to show it.
    Unreadable(String),
    /// It changed while it was read.
    Changed(String),
    /// It holds something that no store path can hold: a device, a socket, a named pipe.
    UnsupportedFile(String),
    /// It is deeper, wider or far larger than it may be.
    TooLarge(String),
    /// Another file system is mounted on it or below it.
    ForeignMount(String),
    /// Measuring was broken off before it was this path's turn.
    Interrupted,
}
