//! Makes receipts whole again after whatever happened to them, and keeps what it takes away.

use super::{Break, Checked, Fault, Head, MOST_LINE, Paths, read_only, verify_chain};
use crate::state::atomic::{self, Stored};
use crate::state::{Damage, Kept, StateError};
use narwarden_core::receipt::LONGEST_HEAD;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Leaves files to which receipts can be appended, after the head that is returned.
///
/// A chain that does not hold is not gone on with: both files are moved aside, and the next one begins with the
/// number after the highest one known, so that no number stands for two lines.
pub(super) fn repair(paths: &Paths) -> Result<(Head, Vec<Damage>), StateError> {
    let mut damages = Vec::new();
    let known = head(paths, &mut damages)?;
    let older = match file(&paths.older, &mut damages)? {
        Found::Absent => None,
        Found::Whole(checked) => Some(checked),
        Found::Broken(found) => {
            damages.push(atomic::set_aside(&paths.older, found));
            None
        }
    };
    let current = file(&paths.current, &mut damages)?;
    let last = match (&current, &older) {
        (Found::Whole(current), _) if current.lines > 0 => Some(&current.head),
        (Found::Absent | Found::Whole(_) | Found::Broken(_), older) => {
            older.as_ref().filter(|it| it.lines > 0).map(|it| &it.head)
        }
    };
    let broken = match (&current, &older) {
        (Found::Broken(found), _) => Some(found.clone()),
        (Found::Whole(current), Some(older))
            if current.lines > 0 && current.before != older.head =>
        {
            Some("its first line does not follow upon the last one of the older file".to_owned())
        }
        (Found::Absent | Found::Whole(_), _) => missing(known.as_ref(), last),
    };
    let head = match (&known, last) {
        (Some(known), Some(last)) if last.sequence > known.sequence => last.clone(),
        (Some(known), _) => known.clone(),
        (None, last) => last.cloned().unwrap_or_default(),
    };
    if let Some(found) = broken {
        for path in [&paths.older, &paths.current] {
            if path.symlink_metadata().is_ok() {
                damages.push(atomic::set_aside(path, found.clone()));
            }
        }
        if damages.is_empty() {
            damages.push(in_place(&paths.current, found));
        }
    } else if known.as_ref() != Some(&head)
        && damages.is_empty()
        && !written_last(known.as_ref(), &head)
    {
        let known = known.map_or_else(|| "no line".to_owned(), |known| format!("line {known}"));
        damages
            .push(in_place(&paths.head, format!("it names {known}, and the last one is {head}")));
    }
    Ok((head, damages))
}

/// Why lines must be missing at the end, or be others than they were.
fn missing(known: Option<&Head>, last: Option<&Head>) -> Option<String> {
    let known = known.filter(|known| known.sequence > 0)?;
    let stands = match last {
        Some(last) => last == known || last.sequence > known.sequence,
        None => false,
    };
    (!stands).then(|| {
        let last = last.map_or_else(|| "missing".to_owned(), ToString::to_string);
        format!("the last receipt is {last}, and it was {known}")
    })
}

/// Whether there was just no power any more to write the head down.
fn written_last(known: Option<&Head>, last: &Head) -> bool {
    match known {
        Some(known) => known.sequence.checked_add(1) == Some(last.sequence),
        None => last.sequence == 0,
    }
}

fn head(paths: &Paths, damages: &mut Vec<Damage>) -> Result<Option<Head>, StateError> {
    match atomic::read(&paths.head, LONGEST_HEAD)? {
        Stored::Absent => Ok(None),
        Stored::Whole(body) => {
            let head = std::str::from_utf8(&body).ok().and_then(Head::parse);
            if head.is_none() {
                damages.push(atomic::set_aside(&paths.head, "it names no line".to_owned()));
            }
            Ok(head)
        }
        Stored::Damaged(damage) => {
            damages.push(damage);
            Ok(None)
        }
    }
}

/// The head as it was written down.
pub(super) fn known_head(paths: &Paths) -> std::io::Result<Option<Head>> {
    // Not by `atomic::read`, which moves what it cannot read.
    let mut text = String::new();
    match read_only(&paths.head) {
        Ok(file) => file.take(LONGEST_HEAD).read_to_string(&mut text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Head::in_file(&text))
}

enum Found {
    Absent,
    Whole(Checked),
    Broken(String),
}

fn file(path: &Path, damages: &mut Vec<Damage>) -> Result<Found, StateError> {
    let other = || Ok(Found::Broken("it is no regular file".to_owned()));
    let flags =
        OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty())) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(Found::Absent),
        Err(Errno::LOOP | Errno::NXIO | Errno::NODEV | Errno::ISDIR) => return other(),
        Err(errno) => return Err(StateError::io("open", path)(errno)),
    };
    let metadata = file.metadata().map_err(StateError::io("look at", path))?;
    if !metadata.is_file() {
        return other();
    }
    let found = match verify_chain(BufReader::new(&file)) {
        Ok(checked) => return Ok(Found::Whole(checked)),
        Err(found) => found,
    };
    if let Fault::Unreadable(found) = found.fault {
        return Err(StateError::io("read", path)(std::io::Error::other(found)));
    }
    if !is_tail(&file, metadata.len(), found.offset).map_err(StateError::io("read", path))? {
        return Ok(Found::Broken(found.to_string()));
    }
    let Some(damage) = cut(path, &file, &found)? else {
        return Ok(Found::Broken(found.to_string()));
    };
    damages.push(damage);
    (&file).seek(SeekFrom::Start(0)).map_err(StateError::io("read", path))?;
    let again = verify_chain(BufReader::new(&file));
    Ok(again.map_or_else(|found| Found::Broken(found.to_string()), Found::Whole))
}

/// Whether what begins at `offset` is the last line: all that a torn write can leave.
fn is_tail(mut file: &File, length: u64, offset: u64) -> std::io::Result<bool> {
    let tail = length.saturating_sub(offset);
    if tail > MOST_LINE as u64 + 1 {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(tail).read_to_end(&mut bytes)?;
    let body = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Ok(!body.contains(&b'\n'))
}

/// Copies the end of the file aside, and only then takes it away.
fn cut(path: &Path, mut file: &File, found: &Break) -> Result<Option<Damage>, StateError> {
    file.seek(SeekFrom::Start(found.offset)).map_err(StateError::io("read", path))?;
    let mut tail = Vec::new();
    file.take(MOST_LINE as u64 + 1).read_to_end(&mut tail).map_err(StateError::io("read", path))?;
    let Some(aside) = keep_copy(path, &tail)? else { return Ok(None) };
    file.set_len(found.offset).map_err(StateError::io("cut", path))?;
    file.sync_all().map_err(StateError::io("sync", path))?;
    Ok(Some(Damage { path: path.to_owned(), found: found.to_string(), kept: Kept::Aside(aside) }))
}

fn keep_copy(path: &Path, bytes: &[u8]) -> Result<Option<PathBuf>, StateError> {
    use std::io::Write as _;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for count in 1..=99 {
        let aside = atomic::aside(path, count);
        let failed = |operation| StateError::io::<std::io::Error>(operation, &aside);
        match retry_on_intr(|| rustix::fs::open(&aside, flags, Mode::RUSR | Mode::WUSR)) {
            Ok(file) => {
                let mut file = File::from(file);
                file.write_all(bytes).map_err(failed("write"))?;
                file.sync_all().map_err(failed("sync"))?;
                crate::state::sync_directory(path.parent().unwrap_or_else(|| Path::new("/")))?;
                return Ok(Some(aside));
            }
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed("create")(errno.into())),
        }
    }
    Ok(None)
}

fn in_place(path: &Path, found: String) -> Damage {
    Damage {
        path: path.to_owned(),
        found,
        kept: Kept::InPlace("there is nothing to move".to_owned()),
    }
}
