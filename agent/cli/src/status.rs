//! `narwarden status`: is this host guarded, by what, and since what is waiting?

use crate::arguments::warden::Status as Arguments;
use crate::client::Client;
use crate::outcome::{Exit, Failure};
use crate::terminal::{self, BAD, DIM, GOOD, NOTE, STRONG, counted, grouped};
use crate::text::name;
use indicatif::HumanBytes;
use jiff::Timestamp;
use narwarden_core::event::harmless;
use narwarden_core::interface::{
    Gate, JournalState, Mode, ModeKind, Standing, State, Status, Trust,
};
use serde_json::json;
use std::fmt::Write as _;

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let mut client = Client::connect(&arguments.socket.socket)?;
    let (status, reply): (Status, _) = client.call_shown("Status", json!({}))?;
    let text = match arguments.json {
        true => terminal::json(&reply),
        false => describe(&status, Timestamp::now()),
    };
    terminal::print(&text)?;
    Ok(match status.state {
        State::Starting | State::Ready => Exit::Admitted,
        State::Degraded => Exit::Denied,
    })
}

/// The whole status. Writing to a string cannot fail, so results are dropped.
pub(crate) fn describe(status: &Status, now: Timestamp) -> String {
    let mut out = String::new();
    let version = harmless(&status.version);
    let memory = HumanBytes(status.memory_kib.saturating_mul(1024));
    let _ = writeln!(out, "{}  narwardend {version}, {memory}", state(status.state));
    let _ = writeln!(out, "  mode     {}", mode(&status.mode));
    let _ = writeln!(out, "  trust    {}", trust(status.trust.as_ref(), now));
    if let Some(policy) = &status.policy {
        let _ = writeln!(out, "  policy   {}", short(&policy.digest));
    }
    let _ = writeln!(
        out,
        "  marks    {} held, {} watched",
        counted(status.marks.held_files, "entry point"),
        counted(status.marks.watched_filesystems, "file system")
    );
    let _ = writeln!(out, "  gate     {}", gate(&status.gate));
    match status.journal {
        JournalState::Connected => {}
        JournalState::Lost => {
            let _ = writeln!(out, "  {BAD}journal  lost{BAD:#}: nothing new is admitted");
        }
    }
    for damage in &status.damage {
        let _ = writeln!(out, "  {BAD}damaged{BAD:#}  {}", harmless(damage));
    }
    for toplevel in &status.pending {
        let _ = writeln!(out, "  pending  {}", harmless(toplevel));
    }
    generations(&mut out, status);
    out
}

pub(crate) fn state(state: State) -> String {
    match state {
        State::Starting => format!("{NOTE}STARTING{NOTE:#}"),
        State::Ready => format!("{GOOD}READY{GOOD:#}"),
        State::Degraded => format!("{BAD}DEGRADED{BAD:#}"),
    }
}

pub(crate) fn mode(mode: &Mode) -> String {
    match mode.kind {
        ModeKind::Enforce => "enforce".to_owned(),
        ModeKind::Observe => {
            let until = mode.until.as_deref().map(|it| format!(" until {}", harmless(it)));
            let reason = mode.reason.as_deref().map(|it| format!(": {}", harmless(it)));
            format!(
                "{BAD}observe{BAD:#}{}, denials do not hold{}",
                until.unwrap_or_default(),
                reason.unwrap_or_default()
            )
        }
    }
}

fn trust(trust: Option<&Trust>, now: Timestamp) -> String {
    let Some(trust) = trust else {
        return format!(
            "{BAD}nothing is pinned{BAD:#}: everything is denied; narwarden enroll --pin"
        );
    };
    let mut text = format!("version {} ({})", trust.version, short(&trust.digest));
    if let Some(expires) = &trust.expires {
        let over = expires.parse::<Timestamp>().is_ok_and(|end| now >= end);
        let expires = harmless(expires);
        let _ = match over {
            true => write!(text, ", {BAD}expired {expires}{BAD:#}: nothing new is admitted"),
            false => write!(text, ", expires {expires}"),
        };
    }
    text
}

fn gate(gate: &Gate) -> String {
    let mut text = format!(
        "{}: {} allowed, {} denied",
        counted(gate.requests, "request"),
        grouped(gate.allowed),
        grouped(gate.denied)
    );
    if gate.requests > 0 {
        if let Some(bound) = percentile(gate, 99) {
            let _ = write!(text, "; 99 of 100 within {} µs", grouped(bound));
        }
        let _ = write!(text, ", the longest {} µs", grouped(gate.max_us));
    }
    text
}

/// The bound under which so many of a hundred answers are; `None` if that is the longest of all.
fn percentile(gate: &Gate, percent: u64) -> Option<u64> {
    let counted =
        |total: u64, bin: &narwarden_core::interface::Bin| total.saturating_add(bin.count);
    let all = gate.histogram.iter().fold(0, counted);
    let wanted = all.checked_mul(percent)?.div_ceil(100);
    let mut seen = 0u64;
    let bin = gate.histogram.iter().find(|bin| {
        seen = seen.saturating_add(bin.count);
        seen >= wanted
    });
    bin.and_then(|bin| bin.upper_us)
}

fn generations(out: &mut String, status: &Status) {
    if status.generations.is_empty() {
        return;
    }
    out.push('\n');
    if status.generations_omitted > 0 {
        let _ = writeln!(
            out,
            "  {DIM}… {} more{DIM:#}",
            counted(status.generations_omitted, "generation")
        );
    }
    for generation in &status.generations {
        let link = harmless(&generation.link);
        let word = standing(generation.standing);
        let leads = match (&generation.toplevel, &generation.problem) {
            (Some(toplevel), None) => harmless(name(toplevel)),
            (_, Some(problem)) => format!("{NOTE}{}{NOTE:#}", harmless(problem)),
            (None, None) => "nowhere".to_owned(),
        };
        let _ = writeln!(out, "  {word}  {STRONG}{link}{STRONG:#}  {leads}");
    }
}

/// The word for a standing, all of one width.
pub(crate) fn standing(standing: Standing) -> String {
    let style = match standing {
        Standing::Admitted => GOOD,
        Standing::Denied | Standing::Quarantined => BAD,
        Standing::Pending => NOTE,
        Standing::Grandfathered => DIM,
    };
    format!("{style}{:<13}{style:#}", standing.word())
}

/// The beginning of a digest, which is enough to tell two apart by eye.
pub(crate) fn short(digest: &str) -> String {
    harmless(&digest.chars().take(12).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use narwarden_core::interface::Bin;

    #[test]
    fn percentiles_are_bounds_that_hold() {
        let bin = |upper_us, count| Bin { upper_us, count };
        let gate = |histogram| Gate { requests: 1, histogram, ..Gate::default() };
        for (histogram, expected) in [
            (vec![], None),
            (vec![bin(Some(10), 100)], Some(10)),
            (vec![bin(Some(10), 98), bin(Some(100), 2)], Some(100)),
            (vec![bin(Some(10), 99), bin(None, 1)], Some(10)),
            (vec![bin(Some(10), 98), bin(None, 2)], None),
            (vec![bin(Some(10), u64::MAX), bin(None, u64::MAX)], None),
        ] {
            assert_eq!(percentile(&gate(histogram.clone()), 99), expected, "{histogram:?}");
        }
    }
}
