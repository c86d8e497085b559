//! Receipts: one line of JSON a verdict, each naming the one before by its SHA-256.
//!
//! ```text
//! line = { "sequence": N, "prev": hex(sha256(the line before)), "time": RFC 3339, "receipt": … } "\n"
//! ```
//!
//! They stand in two files, [`CURRENT`] and the older [`OLDER`], and [`HEAD`] names the last line. The chain tells
//! whether a line was altered, removed or moved; the head tells whether lines are missing at the end. Whoever is
//! root can make another chain with another head, so the digest of every verdict's line stands in the journal too
//! (`NARWARDEN_RECEIPT`), and from there on another machine.
//!
//! The warden that writes and the command that checks without it share what is here. Bytes come in from outside,
//! and no more than one line of them is held at a time.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io::{BufRead, Read as _};
use thiserror::Error;

/// How long a line may be, without its end.
pub const MOST_LINE: usize = 64 << 10;
/// The file of the latest lines, below the state directory.
pub const CURRENT: &str = "receipts.jsonl";
/// The file of the lines before these.
pub const OLDER: &str = "receipts.1.jsonl";
/// The file that names the last line.
pub const HEAD: &str = "receipts.head";
/// How long that may be: a checksum, a number and a digest.
pub const LONGEST_HEAD: u64 = 512;

/// Names a line: all before it follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of the line, counted from the enrolment; 0 is before the first one.
    pub sequence: u64,
    /// Its SHA-256, in base 16.
    pub digest: String,
}

/// A chain that holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// How many lines it has here.
    pub lines: u64,
    /// How many bytes.
    pub length: u64,
    /// What its first line follows upon.
    pub before: Head,
    /// What its last line follows upon.
    pub previous: Head,
    /// Its last line, or what comes before the first where there is none.
    pub head: Head,
}

/// Where a chain breaks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, at byte {offset}: {fault}")]
pub struct Break {
    /// The line, from 1; 0 where it is about the file.
    pub line: u64,
    /// Where it begins: all before is whole.
    pub offset: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

impl Break {
    /// How many lines before it hold together. A head that does not fit speaks of none of them.
    #[must_use]
    pub fn before(&self) -> u64 {
        let head = matches!(self.fault, Fault::Head { .. });
        if head { self.line } else { self.line.saturating_sub(1) }
    }
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// It has no end.
    #[error("it has no end")]
    Torn,
    /// It is longer than any receipt.
    #[error("it has more than {MOST_LINE} bytes")]
    TooLong,
    /// It is no receipt.
    #[error("it is no receipt: {0}")]
    Malformed(String),
    /// It does not follow upon the line before.
    #[error("it follows upon a line with digest {found}, and the line before has {expected}")]
    Previous {
        /// The digest of the line before.
        expected: String,
        /// The digest that it names.
        found: String,
    },
    /// Its number is not the next one.
    #[error("it has number {found}, and {expected} would be the next")]
    Sequence {
        /// The next number.
        expected: u64,
        /// Its number.
        found: u64,
    },
    /// The last line is not the one that the head names.
    #[error("the last receipt is {found}, and it was {}", expected.as_ref().map_or_else(|| "never written down".to_owned(), ToString::to_string))]
    Head {
        /// What the head names.
        expected: Option<Head>,
        /// The last line.
        found: Head,
    },
    /// The system refused.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

/// Which of the files a break is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// [`OLDER`].
    Older,
    /// [`CURRENT`].
    Current,
    /// [`HEAD`].
    Head,
}

impl Part {
    /// What the file is called.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Older => OLDER,
            Self::Current => CURRENT,
            Self::Head => HEAD,
        }
    }
}

/// Why there is no line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LineError {
    /// It is longer than a line may be.
    #[error("a receipt of {found} bytes is too long: a line has at most {MOST_LINE}")]
    TooLong {
        /// How long it would be.
        found: usize,
    },
    /// It cannot be written as JSON.
    #[error("a receipt cannot be written down: {0}")]
    Unwritable(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a, T> {
    sequence: u64,
    #[serde(borrow)]
    prev: std::borrow::Cow<'a, str>,
    time: String,
    receipt: T,
}

impl Default for Head {
    fn default() -> Self {
        Self { sequence: 0, digest: "0".repeat(64) }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sequence, self.digest)
    }
}

impl Head {
    /// Names `line`, which has this number and is given without its end.
    #[must_use]
    pub fn after(sequence: u64, line: &[u8]) -> Self {
        let digest = data_encoding::HEXLOWER.encode(Sha256::digest(line).as_ref());
        Self { sequence, digest }
    }

    /// Reads what it prints itself as.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (sequence, digest) = text.split_once(' ')?;
        let head = Self { sequence: sequence.parse().ok()?, digest: digest.to_owned() };
        (is_digest(digest) && head.to_string() == text).then_some(head)
    }

    /// Reads what the file [`HEAD`] holds: a line with the checksum that all state has, and the head.
    #[must_use]
    pub fn in_file(text: &str) -> Option<Self> {
        text.split_once('\n').and_then(|(_, body)| Self::parse(body))
    }

    /// The line that follows upon this one, without its end, and the head that names it. Nothing is written yet,
    /// so the digest can be said elsewhere first.
    ///
    /// # Errors
    /// The receipt does not fit into a line.
    pub fn next<T: Serialize>(
        &self,
        time: jiff::Timestamp,
        receipt: &T,
    ) -> Result<(Vec<u8>, Self), LineError> {
        let sequence = self.sequence.saturating_add(1);
        let line =
            Line { sequence, prev: self.digest.as_str().into(), time: time.to_string(), receipt };
        let line =
            serde_json::to_vec(&line).map_err(|error| LineError::Unwritable(error.to_string()))?;
        if line.len() > MOST_LINE {
            return Err(LineError::TooLong { found: line.len() });
        }
        let head = Self::after(sequence, &line);
        Ok((line, head))
    }
}

fn is_digest(text: &str) -> bool {
    data_encoding::HEXLOWER.decode(text.as_bytes()).is_ok_and(|bytes| bytes.len() == 32)
}

/// Checks both files and the head, as they were read; `None` is a file that is not there.
///
/// The head is written after the line. One that names the last line but one is what a loss of power in between
/// leaves, and no line is missing then.
///
/// # Errors
/// The first thing that is wrong, and in which file.
pub fn verify_files<R: BufRead>(
    older: Option<R>,
    current: Option<R>,
    head: Option<Head>,
) -> Result<Checked, (Part, Break)> {
    let chain = |part: Part, reader: Option<R>| {
        reader.map(verify_chain).transpose().map_err(|found| (part, found))
    };
    let older = chain(Part::Older, older)?;
    let current = chain(Part::Current, current)?;
    let both = match (older, current) {
        (Some(older), Some(current)) if older.lines > 0 && current.lines > 0 => {
            if current.before != older.head {
                let fault =
                    Fault::Previous { expected: older.head.digest, found: current.before.digest };
                return Err((Part::Current, Break { line: 1, offset: 0, fault }));
            }
            Checked {
                lines: older.lines + current.lines,
                before: older.before,
                length: older.length + current.length,
                ..current
            }
        }
        (Some(older), Some(current)) => {
            if current.lines > 0 {
                current
            } else {
                older
            }
        }
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => Checked::default(),
    };
    let stands = match &head {
        Some(head) => *head == both.head || (both.lines > 0 && *head == both.previous),
        None => both.lines == 0,
    };
    if stands {
        return Ok(both);
    }
    let fault = Fault::Head { expected: head, found: both.head };
    Err((Part::Head, Break { line: both.lines, offset: both.length, fault }))
}

/// Checks a chain, from wherever it begins.
///
/// # Errors
/// The first line that is not what it was.
pub fn verify_chain(reader: impl BufRead) -> Result<Checked, Break> {
    let mut checked: Option<Checked> = None;
    each_line(reader, |bytes| {
        let malformed = |found: String| Fault::Malformed(found.escape_debug().take(200).collect());
        let line: Line<'_, IgnoredAny> =
            serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        let Line { sequence, prev, time, .. } = line;
        let prev = prev.into_owned();
        if time.parse::<jiff::Timestamp>().is_err() {
            return Err(malformed("time is no time".to_owned()));
        }
        if !is_digest(&prev) {
            return Err(malformed("prev is no digest".to_owned()));
        }
        let Some(before) = sequence.checked_sub(1) else {
            return Err(malformed("it has number 0".to_owned()));
        };
        let so_far = checked.get_or_insert_with(|| {
            let before = Head { sequence: before, digest: prev.clone() };
            Checked { lines: 0, length: 0, previous: before.clone(), head: before.clone(), before }
        });
        if prev != so_far.head.digest {
            return Err(Fault::Previous { expected: so_far.head.digest.clone(), found: prev });
        }
        let expected = so_far.head.sequence.saturating_add(1);
        if sequence != expected {
            return Err(Fault::Sequence { expected, found: sequence });
        }
        so_far.previous = std::mem::replace(&mut so_far.head, Head::after(sequence, bytes));
        so_far.lines += 1;
        so_far.length += bytes.len() as u64 + 1;
        Ok(())
    })?;
    Ok(checked.unwrap_or_default())
}

/// Calls `each` with every line, without its end; reads no more than one at a time.
///
/// # Errors
/// A line that has no end or is too long, and whatever `each` finds.
pub fn each_line(
    mut reader: impl BufRead,
    mut each: impl FnMut(&[u8]) -> Result<(), Fault>,
) -> Result<(), Break> {
    let mut bytes = Vec::new();
    let (mut line, mut offset) = (0, 0);
    loop {
        line += 1;
        bytes.clear();
        let broken = |fault| Break { line, offset, fault };
        let most = MOST_LINE as u64 + 1;
        let read = reader.by_ref().take(most).read_until(b'\n', &mut bytes);
        let read = read.map_err(|error| broken(Fault::Unreadable(error.to_string())))?;
        if read == 0 {
            return Ok(());
        }
        match bytes.split_last() {
            Some((b'\n', rest)) => each(rest).map_err(broken)?,
            Some(_) | None => {
                let long = bytes.len() > MOST_LINE;
                return Err(broken(if long { Fault::TooLong } else { Fault::Torn }));
            }
        }
        offset += read as u64;
    }
}

#[cfg(test)]
mod tests;
