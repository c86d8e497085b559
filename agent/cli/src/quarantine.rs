//! `narwarden quarantine`: the generations that were denied and moved to where no boot loader looks.

use crate::arguments::warden::{Quarantine as Arguments, QuarantineCommand};
use crate::client::Client;
use crate::outcome::{Exit, Failure};
use crate::terminal::{self, BAD, DIM, STRONG};
use narwarden_core::event::harmless;
use narwarden_core::interface::{
    QuarantineEntry, QuarantineListReply, QuarantineName, QuarantineRecord,
};
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let mut client = Client::connect(&arguments.socket.socket)?;
    let text = match &arguments.command {
        QuarantineCommand::List { json } => list(&mut client, *json)?,
        QuarantineCommand::Show(name) => show(&client.call("QuarantineShow", named(&name.name))?),
        QuarantineCommand::Release(name) => {
            let _: Value = client.call("QuarantineRelease", named(&name.name))?;
            format!(
                "released {}: it stays in its profile from now on; it runs only if it is admitted\n",
                harmless(&name.name)
            )
        }
        QuarantineCommand::Drop(name) => {
            let _: Value = client.call("QuarantineDrop", named(&name.name))?;
            format!("dropped {}: the next garbage collection may delete it\n", harmless(&name.name))
        }
    };
    terminal::print(&text)?;
    Ok(Exit::Admitted)
}

fn named(name: &str) -> QuarantineName {
    QuarantineName { name: name.to_owned() }
}

fn list(client: &mut Client, json: bool) -> Result<String, Failure> {
    let (QuarantineListReply { entries }, reply) =
        client.call_shown("QuarantineList", json!({}))?;
    if json {
        return Ok(terminal::json(&reply));
    }
    if entries.is_empty() {
        return Ok("nothing is in quarantine\n".to_owned());
    }
    let mut out = String::new();
    for entry in &entries {
        describe(&mut out, entry);
    }
    Ok(out)
}

fn show(record: &QuarantineRecord) -> String {
    let mut out = String::new();
    describe(&mut out, &record.entry);
    for finding in &record.findings {
        let _ = writeln!(
            out,
            "\n{BAD}{}{BAD:#}  {}\n  {}",
            harmless(&finding.reason),
            harmless(&finding.store_path),
            harmless(&finding.detail)
        );
    }
    out
}

/// One entry. Writing to a string cannot fail, so results are dropped.
fn describe(out: &mut String, entry: &QuarantineEntry) {
    let _ =
        writeln!(out, "{STRONG}{}{STRONG:#}  {}", harmless(&entry.name), harmless(&entry.reason));
    let _ = writeln!(out, "  {}", harmless(&entry.toplevel));
    let _ = writeln!(
        out,
        "  {DIM}was {} of profile {}, moved {}{DIM:#}",
        harmless(&entry.generation),
        harmless(&entry.profile),
        terminal::moment(&entry.moved)
    );
}
