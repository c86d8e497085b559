//! Messages on the wire: bytes up to a NUL byte, no more of them than a call may have, and in time.

use super::PATIENCE;
use narwarden_core::interface::LONGEST_CALL;
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

/// How much is read at a time.
const CHUNK: usize = 4096;
const END: u8 = 0;

/// Why there is no further call.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Over {
    /// The client has gone, orderly or not.
    #[error("the client left")]
    Left,
    /// It sent no whole call, or did not take the reply.
    #[error("the client was too slow")]
    Slow,
    /// It sent something else.
    #[error("that is no call")]
    NoCall,
    /// It sent more than a call may have.
    #[error("the call has more than {LONGEST_CALL} bytes")]
    TooLong,
}

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self::Left
    }
}

/// A socket that carries messages.
#[derive(Debug)]
pub(super) struct Frames {
    stream: UnixStream,
    /// What was read and not yet used.
    buffer: Vec<u8>,
}

impl Frames {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The next message, without the NUL byte. The time is for the whole of it, so a byte now and then buys none.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, Over> {
        let until = Instant::now() + PATIENCE;
        let mut searched = 0;
        loop {
            let unseen = self.buffer.get(searched..).unwrap_or_default();
            if let Some(place) = unseen.iter().position(|byte| *byte == END) {
                let end = searched + place;
                if end > LONGEST_CALL {
                    return Err(Over::TooLong);
                }
                let rest = self.buffer.split_off(end + 1);
                let mut message = std::mem::replace(&mut self.buffer, rest);
                message.truncate(end);
                return Ok(message);
            }
            if self.buffer.len() > LONGEST_CALL {
                return Err(Over::TooLong);
            }
            searched = self.buffer.len();
            self.fill(until).await?;
        }
    }

    async fn fill(&mut self, until: Instant) -> Result<(), Over> {
        let mut chunk = [0; CHUNK];
        let read =
            timeout_at(until, self.stream.read(&mut chunk)).await.map_err(|_| Over::Slow)??;
        if read == 0 {
            return Err(Over::Left);
        }
        self.buffer.extend_from_slice(chunk.get(..read).unwrap_or_default());
        Ok(())
    }

    /// Sends a message; `message` has no NUL byte, since JSON never does.
    pub(super) async fn send(&mut self, mut message: Vec<u8>) -> Result<(), Over> {
        message.push(END);
        let until = Instant::now() + PATIENCE;
        timeout_at(until, self.stream.write_all(&message)).await.map_err(|_| Over::Slow)??;
        Ok(())
    }

    /// Whether the client has closed the connection. One that only ended its own side still wants the reply.
    pub(super) async fn is_gone(&self) -> bool {
        use tokio::io::Interest;
        // Writable at once, unless the client reads nothing; then it is not gone.
        let ready = self.stream.ready(Interest::WRITABLE);
        let ready = tokio::time::timeout(std::time::Duration::from_millis(10), ready).await;
        matches!(ready, Ok(Ok(ready)) if ready.is_write_closed())
    }
}
