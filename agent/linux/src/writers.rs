//! Tells whether anybody has a file open for writing, or mapped so that writing to memory writes to it.
//!
//! Time stamps do not tell all of that: a write that is under way has moved them when it began, and a page that
//! was mapped and dirtied takes more bytes without moving them again. The kernel counts those who may write,
//! and gives a read lease (fcntl(2), `F_SETLEASE`, `F_RDLCK`) only where there are none. It is given back at
//! once; a writer that opens the file meanwhile waits that long and no longer.
//!
//! Whoever breaks a lease has a signal sent to its holder. It is told to be `SIGURG`, which is ignored by
//! default, instead of `SIGIO`, which ends the process.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd as _};

/// Who may write to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Writers {
    /// Nobody, at the moment of asking.
    None,
    /// Somebody has it open for writing, or mapped for it.
    Some,
    /// The system does not tell: the file belongs to another user, or its file system has no leases.
    Unknown,
}

impl Writers {
    /// Asks about an open file. The descriptor must be open for reading only.
    #[must_use]
    pub fn of(file: impl AsFd) -> Self {
        let file = file.as_fd();
        let ask = |command, argument: libc::c_int| {
            // SAFETY: these commands take an integer and touch no memory; the descriptor is borrowed for the call.
            unsafe { libc::fcntl(file.as_raw_fd(), command, argument) }
        };
        if ask(F_SETSIG, libc::SIGURG) == -1 {
            return Self::Unknown;
        }
        if ask(libc::F_SETLEASE, libc::F_RDLCK) == 0 {
            // Where this fails the lease was broken already, or it goes with the descriptor.
            ask(libc::F_SETLEASE, libc::F_UNLCK);
            return Self::None;
        }
        match std::io::Error::last_os_error().raw_os_error() {
            Some(libc::EAGAIN) => Self::Some,
            Some(_) | None => Self::Unknown,
        }
    }
}

/// Which signal tells of a lease that is to be broken, fcntl(2). Not in every version of libc's bindings.
const F_SETSIG: libc::c_int = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};

    #[test]
    fn a_writer_is_seen_as_long_as_it_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "text").unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!(Writers::of(&file), Writers::None);
        let reader = File::open(&path).unwrap();
        assert_eq!(Writers::of(&file), Writers::None, "who reads does not write");
        let writer = OpenOptions::new().append(true).open(&path).unwrap();
        assert_eq!(Writers::of(&file), Writers::Some);
        drop(writer);
        assert_eq!(Writers::of(&file), Writers::None);
        // The lease was given back: nobody waits for it.
        OpenOptions::new().write(true).open(&path).unwrap();
        assert_eq!(Writers::of(&reader), Writers::None);
    }

    #[test]
    fn a_mapping_writes_after_its_descriptor_is_closed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4096).unwrap();
        let reader = File::open(file.path()).unwrap();
        // SAFETY: a new mapping of a file of its size, at a place that the kernel chooses.
        let map = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        assert_ne!(map, libc::MAP_FAILED);
        let (file, path) = file.into_parts();
        drop(file);
        assert_eq!(Writers::of(&reader), Writers::Some);
        // SAFETY: the mapping from above, of that length; nothing refers to it.
        assert_eq!(unsafe { libc::munmap(map, 4096) }, 0);
        assert_eq!(Writers::of(&reader), Writers::None);
        drop(path);
    }

    #[test]
    fn what_has_no_leases_is_not_taken_for_unwritten() {
        assert_eq!(Writers::of(File::open("/dev/null").unwrap()), Writers::Unknown);
        let file = tempfile::tempfile().unwrap();
        assert_eq!(Writers::of(&file), Writers::Some, "it is open for writing itself");
    }
}
