//! Watches a tree while it is measured, and says at the end whether what was measured may be sealed.
//!
//! A seal says: whoever changes this tree from now on moves a time stamp of it to one that it does not have yet. What
//! keeps that from being true is a [`Doubt`], and nothing that is in doubt is sealed:
//!
//! - a node as young as the measuring: what changes it next may give it the stamp that it has already (the
//!   "racy git" problem; git's `Documentation/technical/racy-git.txt`)
//! - a file that somebody may be writing to: a write under way, or a mapped page, moves no stamp any more
//! - a clock that was set meanwhile, see [`Binding`](super::binding::Binding)

use super::tree::{DIGEST, Entries, TreeDigest};
use narwarden_linux::boot::Clock;
use narwarden_linux::metadata::{Metadata, Time};
use narwarden_linux::tree::Event;
use narwarden_linux::writers::Writers;

/// By how many seconds stamps may be coarser than the clock: ext4 with small inodes and ext3 stamp whole seconds.
const COARSEST: i64 = 2;
/// How many bytes of names are kept of one tree.
const MOST_NAMES: usize = super::book::LONGEST / 2;
/// The longest path that one system call takes, without its end.
const LONGEST_PATH: usize = 4095;

/// Why something is not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// Something in it changed too short a time ago.
    Young,
    /// Somebody may write to a file of it.
    Writer,
    /// Whether somebody may could not be found out.
    WriterUnknown,
    /// A part of it was reached through another mount.
    Mount,
    /// It deviates in a way that is to be seen each time.
    Deviates,
}

/// Watches one tree.
#[derive(Debug)]
pub(crate) struct Observer {
    mount: u64,
    /// What was changed later than this is too young.
    old: Time,
    tree: TreeDigest,
    entries: Entries,
    names: Option<Vec<u8>>,
    entry: Vec<u8>,
    place: Vec<u8>,
    nodes: u32,
    doubt: Option<Doubt>,
}

/// What was seen of a tree that nothing is in doubt about.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) tree: [u8; DIGEST],
    /// The entries, if they are not too many.
    pub(super) names: Option<Vec<u8>>,
    pub(super) nodes: u32,
}

impl Observer {
    pub(super) fn new(mount: u64, begin: Clock) -> Self {
        let Time { seconds, nanoseconds } = begin.wall;
        Self {
            mount,
            old: Time { seconds: seconds.saturating_sub(COARSEST), nanoseconds },
            tree: TreeDigest::new(),
            entries: Entries::default(),
            names: Some(Vec::new()),
            entry: Vec::new(),
            place: Vec::new(),
            nodes: 0,
            doubt: None,
        }
    }

    /// The next event of the walk.
    pub(crate) fn look(&mut self, event: &Event<'_>) {
        match event {
            Event::Entry { name } => {
                if !self.place.is_empty() {
                    self.place.push(b'/');
                }
                self.place.extend_from_slice(name);
            }
            Event::EntryEnd => {
                let parent = self.place.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                self.place.truncate(parent);
            }
            Event::Directory { metadata, .. }
            | Event::File { metadata, .. }
            | Event::Symlink { metadata, .. } => self.node(metadata),
            Event::DirectoryEnd | Event::Contents(_) | Event::FileEnd => {}
        }
    }

    /// Who may write to the file that the last event began.
    pub(crate) fn writers(&mut self, writers: Writers) {
        match writers {
            Writers::None => {}
            Writers::Some => self.doubts(Doubt::Writer),
            Writers::Unknown => self.doubts(Doubt::WriterUnknown),
        }
    }

    /// Whether it still makes sense to ask who may write.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    fn node(&mut self, metadata: &Metadata) {
        if metadata.mount != self.mount {
            self.doubts(Doubt::Mount);
        }
        // The time of modification is set to whatever its owner wants; it is young when the other one is too.
        if metadata.ctime > self.old {
            self.doubts(Doubt::Young);
        }
        self.entry.clear();
        self.entries.put(&self.place, &mut self.entry);
        self.tree.add(&self.entry, metadata);
        self.nodes = self.nodes.saturating_add(1);
        if let Some(names) = &mut self.names {
            names.extend_from_slice(&self.entry);
            if names.len() > MOST_NAMES || self.place.len() > LONGEST_PATH {
                self.names = None;
            }
        }
    }

    fn doubts(&mut self, doubt: Doubt) {
        self.doubt.get_or_insert(doubt);
    }

    pub(super) fn finish(self) -> Result<Seen, Doubt> {
        match self.doubt {
            Some(doubt) => Err(doubt),
            None => Ok(Seen { tree: self.tree.finish(), names: self.names, nodes: self.nodes }),
        }
    }
}
