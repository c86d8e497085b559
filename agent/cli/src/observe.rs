//! `narwarden observe`: the way out, for a time that ends by itself. And `narwarden reload`.

use crate::arguments::warden::{Observe as Arguments, Reload};
use crate::client::Client;
use crate::outcome::{Exit, Failure};
use crate::terminal::{self, BAD, GOOD, NOTE};
use jiff::Timestamp;
use narwarden_core::event::harmless;
use narwarden_core::interface::{Observe, ObserveReply, ProposalReply, ProposedFile, What};
use serde_json::{Value, json};
use std::time::Duration;

/// An end this much earlier than what was asked for is the policy's doing.
const SLACK: Duration = Duration::from_secs(5);

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let mut client = Client::connect(&arguments.socket.socket)?;
    let (Some(length), Some(reason)) = (arguments.length, &arguments.reason) else {
        let _: Value = client.call("EndObserve", json!({}))?;
        terminal::print(&format!("{GOOD}enforce{GOOD:#}: denials hold\n"))?;
        return Ok(Exit::Admitted);
    };
    let asked = Timestamp::now().checked_add(length).ok();
    let ObserveReply { until } =
        client.call("Observe", Observe { seconds: length.as_secs(), reason: reason.clone() })?;
    let end: Option<Timestamp> = until.parse().ok();
    let shortened = match (asked.and_then(|it| it.checked_sub(SLACK).ok()), end) {
        (Some(asked), Some(end)) if end < asked => ", which is as long as the policy allows",
        (None, Some(_)) => ", which is as long as the policy allows",
        (Some(_) | None, _) => "",
    };
    terminal::print(&format!(
        "{BAD}observe{BAD:#} until {}{shortened}: nothing is refused\n  narwarden observe --end lets denials hold again\n",
        terminal::moment(&until)
    ))?;
    Ok(Exit::Admitted)
}

pub(crate) fn reload(arguments: &Reload) -> Result<Exit, Failure> {
    let mut client = Client::connect(&arguments.socket.socket)?;
    let _: Value = client.call("Reload", json!({}))?;
    terminal::print("reloaded\n")?;
    // Whoever changed a file and reloads expects it to be in force, and it is not.
    let proposal: ProposalReply = match client.call("Proposal", json!({})) {
        Ok(proposal) => proposal,
        Err(failure) => {
            // It was reloaded all the same; what keeps a file from being proposed is worth knowing.
            failure.report();
            return Ok(Exit::Admitted);
        }
    };
    let next = |what: What, file: &ProposedFile| {
        let command = match file.pinned_digest {
            Some(_) => format!("narwarden {} accept", what.word()),
            None => "narwarden enroll --pin".to_owned(),
        };
        let file = harmless(&file.file);
        format!("  {NOTE}{file} is not in force{NOTE:#}: {command} shows it, and takes it over\n")
    };
    let trust = proposal.trust.as_ref().map(|file| next(What::Trust, file));
    let policy = proposal.policy.as_ref().map(|file| next(What::Policy, file));
    terminal::print(&[trust, policy].into_iter().flatten().collect::<String>())?;
    Ok(Exit::Admitted)
}
