//! `narwarden trust accept` and `policy accept`: what is in /etc/narwarden becomes what this host judges by, because
//! somebody looked at it.
//!
//! What is accepted is named by its digest, so a file that changes after it was shown is not taken over.

use crate::arguments::warden::Accept as Arguments;
use crate::client::Client;
use crate::outcome::{Exit, Failure};
use crate::status::short;
use crate::terminal::{self, BAD, GOOD, STRONG, plain};
use narwarden_core::event::harmless;
use narwarden_core::interface::{Accept, ProposalReply, ProposedFile, Status, What};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

/// Far longer than a `yes`.
const LONGEST_ANSWER: u64 = 1000;

pub(crate) fn run(arguments: &Arguments, what: What) -> Result<Exit, Failure> {
    let mut client = Client::connect(&arguments.socket.socket)?;
    let proposal: ProposalReply = client.call("Proposal", json!({}))?;
    let proposed = match what {
        What::Trust => proposal.trust,
        What::Policy => proposal.policy,
    };
    let Some(proposed) = proposed else {
        let status: Status = client.call("Status", json!({}))?;
        return nothing_proposed(arguments, what, &status);
    };
    if proposed.pinned_digest.is_none() {
        return Err(unpinned());
    }
    usable(what, &proposed)?;
    match &arguments.digest {
        Some(digest) if *digest == proposed.digest => {}
        Some(_) => {
            return Err(Failure::denied(format_args!(
                "{} has the digest {}: nothing was accepted",
                harmless(&proposed.file),
                harmless(&proposed.digest)
            )));
        }
        None => {
            terminal::print(&difference(&proposed))?;
            if !agreed(what, &proposed)? {
                return Err(Failure::denied("nothing was accepted"));
            }
        }
    }
    let _: Value = client.call("Accept", Accept { what, digest: proposed.digest.clone() })?;
    terminal::print(&format!(
        "{GOOD}pinned{GOOD:#}  {} ({})\n",
        harmless(&proposed.file),
        short(&proposed.digest)
    ))?;
    Ok(Exit::Admitted)
}

/// A script that names a digest must not go on in the belief that it is in force.
fn nothing_proposed(arguments: &Arguments, what: What, status: &Status) -> Result<Exit, Failure> {
    let pinned = match what {
        What::Trust => status.trust.as_ref().map(|trust| &trust.digest),
        What::Policy => status.policy.as_ref().map(|policy| &policy.digest),
    };
    let Some(pinned) = pinned else { return Err(unpinned()) };
    match &arguments.digest {
        Some(digest) if digest != pinned => Err(Failure::denied(format_args!(
            "nothing was accepted: narwardend sees no {}.toml in /etc/narwarden but the pinned one, {}; is it a link \
             to where the unit may not look (/home, /root)?",
            what.word(),
            short(pinned)
        ))),
        Some(_) | None => {
            terminal::print(
                "nothing to accept: narwardend sees nothing in /etc/narwarden but what is pinned\n",
            )?;
            Ok(Exit::Admitted)
        }
    }
}

fn unpinned() -> Failure {
    Failure::usage("nothing is pinned yet: narwarden enroll --pin pins both files")
}

pub(crate) fn usable(what: What, proposed: &ProposedFile) -> Result<(), Failure> {
    let Some(problem) = &proposed.problem else { return Ok(()) };
    let (file, problem) = (harmless(&proposed.file), harmless(problem));
    let more = match what {
        What::Trust => String::new(),
        // Roles and keys are looked up there.
        What::Policy => {
            let trust = Path::new(&proposed.file).with_file_name("trust.toml");
            format!(" --trust {}", harmless(&trust.display().to_string()))
        }
    };
    let check = format!("narwarden {} check {file}{more}", what.word());
    Err(Failure::usage(format_args!("{file} cannot be used: {problem}; {check} shows where")))
}

/// What changes, all of it: a line that was cut could hide what it is about. Set in, so that no line of a file
/// looks like one of ours.
fn difference(proposed: &ProposedFile) -> String {
    let mut out = format!("{STRONG}{}{STRONG:#}\n", harmless(&proposed.file));
    // Not `lines`, which would drop the carriage return that is all the difference.
    let text = proposed.difference.strip_suffix('\n').unwrap_or(&proposed.difference);
    for line in text.split('\n') {
        let text = plain(line);
        let _ = match line.as_bytes().first() {
            Some(b'+') => writeln!(out, "  {GOOD}{text}{GOOD:#}"),
            Some(b'-') => writeln!(out, "  {BAD}{text}{BAD:#}"),
            Some(_) | None => writeln!(out, "  {text}"),
        };
    }
    out
}

fn agreed(what: What, proposed: &ProposedFile) -> Result<bool, Failure> {
    ask("Judge by this from now on? Type yes: ", || {
        format!("narwarden {} accept --digest {}", what.word(), harmless(&proposed.digest))
    })
}

/// Asks a person; without one, says what to call instead.
pub(crate) fn ask(question: &str, instead: impl FnOnce() -> String) -> Result<bool, Failure> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(Failure::usage(format_args!("nobody is there to ask: {}", instead())));
    }
    terminal::print(question)?;
    let mut answer = String::new();
    let mut bytes = input.lock().take(LONGEST_ANSWER);
    std::io::BufRead::read_line(&mut bytes, &mut answer).map_err(Failure::undecided)?;
    Ok(answer.trim() == "yes")
}
