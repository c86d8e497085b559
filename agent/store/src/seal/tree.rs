//! What a tree looks like from outside: a BLAKE3 over the names of its nodes and what statx(2) tells of each.
//!
//! ```text
//! tree  = BLAKE3( node* )                     ; in the order of a NAR, the root first
//! node  = entry metadata
//! entry = shared:varint length:varint suffix  ; the path of the node below the root, without what it has in
//!                                             ; common with the path before it
//! ```
//!
//! The entries alone are the names from which the same digest is made again without listing a directory.

use super::bytes::put_varint;
use narwarden_linux::metadata::{FileKind, Metadata, Time};

/// Bytes of a tree's digest.
pub(super) const DIGEST: usize = 32;

/// The digest of a tree in the making.
#[derive(Debug)]
pub(super) struct TreeDigest {
    hasher: blake3::Hasher,
    /// Hashed in pieces that are large enough for all lanes of BLAKE3.
    pending: Vec<u8>,
}

const PIECE: usize = 16 << 10;

impl TreeDigest {
    pub(super) fn new() -> Self {
        Self { hasher: blake3::Hasher::new(), pending: Vec::with_capacity(PIECE + 512) }
    }

    /// The next node.
    pub(super) fn add(&mut self, entry: &[u8], metadata: &Metadata) {
        // Named one by one, so that a new field must be thought about. Of the mount, only that it is the store's
        // counts, and its number is another in each mount namespace.
        let Metadata { device, inode, mode, kind, uid, gid, links, size, mtime, ctime, mount: _ } =
            *metadata;
        let pending = &mut self.pending;
        pending.extend_from_slice(entry);
        for number in [device, inode, links, size] {
            pending.extend_from_slice(&number.to_le_bytes());
        }
        for Time { seconds, nanoseconds } in [mtime, ctime] {
            pending.extend_from_slice(&seconds.to_le_bytes());
            pending.extend_from_slice(&nanoseconds.to_le_bytes());
        }
        for number in [mode, uid, gid] {
            pending.extend_from_slice(&number.to_le_bytes());
        }
        pending.push(kind_code(kind));
        if pending.len() >= PIECE {
            self.hasher.update(pending);
            pending.clear();
        }
    }

    pub(super) fn finish(mut self) -> [u8; DIGEST] {
        self.hasher.update(&self.pending);
        self.hasher.finalize().into()
    }
}

fn kind_code(kind: FileKind) -> u8 {
    match kind {
        FileKind::Regular => 1,
        FileKind::Directory => 2,
        FileKind::Symlink => 3,
        FileKind::Fifo => 4,
        FileKind::Socket => 5,
        FileKind::BlockDevice => 6,
        FileKind::CharacterDevice => 7,
        FileKind::Unknown => 8,
    }
}

/// Writes paths as [entries](self).
#[derive(Debug, Default)]
pub(super) struct Entries {
    last: Vec<u8>,
}

impl Entries {
    /// Appends the entry of `path` to `out`.
    pub(super) fn put(&mut self, path: &[u8], out: &mut Vec<u8>) {
        let shared = path.iter().zip(&self.last).take_while(|(a, b)| a == b).count();
        let suffix = path.get(shared..).unwrap_or_default();
        put_varint(out, shared as u64);
        put_varint(out, suffix.len() as u64);
        out.extend_from_slice(suffix);
        self.last.truncate(shared);
        self.last.extend_from_slice(suffix);
    }
}
