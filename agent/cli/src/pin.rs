//! `narwarden enroll --pin`: both files of /etc/narwarden become what this host judges by, for the first time. What
//! will be pinned is shown, and somebody must want it.

use crate::accept::{ask, usable};
use crate::arguments::Enroll as Arguments;
use crate::client::Client;
use crate::outcome::{Exit, Failure};
use crate::status::short;
use crate::terminal::{self, BAD, GOOD, STRONG};
use narwarden_core::event::harmless;
use narwarden_core::interface::{Mode, ModeKind, Pin, ProposalReply, ProposedFile, Status, What};
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let mut client = Client::connect(&arguments.socket.socket)?;
    let status: Status = client.call("Status", json!({}))?;
    if let Some(trust) = status.trust {
        return Err(Failure::denied(format_args!(
            "trust set version {} ({}) is pinned already: narwarden trust accept replaces it",
            trust.version,
            short(&trust.digest)
        )));
    }
    let ProposalReply { trust, policy, mode } = client.call("Proposal", json!({}))?;
    let (trust, policy) = match (trust, policy) {
        (Some(trust), Some(policy)) => (trust, policy),
        (None, None) => return Err(missing("trust.toml and no policy.toml")),
        (None, Some(_)) => return Err(missing("trust.toml")),
        (Some(_), None) => return Err(missing("policy.toml")),
    };
    usable(What::Trust, &trust)?;
    usable(What::Policy, &policy)?;
    terminal::print(&shown(&trust, &policy, mode.as_ref()))?;
    if !arguments.yes
        && !ask("Judge by these from now on? Type yes: ", || {
            "narwarden enroll --pin --yes, after a look at both files".to_owned()
        })?
    {
        return Err(Failure::denied("nothing was pinned"));
    }
    let digests = Pin { trust_digest: trust.digest, policy_digest: policy.digest };
    let _: Value = client.call("Pin", digests)?;
    terminal::print(&format!(
        "{GOOD}pinned{GOOD:#}  from now on this host judges by these copies\n  {STRONG}next:{STRONG:#} narwarden status shows how each generation stands\n"
    ))?;
    Ok(Exit::Admitted)
}

fn missing(what: &str) -> Failure {
    Failure::usage(format_args!(
        "/etc/narwarden has no {what}: narwarden enroll --output /etc/narwarden writes what this system needs"
    ))
}

/// What will hold. Writing to a string cannot fail, so results are dropped.
fn shown(trust: &ProposedFile, policy: &ProposedFile, mode: Option<&Mode>) -> String {
    let mut out = String::new();
    for (what, file) in [("trust set", trust), ("policy", policy)] {
        let _ = writeln!(out, "{what:<9}  {STRONG}{}{STRONG:#}", harmless(&file.file));
        let _ = writeln!(out, "           sha256 {}", harmless(&file.digest));
    }
    let _ = match mode {
        // A daemon of an older version does not say.
        None => Ok(()),
        Some(Mode { kind: ModeKind::Enforce, .. }) => {
            writeln!(out, "mode       {STRONG}enforce{STRONG:#}: denials hold at once")
        }
        Some(Mode { kind: ModeKind::Observe, until, .. }) => {
            let until = until.as_deref().map_or_else(String::new, terminal::moment);
            writeln!(
                out,
                "mode       {BAD}observe{BAD:#} until {until}: denials are written down, and hold from then on"
            )
        }
    };
    out
}
