//! The file of receipts: appends to the chain of `narwarden_core::receipt`, rotates it, and makes it whole again
//! after whatever happened to it.
//!
//! A line is made first ([`Receipts::next`]), so that its digest can be said in the journal before the line counts,
//! and is then written ([`Receipts::append`]).
//!
//! A line that was torn by a loss of power is copied aside and cut off; a file that is damaged further up is moved
//! aside, and the chain goes on from the head. Either way the damage is reported.

mod repair;

pub use narwarden_core::receipt::{Break, Checked, Fault, Head, MOST_LINE, verify_chain};

use super::atomic;
use super::{Damage, StateError};
use crate::places::Places;
use jiff::Timestamp;
use narwarden_core::interface::{ChainBreak, ReceiptsChecked};
use narwarden_core::receipt::{self, LineError, Part};
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

/// How often to look again while receipts are being written.
const MOST_LOOKS: u32 = 10;

/// Longer than it takes to write a receipt.
const A_MOMENT: std::time::Duration = std::time::Duration::from_millis(100);

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
    /// It is no line.
    #[error(transparent)]
    Line(#[from] LineError),
    /// Another line was written since this one was made.
    #[error("a receipt was made for line {found}, and the next one is {expected}")]
    Overtaken {
        /// The number of the next line.
        expected: u64,
        /// The number that it has.
        found: u64,
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
            current: at(receipt::CURRENT),
            older: at(receipt::OLDER),
            head: at(receipt::HEAD),
        }
    }
}

/// A line that is not written yet.
#[derive(Clone, Debug)]
#[must_use = "a receipt that is not appended is none"]
pub struct Next {
    line: Vec<u8>,
    before: Head,
    head: Head,
}

impl Next {
    /// What will name it.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }
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

    /// Makes the line of a receipt. Nothing is written yet.
    ///
    /// # Errors
    /// The receipt does not fit into a line.
    pub fn next<T: Serialize>(&self, now: Timestamp, receipt: &T) -> Result<Next, ReceiptError> {
        let (line, head) = self.head.next(now, receipt)?;
        Ok(Next { line, before: self.head.clone(), head })
    }

    /// Appends the line that was made last, and makes it last.
    ///
    /// # Errors
    /// What the system refuses: the receipt is not there then.
    pub fn append(&mut self, next: Next) -> Result<&Head, ReceiptError> {
        let Next { line, before, head } = next;
        if before != self.head {
            let expected = self.head.sequence.saturating_add(1);
            return Err(ReceiptError::Overtaken { expected, found: head.sequence });
        }
        self.require_unchanged()?;
        if self.length > 0 && self.length + line.len() as u64 >= self.largest {
            self.rotate()?;
        }
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
        let mut looks = 1;
        loop {
            let unreadable = |error: std::io::Error| {
                let fault = Fault::Unreadable(error.to_string());
                (paths.head.clone(), Break { line: 0, offset: 0, fault })
            };
            let head = repair::known_head(&paths).map_err(unreadable)?;
            let checked = verify_once(&paths, head.clone());
            // A receipt that was written meanwhile is no break.
            let written = repair::known_head(&paths).map_err(unreadable)? != head;
            if checked.is_ok() || !written || looks == MOST_LOOKS {
                return checked;
            }
            looks += 1;
        }
    }

    /// The same, as the socket's answer. Only a break that stays is one: the line before its head, and the new file
    /// before its first line, are seen by whoever looks just then.
    #[must_use]
    pub fn check(places: &Places) -> ReceiptsChecked {
        let checked = Self::verify(places).or_else(|_| {
            std::thread::sleep(A_MOMENT);
            Self::verify(places)
        });
        match checked {
            Ok(checked) => ReceiptsChecked {
                receipts: checked.lines,
                head: Some(checked.head.digest),
                broken: None,
            },
            Err((file, broken)) => ReceiptsChecked {
                receipts: broken.before(),
                head: None,
                broken: Some(ChainBreak {
                    file: file.display().to_string(),
                    line: broken.line,
                    problem: broken.fault.to_string(),
                }),
            },
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
            let _ = receipt::each_line(BufReader::new(file), |line| {
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

fn verify_once(paths: &Paths, head: Option<Head>) -> Result<Checked, (PathBuf, Break)> {
    let reader = |path: &Path| match read_only(path) {
        Ok(file) => Ok(Some(BufReader::new(file))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let fault = Fault::Unreadable(error.to_string());
            Err((path.to_owned(), Break { line: 0, offset: 0, fault }))
        }
    };
    let (older, current) = (reader(&paths.older)?, reader(&paths.current)?);
    receipt::verify_files(older, current, head).map_err(|(part, found)| {
        let path = match part {
            Part::Older => &paths.older,
            Part::Current => &paths.current,
            Part::Head => &paths.head,
        };
        (path.clone(), found)
    })
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
