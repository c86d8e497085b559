//! NAR, the archive form of a tree, written so that it can be hashed.
//!
//! ```text
//! nar    = str("nix-archive-1") node
//! node   = str("(") str("type") body str(")")
//! body   = str("regular") [ str("executable") str("") ] str("contents") str(<file bytes>)
//!        | str("symlink") str("target") str(<link target>)
//!        | str("directory") entry*
//! entry  = str("entry") str("(") str("name") str(<name>) str("node") node str(")")
//! str(b) = <length of b, 64 bits little-endian> b <zeros to the next multiple of 8>
//! ```
//!
//! One tree has one NAR; what a tree is [`crate::sink`] decides. Nothing else of the disk goes in:
//! no owner, time, mode but the executable bit, extended attribute or hard link.
//! Source: Nix manual, "Nix Archive (NAR) format"; Nix `src/libutil/archive.cc`.

use core::mem;

use crate::sink::{ByteSink, Executable, TreeError, TreeGrammar, TreeSink};

/// A NAR cannot be written only where there is no tree.
pub type NarError = TreeError;

/// The NAR of a tree without the contents of its files: whoever has them puts them in their place, so that nobody
/// has to hand them on.
#[derive(Debug, Default)]
pub struct Framing {
    grammar: TreeGrammar,
    /// Zeros owed after the contents of the open file.
    padding: usize,
}

const MAGIC: &[u8] = b"\x0d\0\0\0\0\0\0\0nix-archive-1\0\0\0";
const DIRECTORY: &[u8] = b"\x01\0\0\0\0\0\0\0(\0\0\0\0\0\0\0\
    \x04\0\0\0\0\0\0\0type\0\0\0\0\x09\0\0\0\0\0\0\0directory\0\0\0\0\0\0\0";
const ENTRY: &[u8] = b"\x05\0\0\0\0\0\0\0entry\0\0\0\x01\0\0\0\0\0\0\0(\0\0\0\0\0\0\0\
    \x04\0\0\0\0\0\0\0name\0\0\0\0";
const NODE: &[u8] = b"\x04\0\0\0\0\0\0\0node\0\0\0\0";
const FILE: &[u8] = b"\x01\0\0\0\0\0\0\0(\0\0\0\0\0\0\0\
    \x04\0\0\0\0\0\0\0type\0\0\0\0\x07\0\0\0\0\0\0\0regular\0";
const EXECUTABLE: &[u8] = b"\x0a\0\0\0\0\0\0\0executable\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const CONTENTS: &[u8] = b"\x08\0\0\0\0\0\0\0contents";
const LINK: &[u8] = b"\x01\0\0\0\0\0\0\0(\0\0\0\0\0\0\0\
    \x04\0\0\0\0\0\0\0type\0\0\0\0\x07\0\0\0\0\0\0\0symlink\0\x06\0\0\0\0\0\0\0target\0\0";
const CLOSE: &[u8] = b"\x01\0\0\0\0\0\0\0)\0\0\0\0\0\0\0";

impl Framing {
    /// More bytes than any one event writes.
    pub const LONGEST: usize = 4352;

    /// Starts a NAR in `out`.
    pub fn begin(out: &mut impl ByteSink) -> Self {
        out.write(MAGIC);
        Self::default()
    }

    /// What was written is a whole NAR.
    pub fn finish(&self) -> Result<(), NarError> {
        self.grammar.finish()
    }

    /// See [`TreeSink::begin_directory`].
    pub fn begin_directory(&mut self, out: &mut impl ByteSink) -> Result<(), NarError> {
        self.grammar.begin_directory()?;
        out.write(DIRECTORY);
        Ok(())
    }

    /// See [`TreeSink::begin_entry`].
    pub fn begin_entry(&mut self, name: &[u8], out: &mut impl ByteSink) -> Result<(), NarError> {
        self.grammar.begin_entry(name)?;
        out.write(ENTRY);
        string(name, out);
        out.write(NODE);
        Ok(())
    }

    /// See [`TreeSink::end_entry`].
    pub fn end_entry(&mut self, out: &mut impl ByteSink) -> Result<(), NarError> {
        self.grammar.end_entry()?;
        out.write(CLOSE);
        Ok(())
    }

    /// See [`TreeSink::end_directory`].
    pub fn end_directory(&mut self, out: &mut impl ByteSink) -> Result<(), NarError> {
        self.grammar.end_directory()?;
        out.write(CLOSE);
        Ok(())
    }

    /// See [`TreeSink::begin_file`].
    pub fn begin_file(
        &mut self,
        executable: Executable,
        size: u64,
        out: &mut impl ByteSink,
    ) -> Result<(), NarError> {
        self.grammar.begin_file(executable, size)?;
        out.write(FILE);
        match executable {
            Executable::No => {}
            Executable::Yes => out.write(EXECUTABLE),
        }
        out.write(CONTENTS);
        out.write(&size.to_le_bytes());
        self.padding = padding(size);
        Ok(())
    }

    /// So many bytes of the file's contents were put in their place.
    pub fn contents(&mut self, bytes: &[u8]) -> Result<(), NarError> {
        self.grammar.contents(bytes)
    }

    /// See [`TreeSink::end_file`].
    pub fn end_file(&mut self, out: &mut impl ByteSink) -> Result<(), NarError> {
        self.grammar.end_file()?;
        zeros(mem::take(&mut self.padding), out);
        out.write(CLOSE);
        Ok(())
    }

    /// See [`TreeSink::symlink`].
    pub fn symlink(&mut self, target: &[u8], out: &mut impl ByteSink) -> Result<(), NarError> {
        self.grammar.symlink(target)?;
        out.write(LINK);
        string(target, out);
        out.write(CLOSE);
        Ok(())
    }
}

fn string(bytes: &[u8], out: &mut impl ByteSink) {
    out.write(&(bytes.len() as u64).to_le_bytes());
    out.write(bytes);
    zeros(padding(bytes.len() as u64), out);
}

fn zeros(count: usize, out: &mut impl ByteSink) {
    out.write([0; 7].get(..count).unwrap_or_default());
}

/// Writes the NAR of the tree it is fed.
#[derive(Debug)]
pub struct NarWriter<S> {
    framing: Framing,
    batch: Batch<S>,
}

/// Collects small pieces, so that the sink is not called for each.
#[derive(Debug)]
struct Batch<S> {
    pending: Vec<u8>,
    sink: S,
}

/// Collect this much before writing; pieces as long as this go straight to the sink.
const BATCH: usize = 4096;

impl<S: ByteSink> NarWriter<S> {
    /// Writes to `sink`, which will have everything after [`finish`](Self::finish).
    pub fn new(sink: S) -> Self {
        let mut batch = Batch { pending: Vec::with_capacity(BATCH), sink };
        Self { framing: Framing::begin(&mut batch), batch }
    }

    /// Gives the sink back, if what it got is a whole NAR.
    pub fn finish(self) -> Result<S, NarError> {
        self.framing.finish()?;
        let Batch { pending, mut sink } = self.batch;
        sink.write(&pending);
        Ok(sink)
    }
}

impl<S: ByteSink> ByteSink for Batch<S> {
    fn write(&mut self, bytes: &[u8]) {
        if bytes.len() > BATCH - self.pending.len() {
            self.sink.write(&self.pending);
            self.pending.clear();
        }
        if bytes.len() < BATCH {
            self.pending.extend_from_slice(bytes);
        } else {
            self.sink.write(bytes);
        }
    }
}

impl<S: ByteSink> TreeSink for NarWriter<S> {
    type Error = NarError;

    fn begin_directory(&mut self) -> Result<(), NarError> {
        self.framing.begin_directory(&mut self.batch)
    }

    fn begin_entry(&mut self, name: &[u8]) -> Result<(), NarError> {
        self.framing.begin_entry(name, &mut self.batch)
    }

    fn end_entry(&mut self) -> Result<(), NarError> {
        self.framing.end_entry(&mut self.batch)
    }

    fn end_directory(&mut self) -> Result<(), NarError> {
        self.framing.end_directory(&mut self.batch)
    }

    fn begin_file(&mut self, executable: Executable, size: u64) -> Result<(), NarError> {
        self.framing.begin_file(executable, size, &mut self.batch)
    }

    fn contents(&mut self, bytes: &[u8]) -> Result<(), NarError> {
        self.framing.contents(bytes)?;
        self.batch.write(bytes);
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), NarError> {
        self.framing.end_file(&mut self.batch)
    }

    fn symlink(&mut self, target: &[u8]) -> Result<(), NarError> {
        self.framing.symlink(target, &mut self.batch)
    }
}

/// Zeros from `len` to the next multiple of 8.
const fn padding(len: u64) -> usize {
    (len.wrapping_neg() & 7) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sink::Counting;

    /// Keeps where the writes were cut.
    #[derive(Default)]
    struct Writes(Vec<Vec<u8>>);

    impl ByteSink for Writes {
        fn write(&mut self, bytes: &[u8]) {
            self.0.push(bytes.to_vec());
        }
    }

    fn file(executable: Executable, contents: &[u8], piece: usize) -> Vec<Vec<u8>> {
        let mut writer = NarWriter::new(Writes::default());
        writer.begin_file(executable, contents.len() as u64).unwrap();
        contents.chunks(piece).for_each(|piece| writer.contents(piece).unwrap());
        writer.end_file().unwrap();
        writer.finish().unwrap().0
    }

    #[test]
    fn no_nar_of_half_a_tree() {
        assert_eq!(NarWriter::new(Vec::new()).finish(), Err(NarError::Unfinished));
        let mut writer = NarWriter::new(Vec::new());
        writer.begin_directory().unwrap();
        writer.begin_entry(b"..").unwrap_err();
        assert_eq!(writer.end_directory(), Err(NarError::Refused));
        assert_eq!(writer.finish(), Err(NarError::Refused));
    }

    #[test]
    fn bytes_of_a_small_tree() {
        let mut writer = NarWriter::new(Vec::new());
        writer.begin_directory().unwrap();
        writer.begin_entry(b"12345678").unwrap();
        writer.symlink(b"/t").unwrap();
        writer.end_entry().unwrap();
        writer.begin_entry(b"x").unwrap();
        writer.begin_file(Executable::Yes, 3).unwrap();
        writer.contents(b"a").unwrap();
        writer.contents(b"bc").unwrap();
        writer.end_file().unwrap();
        writer.end_entry().unwrap();
        writer.end_directory().unwrap();
        let expected = [
            &b"\x0d\0\0\0\0\0\0\0nix-archive-1\0\0\0"[..],
            b"\x01\0\0\0\0\0\0\0(\0\0\0\0\0\0\0",
            b"\x04\0\0\0\0\0\0\0type\0\0\0\0",
            b"\x09\0\0\0\0\0\0\0directory\0\0\0\0\0\0\0",
            b"\x05\0\0\0\0\0\0\0entry\0\0\0",
            b"\x01\0\0\0\0\0\0\0(\0\0\0\0\0\0\0",
            b"\x04\0\0\0\0\0\0\0name\0\0\0\0",
            b"\x08\0\0\0\0\0\0\x0012345678",
            b"\x04\0\0\0\0\0\0\0node\0\0\0\0",
            b"\x01\0\0\0\0\0\0\0(\0\0\0\0\0\0\0",
            b"\x04\0\0\0\0\0\0\0type\0\0\0\0",
            b"\x07\0\0\0\0\0\0\0symlink\0",
            b"\x06\0\0\0\0\0\0\0target\0\0",
            b"\x02\0\0\0\0\0\0\0/t\0\0\0\0\0\0",
            b"\x01\0\0\0\0\0\0\0)\0\0\0\0\0\0\0",
            b"\x01\0\0\0\0\0\0\0)\0\0\0\0\0\0\0",
            b"\x05\0\0\0\0\0\0\0entry\0\0\0",
            b"\x01\0\0\0\0\0\0\0(\0\0\0\0\0\0\0",
            b"\x04\0\0\0\0\0\0\0name\0\0\0\0",
            b"\x01\0\0\0\0\0\0\0x\0\0\0\0\0\0\0",
            b"\x04\0\0\0\0\0\0\0node\0\0\0\0",
            b"\x01\0\0\0\0\0\0\0(\0\0\0\0\0\0\0",
            b"\x04\0\0\0\0\0\0\0type\0\0\0\0",
            b"\x07\0\0\0\0\0\0\0regular\0",
            b"\x0a\0\0\0\0\0\0\0executable\0\0\0\0\0\0",
            b"\0\0\0\0\0\0\0\0",
            b"\x08\0\0\0\0\0\0\0contents",
            b"\x03\0\0\0\0\0\0\0abc\0\0\0\0\0",
            b"\x01\0\0\0\0\0\0\0)\0\0\0\0\0\0\0",
            b"\x01\0\0\0\0\0\0\0)\0\0\0\0\0\0\0",
            b"\x01\0\0\0\0\0\0\0)\0\0\0\0\0\0\0",
        ];
        assert_eq!(writer.finish().unwrap(), expected.concat());
    }

    #[test]
    fn no_event_writes_more_than_it_may() {
        let longest = [b'n'; 4095];
        for length in [1, 2, 8, 255, 4095] {
            let mut out = Vec::new();
            let mut link = Framing::begin(&mut out);
            out.clear();
            link.symlink(&longest[..length], &mut out).unwrap();
            assert!(out.len() <= Framing::LONGEST);
            if length > 255 {
                assert!(out.len() > Framing::LONGEST - 256, "{}", out.len());
                continue;
            }
            let mut directory = Framing::begin(&mut out);
            directory.begin_directory(&mut out).unwrap();
            out.clear();
            directory.begin_entry(&longest[..length], &mut out).unwrap();
            assert!(out.len() <= Framing::LONGEST);
        }
    }

    #[test]
    fn deep_trees_need_no_stack() {
        let mut writer = NarWriter::new(Counting::new(Vec::new()));
        for _ in 0..100_000 {
            writer.begin_directory().unwrap();
            writer.begin_entry(b"d").unwrap();
        }
        writer.symlink(b"t").unwrap();
        for _ in 0..100_000 {
            writer.end_entry().unwrap();
            writer.end_directory().unwrap();
        }
        assert_eq!(writer.finish().unwrap().count(), 24 + 96 + 100_000 * 168);
    }

    #[test]
    fn large_contents_are_not_copied() {
        let contents = vec![7; 3 * BATCH];
        let writes = file(Executable::No, &contents, contents.len());
        assert_eq!(writes.iter().map(Vec::len).collect::<Vec<_>>(), [96, 3 * BATCH, 16]);
    }

    proptest! {
        #[test]
        fn pieces_have_no_meaning(len in 0..20_000_usize, piece in 1..10_000_usize) {
            let contents: Vec<u8> = (0..=250).cycle().take(len).collect();
            let nar = file(Executable::No, &contents, piece).concat();
            prop_assert_eq!(nar.len(), 112 + len.next_multiple_of(8));
            prop_assert_eq!(&nar[nar.len() - 16 - len.next_multiple_of(8)..][..len], &contents);
            prop_assert_eq!(nar, file(Executable::No, &contents, len.max(1)).concat());
            let executable = file(Executable::Yes, &contents, piece).concat();
            prop_assert_eq!(executable.len(), 144 + len.next_multiple_of(8));
        }
    }
}
