//! The other end of the warden's socket: calls of `io.narwarden`, one at a time, and what their errors mean for
//! whoever sits here.
//!
//! Varlink is JSON objects ended by NUL bytes over a Unix stream socket, so this needs no library and no
//! runtime. What the daemon says is bounded and parsed like anything else from outside.

use crate::outcome::Failure;
use narwarden_core::event::harmless;
use narwarden_core::interface::{Call, Error, LONGEST_REPORT, Reply, SERVICE};
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the warden may take. Its own bound for an answer is 30 seconds.
const PATIENCE: Duration = Duration::from_secs(40);
const CHUNK: usize = 64 << 10;

/// A connection to the warden.
#[derive(Debug)]
pub(crate) struct Client {
    stream: UnixStream,
    socket: PathBuf,
}

impl Client {
    /// Connects; that there is no warden is worth a hint.
    pub(crate) fn connect(socket: &Path) -> Result<Self, Failure> {
        open(socket)
            .map_err(|error| not_there(socket, &error))
            .and_then(|stream| Self::with(stream, socket))
    }

    /// Connects, if there is a warden at all.
    pub(crate) fn if_running(socket: &Path) -> Result<Option<Self>, Failure> {
        match open(socket) {
            Ok(stream) => Self::with(stream, socket).map(Some),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(not_there(socket, &error)),
        }
    }

    fn with(stream: UnixStream, socket: &Path) -> Result<Self, Failure> {
        let server = socket_peercred(&stream).map_err(|error| not_there(socket, &error.into()))?;
        // Anybody could listen at a path of their own, and say that all is well.
        if !(server.uid.is_root() || server.uid == rustix::process::geteuid()) {
            return Err(Failure::undecided(format_args!(
                "{} is served by uid {}, not by root: narwardend does not run there",
                socket.display(),
                server.uid.as_raw()
            )));
        }
        Ok(Self { stream, socket: socket.to_owned() })
    }

    /// Calls a method and waits for its reply.
    pub(crate) fn call<R: DeserializeOwned>(
        &mut self,
        method: &str,
        parameters: impl Serialize,
    ) -> Result<R, Failure> {
        self.call_shown(method, parameters).map(|(reply, _)| reply)
    }

    /// Calls a method and waits for its reply, as it is understood and as it came.
    pub(crate) fn call_shown<R: DeserializeOwned>(
        &mut self,
        method: &str,
        parameters: impl Serialize,
    ) -> Result<(R, Value), Failure> {
        let mut message =
            serde_json::to_vec(&Call::new(method, parameters)).map_err(Failure::undecided)?;
        message.push(0);
        // A warden that has no place for us answers before it is asked and hangs up: the answer counts.
        let sent = self.stream.write_all(&message);
        let reply = self.receive().map_err(|error| match (sent, error.kind()) {
            (Err(first), io::ErrorKind::UnexpectedEof) => self.lost(&first),
            (Ok(()) | Err(_), _) => self.lost(&error),
        })?;
        let reply: Map<String, Value> =
            serde_json::from_slice(&reply).map_err(|error| self.odd(&error))?;
        let reply: Reply<Value> =
            serde_json::from_value(reply.into()).map_err(|error| self.odd(&error))?;
        let parameters = reply.parameters.unwrap_or_else(|| Map::new().into());
        match reply.error {
            Some(error) => Err(self.refused(&error, &parameters)),
            None => {
                let understood = serde_json::from_value(parameters.clone());
                understood.map(|it| (it, parameters)).map_err(|error| self.odd(&error))
            }
        }
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut message = Vec::new();
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = match self.stream.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let bytes = chunk.get(..read).unwrap_or_default();
            let end = bytes.iter().position(|byte| *byte == 0);
            message.extend_from_slice(bytes.get(..end.unwrap_or(read)).unwrap_or_default());
            if message.len() > LONGEST_REPORT {
                return Err(io::Error::other(format!(
                    "the answer has more than {LONGEST_REPORT} bytes"
                )));
            }
            // There is one reply to a call, and one call at a time.
            if end.is_some() {
                return Ok(message);
            }
        }
    }

    fn refused(&self, error: &str, parameters: &Value) -> Failure {
        let text = |key: &str| parameters.get(key).and_then(Value::as_str).map(str::to_owned);
        match Error::named(error, text) {
            Some(Error::PermissionDenied) => {
                Failure::usage("narwardend lets only root do this: run it again with sudo")
            }
            Some(error @ Error::NotFound { .. }) => {
                let error = harmless(&error.to_string());
                Failure::usage(format_args!("{error}: narwarden quarantine list"))
            }
            Some(error @ Error::Busy) => Failure::undecided(error),
            Some(error @ Error::Refused { .. }) => {
                let error = harmless(&error.to_string());
                Failure::denied(format_args!("narwardend refuses: {error}"))
            }
            None => {
                let version = env!("CARGO_PKG_VERSION");
                let hint = match error.strip_prefix(SERVICE) {
                    Some(".MethodNotFound" | ".InvalidParameter" | ".InterfaceNotFound") => {
                        format!(": it is of another version than this command ({version})")
                    }
                    Some(_) | None => String::new(),
                };
                let particulars = harmless(&format!("{error} {parameters}"));
                Failure::undecided(format_args!("narwardend says {particulars}{hint}"))
            }
        }
    }

    fn odd(&self, error: &serde_json::Error) -> Failure {
        Failure::undecided(format_args!(
            "{} answers what narwardend would not: {error}",
            self.socket.display()
        ))
    }

    fn lost(&self, error: &io::Error) -> Failure {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, UnexpectedEof, WouldBlock};
        let what = if matches!(error.kind(), UnexpectedEof | BrokenPipe | ConnectionReset) {
            "it hung up".to_owned()
        } else if matches!(error.kind(), WouldBlock | TimedOut) {
            format!("it said nothing for {} s", PATIENCE.as_secs())
        } else {
            error.to_string()
        };
        Failure::undecided(format_args!(
            "no answer from narwardend at {}: {what}; see systemctl status narwardend",
            self.socket.display()
        ))
    }
}

/// A connection with time limits, of which connecting itself has one: a socket that nobody accepts from fills up.
fn open(socket: &Path) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(socket)?;
    let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    for kind in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&stream, kind, Some(PATIENCE))?;
    }
    connect(&stream, &address)?;
    Ok(UnixStream::from(stream))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn not_there(socket: &Path, error: &io::Error) -> Failure {
    use io::ErrorKind::{TimedOut, WouldBlock};
    let hint = if is_absent(error) {
        "narwardend is not running: systemctl start narwardend"
    } else if matches!(error.kind(), WouldBlock | TimedOut) {
        "narwardend does not answer: systemctl status narwardend"
    } else {
        "narwardend cannot be reached"
    };
    Failure::undecided(format_args!("{hint} ({}: {error})", socket.display()))
}
