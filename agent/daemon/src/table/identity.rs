//! What a file is to the gate: which file, and what its running would activate.

use narwarden_core::store_path::StorePath;
use narwarden_linux::file_id::FileId;
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, StatxFlags, statx};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// A file, by what it will never share with another one: the number of an inode is used again when the file is
/// gone, the moment of its birth is not (statx(2), `STATX_BTIME`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    file: FileId,
    born: Option<(i64, u32)>,
}

impl Identity {
    /// The identity of an open file.
    ///
    /// # Errors
    /// What the system says of it.
    pub fn of(file: impl AsFd) -> io::Result<Self> {
        // A server that does not answer must not stop who asks.
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let found = statx(&file, "", flags, StatxFlags::BTIME)?;
        let known = found.stx_mask & StatxFlags::BTIME.bits() != 0;
        let born = known.then_some((found.stx_btime.tv_sec, found.stx_btime.tv_nsec));
        Ok(Self { file: FileId::of(file)?, born })
    }

    /// The number that it has as long as it exists.
    #[must_use]
    pub fn file(self) -> FileId {
        self.file
    }
}

/// What a file that activates is. With equal contents and `nix store optimise`, it may be all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// The toplevels that it is an entry point of, by whatever name.
    pub owners: Arc<BTreeSet<StorePath>>,
    /// The toplevels that it is an entry point of where the path says so: with other names it is a file of the system
    /// that runs.
    pub meant: Arc<BTreeSet<StorePath>>,
    /// Whether the entry points of many toplevels lead to it.
    pub shared: Option<Shared>,
}

impl Role {
    /// Whether it is none after all.
    pub(super) fn is_none(&self) -> bool {
        self.owners.is_empty() && self.meant.is_empty() && self.shared.is_none()
    }
}

/// Whether a file is known as an entry point by its inode, or only together with its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// By its inode.
    ByInode,
    /// Where the path says so, too.
    ByPath,
}

/// Which toplevels activate by the name of a file only, since the running system has it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByPath {
    /// All.
    All,
    /// Those whose entry points lie in themselves: where one leads to another path, the name is that one's.
    OwnFiles,
}

/// The program that the entry points of many toplevels lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// An ELF program, and the loader that could be given it to run.
    Program(Option<FileId>),
    /// Whatever reads it could run it.
    Script,
}

/// What a store path turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// A toplevel; its entry points are known.
    Toplevel,
    /// Something else.
    NoToplevel,
}
