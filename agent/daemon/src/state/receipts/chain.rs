//! Reads a chain and says where it breaks.

use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io::{BufRead, Read as _};
use thiserror::Error;

/// How long a line may be, without its end.
pub const MOST_LINE: usize = 64 << 10;

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
    /// Its last line, or what comes before the first where there is none.
    pub head: Head,
}

/// Where a chain breaks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, at byte {offset}: {fault}")]
pub struct Break {
    /// The line, from 1.
    pub line: u64,
    /// Where it begins: all before is whole.
    pub offset: u64,
    /// What is wrong with it.
    pub fault: Fault,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    sequence: u64,
    prev: String,
    #[serde(rename = "time")]
    _time: jiff::Timestamp,
    #[serde(rename = "receipt")]
    _receipt: IgnoredAny,
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
    /// Names `line`, which has this number.
    pub(super) fn after(sequence: u64, line: &[u8]) -> Self {
        let digest = data_encoding::HEXLOWER.encode(Sha256::digest(line).as_ref());
        Self { sequence, digest }
    }

    /// Reads what it prints itself as.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (sequence, digest) = text.split_once(' ')?;
        let head = Self { sequence: sequence.parse().ok()?, digest: digest.to_owned() };
        (is_digest(digest) && head.to_string() == text).then_some(head)
    }
}

fn is_digest(text: &str) -> bool {
    data_encoding::HEXLOWER.decode(text.as_bytes()).is_ok_and(|bytes| bytes.len() == 32)
}

/// Checks a chain, from wherever it begins.
///
/// # Errors
/// The first line that is not what it was.
pub fn verify_chain(reader: impl BufRead) -> Result<Checked, Break> {
    let mut checked: Option<Checked> = None;
    each_line(reader, |bytes| {
        let malformed = |found: String| Fault::Malformed(found.escape_debug().take(200).collect());
        let line: Line =
            serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        let Line { sequence, prev, .. } = line;
        if !is_digest(&prev) {
            return Err(malformed("prev is no digest".to_owned()));
        }
        let Some(before) = sequence.checked_sub(1) else {
            return Err(malformed("it has number 0".to_owned()));
        };
        let so_far = checked.get_or_insert_with(|| {
            let before = Head { sequence: before, digest: prev.clone() };
            Checked { lines: 0, length: 0, head: before.clone(), before }
        });
        if prev != so_far.head.digest {
            return Err(Fault::Previous { expected: so_far.head.digest.clone(), found: prev });
        }
        let expected = so_far.head.sequence.saturating_add(1);
        if sequence != expected {
            return Err(Fault::Sequence { expected, found: sequence });
        }
        so_far.head = Head::after(sequence, bytes);
        so_far.lines += 1;
        so_far.length += bytes.len() as u64 + 1;
        Ok(())
    })?;
    Ok(checked.unwrap_or_default())
}

/// Calls `each` with every line, without its end; reads no more than one at a time.
pub(super) fn each_line(
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
