//! The names of extended attributes (capabilities, access control lists, labels) of an open file.
//!
//! flistxattr(2), xattr(7). Names in `trusted.` are told to `CAP_SYS_ADMIN` only.

use rustix::buffer::spare_capacity;
use rustix::fd::AsFd;
use rustix::fs::{flistxattr, flistxattr_query};
use rustix::io::Errno;

use super::error::Fault;

/// Longest list of names the kernel gives out (`XATTR_LIST_MAX`).
pub(super) const LONGEST_LIST: usize = 65_536;

/// Whether a walk asks for extended attributes: one more system call per file and directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attributes {
    /// Ask; report the names.
    List,
    /// Do not ask; report none.
    Skip,
}

/// The names of the extended attributes of one file. Normally there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributeNames<'w> {
    /// As the kernel gives them, each ended by NUL.
    list: &'w [u8],
}

impl<'w> AttributeNames<'w> {
    pub(super) fn new(list: &'w [u8]) -> Self {
        Self { list }
    }

    /// Whether the file has no extended attributes, or nobody asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The names, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &'w [u8]> + use<'w> {
        self.list.split(|byte| *byte == 0).filter(|name| !name.is_empty())
    }
}

/// Replaces `list` with the names of the attributes of `file`.
pub(super) fn list(file: impl AsFd, list: &mut Vec<u8>) -> Result<(), Fault> {
    list.clear();
    // Asking for the length first spares the kernel a 64 KiB allocation in the usual case: none.
    match flistxattr_query(&file) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(()),
        Ok(_) => {}
        Err(errno) => return Err(Fault::Io { operation: "flistxattr", errno }),
    }
    list.reserve(LONGEST_LIST);
    match flistxattr(&file, spare_capacity(list)) {
        Ok(_) => Ok(()),
        Err(errno) => Err(Fault::Io { operation: "flistxattr", errno }),
    }
}
