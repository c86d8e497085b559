//! Where a book of seals lies, and how one is taken away for good.
//!
//! A book that says what is no longer so must not be believed again, also where it cannot be removed: on a file
//! system that was mounted read-only after an error, say. So a book carries a random number that lies in a second
//! place too, and taking away either of the two is enough.

use super::binding::BINDING;
use super::book::{TOKEN, WRITABLE_BY_OTHERS};
use super::write::{Placed, Writer, beside, remove};
use crate::location::Location;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where a book of seals lies.
#[derive(Clone, Debug)]
pub struct Shelf {
    book: PathBuf,
    token: Option<PathBuf>,
    /// How often a book was taken away here, for those who are using one.
    revoked: Arc<AtomicU64>,
}

impl Shelf {
    /// A book at `book`. The directory must exist, and nobody else may be able to write to it.
    #[must_use]
    pub fn new(book: impl Into<PathBuf>) -> Self {
        Self { book: book.into(), token: None, revoked: Arc::default() }
    }

    /// A book at `book` that counts only while `token` says so, which lies on another file system.
    #[must_use]
    pub fn with_token(book: impl Into<PathBuf>, token: impl Into<PathBuf>) -> Self {
        Self { book: book.into(), token: Some(token.into()), revoked: Arc::default() }
    }

    /// The book of the store at `location` among those of other stores in `directory`, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made, or others could write to it.
    pub fn among(directory: &Path, location: &Location) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let found = std::fs::symlink_metadata(directory)?;
        let own = rustix::process::geteuid().as_raw();
        let trusted = found.is_dir()
            && (found.uid() == 0 || found.uid() == own)
            && found.mode() & WRITABLE_BY_OTHERS == 0;
        if !trusted {
            let mode = found.mode() & 0o7777;
            return Err(io::Error::other(format!(
                "{directory:?} must be a directory that only its owner can write to, but belongs to user {} with mode \
                 {mode:04o}",
                found.uid()
            )));
        }
        let store = std::path::absolute(location.store_directory())?;
        let name = blake3::hash(store.as_os_str().as_bytes()).to_hex();
        let name: String = name.chars().take(16).collect();
        Ok(Self::new(directory.join(format!("seals-{name}"))))
    }

    /// How often [`revoke`](Self::revoke) was called on this shelf or a clone of it.
    pub(super) fn revoked(&self) -> u64 {
        self.revoked.load(Ordering::SeqCst)
    }

    pub(super) fn book(&self) -> &Path {
        &self.book
    }

    /// The number that a book must carry to be believed; `None` where none is.
    pub(super) fn token(&self) -> Option<[u8; TOKEN]> {
        let Some(path) = &self.token else { return Some([0; TOKEN]) };
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).ok()?;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
        let mut bytes = Vec::new();
        file.take(TOKEN as u64 + 1).read_to_end(&mut bytes).ok()?;
        bytes.try_into().ok()
    }

    /// Puts a finished book here, with a number of its own.
    pub(super) fn put(&self, writer: Writer, binding: &[u8; BINDING]) -> io::Result<Placed> {
        let Some(path) = &self.token else { return writer.finish(binding, &[0; TOKEN]) };
        let token = narwarden_linux::boot::nonce()?;
        match writer.finish(binding, &token)? {
            Placed::Lost => return Ok(Placed::Lost),
            Placed::There => {}
        }
        // Until this is there, the book counts for nothing.
        let new = beside(path, "new");
        remove(&new)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&token)?;
        std::fs::rename(&new, path)?;
        Ok(Placed::There)
    }

    /// Takes the book away.
    ///
    /// # Errors
    /// Why it may be believed again, and what to do.
    pub fn revoke(&self) -> Result<(), String> {
        self.revoked.fetch_add(1, Ordering::SeqCst);
        let token = self.token.as_deref().map(remove);
        let book = remove(&self.book).or_else(|error| {
            // A directory that cannot be written to may hold a file that can.
            OpenOptions::new().write(true).truncate(true).open(&self.book).map_err(|_| error)?;
            Ok::<(), io::Error>(())
        });
        match (token, book) {
            (Some(Ok(())), _) | (_, Ok(())) => Ok(()),
            (Some(Err(_)) | None, Err(error)) => Err(format!(
                "seals that no longer hold cannot be removed: {error}; remove {:?}",
                self.book
            )),
        }
    }

    /// Moves what is no book out of the way; what to say about it.
    pub(super) fn set_aside(&self, wrong: &str) -> String {
        let aside = {
            let mut name = self.book.as_os_str().to_owned();
            name.push(".damaged");
            PathBuf::from(name)
        };
        match std::fs::rename(&self.book, &aside) {
            Ok(()) => format!("{:?} was damaged: {wrong}; it is kept as {aside:?}", self.book),
            Err(error) => {
                format!("{:?} is damaged: {wrong}; it cannot be moved: {error}", self.book)
            }
        }
    }
}
