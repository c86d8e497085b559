//! The kernel side: reads bytes and metadata so that what was read is what was there, and says so
//! when it cannot. It knows file descriptors, mounts and time stamps; it knows no policy.
//!
//! - [`tree`]: the walk over one file, directory or symbolic link below a held directory
//! - [`prefetch`]: has the disk read ahead of walks what is not in memory
//! - [`disk`]: how much the calling thread had to wait for
//! - [`priority`]: gives way to whatever is more urgent
//! - [`metadata`]: what statx(2) tells of an open file
//! - [`trusted_file`]: files an operator writes, refused if someone else could have written them
//! - [`fanotify`]: is asked before files are opened or executed, and answers
//! - [`process`]: who asks
//! - [`file_id`]: which file, whatever its path
//! - [`wake`]: rings a thread that waits for several of these
//! - [`clock`]: tells when the wall clock was set
//! - [`boot`]: this run of the kernel, its clocks, kinds of file systems
//! - [`writers`]: whether anybody may write to a file
//! - [`successor`]: becomes the new version of this program, after [`elf`] told what that takes
//! - [`signals`]: keeps a signal from ending the successor before it can be told
//! - [`sandbox`]: gives up what is not needed
//! - [`systemd`], [`journal`], [`terminal`]: whom to tell
//! - [`limits`]: resource limits of this process
//!
//! Needs Linux 5.6 (openat2(2)); on an older kernel every walk fails with `ENOSYS`.

pub mod boot;
pub mod clock;
mod datagram;
pub mod disk;
pub mod elf;
pub mod fanotify;
pub mod file_id;
pub mod journal;
pub mod limits;
pub mod metadata;
mod page_cache;
pub mod prefetch;
pub mod priority;
pub mod process;
pub mod sandbox;
pub mod signals;
pub mod successor;
pub mod systemd;
pub mod terminal;
pub mod tree;
pub mod trusted_file;
pub mod wake;
pub mod writers;
