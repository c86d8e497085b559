//! The kernel side: reads bytes and metadata so that what was read is what was there, and says so
//! when it cannot. It knows file descriptors, mounts and time stamps; it knows no policy.
//!
//! - [`tree`]: the walk over one file, directory or symbolic link below a held directory
//! - [`metadata`]: what statx(2) tells of an open file
//! - [`trusted_file`]: files an operator writes, refused if someone else could have written them
//! - [`limits`]: resource limits of this process
//!
//! Needs Linux 5.6 (openat2(2)); on an older kernel every walk fails with `ENOSYS`.

pub mod limits;
pub mod metadata;
pub mod tree;
pub mod trusted_file;
