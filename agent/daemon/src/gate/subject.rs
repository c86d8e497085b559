//! Which store path a file may be an entry point of, by the name that the kernel gives it.
//!
//! The name is that of the opener's own mount namespace, so it may be anything; it only says where to look.

use crate::entry_points::is_entry_point;
use narwarden_core::store_path::{STORE_DIR, StorePath};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::PathBuf;

/// The store path whose entry point the file seems to be.
pub(super) fn hinted(file: BorrowedFd<'_>) -> Option<StorePath> {
    let path = name(file)?;
    let path = path.to_str()?;
    // Anything may stand before the store's own name: a chroot, a bind mount.
    let (_, inside) = path.rsplit_once(&format!("{STORE_DIR}/"))?;
    let (base_name, entry) = inside.split_once('/')?;
    is_entry_point(entry).then(|| StorePath::from_base_name(base_name).ok()).flatten()
}

/// The name that the kernel gives a file, in its opener's mount namespace.
pub(super) fn name(file: BorrowedFd<'_>) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}
