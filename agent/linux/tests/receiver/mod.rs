//! A datagram socket that plays the part of journald or the service manager.

use std::ffi::{OsStr, OsString};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};

/// A receiver, listening.
#[derive(Debug)]
pub(crate) struct Receiver {
    socket: UnixDatagram,
    pub(crate) name: OsString,
}

/// One datagram.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    pub(crate) files: Vec<OwnedFd>,
}

impl Receiver {
    pub(crate) fn at(path: &Path) -> Self {
        Self::new(UnixDatagram::bind(path).unwrap(), path.as_os_str())
    }

    pub(crate) fn abstract_named(name: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        Self::new(socket, format!("@{name}").as_ref())
    }

    fn new(socket: UnixDatagram, name: &OsStr) -> Self {
        // What does not come within this time is not coming.
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { socket, name: name.to_owned() }
    }

    pub(crate) fn receive(&self) -> Received {
        let mut bytes = vec![0; 1 << 20];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let answer = recvmsg(&self.socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC);
        let answer = answer.unwrap();
        assert!(!answer.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC));
        let mut files = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                files.extend(received);
            }
        }
        bytes.truncate(answer.bytes);
        Received { bytes, files }
    }

    /// Whether nothing is waiting to be received.
    pub(crate) fn is_silent(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let silent = self.socket.recv(&mut [0; 16]).is_err();
        self.socket.set_nonblocking(false).unwrap();
        silent
    }
}
