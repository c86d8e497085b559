//! One client: its calls, one after the other, each answered before the next is read.

use super::dispatch::{Answer, Desk, Fault};
use super::frame::{Frames, Over};
use super::seats::Seat;
use crate::warden::{Caller, PendingReport, Refusal, Warden};
use narwarden_core::interface::{Call, LONGEST_REPLY, LONGEST_REPORT, VerifyReply};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// A little waiting before each answer to anybody but root: who asks in a loop gets no more than a few hundred
/// answers a second, and a person notices nothing.
const PACE: Duration = Duration::from_millis(10);
/// How often to see whether a client still waits for its report.
const GLANCE: Duration = Duration::from_secs(1);
/// How long a report is waited for. Verification goes on after it.
const LONGEST_VERIFICATION: Duration = Duration::from_secs(3600);

/// A client with its place.
#[derive(Debug)]
pub(super) struct Connection {
    frames: Frames,
    caller: Caller,
    _seat: Seat,
}

impl Connection {
    pub(super) fn new(stream: UnixStream, caller: Caller, seat: Seat) -> Self {
        Self { frames: Frames::new(stream), caller, _seat: seat }
    }

    /// Serves the client until it leaves or is too slow, too long or not understood.
    pub(super) async fn run<W: Warden>(mut self, desk: Arc<Desk<W>>) {
        let over = loop {
            if let Err(over) = self.serve_one(&desk).await {
                break over;
            }
        };
        log::debug!("connection of uid {} ends: {over}", self.caller.uid);
    }

    async fn serve_one<W: Warden>(&mut self, desk: &Arc<Desk<W>>) -> Result<(), Over> {
        let message = self.frames.next().await?;
        // What is no call has no answer. Nesting is bounded by the parser.
        let Some(call) = call(&message) else { return Err(Over::NoCall) };
        drop(message);
        if self.caller.uid != 0 {
            sleep(PACE).await;
        }
        let wanted = Wanted::of(&call);
        let answer = match desk.answer(call, self.caller).await {
            Ok(Answer::Now(value)) => Ok((value, LONGEST_REPLY)),
            Ok(Answer::Long(value)) => Ok((value, LONGEST_REPORT)),
            Ok(Answer::Later(report)) => {
                self.wait(report).await?.map(|report| (report, LONGEST_REPORT))
            }
            Err(fault) => Err(fault),
        };
        let reply = answer.and_then(|(value, longest)| success(&value, longest));
        let reply = reply.unwrap_or_else(|fault| failure(&fault));
        match wanted {
            Wanted::Reply => self.frames.send(reply).await,
            Wanted::Nothing => Ok(()),
        }
    }

    async fn wait(&mut self, mut report: PendingReport) -> Result<Result<Value, Fault>, Over> {
        let until = Instant::now() + LONGEST_VERIFICATION;
        let mut glance = interval(GLANCE);
        glance.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                report = &mut report => return Ok(match report {
                    Ok(Ok(report)) => Ok(json!(VerifyReply { report })),
                    Ok(Err(refusal)) => Err(refusal.into()),
                    Err(_) => Err(Refusal::refused("the verification ended without a verdict").into()),
                }),
                _ = glance.tick() => {
                    if self.frames.is_gone().await {
                        return Err(Over::Left);
                    }
                    if Instant::now() > until {
                        return Ok(Err(Refusal::Busy.into()));
                    }
                }
            }
        }
    }
}

/// The call that these bytes are. An array is none, though serde would take it for the fields in their order.
fn call(message: &[u8]) -> Option<Call<Value>> {
    message.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(message).ok())?
}

/// Whether the caller wants to hear of it.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    Reply,
    Nothing,
}

impl Wanted {
    fn of(call: &Call<Value>) -> Self {
        if call.oneway == Some(true) { Self::Nothing } else { Self::Reply }
    }
}

#[derive(Serialize)]
struct Success<'a> {
    parameters: &'a Value,
}

fn success(parameters: &Value, longest: usize) -> Result<Vec<u8>, Fault> {
    let too_long = || Refusal::refused(format_args!("the answer has more than {longest} bytes"));
    let reply = serde_json::to_vec(&Success { parameters }).unwrap_or_default();
    if reply.is_empty() || reply.len() >= longest { Err(too_long().into()) } else { Ok(reply) }
}

fn failure(fault: &Fault) -> Vec<u8> {
    json!({ "error": fault.name, "parameters": fault.parameters }).to_string().into_bytes()
}

/// Tells a client for whom there is no place, if it can be told without waiting.
pub(super) fn turn_away(stream: &UnixStream) {
    let mut message = failure(&Refusal::Busy.into());
    message.push(0);
    // A client that cannot be told sees the connection end.
    let _ = stream.try_write(&message);
}
