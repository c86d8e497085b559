//! Sends one datagram to one Unix socket and never waits longer than told: the common part of
//! [`journal`](crate::journal) and [`systemd`](crate::systemd).
//!
//! The socket is not connected, so a receiver that was replaced (a restarted journald) is found
//! again by its name. unix(7), sendmsg(2), socket(7) `SO_SNDTIMEO`.

use std::ffi::{OsStr, OsString};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, sendmsg_addr, socket_with,
};

/// Whether to wait while the receiver's queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// As long as the socket was told to.
    Bounded,
    /// Not at all.
    Never,
}

/// A socket to send from, and where to.
#[derive(Debug)]
pub(crate) struct Datagrams {
    socket: OwnedFd,
    address: SocketAddrUnix,
    name: OsString,
    patience: Duration,
}

impl Datagrams {
    /// Will send to `name`: an absolute path, or `@` and the name of an abstract socket.
    ///
    /// Nothing is sent and the receiver need not exist. `EAFNOSUPPORT`: neither of these forms.
    pub(crate) fn to(name: &OsStr, patience: Duration) -> Result<Self, Errno> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] if !name.is_empty() => SocketAddrUnix::new_abstract_name(name),
            [b'/', ..] => SocketAddrUnix::new(name),
            _ => Err(Errno::AFNOSUPPORT),
        }?;
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        // A timeout of zero would mean for ever.
        let timeout = patience.max(Duration::from_millis(1));
        set_socket_timeout(&socket, Timeout::Send, Some(timeout))?;
        Ok(Self { socket, address, name: name.to_owned(), patience })
    }

    /// Where datagrams go, for messages.
    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// Sends `bytes`, with `file` attached. `EAGAIN`: the receiver's queue stayed full.
    pub(crate) fn send(
        &self,
        bytes: &[u8],
        file: Option<BorrowedFd<'_>>,
        wait: Wait,
    ) -> Result<(), Errno> {
        let flags = match wait {
            Wait::Bounded => SendFlags::NOSIGNAL,
            Wait::Never => SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        };
        let files = file.as_slice();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let start = Instant::now();
        loop {
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(files)) {
                return Err(Errno::NOBUFS);
            }
            let parts = [IoSlice::new(bytes)];
            match sendmsg_addr(&self.socket, &self.address, &parts, &mut control, flags) {
                Ok(sent) if sent == bytes.len() => return Ok(()),
                // A datagram is sent whole or not at all.
                Ok(_) => return Err(Errno::IO),
                // Signals must not stretch the wait: each call has the whole timeout.
                Err(Errno::INTR) if start.elapsed() >= self.patience => return Err(Errno::AGAIN),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}
