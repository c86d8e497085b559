//! How measured things flow: bytes into a [`ByteSink`], a file tree as events into a [`TreeSink`].
//!
//! ```text
//! tree      = object
//! object    = begin_file contents* end_file | symlink | directory
//! directory = begin_directory ( begin_entry object end_entry )* end_directory
//! ```
//!
//! Events come in the order of a NAR. [`TreeGrammar`] decides which streams are one tree that Nix
//! can hold: names strictly increasing as raw bytes, 1 to 255 of them, no `/`, no NUL, not `.` or
//! `..`; link targets of 1 to 4095 bytes without NUL; contents as long as announced. Every sink of
//! trees starts by asking it, so they all agree. It keeps one name per open directory and sets no
//! bound to the depth, which belongs to whoever walks the disk.
//! Source: Nix manual, "Nix Archive (NAR) format"; Nix `src/libutil/archive.cc`.

use core::mem;

use crate::nix32::Excerpt;

/// Takes a stream of bytes and cannot fail.
pub trait ByteSink {
    /// Takes the next bytes. How the stream is cut into calls has no meaning.
    fn write(&mut self, bytes: &[u8]);
}

impl ByteSink for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl<S: ByteSink + ?Sized> ByteSink for &mut S {
    fn write(&mut self, bytes: &[u8]) {
        (**self).write(bytes);
    }
}

/// Counts the bytes on their way to another sink.
#[derive(Clone, Debug)]
pub struct Counting<S> {
    count: u64,
    sink: S,
}

impl<S> Counting<S> {
    /// Nothing counted yet.
    pub const fn new(sink: S) -> Self {
        Self { count: 0, sink }
    }

    /// How many bytes have passed.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The sink behind.
    pub fn into_inner(self) -> S {
        self.sink
    }
}

impl<S: ByteSink> ByteSink for Counting<S> {
    fn write(&mut self, bytes: &[u8]) {
        self.count = self.count.saturating_add(bytes.len() as u64);
        self.sink.write(bytes);
    }
}

/// Whether the owner may execute a file: the one permission that Nix records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executable {
    /// The owner's execute bit is clear.
    No,
    /// The owner's execute bit is set.
    Yes,
}

/// Takes a file tree as events in the order of a NAR. The first error is final.
pub trait TreeSink {
    /// Why a stream of events was refused.
    type Error;

    /// A directory starts; its entries follow.
    fn begin_directory(&mut self) -> Result<(), Self::Error>;
    /// An entry of the innermost open directory starts; its object follows.
    fn begin_entry(&mut self, name: &[u8]) -> Result<(), Self::Error>;
    /// The entry has its object.
    fn end_entry(&mut self) -> Result<(), Self::Error>;
    /// The innermost open directory has all its entries.
    fn end_directory(&mut self) -> Result<(), Self::Error>;
    /// A regular file of `size` bytes starts.
    fn begin_file(&mut self, executable: Executable, size: u64) -> Result<(), Self::Error>;
    /// The next bytes of the file.
    fn contents(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
    /// The file has all its bytes.
    fn end_file(&mut self) -> Result<(), Self::Error>;
    /// A symbolic link, with its target as it stands on disk.
    fn symlink(&mut self, target: &[u8]) -> Result<(), Self::Error>;
}

/// Accepts exactly the event streams that are one tree Nix can hold; see the [module](self).
#[derive(Debug, Default)]
pub struct TreeGrammar {
    next: Next,
    /// The latest name of every open directory, outermost first, end to end.
    names: Vec<u8>,
    /// Where in `names` the part of each open directory starts.
    directories: Vec<usize>,
    /// Bytes the open file still lacks.
    missing: u64,
}

/// What may come next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    Contents,
    EndOfEntry,
    EntryOrEnd,
    /// The tree is complete.
    Nothing,
    #[default]
    Object,
    /// An event was refused: the rest would be another tree than the one meant.
    Refused,
}

impl TreeGrammar {
    /// The tree was complete, and nothing in it was refused.
    pub fn finish(&self) -> Result<(), TreeError> {
        match self.next {
            Next::Nothing => Ok(()),
            Next::Refused => Err(TreeError::Refused),
            Next::Contents | Next::EndOfEntry | Next::EntryOrEnd | Next::Object => {
                Err(TreeError::Unfinished)
            }
        }
    }

    /// The latest name in the innermost open directory; empty before its first.
    pub fn entry_name(&self) -> &[u8] {
        let start = self.directories.last().copied().unwrap_or(0);
        self.names.get(start..).unwrap_or_default()
    }

    /// Leaves the stream refused, unless the caller gets as far as saying what comes next.
    fn expect(&mut self, wanted: Next, event: &'static str) -> Result<(), TreeError> {
        let found = mem::replace(&mut self.next, Next::Refused);
        if found == wanted {
            Ok(())
        } else if found == Next::Refused {
            Err(TreeError::Refused)
        } else {
            Err(TreeError::Misplaced { event })
        }
    }

    fn after_object(&self) -> Next {
        if self.directories.is_empty() { Next::Nothing } else { Next::EndOfEntry }
    }
}

impl TreeSink for TreeGrammar {
    type Error = TreeError;

    fn begin_directory(&mut self) -> Result<(), TreeError> {
        self.expect(Next::Object, "begin_directory")?;
        self.directories.push(self.names.len());
        self.next = Next::EntryOrEnd;
        Ok(())
    }

    fn begin_entry(&mut self, name: &[u8]) -> Result<(), TreeError> {
        self.expect(Next::EntryOrEnd, "begin_entry")?;
        let excerpt = || Excerpt::of(name);
        match name {
            b"" => return Err(TreeError::NameEmpty),
            b"." | b".." => return Err(TreeError::NameReserved { name: excerpt() }),
            _ if name.len() > MAX_NAME => return Err(TreeError::NameTooLong { name: excerpt() }),
            _ if name.contains(&b'/') || name.contains(&0) => {
                return Err(TreeError::NameCharacter { name: excerpt() });
            }
            // Before the first entry the latest name is empty, and less than any.
            _ if name <= self.entry_name() => {
                let previous = Excerpt::of(self.entry_name());
                return Err(TreeError::NameOrder { name: excerpt(), previous });
            }
            _ => {}
        }
        self.names.truncate(self.names.len() - self.entry_name().len());
        self.names.extend_from_slice(name);
        self.next = Next::Object;
        Ok(())
    }

    fn end_entry(&mut self) -> Result<(), TreeError> {
        self.expect(Next::EndOfEntry, "end_entry")?;
        self.next = Next::EntryOrEnd;
        Ok(())
    }

    fn end_directory(&mut self) -> Result<(), TreeError> {
        self.expect(Next::EntryOrEnd, "end_directory")?;
        self.names.truncate(self.directories.pop().unwrap_or(0));
        self.next = self.after_object();
        Ok(())
    }

    fn begin_file(&mut self, _: Executable, size: u64) -> Result<(), TreeError> {
        self.expect(Next::Object, "begin_file")?;
        self.missing = size;
        self.next = Next::Contents;
        Ok(())
    }

    fn contents(&mut self, bytes: &[u8]) -> Result<(), TreeError> {
        self.expect(Next::Contents, "contents")?;
        let left = self.missing.checked_sub(bytes.len() as u64);
        self.missing = left.ok_or(TreeError::FileTooLong)?;
        self.next = Next::Contents;
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), TreeError> {
        self.expect(Next::Contents, "end_file")?;
        if self.missing != 0 {
            return Err(TreeError::FileTooShort { missing: self.missing });
        }
        self.next = self.after_object();
        Ok(())
    }

    fn symlink(&mut self, target: &[u8]) -> Result<(), TreeError> {
        self.expect(Next::Object, "symlink")?;
        if target.is_empty() || target.len() > MAX_TARGET || target.contains(&0) {
            return Err(TreeError::Target { target: Excerpt::of(target), length: target.len() });
        }
        self.next = self.after_object();
        Ok(())
    }
}

/// `NAME_MAX` of Linux, in bytes.
const MAX_NAME: usize = 255;
/// `PATH_MAX` of Linux without the final NUL, in bytes.
const MAX_TARGET: usize = 4095;

/// Why a stream of events is not one tree that Nix can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// More contents than announced: the file grew while it was read.
    #[error("a file is longer than announced")]
    FileTooLong,
    /// Fewer contents than announced: the file shrank while it was read.
    #[error("a file is {missing} bytes shorter than announced")]
    FileTooShort {
        /// The bytes that did not come.
        missing: u64,
    },
    /// The caller sent an event where the grammar has none.
    #[error("the event {event} has no place here")]
    Misplaced {
        /// The method called.
        event: &'static str,
    },
    /// A name with `/` or NUL in it.
    #[error("the name \"{name}\" contains a slash or a nul")]
    NameCharacter {
        /// The name.
        name: Excerpt,
    },
    /// A name of no bytes.
    #[error("a name is empty")]
    NameEmpty,
    /// Twice the same name, or names out of order.
    #[error("the name \"{name}\" does not sort after \"{previous}\"")]
    NameOrder {
        /// The name.
        name: Excerpt,
        /// The name before it in the same directory.
        previous: Excerpt,
    },
    /// `.` or `..`.
    #[error("the name \"{name}\" is reserved")]
    NameReserved {
        /// The name.
        name: Excerpt,
    },
    /// More bytes than a directory entry can have.
    #[error("the name \"{name}\" is longer than {MAX_NAME} bytes")]
    NameTooLong {
        /// The name.
        name: Excerpt,
    },
    /// An earlier event was refused.
    #[error("an earlier part of the tree was refused")]
    Refused,
    /// A link target that no file system of Linux would hold.
    #[error("a link target of {length} bytes, \"{target}\", is empty, too long or contains a nul")]
    Target {
        /// The target.
        target: Excerpt,
        /// Its length in bytes.
        length: usize,
    },
    /// The stream stopped inside the tree, or before it.
    #[error("the tree is not complete")]
    Unfinished,
}

#[cfg(test)]
mod tests;
