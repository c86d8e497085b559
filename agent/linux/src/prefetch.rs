//! Has the disk read what a walk is about to read, so that it need not wait for one file after the other.
//!
//! Directories are listed, their files opened in the order of their inodes (about the order in which they lie on the
//! disk) and their first bytes asked for; the kernel reads them while nobody waits. Of a large file only the
//! beginning: the walk asks for the rest itself, just ahead of where it is (`tree/ahead.rs`).
//!
//! Nothing depends on it. What cannot be opened, is too deep or too much is left out, and whatever was read ahead is
//! read again by the walk, which trusts none of this. Files are opened as the walk opens them: no link is followed, no
//! mount entered, nothing but a regular file opened for reading.
//!
//! posix_fadvise(2), preadv2(2) `RWF_NOWAIT`, openat2(2), getdents64(2).

use std::io::IoSliceMut;
use std::ops::ControlFlow;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Advice, Mode, OFlags, RawDir, ResolveFlags, fadvise, openat2, readlinkat_raw};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::metadata::{FileKind, Metadata};
use crate::tree::{BEGINNING, StoreDirectory};

const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_XDEV)
    .union(ResolveFlags::NO_MAGICLINKS);
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NOATIME);
/// How many directories are remembered for later, and how many names of one are looked at.
const MOST_DIRECTORIES: usize = 4096;
const MOST_NAMES: usize = 65_536;
/// So many files of a tree are asked whether they are in memory; if all are, the others will be too.
const SAMPLE: usize = 8;

/// What was found in memory already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// All that was looked at: there was nothing to do.
    Cached,
    /// Not all: the rest was asked for.
    Missing,
    /// Nothing was looked at.
    Nothing,
}

/// How much of a tree to go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The first file: whether it is in memory, and no more.
    FirstFile,
    /// All, unless the first few files are in memory.
    Everything,
}

/// Goes through the tree `base_name` of the store. `go_on` is asked before bytes of a file are asked for, with their
/// number.
pub fn prefetch(
    store: &StoreDirectory,
    base_name: &[u8],
    extent: Extent,
    go_on: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Found {
    let mut tree = Tree { store, extent, go_on, seen: 0, missing: 0, scratch: Vec::new() };
    let mut directories = vec![(base_name.to_vec(), Listed::Not)];
    while let Some((place, kind)) = directories.pop() {
        if tree.visit(&place, kind, &mut directories).is_break() {
            break;
        }
    }
    match (tree.seen, tree.missing) {
        (0, _) => Found::Nothing,
        (_, 0) => Found::Cached,
        (_, _) => Found::Missing,
    }
}

struct Tree<'a> {
    store: &'a StoreDirectory,
    extent: Extent,
    go_on: &'a mut dyn FnMut(u64) -> ControlFlow<()>,
    /// Files that were looked at, and those of them that were not in memory.
    seen: usize,
    missing: usize,
    /// What the kernel last listed.
    scratch: Vec<u8>,
}

/// What a listing said of a name; the root of a tree is in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    Directory,
    Not,
}

/// A name in a directory, with the number of its inode.
type Entry = (u64, Vec<u8>);

/// What a directory was seen to hold.
#[derive(Default)]
struct Names {
    files: Vec<Entry>,
    directories: Vec<Entry>,
    links: Vec<Entry>,
}

impl Tree<'_> {
    /// Asks for the files of a directory, and puts off the directories in it.
    fn visit(
        &mut self,
        place: &[u8],
        kind: Listed,
        later: &mut Vec<(Vec<u8>, Listed)>,
    ) -> ControlFlow<()> {
        let directory = open(self.store.as_fd(), place, READ | OFlags::DIRECTORY);
        let Ok(directory) = directory else {
            return match kind {
                Listed::Directory => ControlFlow::Continue(()),
                Listed::Not => self.root(place),
            };
        };
        let Names { mut files, mut directories, mut links } = self.list(&directory);
        files.sort_unstable();
        for (_, name) in &files {
            self.file(directory.as_fd(), name)?;
        }
        links.sort_unstable();
        for (_, name) in &links {
            (self.go_on)(0)?;
            read_link(&directory, name);
        }
        // The walk goes by name, and the last that is put off is the next to be visited.
        directories.sort_unstable_by(|(_, one), (_, other)| other.cmp(one));
        directories.truncate(MOST_DIRECTORIES.saturating_sub(later.len()));
        let below = |(_, name): Entry| ([place, &name].join(&b'/'), Listed::Directory);
        later.extend(directories.into_iter().map(below));
        ControlFlow::Continue(())
    }

    /// What is in a directory.
    fn list(&mut self, directory: &OwnedFd) -> Names {
        let mut names = Names::default();
        let mut left = MOST_NAMES;
        self.scratch.clear();
        self.scratch.reserve(32 << 10);
        let mut listing = RawDir::new(directory, self.scratch.spare_capacity_mut());
        while let Some(Ok(entry)) = listing.next() {
            let name = entry.file_name().to_bytes();
            let list = match FileKind::from(entry.file_type()) {
                FileKind::Regular => &mut names.files,
                FileKind::Directory if !matches!(name, b"." | b"..") => &mut names.directories,
                FileKind::Symlink => &mut names.links,
                FileKind::Directory
                | FileKind::Fifo
                | FileKind::Socket
                | FileKind::BlockDevice
                | FileKind::CharacterDevice
                | FileKind::Unknown => continue,
            };
            list.push((entry.ino(), name.to_vec()));
            left -= 1;
            if left == 0 {
                break;
            }
        }
        names
    }

    /// The root of a tree is in no listing that says what it is: to open a device or a FIFO does something already.
    fn root(&mut self, name: &[u8]) -> ControlFlow<()> {
        let held = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = openat2(self.store, name, held, Mode::empty(), RESOLVE);
        match held.and_then(Metadata::of).map(|metadata| metadata.kind) {
            Ok(FileKind::Regular) => self.file(self.store.as_fd(), name),
            Ok(_) | Err(_) => ControlFlow::Continue(()),
        }
    }

    fn file(&mut self, parent: impl AsFd, name: &[u8]) -> ControlFlow<()> {
        let Ok(file) = open(parent, name, READ | OFlags::NONBLOCK | OFlags::NOCTTY) else {
            return ControlFlow::Continue(());
        };
        if self.seen < SAMPLE {
            self.seen += 1;
            self.missing += usize::from(!is_cached(&file, 0));
        }
        match self.extent {
            Extent::FirstFile => return ControlFlow::Break(()),
            Extent::Everything if self.seen >= SAMPLE && self.missing == 0 => {
                return ControlFlow::Break(());
            }
            Extent::Everything => {}
        }
        let Ok(size) = Metadata::of(&file).map(|metadata| metadata.size) else {
            return ControlFlow::Continue(());
        };
        (self.go_on)(size.min(BEGINNING))?;
        will_need(&file, 0, size.min(BEGINNING));
        ControlFlow::Continue(())
    }
}

/// Reads a link: one of more than 59 bytes, as all are that lead into a store, has a block of its own, and there is no
/// advice for links.
fn read_link(parent: impl AsFd, name: &[u8]) {
    let mut target = [std::mem::MaybeUninit::uninit(); 256];
    // What it says is of no interest here.
    let _ = readlinkat_raw(parent, name, &mut target[..]);
}

fn open(parent: impl AsFd, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    openat2(&parent, name, flags, Mode::empty(), RESOLVE).or_else(|errno| match errno {
        // Only the owner and root may leave access times alone.
        Errno::PERM => {
            openat2(&parent, name, flags.difference(OFlags::NOATIME), Mode::empty(), RESOLVE)
        }
        errno => Err(errno),
    })
}

/// The kernel reads no more than `read_ahead_kb` at one call; 128 KiB is what a disk has unless somebody changed it.
const STEP: u64 = 128 << 10;

/// Has these bytes of a file read while nobody waits for them.
pub(crate) fn will_need(file: impl AsFd, offset: u64, length: u64) {
    let steps = (0..length.div_ceil(STEP)).map(|step| offset.saturating_add(step * STEP));
    for offset in steps {
        // It is only advice.
        let _ = fadvise(&file, offset, std::num::NonZeroU64::new(STEP), Advice::WillNeed);
    }
}

/// Whether the byte at `offset` could be read without waiting for a disk. Where that cannot be told it is taken to
/// be so, and nothing is read ahead.
pub(crate) fn is_cached(file: impl AsFd, offset: u64) -> bool {
    let mut byte = [0];
    let mut buffers = [IoSliceMut::new(&mut byte)];
    match preadv2(file, &mut buffers, offset, ReadWriteFlags::NOWAIT) {
        Err(Errno::AGAIN) => false,
        Ok(_) | Err(_) => true,
    }
}
