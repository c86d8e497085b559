//! Receipts: one line of JSON a verdict, each naming the one before by its SHA-256.
//!
//! ```text
//! line = { "sequence": N, "prev": hex(sha256(the line before)), "time": RFC 3339, "receipt": … } "\n"
//! ```
//!
//! Two files, `receipts.jsonl` and the older `receipts.1.jsonl`, and `receipts.head`, which names the last line.
//! The chain goes on from the older file into the newer, and tells whether a line was altered, removed or moved;
//! the head tells whether lines are missing at the end. Whoever is root can make another chain: the head belongs
//! into the journal too, and from there to another machine.
//!
//! A line that was torn by a loss of power is copied aside and cut off; a file that is damaged further up is moved
//! aside, and the chain goes on from the head. Either way the damage is reported.

mod chain;
mod repair;

pub use chain::{Break, Checked, Fault, Head, MOST_LINE, verify_chain};

use super::atomic;
use super::{Damage, StateError};
use crate::places::Places;
use jiff::Timestamp;
use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;
use serde::Serialize;
use std::fs::File;
use std::io::{BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// How large each of the two files gets.
pub const LARGEST: u64 = 8 << 20;

/// Appends receipts. There is one in the daemon, and nobody else writes there.
#[derive(Debug)]
pub struct Receipts {
    paths: Paths,
    file: File,
    length: u64,
    head: Head,
    largest: u64,
}

/// What a verdict leaves behind; other events may leave something else.
#[derive(Clone, Debug, Serialize)]
pub struct Receipt {
    /// What happened, such as `admit` or `deny`.
    pub verdict: &'static str,
    /// The toplevel.
    pub toplevel: String,
    /// The digest of the trust set.
    pub trust: String,
    /// The digest of the policy.
    pub policy: String,
    /// The boot in which it was decided.
    pub boot: String,
    /// The reason codes, each once.
    pub reasons: Vec<String>,
}

/// Why there is no receipt. The verdict does not count without.
#[derive(Debug, Error)]
pub enum ReceiptError {
    /// The system refused.
    #[error(transparent)]
    State(#[from] StateError),
    /// It is longer than a line may be.
    #[error("a receipt of {found} bytes is too long: a line has at most {MOST_LINE}")]
    TooLong {
        /// How long it would be.
        found: usize,
    },
    /// Somebody else wrote to the file.
    #[error(
        "{path:?} is not as it was left: open the receipts again, and find out who writes there"
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

#[derive(Clone, Debug)]
struct Paths {
    directory: PathBuf,
    current: PathBuf,
    older: PathBuf,
    head: PathBuf,
}

impl Paths {
    fn of(places: &Places) -> Self {
        let at = |name| places.state.join(name);
        Self {
            directory: places.state.clone(),
            current: at("receipts.jsonl"),
            older: at("receipts.1.jsonl"),
            head: at("receipts.head"),
        }
    }
}

#[derive(Serialize)]
struct Line<'a, T> {
    sequence: u64,
    prev: &'a str,
    time: Timestamp,
    receipt: &'a T,
}

impl Receipts {
    /// Opens the receipts, makes them whole again where that is needed, and says what was damaged.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn open(places: &Places) -> Result<(Self, Vec<Damage>), StateError> {
        Self::open_with(places, LARGEST)
    }

    fn open_with(places: &Places, largest: u64) -> Result<(Self, Vec<Damage>), StateError> {
        let paths = Paths::of(places);
        let (head, damages) = repair::repair(&paths)?;
        let (file, length) = open(&paths)?;
        let receipts = Self { paths, file, length, head, largest };
        atomic::write(&receipts.paths.head, receipts.head.to_string().as_bytes())?;
        Ok((receipts, damages))
    }

    /// Appends a receipt and makes it last.
    ///
    /// # Errors
    /// What the system refuses: the receipt is not there then.
    pub fn append<T: Serialize>(
        &mut self,
        now: Timestamp,
        receipt: &T,
    ) -> Result<&Head, ReceiptError> {
        let sequence = self.head.sequence.saturating_add(1);
        let line = Line { sequence, prev: &self.head.digest, time: now, receipt };
        let path = self.paths.current.clone();
        let line = serde_json::to_vec(&line)
            .map_err(|error| StateError::io("write", &path)(std::io::Error::other(error)))?;
        if line.len() > MOST_LINE {
            return Err(ReceiptError::TooLong { found: line.len() });
        }
        self.require_unchanged()?;
        if self.length > 0 && self.length + line.len() as u64 >= self.largest {
            self.rotate()?;
        }
        let head = Head::after(sequence, &line);
        if let Err(error) = self.append_line(line, &head) {
            // Half a line would be found at the next start. Without it, the next receipt is still a whole one.
            let _ = self.file.set_len(self.length).and_then(|()| self.file.sync_data());
            return Err(error.into());
        }
        self.head = head;
        Ok(&self.head)
    }

    fn append_line(&mut self, mut line: Vec<u8>, head: &Head) -> Result<(), StateError> {
        let path = &self.paths.current;
        line.push(b'\n');
        self.file.write_all(&line).map_err(StateError::io("write", path))?;
        self.file.sync_data().map_err(StateError::io("sync", path))?;
        atomic::write(&self.paths.head, head.to_string().as_bytes())?;
        self.length += line.len() as u64;
        Ok(())
    }

    fn require_unchanged(&self) -> Result<(), ReceiptError> {
        let path = &self.paths.current;
        let ours = self.file.metadata().map_err(StateError::io("look at", path))?;
        match path.symlink_metadata() {
            Ok(there)
                if (there.dev(), there.ino()) == (ours.dev(), ours.ino())
                    && ours.len() == self.length =>
            {
                Ok(())
            }
            Ok(_) | Err(_) => Err(ReceiptError::Changed { path: path.clone() }),
        }
    }

    fn rotate(&mut self) -> Result<(), StateError> {
        let Paths { current, older, .. } = &self.paths;
        std::fs::rename(current, older).map_err(StateError::io("rotate", current))?;
        (self.file, self.length) = open(&self.paths)?;
        Ok(())
    }

    /// The last line.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Checks both files and the head, without changing anything.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file.
    pub fn verify(places: &Places) -> Result<Checked, (PathBuf, Break)> {
        let paths = Paths::of(places);
        let older = check(&paths.older)?;
        let current = check(&paths.current)?;
        if let (Some(older), Some(current)) = (&older, &current)
            && current.lines > 0
            && current.before != older.head
        {
            let fault = Fault::Previous {
                expected: older.head.digest.clone(),
                found: current.before.digest.clone(),
            };
            return Err((paths.current, Break { line: 1, offset: 0, fault }));
        }
        let both = match (older, current) {
            (Some(older), Some(current)) if current.lines > 0 => Checked {
                lines: older.lines + current.lines,
                before: older.before,
                length: older.length + current.length,
                ..current
            },
            (Some(one), _) | (None, Some(one)) => one,
            (None, None) => Checked::default(),
        };
        let missing = |expected: Option<Head>| Break {
            line: both.lines,
            offset: both.length,
            fault: Fault::Head { expected, found: both.head.clone() },
        };
        match repair::known_head(&paths) {
            Ok(Some(head)) if head == both.head => Ok(both),
            Ok(None) if both.lines == 0 => Ok(both),
            Ok(head) => Err((paths.head, missing(head))),
            Err(error) => {
                let fault = Fault::Unreadable(error.to_string());
                Err((paths.head, Break { line: 0, offset: 0, fault }))
            }
        }
    }

    /// The last receipts, at most `limit` of them, the latest last; what cannot be read is left out.
    #[must_use]
    pub fn recent(places: &Places, limit: usize) -> Vec<serde_json::Value> {
        let paths = Paths::of(places);
        let mut recent = std::collections::VecDeque::new();
        for path in [&paths.older, &paths.current] {
            let Ok(file) = read_only(path) else { continue };
            // A file that is damaged further up still tells what it can.
            let _ = chain::each_line(BufReader::new(file), |line| {
                if let Ok(value) = serde_json::from_slice(line) {
                    recent.push_back(value);
                    if recent.len() > limit {
                        recent.pop_front();
                    }
                }
                Ok(())
            });
        }
        recent.into()
    }
}

fn check(path: &Path) -> Result<Option<Checked>, (PathBuf, Break)> {
    let failed = |error: std::io::Error| Break {
        line: 0,
        offset: 0,
        fault: Fault::Unreadable(error.to_string()),
    };
    match read_only(path) {
        Ok(file) => match verify_chain(BufReader::new(file)) {
            Ok(checked) => Ok(Some(checked)),
            Err(found) => Err((path.to_owned(), found)),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err((path.to_owned(), failed(error))),
    }
}

fn read_only(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?))
}

fn open(paths: &Paths) -> Result<(File, u64), StateError> {
    let path = &paths.current;
    let flags =
        OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = retry_on_intr(|| rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR));
    let file = File::from(file.map_err(StateError::io("open", path))?);
    let length = file.metadata().map_err(StateError::io("look at", path))?.len();
    super::sync_directory(&paths.directory)?;
    Ok((file, length))
}

#[cfg(test)]
mod tests;
