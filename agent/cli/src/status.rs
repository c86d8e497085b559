//! `narwarden status`: is this host guarded, by what, and since what is waiting?

use crate::arguments::warden::Status as Arguments;
use crate::client::Client;
use crate::outcome::{Exit, Failure};
use crate::terminal::{self, BAD, DIM, GOOD, NOTE, STRONG, counted, grouped};
use crate::text::name;
use indicatif::{HumanBytes, HumanDuration};
use jiff::Timestamp;
use narwarden_core::event::harmless;
use narwarden_core::interface::{
    Gate, JournalState, Marks, Mode, ModeKind, QuarantineListReply, Scrub, Standing, State, Status,
    Trust,
};
use serde_json::json;
use std::fmt::Write as _;
use std::time::Duration;

/// How many generations, and how many other things of a kind, are shown without `--all`.
const SHOWN: usize = 12;

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let mut client = Client::connect(&arguments.socket.socket)?;
    let (status, reply): (Status, _) = client.call_shown("Status", json!({}))?;
    let text = match arguments.json {
        true => terminal::json(&reply),
        false => {
            let most = if arguments.all { usize::MAX } else { SHOWN };
            describe(&status, quarantined(&mut client), most, Timestamp::now())
        }
    };
    terminal::print(&text)?;
    Ok(match status.state {
        State::Starting | State::Ready => Exit::Admitted,
        State::Degraded => Exit::Denied,
    })
}

/// How many generations are in quarantine. Without a pinned trust set, the warden knows of none.
pub(crate) fn quarantined(client: &mut Client) -> Option<usize> {
    let reply: Result<QuarantineListReply, _> = client.call("QuarantineList", json!({}));
    reply.ok().map(|reply| reply.entries.len())
}

/// The whole status, on one screen. Writing to a string cannot fail, so results are dropped.
pub(crate) fn describe(
    status: &Status,
    quarantined: Option<usize>,
    most: usize,
    now: Timestamp,
) -> String {
    let mut out = String::new();
    let version = harmless(&status.version);
    let memory = HumanBytes(status.memory_kib.saturating_mul(1024));
    let _ = writeln!(out, "{}  narwardend {version}, {memory}", state(status.state));
    let _ = writeln!(out, "  mode        {}", mode_left(&status.mode, now));
    let _ = writeln!(out, "  trust       {}", trust(status.trust.as_ref(), now));
    if let Some(policy) = &status.policy {
        let _ = writeln!(out, "  policy      {}", short(&policy.digest));
    }
    let _ = writeln!(out, "  marks       {}", marks(status.marks));
    let _ = writeln!(out, "  gate        {}", gate(&status.gate));
    let _ = match status.journal {
        JournalState::Connected => writeln!(out, "  journal     connected"),
        JournalState::Lost => writeln!(
            out,
            "  journal     {BAD}lost{BAD:#}: nothing new is admitted; systemctl status systemd-journald"
        ),
    };
    let _ = match quarantined {
        None => Ok(()),
        Some(0) => writeln!(out, "  quarantine  empty"),
        Some(count) => writeln!(
            out,
            "  quarantine  {BAD}{}{BAD:#}: narwarden quarantine list",
            counted(count as u64, "generation")
        ),
    };
    if let Some(scrub) = &status.scrub {
        let _ = writeln!(out, "  scrub       {}", scrub_text(scrub, now));
    }
    let pending: Vec<_> = status.pending.iter().map(|it| harmless(it)).collect();
    // These are more than a few only where something is wrong, and that is said by their number.
    let few = most / 4;
    listed(&mut out, &format!("pending     {NOTE}judging{NOTE:#}"), &pending, few);
    let damage: Vec<_> = status.damage.iter().map(|it| harmless(it)).collect();
    listed(&mut out, &format!("damage      {BAD}set aside{BAD:#}"), &damage, few);
    generations(&mut out, status, most);
    out
}

/// How far hashing everything again is, and how long ago it was done.
fn scrub_text(scrub: &Scrub, now: Timestamp) -> String {
    let drift = |count: u64| match count {
        0 => "nothing had drifted".to_owned(),
        count => format!("{BAD}{} had drifted{BAD:#}: narwarden log", counted(count, "path")),
    };
    let last = match &scrub.last {
        None => "never done yet".to_owned(),
        Some(last) => {
            let ago = last.ended.parse::<Timestamp>().ok();
            let ago = ago.and_then(|end| Duration::try_from(now.duration_since(end)).ok());
            let ago = ago.map(|ago| format!(" {} ago", HumanDuration(ago))).unwrap_or_default();
            let (paths, bytes) = (counted(last.paths, "path"), HumanBytes(last.bytes));
            format!("{paths}, {bytes} hashed{ago}, {}", drift(last.drift))
        }
    };
    match &scrub.round {
        None => last,
        Some(round) => {
            let (done, total) = (grouped(round.paths), counted(round.total, "path"));
            let bytes = HumanBytes(round.bytes);
            format!("{done} of {total}, {bytes} hashed, {}; before: {last}", drift(round.drift))
        }
    }
}

fn listed(out: &mut String, title: &str, lines: &[String], most: usize) {
    for line in lines.iter().take(most) {
        let _ = writeln!(out, "  {title} {line}");
    }
    if let Some(more) = lines.len().checked_sub(most).filter(|more| *more > 0) {
        let _ = writeln!(out, "              {DIM}… and {}: --all{DIM:#}", grouped(more as u64));
    }
}

fn marks(marks: Marks) -> String {
    let held = counted(marks.held_files, "entry point");
    let watched = counted(marks.watched_filesystems, "file system");
    match marks.watched_filesystems {
        0 => format!("{held} held, {BAD}{watched} watched{BAD:#}: what is run is not seen"),
        _ => format!("{held} held, {watched} watched"),
    }
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
            let until = mode.until.as_deref().map(|it| format!(" until {}", terminal::moment(it)));
            let reason = mode.reason.as_deref().map(|it| format!(": {}", harmless(it)));
            format!(
                "{BAD}observe{BAD:#}{}, denials do not hold{}",
                until.unwrap_or_default(),
                reason.unwrap_or_default()
            )
        }
    }
}

/// The mode, with how long it goes on.
fn mode_left(shown: &Mode, now: Timestamp) -> String {
    let end = shown.until.as_deref().and_then(|until| until.parse::<Timestamp>().ok());
    let left = end.and_then(|end| u64::try_from(end.duration_since(now).as_secs()).ok());
    // Where the policy itself observes, the warden refuses to end it.
    let end = match shown.policy {
        Some(ModeKind::Enforce) => "; narwarden observe --end",
        Some(ModeKind::Observe) | None => "",
    };
    match (shown.kind, left) {
        (ModeKind::Observe, Some(left)) => {
            let left = HumanDuration(std::time::Duration::from_secs(left));
            format!("{} ({left} left{end})", mode(shown))
        }
        (ModeKind::Enforce, _) | (ModeKind::Observe, None) => mode(shown),
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
        let expires = terminal::moment(expires);
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

/// The latest generations, and before them how many of what standing there are in all.
fn generations(out: &mut String, status: &Status, most: usize) {
    if status.generations.is_empty() {
        return;
    }
    let all = status.generations_omitted.saturating_add(status.generations.len() as u64);
    let mut parts = Vec::new();
    for standing in Standing::ALL {
        let count = status.generations.iter().filter(|it| it.standing == *standing).count();
        if count > 0 {
            parts.push(format!("{} {}", grouped(count as u64), standing.word()));
        }
    }
    if status.generations_omitted > 0 {
        parts.push(format!("{} not listed", grouped(status.generations_omitted)));
    }
    let _ = writeln!(out, "\n{}: {}", counted(all, "generation"), parts.join(", "));
    let hidden = status.generations.len().saturating_sub(most);
    if hidden > 0 {
        let _ = writeln!(out, "  {DIM}… {} before these: --all{DIM:#}", grouped(hidden as u64));
    }
    for generation in status.generations.iter().skip(hidden) {
        let link = harmless(&generation.link);
        let word = standing(generation.standing);
        let leads = match (&generation.toplevel, &generation.problem) {
            // Systems are often called the same; the hash tells them apart.
            (Some(toplevel), None) => {
                let (name, hash) = (harmless(name(toplevel)), harmless(hash(toplevel)));
                format!("{name}  {DIM}{hash}{DIM:#}")
            }
            (_, Some(problem)) => format!("{NOTE}{}{NOTE:#}", harmless(problem)),
            (None, None) => "nowhere".to_owned(),
        };
        let _ = writeln!(out, "  {word}  {STRONG}{link}{STRONG:#}  {leads}");
    }
}

/// The beginning of a store path's hash.
fn hash(path: &str) -> &str {
    path.rsplit('/').next().and_then(|base| base.get(..8)).unwrap_or_default()
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
    fn the_end_of_observing_is_offered_where_the_warden_grants_it() {
        let now = Timestamp::constant(1_000_000, 0);
        let line = |policy| {
            let (kind, until) =
                (ModeKind::Observe, Some((now + Duration::from_secs(60)).to_string()));
            mode_left(&Mode { kind, until, reason: None, policy }, now)
        };
        for (policy, end) in [
            (Some(ModeKind::Enforce), "(60 seconds left; narwarden observe --end)"),
            (Some(ModeKind::Observe), "(60 seconds left)"),
            (None, "(60 seconds left)"),
        ] {
            assert!(line(policy).ends_with(end), "{policy:?}: {}", line(policy));
        }
    }

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
