//! `narwarden log`: what was decided lately, and whether the record of it is whole.

use crate::arguments::warden::Log as Arguments;
use crate::client::Client;
use crate::outcome::{Exit, Failure};
use crate::terminal::{self, BAD, DIM, GOOD, counted};
use crate::text::name;
use narwarden_core::event::harmless;
use narwarden_core::interface::{Answer, ReceiptsChecked, VerdictSummary, Verdicts, VerdictsReply};
use serde_json::json;

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let mut client = Client::connect(&arguments.socket.socket)?;
    if arguments.verify_chain {
        return verify_chain(arguments, &mut client);
    }
    let limit = Some(arguments.lines.get());
    let (VerdictsReply { verdicts }, reply) = client.call_shown("Verdicts", Verdicts { limit })?;
    let text = match arguments.json {
        true => terminal::json(&reply),
        false if verdicts.is_empty() => "no verdicts yet\n".to_owned(),
        // The latest stands last, next to the prompt.
        false => verdicts.iter().rev().map(|verdict| line(verdict) + "\n").collect(),
    };
    terminal::print(&text)?;
    Ok(Exit::Admitted)
}

fn verify_chain(arguments: &Arguments, client: &mut Client) -> Result<Exit, Failure> {
    let (checked, reply): (ReceiptsChecked, _) = client.call_shown("CheckReceipts", json!({}))?;
    let receipts = counted(checked.receipts, "receipt");
    let text = match (&checked.broken, arguments.json) {
        (_, true) => terminal::json(&reply),
        (None, false) => format!("{GOOD}whole{GOOD:#}  {receipts}, each bound to the one before\n"),
        (Some(broken), false) => format!(
            "{BAD}BROKEN{BAD:#}  {}:{}: {}\n  {receipts} before it hold together\n",
            harmless(&broken.file),
            broken.line,
            harmless(&broken.problem)
        ),
    };
    terminal::print(&text)?;
    Ok(if checked.broken.is_none() { Exit::Admitted } else { Exit::Denied })
}

/// A verdict on one line.
pub(crate) fn line(verdict: &VerdictSummary) -> String {
    let (style, word) = match verdict.verdict {
        Answer::Admit => (GOOD, "ADMIT"),
        Answer::Deny => (BAD, "DENY"),
    };
    let mut line = format!("{}  {style}{word:<5}{style:#}", harmless(&verdict.decided));
    if let Some(generation) = &verdict.generation {
        line.push_str(&format!("  {}", harmless(generation)));
    }
    line.push_str(&format!("  {}", harmless(name(&verdict.toplevel))));
    for reason in &verdict.reasons {
        line.push_str(&format!("  {} ({})", harmless(&reason.code), reason.count));
    }
    if !verdict.in_force {
        line.push_str(&format!("  {DIM}history{DIM:#}"));
    }
    line
}
