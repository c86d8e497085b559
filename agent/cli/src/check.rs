//! `narwarden trust check` and `narwarden policy check`: can this file be used, and what does it say?

use crate::arguments::{PolicyCheck, TrustCheck};
use crate::files::Source;
use crate::outcome::{Exit, Failure};
use crate::terminal::{self, DIM, GOOD, NOTE, STRONG, plain};
use jiff::Timestamp;
use narwarden_core::policy::{AgentRule, Gate, Mode, ObserveEnd};
use narwarden_core::trust::{Community, PinnedKey, Standing, TrustSet, Validity};
use std::fmt::Write as _;

pub(crate) fn trust(arguments: &TrustCheck) -> Result<Exit, Failure> {
    let source = Source::read(&arguments.file)?;
    let file = source.trust()?;
    terminal::print_error(&source.draw(&file.warnings))?;
    terminal::print(&describe_trust(&source, &file.trust, Timestamp::now()))?;
    Ok(Exit::Admitted)
}

pub(crate) fn policy(arguments: &PolicyCheck) -> Result<Exit, Failure> {
    let source = Source::read(&arguments.file)?;
    let file = source.policy()?;
    let mut warnings = file.warnings;
    let names = match &arguments.trust {
        None => "roles and keys were not looked up: --trust FILE".to_owned(),
        Some(path) => {
            let trust = Source::read(path)?.trust()?.trust;
            let bound = file.policy.bind(&trust).map_err(|rejected| source.reject(&rejected))?;
            warnings.extend(bound.warnings);
            format!("every role and key is in {}", path.display())
        }
    };
    terminal::print_error(&source.draw(&warnings))?;
    let mut out = String::new();
    usable(&mut out, &source);
    let _ = writeln!(out, "  digest   {}", file.policy.digest());
    let _ = writeln!(out, "  names    {}", plain(&names));
    let _ = writeln!(out, "  daemon   {}", describe_gate(file.policy.gate()));
    match file.policy.agent() {
        AgentRule::Keep => {}
        AgentRule::MayLeave => {
            let _ = writeln!(out, "  agent    {NOTE}a generation may take narwardend away{NOTE:#}");
        }
    }
    terminal::print(&out)?;
    Ok(Exit::Admitted)
}

fn usable(out: &mut String, source: &Source) {
    let path = source.path.display().to_string();
    let _ = writeln!(out, "{GOOD}usable{GOOD:#}  {STRONG}{}{STRONG:#}", plain(&path));
}

/// What the daemon does with a verdict, in one line.
pub(crate) fn describe_gate(gate: &Gate) -> String {
    let mode = match gate.mode {
        Mode::Enforce => "enforce".to_owned(),
        Mode::Observe(ObserveEnd::At(end)) => format!("observe until {end}"),
        Mode::Observe(ObserveEnd::AfterChange) => "observe for a week from pinning".to_owned(),
        Mode::Observe(ObserveEnd::AfterEnrolment) => {
            "enforce, a week after the enrolment".to_owned()
        }
    };
    let scrub = match gate.scrub_every.as_secs() / 3600 {
        0 => "nothing is hashed again by itself".to_owned(),
        hours if hours % 24 == 0 => format!("everything is hashed again every {} d", hours / 24),
        hours => format!("everything is hashed again every {hours} h"),
    };
    format!("{mode}, a request waits at most {} s, {scrub}", gate.deadline.as_secs())
}

fn describe_trust(source: &Source, trust: &TrustSet, now: Timestamp) -> String {
    let mut out = String::new();
    usable(&mut out, source);
    let _ = writeln!(out, "  version  {}", trust.version());
    let _ = writeln!(out, "  digest   {}", trust.digest());
    match trust.expires() {
        Some(end) if now >= end => {
            let _ = writeln!(out, "  expired  {NOTE}{end}{NOTE:#}: nothing new is admitted");
        }
        Some(end) => {
            let _ = writeln!(out, "  expires  {end}");
        }
        None => {}
    }
    for (_, key) in trust.keys() {
        let _ = writeln!(out, "  key      {}", describe_key(key, now));
    }
    for (name, role) in trust.roles() {
        let ids: Vec<_> =
            role.keys.iter().filter_map(|key| trust.key(key)).map(|key| key.id.as_str()).collect();
        let _ = writeln!(out, "  role     {name}: {} of {}", role.threshold, ids.join(", "));
    }
    out
}

/// A key in one line: its id, its public name, and what it is good for at `now`.
pub(crate) fn describe_key(key: &PinnedKey, now: Timestamp) -> String {
    let mut line = format!("{} {DIM}({}){DIM:#}", key.id, plain(key.public.name().as_str()));
    match (&key.validity, key.validity.standing(now)) {
        (Validity::Between { until: Some(end), .. }, Standing::Valid) => {
            let _ = write!(line, " until {end}");
        }
        (Validity::Between { until: None, .. }, Standing::Valid) => {}
        (Validity::Revoked { since, reason }, _) => {
            let reason = reason.as_deref().map(|it| format!(": {}", plain(it))).unwrap_or_default();
            let _ = write!(line, " {NOTE}revoked {since}{reason}{NOTE:#}");
        }
        (Validity::Between { not_before, .. }, Standing::NotYetValid) => {
            let begin = not_before.map(|begin| format!(" before {begin}")).unwrap_or_default();
            let _ = write!(line, " {NOTE}not valid{begin}{NOTE:#}");
        }
        (Validity::Between { until, .. }, Standing::Expired | Standing::Revoked) => {
            let end = until.map(|end| format!(" since {end}")).unwrap_or_default();
            let _ = write!(line, " {NOTE}expired{end}{NOTE:#}");
        }
    }
    if let Some(operator) = &key.operator {
        let _ = write!(line, ", held by {}", plain(operator));
    }
    match key.community {
        Community::Yes => {
            line.push_str(", a community cache: for a toplevel only where the policy names it")
        }
        Community::No => {}
    }
    line
}
