//! `narwarden log`: what was decided lately, and whether the record of it is whole.

mod chain;

use crate::arguments::warden::Log as Arguments;
use crate::client::Client;
use crate::outcome::{Exit, Failure};
use crate::terminal::{self, BAD, DIM, GOOD};
use crate::text::name;
use narwarden_core::event::harmless;
use narwarden_core::interface::{Answer, VerdictSummary, Verdicts, VerdictsReply};

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    if arguments.verify_chain {
        return chain::run(arguments);
    }
    let mut client = Client::connect(&arguments.socket.socket)?;
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

/// A verdict on one line, with its time.
fn line(verdict: &VerdictSummary) -> String {
    format!("{}  {}", terminal::moment(&verdict.decided), described(verdict))
}

/// A verdict on one line.
pub(crate) fn described(verdict: &VerdictSummary) -> String {
    let (style, word) = match verdict.verdict {
        Answer::Admit => (GOOD, "ADMIT"),
        Answer::Deny => (BAD, "DENY"),
    };
    let mut line = format!("{style}{word:<5}{style:#}");
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
