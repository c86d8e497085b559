//! One file of state: replaced whole or not at all, and known to be whole when it is read.
//!
//! ```text
//! file   = header body
//! header = "# narwarden 1 " name " " length " " sha256 "\n"      ; hex( sha256( name NUL body ) )
//! ```
//!
//! The first line is a comment where the body is TOML. A header is compared, not parsed: there is one header for
//! each name and body, so every byte of the file is covered.
//!
//! [`write()`]: a temporary file in the same directory, fsync(2), rename(2), fsync(2) of the directory. After a loss
//! of power the file is the old one or the new one.

use super::{Damage, Kept, StateError, WRITABLE_BY_OTHERS, trusted_owner};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::{Errno, retry_on_intr};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// How many damaged versions of one file are kept, after which the file stays where it is.
const MOST_KEPT: u32 = 99;

/// What was found under a name.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Stored {
    /// Nothing.
    Absent,
    /// What was written.
    Whole(Vec<u8>),
    /// Something else. It was moved aside, so the name is free now.
    Damaged(Damage),
}

/// Puts `body` at `path`, in place of what is there.
///
/// # Errors
/// What the system refuses. The old file is then still there, whole.
pub fn write(path: &Path, body: &[u8]) -> Result<(), StateError> {
    let new = temporary(path);
    remove(&new)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let file = retry_on_intr(|| rustix::fs::open(&new, flags, mode));
    let mut file = File::from(file.map_err(StateError::io("create", &new))?);
    let written = file
        .write_all(header(path, body).as_bytes())
        .and_then(|()| file.write_all(body))
        .map_err(StateError::io("write", &new))
        .and_then(|()| file.sync_all().map_err(StateError::io("sync", &new)))
        .and_then(|()| std::fs::rename(&new, path).map_err(StateError::io("replace", path)));
    if let Err(error) = written {
        // A full disk is the likeliest reason: give back what was taken of it.
        let _ = std::fs::remove_file(&new);
        return Err(error);
    }
    super::sync_directory(parent(path))
}

/// What is at `path`. Damaged files are moved to `<name>.damaged-<n>`. Reads at most `limit` bytes.
///
/// # Errors
/// What the system refuses: then nothing is known about the file, and it was left where it is.
pub fn read(path: &Path, limit: u64) -> Result<Stored, StateError> {
    match look(path, limit)? {
        Found::Nothing => Ok(Stored::Absent),
        Found::Bytes(bytes) => match body(path, &bytes) {
            Some(body) => Ok(Stored::Whole(body.to_vec())),
            None => damaged(path, format!("its checksum does not fit its {} bytes", bytes.len())),
        },
        Found::Other(found) => damaged(path, found),
    }
}

/// What was written to `path`, if it is there and whole. Moves nothing.
pub(super) fn peek(path: &Path, limit: u64) -> Option<Vec<u8>> {
    match look(path, limit) {
        Ok(Found::Bytes(bytes)) => body(path, &bytes).map(<[u8]>::to_vec),
        Ok(Found::Nothing | Found::Other(_)) | Err(_) => None,
    }
}

/// Moves what is at `path` aside.
pub(crate) fn set_aside(path: &Path, found: String) -> Damage {
    let mut problem = format!("{MOST_KEPT} damaged versions are kept already");
    for count in 1..=MOST_KEPT {
        let aside = aside(path, count);
        match rename_new(path, &aside) {
            Ok(()) => {
                // Where this fails, the move may be undone by a loss of power, and is then made again.
                let _ = super::sync_directory(parent(path));
                return Damage { path: path.to_owned(), found, kept: Kept::Aside(aside) };
            }
            Err(Errno::EXIST) => {}
            Err(errno) => {
                problem = std::io::Error::from(errno).to_string();
                break;
            }
        }
    }
    Damage { path: path.to_owned(), found, kept: Kept::InPlace(problem) }
}

/// Where the damaged version of that number is kept.
pub(crate) fn aside(path: &Path, count: u32) -> PathBuf {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".damaged-{count}"));
    PathBuf::from(aside)
}

/// Renames without replacing, also on file systems that cannot promise it.
pub(crate) fn rename_new(from: &Path, to: &Path) -> Result<(), Errno> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Such as ZFS before 2.2. Only this process writes here, so nobody comes in between.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            match rustix::fs::statat(CWD, to, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => Err(Errno::EXIST),
                Err(Errno::NOENT) => rustix::fs::rename(from, to),
                Err(errno) => Err(errno),
            }
        }
        result => result,
    }
}

/// Removes a file; one that is not there is removed already.
pub(crate) fn remove(path: &Path) -> Result<(), StateError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StateError::io("remove", path)(error))
        }
        Err(_) | Ok(()) => Ok(()),
    }
}

fn damaged(path: &Path, found: String) -> Result<Stored, StateError> {
    Ok(Stored::Damaged(set_aside(path, found)))
}

enum Found {
    Nothing,
    Bytes(Vec<u8>),
    Other(String),
}

fn look(path: &Path, limit: u64) -> Result<Found, StateError> {
    let other = |found: String| Ok(Found::Other(found));
    // Neither a link nor a FIFO may send this elsewhere or make it wait.
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty())) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(Found::Nothing),
        Err(Errno::LOOP) => return other("it is a symbolic link".to_owned()),
        Err(Errno::NXIO | Errno::NODEV) => return other("it is a device or a socket".to_owned()),
        Err(errno) => return Err(StateError::io("open", path)(errno)),
    };
    let stat = rustix::fs::fstat(&file).map_err(StateError::io("look at", path))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return other("it is no regular file".to_owned());
    }
    if !trusted_owner(stat.st_uid) {
        return other(format!("it belongs to user {}", stat.st_uid));
    }
    if stat.st_mode & WRITABLE_BY_OTHERS != 0 {
        return other(format!("others may write to it: it has mode {:04o}", stat.st_mode & 0o7777));
    }
    let mut bytes = Vec::new();
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(StateError::io("read", path))?;
    if bytes.len() as u64 > limit {
        return other(format!("it has more than {limit} bytes"));
    }
    Ok(Found::Bytes(bytes))
}

fn body<'a>(path: &Path, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (found, body) = bytes.split_at_checked(end + 1)?;
    (found == header(path, body).as_bytes()).then_some(body)
}

fn header(path: &Path, body: &[u8]) -> String {
    use sha2::Digest as _;
    let name = super::raw_name::encode(path.file_name().unwrap_or_default());
    let mut hasher = sha2::Sha256::new();
    hasher.update(name.as_bytes());
    hasher.update([0]);
    hasher.update(body);
    let digest = data_encoding::HEXLOWER.encode(hasher.finalize().as_ref());
    format!("# narwarden 1 {name} {} {digest}\n", body.len())
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new("/"))
}
