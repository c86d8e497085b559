//! What a file is to the gate: which file, and what its running would activate.

use narwarden_core::store_path::StorePath;
use narwarden_linux::file_id::FileId;
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, StatxFlags, statx};
use std::collections::BTreeSet;
use std::io;

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
        let found = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::BTIME)?;
        let known = found.stx_mask & StatxFlags::BTIME.bits() != 0;
        let born = known.then_some((found.stx_btime.tv_sec, found.stx_btime.tv_nsec));
        Ok(Self { file: FileId::of(file)?, born })
    }
}

/// What a file that activates is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// An entry point of these toplevels. There are several where `nix store optimise` gave equal files one
    /// inode; then they are the same program, and it may run if one of them may.
    EntryPoint(BTreeSet<StorePath>),
    /// The program that the entry points of many toplevels lead to.
    Shared,
}

/// What a store path turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// A toplevel; its entry points are known.
    Toplevel,
    /// Something else.
    NoToplevel,
}
