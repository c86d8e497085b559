//! The file of seals, and how it is read: the index at once, a record when its path is asked for.
//!
//! ```text
//! book   = header record* index
//! header = magic[16] version:u32 binding[72] token[16] index-offset:u64 count:u32 checksum[32]
//! index  = ( key[32] offset:u64 length:u32 nodes:u32 made:u64 digest[32] )*    ; sorted by key
//! ```
//!
//! The checksum covers the header before it and the index, a digest its record, so that no byte that is used is not
//! covered. Like all checksums here it finds accidents: whoever can write to the file is root. The key is the
//! hash part of the store path, `made` the second since boot in which the tree was measured, and the token a
//! number that is kept elsewhere too: without it there, the book counts for nothing.

use super::binding::{BINDING, agree};
use super::bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

pub(super) const MAGIC: &[u8; 16] = b"narwarden seals\n";
/// Raised with every change of what a book or a digest is made of.
pub(super) const VERSION: u32 = 1;
pub(super) const CHECKSUM: usize = 32;
/// Bytes before the checksum.
pub(super) const COVERED: usize = 16 + 4 + BINDING + TOKEN + 8 + 4;
pub(super) const HEADER: usize = COVERED + CHECKSUM;
pub(super) const TOKEN: usize = 16;
pub(super) const ENTRY: usize = KEY + 8 + 4 + 4 + 8 + CHECKSUM;
pub(super) const KEY: usize = 32;

/// How many seals a book has: those of many generations, and an index of less than 3 MiB.
pub(super) const MOST: usize = 32 << 10;
/// How long a record is at most; the names of larger trees are not kept.
pub(super) const LONGEST: usize = 2 << 20;
/// How large a book is at most.
pub(super) const LARGEST: u64 = 64 << 20;
/// How many seconds a seal is believed: twice the time in which everything is to be hashed again.
pub(super) const LIFETIME: u64 = 14 * 24 * 60 * 60;

/// Write permission for group and others.
pub(super) const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: [u8; KEY],
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) nodes: u32,
    pub(super) made: u64,
    pub(super) digest: [u8; CHECKSUM],
}

/// What was found in a book's place.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing, or the book of another boot, store, owner or clock, or one that was revoked.
    Nothing,
    /// Something that was never written there, and what is wrong with it.
    Damaged(String),
    /// A book.
    Book(Book),
}

/// A book, open.
#[derive(Debug)]
pub(super) struct Book {
    file: File,
    bound_to: [u8; BINDING],
    index: Vec<Entry>,
}

impl Book {
    /// Opens the book at `path`, if it is bound to `binding` and `token`.
    pub(super) fn open(
        path: &Path,
        binding: &[u8; BINDING],
        token: &[u8; TOKEN],
    ) -> io::Result<Found> {
        let file = match open(path) {
            Ok(file) => file,
            Err(error) => {
                return match error.raw_os_error() {
                    Some(NOT_FOUND) => Ok(Found::Nothing),
                    Some(IS_LINK) => Ok(Found::Damaged("it is a symbolic link".to_owned())),
                    Some(_) | None => Err(error),
                };
            }
        };
        if let Some(wrong) = untrusted(&file.metadata()?) {
            return Ok(Found::Damaged(wrong));
        }
        let mut header = [0; HEADER];
        if file.read_exact_at(&mut header, 0).is_err() {
            return Ok(Found::Damaged("it is too short".to_owned()));
        }
        let size = file.metadata()?.size();
        Ok(Self::read(file, size, &header, binding, token)
            .unwrap_or_else(|| Found::Damaged("its checksum does not fit".to_owned())))
    }

    fn read(
        file: File,
        size: u64,
        header: &[u8; HEADER],
        binding: &[u8; BINDING],
        token: &[u8; TOKEN],
    ) -> Option<Found> {
        let (covered, checksum) = header.split_at_checked(COVERED)?;
        let mut fields = Bytes(covered);
        let magic = fields.take(MAGIC.len())?;
        let version = fields.u32()?;
        let bound_to: [u8; BINDING] = fields.array()?;
        let marked: [u8; TOKEN] = fields.array()?;
        let (offset, count) = (fields.u64()?, usize::try_from(fields.u32()?).ok()?);
        if magic != MAGIC || count > MOST {
            return None;
        }
        let length = count.checked_mul(ENTRY)?;
        if offset < HEADER as u64 || offset.checked_add(length as u64)? != size {
            return None;
        }
        let mut index = vec![0; length];
        file.read_exact_at(&mut index, offset).ok()?;
        if checksum_of(covered, &index).as_slice() != checksum {
            return None;
        }
        if version != VERSION || !agree(&bound_to, binding) || marked != *token {
            return Some(Found::Nothing);
        }
        let mut entries = Vec::with_capacity(count);
        let mut bytes = Bytes(&index);
        while !bytes.is_empty() {
            let entry = Entry::read(&mut bytes)?;
            let end = entry.offset.checked_add(entry.length.into())?;
            let sorted = entries.last().is_none_or(|last: &Entry| last.key < entry.key);
            let fits = entry.offset >= HEADER as u64 && end <= offset;
            if !sorted || !fits || usize::try_from(entry.length).ok()? > LONGEST {
                return None;
            }
            entries.push(entry);
        }
        Some(Found::Book(Self { file, bound_to, index: entries }))
    }

    /// What it is bound to. What follows it is bound to the same, or many nudges would add up.
    pub(super) fn bound_to(&self) -> &[u8; BINDING] {
        &self.bound_to
    }

    /// Device and inode.
    pub(super) fn id(&self) -> io::Result<(u64, u64)> {
        Ok(super::write::id(&self.file.metadata()?))
    }

    pub(super) fn index(&self) -> &[Entry] {
        &self.index
    }

    /// The seal of the store path with this hash part, if it is not too old at `now`, in seconds since boot.
    pub(super) fn find(&self, key: &[u8; KEY], now: u64) -> Option<Entry> {
        let at = self.index.binary_search_by(|entry| entry.key.cmp(key)).ok()?;
        let entry = self.index.get(at)?;
        let age = now.checked_sub(entry.made)?;
        (age <= LIFETIME).then_some(*entry)
    }

    /// Reads a record into `buffer`; `None` where it is not what was written.
    pub(super) fn record<'b>(&self, entry: &Entry, buffer: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        buffer.resize(usize::try_from(entry.length).ok()?, 0);
        self.file.read_exact_at(buffer, entry.offset).ok()?;
        (*blake3::hash(buffer).as_bytes() == entry.digest).then_some(buffer)
    }
}

/// `ENOENT` and `ELOOP`, the same on every architecture that Nix runs on.
const NOT_FOUND: i32 = rustix::io::Errno::NOENT.raw_os_error();
const IS_LINK: i32 = rustix::io::Errno::LOOP.raw_os_error();

/// Neither a link nor a FIFO may send this elsewhere or make it wait.
fn open(path: &Path) -> io::Result<File> {
    let flags =
        rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn untrusted(metadata: &std::fs::Metadata) -> Option<String> {
    let own = rustix::process::geteuid().as_raw();
    if !metadata.is_file() {
        Some("it is no regular file".to_owned())
    } else if metadata.uid() != 0 && metadata.uid() != own {
        Some(format!("it belongs to user {}", metadata.uid()))
    } else if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        Some(format!("others may write to it: it has mode {:04o}", metadata.mode() & 0o7777))
    } else if metadata.size() > LARGEST {
        Some(format!("it has more than {LARGEST} bytes"))
    } else {
        None
    }
}

pub(super) fn checksum_of(covered: &[u8], index: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(covered).update(index);
    hasher.finalize().into()
}

impl Entry {
    pub(super) fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        Some(Self {
            key: bytes.array()?,
            offset: bytes.u64()?,
            length: bytes.u32()?,
            nodes: bytes.u32()?,
            made: bytes.u64()?,
            digest: bytes.array()?,
        })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let Self { key, offset, length, nodes, made, digest } = self;
        out.extend_from_slice(key);
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&nodes.to_le_bytes());
        out.extend_from_slice(&made.to_le_bytes());
        out.extend_from_slice(digest);
    }
}
