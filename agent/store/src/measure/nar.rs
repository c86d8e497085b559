//! A NAR on its way from the disk into its hash: what of it is not hashed yet, and the hash of the rest.
//!
//! ```text
//!          start   head                          FULL        room
//! ┌──────────┬───────┬────────────────────────────┬───────────┐
//! │          │ rest  │ fresh ─► end               │ overhang  │
//! └──────────┴───────┴────────────────────────────┴───────────┘
//! ```
//!
//! The hash takes blocks of 64 bytes; the rest of less than a block is put right before the place where the next
//! bytes go, so that those always go to the same place, at the beginning of a cache line.

use narwarden_core::nar::Framing;
use narwarden_core::sink::ByteSink;
use narwarden_sha256::{BLOCK, Lane, Sha256};

/// A buffer with this much in it is full: larger ones fall out of the second-level cache when there are several.
const FULL: usize = 64 << 10;
/// What the last file may go beyond that, so that a small one is never read in two parts.
const OVERHANG: usize = 8 << 10;
/// In front: a rest of a block, and what the beginning of the allocation lacks to a cache line.
const FRONT: usize = 2 * BLOCK;

/// The part of a NAR that is not hashed yet, with the hash of what is.
#[derive(Debug)]
pub(super) struct NarBuffer {
    bytes: Box<[u8]>,
    /// Where fresh bytes begin.
    head: usize,
    /// Where the rest of what came before begins.
    start: usize,
    end: usize,
    /// Bytes before `head`, of the whole NAR.
    size: u64,
    stream: Sha256,
    /// Something did not fit: what is hashed is not the NAR.
    overrun: bool,
}

impl NarBuffer {
    /// An empty NAR.
    pub(super) fn new() -> Self {
        let bytes = vec![0; FRONT + FULL + OVERHANG + Framing::LONGEST].into_boxed_slice();
        let head = BLOCK + bytes.as_ptr().align_offset(BLOCK).min(BLOCK);
        let stream = Sha256::new();
        Self { bytes, head, start: head, end: head, size: 0, stream, overrun: false }
    }

    /// Forgets what is in it: another NAR begins.
    pub(super) fn clear(&mut self) {
        let Self { head, start, end, size, stream, overrun, .. } = self;
        (*start, *end, *size, *overrun) = (*head, *head, 0, false);
        *stream = Sha256::new();
    }

    /// Whether it is time to hash.
    pub(super) fn is_full(&self) -> bool {
        self.end >= self.head + FULL
    }

    /// How much of the NAR was hashed.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Where contents are to be read to. Behind it there is room for what frames them.
    pub(super) fn free(&mut self) -> &mut [u8] {
        let limit = self.head + FULL + OVERHANG;
        self.bytes.get_mut(self.end..limit).unwrap_or_default()
    }

    /// So many bytes were read to the beginning of what is free, and they are these.
    pub(super) fn advance(&mut self, length: usize) {
        self.end = self.end.saturating_add(length).min(self.bytes.len());
    }

    /// The first `length` of the bytes that are free.
    pub(super) fn read(&self, length: usize) -> &[u8] {
        self.bytes.get(self.end..self.end.saturating_add(length)).unwrap_or_default()
    }

    /// What came since the last time that it was hashed.
    pub(super) fn fresh(&self) -> &[u8] {
        self.bytes.get(self.head..self.end).unwrap_or_default()
    }

    /// The blocks to hash. [`hashed`](Self::hashed) must follow.
    pub(super) fn lane(&mut self) -> Lane<'_> {
        let bytes = self.bytes.get(self.start..self.end).unwrap_or_default();
        Lane::split(&mut self.stream, bytes).0
    }

    /// The blocks that [`lane`](Self::lane) gave were hashed.
    pub(super) fn hashed(&mut self) {
        let rest = (self.end - self.start) % BLOCK;
        self.size += (self.end - self.head) as u64;
        self.start = self.head - rest;
        self.bytes.copy_within(self.end - rest..self.end, self.start);
        self.end = self.head;
    }

    /// The hash and the size of the NAR, once all of it was hashed but the rest of a block.
    pub(super) fn finish(&mut self) -> Option<([u8; 32], u64)> {
        if self.overrun || self.end != self.head {
            return None;
        }
        let rest = self.bytes.get(self.start..self.end)?;
        let size = self.size;
        let digest = std::mem::take(&mut self.stream).finish(rest);
        self.overrun = true;
        Some((digest, size))
    }
}

impl ByteSink for NarBuffer {
    fn write(&mut self, bytes: &[u8]) {
        let end = self.end + bytes.len();
        match self.bytes.get_mut(self.end..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.end = end;
            }
            None => self.overrun = true,
        }
    }
}
