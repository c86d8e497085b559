//! The names still to be visited, of all directories on the current path, in one allocation.
//!
//! A stack: the names of a directory lie above those of its parent, last name lowest, so that the
//! next one to visit is always on top and a directory that was left takes its bytes with it.
//!
//! getdents64(2), readdir(3) for `d_type`.

use rustix::fd::OwnedFd;
use rustix::fs::RawDir;
use rustix::io::Errno;

use super::error::Fault;
use crate::metadata::FileKind;

/// How many names are held, and how many bytes of them, whatever the directories on the path have.
const MOST_NAMES: usize = 4 << 20;
const MOST_BYTES: usize = 128 << 20;

/// Names read from directories, as raw bytes.
#[derive(Debug, Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    stack: Vec<Name>,
}

/// One name: where its bytes are, and what the listing said it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    start: usize,
    end: usize,
    /// A hint: it is confirmed on the opened file.
    pub(super) kind: FileKind,
}

/// Where the names of one directory begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    bytes: usize,
    stack: usize,
}

impl Names {
    /// Puts all names of `directory` on the stack, sorted by raw bytes.
    ///
    /// `scratch` lends its spare capacity to the kernel.
    pub(super) fn list(
        &mut self,
        directory: &OwnedFd,
        limit: usize,
        scratch: &mut Vec<u8>,
    ) -> Result<Mark, Fault> {
        let mark = Mark { bytes: self.bytes.len(), stack: self.stack.len() };
        let most = mark.stack.saturating_add(limit);
        scratch.clear();
        let mut listing = RawDir::new(directory, scratch.spare_capacity_mut());
        while let Some(entry) = listing.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(Errno::INTR) => continue,
                // Removed since it was opened.
                Err(Errno::NOENT) => return Err(Fault::Changed),
                Err(errno) => return Err(Fault::Io { operation: "getdents64", errno }),
            };
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let names = self.stack.len();
            if names >= most || names >= MOST_NAMES || self.bytes.len() >= MOST_BYTES {
                return Err(Fault::TooManyEntries { limit });
            }
            self.push(name, entry.file_type().into());
        }
        self.sort(mark)?;
        Ok(mark)
    }

    /// Keeps the bytes of a name that no listing gave.
    pub(super) fn keep(&mut self, name: &[u8], kind: FileKind) -> Name {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        Name { start, end: self.bytes.len(), kind }
    }

    fn push(&mut self, name: &[u8], kind: FileKind) {
        let name = self.keep(name, kind);
        self.stack.push(name);
    }

    /// Takes the next name of the directory whose names begin at `mark`. When there is none, the
    /// bytes of all its names are gone.
    pub(super) fn pop(&mut self, mark: Mark) -> Option<Name> {
        if self.stack.len() > mark.stack {
            return self.stack.pop();
        }
        self.bytes.truncate(mark.bytes);
        None
    }

    /// The bytes of a name whose directory is not used up.
    pub(super) fn get(&self, name: Name) -> &[u8] {
        bytes_of(&self.bytes, name)
    }

    /// Sorts the names above `mark` downwards. A name listed twice means that the directory was
    /// written to while it was listed.
    fn sort(&mut self, mark: Mark) -> Result<(), Fault> {
        let Self { bytes, stack } = self;
        let names = stack.get_mut(mark.stack..).unwrap_or_default();
        names.sort_unstable_by(|a, b| bytes_of(bytes, *b).cmp(bytes_of(bytes, *a)));
        let mut pairs = names.iter().zip(names.iter().skip(1));
        if pairs.any(|(a, b)| bytes_of(bytes, *a) == bytes_of(bytes, *b)) {
            return Err(Fault::Changed);
        }
        Ok(())
    }
}

fn bytes_of(bytes: &[u8], name: Name) -> &[u8] {
    // Out of range cannot be; the empty name it would give is refused by openat2(2).
    bytes.get(name.start..name.end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTTOM: Mark = Mark { bytes: 0, stack: 0 };

    #[test]
    fn pops_in_order_of_raw_bytes() {
        let sorted: [&[u8]; 9] = [b"\n", b"A", b"a", b"a-", b"a.b", b"a0", b"ab", b"\xc3", b"\xff"];
        let mut names = Names::default();
        names.push(b"zz", FileKind::Unknown);
        let mark = Mark { bytes: 2, stack: 1 };
        for name in sorted.iter().rev().step_by(2).chain(sorted.iter().rev().skip(1).step_by(2)) {
            names.push(name, FileKind::Unknown);
        }
        names.sort(mark).unwrap();
        for expected in sorted {
            let name = names.pop(mark).unwrap();
            assert_eq!(names.get(name), expected);
        }
        assert!(names.pop(mark).is_none());
        assert_eq!(names.bytes, b"zz");
        let parent = names.pop(BOTTOM).unwrap();
        assert_eq!(names.get(parent), b"zz");
    }

    #[test]
    fn a_name_listed_twice_is_a_change() {
        let mut names = Names::default();
        for name in ["b", "a", "b"] {
            names.push(name.as_bytes(), FileKind::Unknown);
        }
        assert!(matches!(names.sort(BOTTOM), Err(Fault::Changed)));
    }
}
