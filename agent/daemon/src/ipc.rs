//! The warden's socket: the Varlink interface `io.narwarden` for everybody on this host.
//!
//! Varlink is JSON objects parted by NUL bytes over a Unix stream socket, so this is written by hand over tokio.
//! The crate zlink was tried for it and serves as the independent client of the tests: its server (0.8) takes
//! calls of up to 100 MiB, knows no time limit and no limit of connections, and serves all of them from one task
//! that waits for each reply to be taken, so that one client that does not read stops all others.
//!
//! What comes in here is hostile. Hence:
//!
//! - who asks is what the kernel says (`SO_PEERCRED`, unix(7)); whatever changes something is for uid 0;
//! - a call has at most [`LONGEST_CALL`](narwarden_core::interface::LONGEST_CALL) bytes, a place at the socket is
//!   had for [`PATIENCE`] at a time, and so many places are there for a user, for all users, and for root;
//! - what is no call closes the connection; what is an unknown call is answered with Varlink's own errors;
//! - nothing here shares a thread with the gate, and nobody but root makes the warden work more than it would.

mod connection;
mod dispatch;
mod frame;
mod seats;
mod service;

pub use seats::{FOR_ONE_USER, FOR_OTHERS, FOR_ROOT};

use crate::warden::{Caller, Warden};
use connection::Connection;
use dispatch::Desk;
use seats::Seats;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// How long a client may take to send a whole call, and to take a whole reply.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait when no connection can be accepted, as when descriptors are used up.
const RECOVERY: Duration = Duration::from_millis(100);

/// Makes the socket. It takes the place of an old one in one step, and is never there with other permissions
/// than those that let everybody connect.
///
/// # Errors
/// The directory is not there or not writable, or the path is longer than a socket's may be (108 bytes).
pub fn bind(path: &Path) -> io::Result<StdListener> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", std::process::id()));
    let hidden = path.with_file_name(hidden);
    match fs::remove_file(&hidden) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = StdListener::bind(&hidden)?;
    let placed = fs::set_permissions(&hidden, Permissions::from_mode(0o666))
        .and_then(|()| fs::rename(&hidden, path));
    if placed.is_err() {
        // What matters is said by the first error.
        let _ = fs::remove_file(&hidden);
    }
    placed.map(|()| listener)
}

/// Serves the socket until dropped; with it, all connections end.
///
/// # Errors
/// The listener cannot be used at all. Whatever goes wrong later concerns one connection and ends that one.
pub async fn serve<W: Warden>(listener: StdListener, warden: Arc<W>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let desk = Arc::new(Desk::new(warden));
    let seats = Seats::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(RECOVERY).await;
            continue;
        };
        // Without credentials there is no telling who it is: nobody.
        let Some(caller) = caller(&stream) else { continue };
        match seats.take(caller.uid) {
            Some(seat) => {
                let desk = Arc::clone(&desk);
                connections.spawn(Connection::new(stream, caller, seat).run(desk));
            }
            None => connection::turn_away(&stream),
        }
    }
}

fn caller(stream: &UnixStream) -> Option<Caller> {
    let credentials = stream.peer_cred().ok()?;
    // A process of another namespace has the number 0 here.
    let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0);
    Some(Caller { uid: credentials.uid(), pid })
}
