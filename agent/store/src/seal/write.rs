//! The next book: written record by record beside the present one, and put in its place as a whole.
//!
//! The header is written last, so that a book which was not finished is none. Nothing is synced to disk: no book
//! outlives its boot, and after a loss of power there is another boot.

use super::binding::BINDING;
use super::book::{
    Book, Entry, HEADER, LARGEST, LONGEST, MAGIC, MOST, TOKEN, VERSION, checksum_of,
};
use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A book in the making. Dropped unfinished, it is gone.
#[derive(Debug)]
pub(super) struct Writer {
    file: BufWriter<File>,
    path: PathBuf,
    new: PathBuf,
    end: u64,
    index: BTreeMap<[u8; super::book::KEY], Entry>,
    /// Device and inode of the book that was copied from.
    copied: Option<(u64, u64)>,
}

/// What became of a finished book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// It lies in its place.
    There,
    /// Another run wrote meanwhile, and this one's is gone.
    Lost,
}

/// Whether there was room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    TooLittle,
}

impl Writer {
    /// Begins the book that is to lie at `path`.
    pub(super) fn begin(path: &Path) -> io::Result<Self> {
        let new = beside(path, "new");
        // What an earlier run left, or anybody put there: a FIFO is not waited for.
        remove(&new)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        let mut file = BufWriter::with_capacity(64 << 10, file);
        file.write_all(&[0; HEADER])?;
        let (path, end, index) = (path.to_owned(), HEADER as u64, BTreeMap::new());
        Ok(Self { file, path, new, end, index, copied: None })
    }

    /// Adds a record, unless there is no room. The first of a path counts.
    pub(super) fn add(&mut self, entry: Entry, record: &[u8]) -> io::Result<Room> {
        let length = record.len() as u64;
        let index = (self.index.len() + 1) as u64 * super::book::ENTRY as u64;
        let full = self.end.saturating_add(length).saturating_add(index) > LARGEST;
        if self.index.len() >= MOST || record.len() > LONGEST || full {
            return Ok(Room::TooLittle);
        }
        if self.index.contains_key(&entry.key) {
            return Ok(Room::Enough);
        }
        self.file.write_all(record)?;
        self.index.insert(entry.key, Entry { offset: self.end, ..entry });
        self.end = self.end.saturating_add(length);
        Ok(Room::Enough)
    }

    /// How many records were added.
    pub(super) fn len(&self) -> u64 {
        self.index.len() as u64
    }

    /// Takes over what `keep` says of an earlier book, as far as there is room.
    pub(super) fn copy(&mut self, book: &Book, keep: impl Fn(&Entry) -> bool) -> io::Result<()> {
        self.copied = Some(book.id()?);
        let mut buffer = Vec::new();
        for entry in book.index().iter().filter(|entry| keep(entry)) {
            // One that was damaged is not taken over, and nothing is lost by that but time.
            let Some(record) = book.record(entry, &mut buffer) else { continue };
            match self.add(*entry, record)? {
                Room::Enough => {}
                Room::TooLittle => break,
            }
        }
        Ok(())
    }

    /// Puts the book in its place.
    pub(super) fn finish(self, binding: &[u8; BINDING], token: &[u8; TOKEN]) -> io::Result<Placed> {
        let Self { file, path, new, end, index, copied } = self;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let mut bytes = Vec::with_capacity(index.len() * super::book::ENTRY);
        index.values().for_each(|entry| entry.put(&mut bytes));
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(binding);
        header.extend_from_slice(token);
        header.extend_from_slice(&end.to_le_bytes());
        header.extend_from_slice(&u32::try_from(index.len()).unwrap_or(u32::MAX).to_le_bytes());
        let checksum = checksum_of(&header, &bytes);
        header.extend_from_slice(&checksum);
        file.write_all_at(&bytes, end)?;
        file.write_all_at(&header, 0)?;
        // Two runs at a time write under one name: the second one took it from the first.
        if id_at(&new)? != Some(id(&file.metadata()?)) {
            return Ok(Placed::Lost);
        }
        // What the other one found to be void must not come back by what was copied before that.
        if copied.is_some() && id_at(&path)? != copied {
            remove(&new)?;
            return Ok(Placed::Lost);
        }
        std::fs::rename(&new, &path).inspect_err(|_| {
            let _ = std::fs::remove_file(&new);
        })?;
        Ok(Placed::There)
    }

    /// Gives the book up.
    pub(super) fn abandon(self) {
        // What stays is removed before the next one is begun.
        let _ = std::fs::remove_file(&self.new);
    }
}

pub(super) fn id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Of what lies there.
fn id_at(path: &Path) -> io::Result<Option<(u64, u64)>> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(id(&metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a file; one that is not there is removed already.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(_) | Ok(()) => Ok(()),
    }
}

/// `.NAME.SUFFIX` in the same directory.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}
