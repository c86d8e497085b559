//! A client that says exactly what it is told to.

use serde_json::Value;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: UnixStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(path: &Path) -> Self {
        Self::try_connect(path).unwrap()
    }

    pub(crate) fn try_connect(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_write_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next reply; `None` where the connection ended.
    pub(crate) fn reply(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == 0) {
                let rest = self.buffer.split_off(end + 1);
                let mut message = std::mem::replace(&mut self.buffer, rest);
                message.pop();
                return Some(serde_json::from_slice(&message).unwrap());
            }
            let mut chunk = [0; 65536];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no reply and no end: {error}"),
            }
        }
    }

    /// Sends one call, given as JSON.
    pub(crate) fn call(&mut self, call: &str) -> Option<Value> {
        // A server that turns us away may have closed already; its reply is there all the same.
        let _ = self.send(call.as_bytes()).and_then(|()| self.send(&[0]));
        self.reply()
    }

    /// Calls a method of the interface.
    pub(crate) fn method(&mut self, name: &str, parameters: &str) -> Option<Value> {
        self.call(&format!(r#"{{"method":"io.narwarden.{name}","parameters":{parameters}}}"#))
    }
}

/// The server answers a new client.
pub(crate) fn is_served(path: &Path) -> bool {
    let reply = Client::try_connect(path).ok().and_then(|mut it| it.method("Status", "{}"));
    reply.is_some_and(|reply| reply["parameters"]["state"] == "ready")
}
