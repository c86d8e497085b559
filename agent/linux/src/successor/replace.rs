//! execve(2), so that a refusal changes nothing: neither descriptors nor signals. (What std offers
//! resets the treatment of `SIGPIPE` first, and leaves it so.)
#![allow(unsafe_code, reason = "nothing safe executes without changing this process first")]

use std::convert::Infallible;
use std::env;
use std::ffi::{CString, OsStr, OsString, c_char};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use rustix::io::{FdFlags, fcntl_setfd};

use crate::systemd::{KEPT, kept as listed};

/// Executes `path` with the environment of this process; descriptors in `kept` stay open and are told
/// of, and are close-on-exec again if that fails.
pub(super) fn replace(
    path: &Path,
    arguments: &[OsString],
    kept: &[(&str, BorrowedFd<'_>)],
) -> io::Result<Infallible> {
    let list = listed(kept)?;
    let path = text(path.as_os_str().as_bytes())?;
    let arguments: Vec<CString> = std::iter::once(Ok(path.clone()))
        .chain(arguments.iter().map(|argument| text(argument.as_bytes())))
        .collect::<io::Result<_>>()?;
    let environment: Vec<CString> = env::vars_os()
        .filter(|(name, _)| name != KEPT)
        .chain([(KEPT.into(), list.into())])
        .map(|(name, value)| variable(&name, &value))
        .collect::<io::Result<_>>()?;
    let refused = kept
        .iter()
        .try_for_each(|(_, file)| fcntl_setfd(file, FdFlags::empty()))
        .map_err(io::Error::from)
        .err()
        .unwrap_or_else(|| execute(&path, &arguments, &environment));
    for (_, file) in kept {
        // Cannot fail for a descriptor, and the first error is the one to be told.
        let _ = fcntl_setfd(file, FdFlags::CLOEXEC);
    }
    Err(refused)
}

/// Returns only to say what went wrong.
fn execute(path: &CString, arguments: &[CString], environment: &[CString]) -> io::Error {
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: all three live until the call returns, if it does; both lists end with a null pointer, and
    // each other one is of a string that ends with a NUL.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

fn variable(name: &OsStr, value: &OsStr) -> io::Result<CString> {
    text(&[name.as_bytes(), b"=", value.as_bytes()].concat())
}

fn text(bytes: &[u8]) -> io::Result<CString> {
    Ok(CString::new(bytes)?)
}
