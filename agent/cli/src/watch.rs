//! `narwarden watch`: says what changes, as it changes.
//!
//! It asks once a second and compares, so it holds nothing open that the warden would have to feed, and survives
//! the warden's restart.

use crate::arguments::warden::Watch as Arguments;
use crate::client::Client;
use crate::log;
use crate::outcome::{Exit, Failure};
use crate::status;
use crate::terminal::{self, BAD, DIM, GOOD};
use crate::text::name;
use jiff::Timestamp;
use narwarden_core::event::harmless;
use narwarden_core::interface::{Generation, Status, VerdictSummary, Verdicts, VerdictsReply};
use serde_json::json;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_secs(1);
/// More verdicts than are made in a second.
const LATEST: u64 = 50;

/// How many generations are listed at the start.
const LISTED: usize = 12;

/// What was seen at one moment.
#[derive(Clone, Debug)]
struct Sight {
    status: Status,
    verdicts: Vec<VerdictSummary>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let begin = Instant::now();
    let socket = &arguments.socket.socket;
    let mut last = look(socket)?;
    let quarantined = Client::connect(socket).ok().and_then(|mut it| status::quarantined(&mut it));
    let shown = status::describe(&last.status, quarantined, LISTED, Timestamp::now());
    terminal::print(&(shown + "\n"))?;
    let mut reached = true;
    loop {
        let left = arguments.length.map(|length| length.saturating_sub(begin.elapsed()));
        if left == Some(Duration::ZERO) {
            return Ok(Exit::Admitted);
        }
        sleep(left.unwrap_or(PERIOD).min(PERIOD));
        let mut lines = Vec::new();
        match look(socket) {
            Ok(now) => {
                if !reached {
                    lines.push(format!("{GOOD}narwardend is back{GOOD:#}"));
                }
                lines.extend(changes(&last, &now));
                last = now;
                reached = true;
            }
            Err(_) if reached => {
                lines.push(format!("{BAD}narwardend cannot be reached{BAD:#}"));
                reached = false;
            }
            Err(_) => {}
        }
        let now = Timestamp::now().round(jiff::Unit::Second).unwrap_or_default();
        let text: String =
            lines.iter().map(|line| format!("{DIM}{now}{DIM:#}  {line}\n")).collect();
        if !text.is_empty() {
            terminal::print(&text)?;
        }
    }
}

fn look(socket: &Path) -> Result<Sight, Failure> {
    let mut client = Client::connect(socket)?;
    let status = client.call("Status", json!({}))?;
    let VerdictsReply { verdicts } = client.call("Verdicts", Verdicts { limit: Some(LATEST) })?;
    Ok(Sight { status, verdicts })
}

fn changes(last: &Sight, now: &Sight) -> Vec<String> {
    let mut lines = Vec::new();
    if last.status.state != now.status.state {
        lines.push(status::state(now.status.state));
    }
    if last.status.mode != now.status.mode {
        lines.push(format!("mode: {}", status::mode(&now.status.mode)));
    }
    if last.status.trust != now.status.trust {
        let digest = now.status.trust.as_ref().map(|it| status::short(&it.digest));
        lines.push(format!("trust set: {}", digest.unwrap_or_else(|| "none".to_owned())));
    }
    if last.status.policy != now.status.policy {
        let digest = now.status.policy.as_ref().map(|it| status::short(&it.digest));
        lines.push(format!("policy: {}", digest.unwrap_or_else(|| "none".to_owned())));
    }
    let new = |list: &[String], other: &[String]| -> Vec<String> {
        list.iter().filter(|it| !other.contains(it)).cloned().collect()
    };
    for toplevel in new(&now.status.pending, &last.status.pending) {
        lines.push(format!("judging {}", harmless(name(&toplevel))));
    }
    for damage in new(&now.status.damage, &last.status.damage) {
        lines.push(format!("{BAD}damaged{BAD:#} {}", harmless(&damage)));
    }
    let verdicts = now.verdicts.iter().filter(|it| !last.verdicts.contains(it));
    lines.extend(verdicts.rev().map(log::described));
    lines.extend(generations(&last.status.generations, &now.status.generations));
    lines
}

fn generations(last: &[Generation], now: &[Generation]) -> Vec<String> {
    let find = |list: &[Generation], link: &str| list.iter().find(|it| it.link == link).cloned();
    let mut lines = Vec::new();
    for generation in now {
        let link = harmless(&generation.link);
        let standing = status::standing(generation.standing);
        match find(last, &generation.link) {
            None => lines.push(format!("{standing}  {link}  (new)")),
            Some(before) if before != *generation => {
                lines.push(format!("{standing}  {link}  (was {})", before.standing.word()));
            }
            Some(_) => {}
        }
    }
    for generation in last.iter().filter(|it| find(now, &it.link).is_none()) {
        lines.push(format!("{}  is gone", harmless(&generation.link)));
    }
    lines
}
