//! Reads a file an operator writes (keys, policy) and refuses it if anyone but root or this
//! process could have written it.
//!
//! Symbolic links are followed: NixOS links `/etc/x` to `/etc/static/x` and on into the store. All
//! questions go to the open descriptor, so the file judged is the file read. The directories on
//! the way are the operator's: where others may create names, they may also link to a file of
//! root's that holds their text.
//!
//! open(2), inode(7), statx(2).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::retry_on_intr;
use rustix::process::geteuid;

use crate::metadata::{FileKind, Metadata};

/// Write permission for group and others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A file read whole, with the metadata it had before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedFile {
    /// The contents.
    pub text: String,
    /// Metadata of the file itself, not of a link to it.
    pub metadata: Metadata,
}

/// Why a file was not trusted. Every message says what was expected, found and can be done.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum TrustedFileError {
    /// The system refused.
    #[error("cannot {operation} {path:?}: {error}")]
    Io { operation: &'static str, path: PathBuf, error: io::Error },
    /// Not a regular file.
    #[error("{path:?} must be a regular file, but is {kind}")]
    NotRegular { path: PathBuf, kind: FileKind },
    /// Owned by someone else.
    #[error(
        "{path:?} must belong to root, but belongs to user {uid}; if its contents are right: \
         chown root {path:?}"
    )]
    WrongOwner { path: PathBuf, uid: u32 },
    /// Group or others may write.
    #[error(
        "{path:?} must be writable by its owner alone, but has mode {mode:04o}; if its contents \
         are right: chmod go-w {path:?}"
    )]
    WritableByOthers { path: PathBuf, mode: u32 },
    /// Larger than allowed.
    #[error("{path:?} must have at most {limit} bytes, but has {size}; is it the right file?")]
    TooLarge { path: PathBuf, size: u64, limit: u64 },
    /// Written to in the meantime.
    #[error("{path:?} changed while it was read; try again")]
    Changed { path: PathBuf },
    /// Not UTF-8.
    #[error("{path:?} must be UTF-8 text, but is not from byte {offset} on")]
    NotUtf8 { path: PathBuf, offset: usize },
}

/// Reads the file at `path`, of at most `limit` bytes. Never blocks on a FIFO or device.
///
/// # Errors
/// See [`TrustedFileError`].
///
/// ```
/// use narwarden_linux::trusted_file;
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("policy.toml");
/// std::fs::write(&path, "threshold = 2\n")?;
/// assert_eq!(trusted_file::read(&path, 1024)?.text, "threshold = 2\n");
///
/// std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
/// assert!(trusted_file::read(&path, 1024).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(path: &Path, limit: u64) -> Result<TrustedFile, TrustedFileError> {
    read_judged(path, limit, |metadata| judge(path, metadata, geteuid().as_raw()))
}

/// Reads the file in the same way, whoever owns it or may write to it: for what no host is going to trust, such as
/// a checkout on a build machine.
///
/// # Errors
/// See [`TrustedFileError`].
pub fn read_untrusted(path: &Path, limit: u64) -> Result<TrustedFile, TrustedFileError> {
    read_judged(path, limit, |metadata| judge_kind(path, metadata))
}

fn read_judged(
    path: &Path,
    limit: u64,
    judge: impl FnOnce(&Metadata) -> Result<(), TrustedFileError>,
) -> Result<TrustedFile, TrustedFileError> {
    let failed =
        |operation| move |error| TrustedFileError::Io { operation, path: path.to_owned(), error };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = retry_on_intr(|| open(path, flags, Mode::empty()))
        .map(File::from)
        .map_err(|errno| failed("open")(errno.into()))?;
    let stat = || Metadata::of(&file).map_err(|errno| failed("stat")(errno.into()));

    let metadata = stat()?;
    judge(&metadata)?;
    let too_large = |size| TrustedFileError::TooLarge { path: path.to_owned(), size, limit };
    if metadata.size > limit {
        return Err(too_large(metadata.size));
    }
    let mut bytes = Vec::new();
    (&file).take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed("read"))?;
    let size = bytes.len() as u64;
    if size > limit {
        return Err(too_large(size));
    }
    if size != metadata.size || stat()? != metadata {
        return Err(TrustedFileError::Changed { path: path.to_owned() });
    }
    let text = String::from_utf8(bytes).map_err(|error| TrustedFileError::NotUtf8 {
        path: path.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })?;
    Ok(TrustedFile { text, metadata })
}

fn judge_kind(path: &Path, metadata: &Metadata) -> Result<(), TrustedFileError> {
    let kind = metadata.kind;
    if kind != FileKind::Regular {
        return Err(TrustedFileError::NotRegular { path: path.to_owned(), kind });
    }
    Ok(())
}

fn judge(path: &Path, metadata: &Metadata, user: u32) -> Result<(), TrustedFileError> {
    judge_kind(path, metadata)?;
    let path = || path.to_owned();
    let Metadata { uid, mode, .. } = *metadata;
    if uid != 0 && uid != user {
        return Err(TrustedFileError::WrongOwner { path: path(), uid });
    }
    if mode & WRITABLE_BY_OTHERS != 0 {
        return Err(TrustedFileError::WritableByOthers { path: path(), mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_and_mode() {
        let mut metadata = Metadata::of(tempfile::tempfile().unwrap()).unwrap();
        // owner, mode, effective user, trusted
        let table = [
            (0, 0o644, 0, true),
            (0, 0o444, 1000, true),
            (1000, 0o600, 1000, true),
            (1000, 0o600, 0, false),
            (1001, 0o600, 1000, false),
            (0, 0o664, 0, false),
            (0, 0o646, 0, false),
            (0, 0o622, 0, false),
            (0, 0o4755, 0, true),
        ];
        for (uid, mode, user, trusted) in table {
            (metadata.uid, metadata.mode) = (uid, mode);
            let verdict = judge(Path::new("/x"), &metadata, user);
            assert_eq!(verdict.is_ok(), trusted, "{uid} {mode:o} {user}");
        }
    }
}
