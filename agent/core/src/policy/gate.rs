//! What the gate does with a verdict. No verdict depends on it.

use super::document::Document;
use crate::diagnostic::Remarks;
use crate::moment::{End, moment};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;

/// The longest a request may wait for a verdict: systemd gives a starting unit 90 s
/// (`DefaultTimeoutStartSec=`, systemd-system.conf(5)), and the answer must come before that.
const LONGEST_DEADLINE: Duration = Duration::from_secs(85);
const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);
const DEFAULT_OBSERVE: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_SCRUB: Duration = Duration::from_secs(7 * 24 * 3600);
const SCRUB: RangeInclusive<Duration> =
    Duration::from_secs(3600)..=Duration::from_secs(90 * 24 * 3600);
const MOST_READERS: usize = 64;

/// Whether a denial holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    Enforce,
    /// It is written down, and the activation goes on, for a time that always ends.
    Observe(ObserveEnd),
}

/// When observing ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObserveEnd {
    /// At this moment.
    At(Timestamp),
    /// [`OBSERVING`] after these rules were pinned: the policy says `observe`, and no date.
    AfterChange,
    /// [`OBSERVING`] after the enrolment: the policy says nothing, and a first installation may not lock anybody out.
    AfterEnrolment,
}

/// How long is observed where no date is given.
pub const OBSERVING: Duration = Duration::from_secs(7 * 24 * 3600);

impl Mode {
    /// When denials begin to hold, for a host enrolled at `enrolled` whose rules were last changed at `changed`;
    /// `None` where they hold from the start.
    #[must_use]
    pub fn observes_until(self, enrolled: Timestamp, changed: Timestamp) -> Option<Timestamp> {
        // A time beyond all calendars is none.
        let later = |from: Timestamp| from.checked_add(OBSERVING).ok();
        match self {
            Self::Enforce => None,
            Self::Observe(ObserveEnd::At(moment)) => Some(moment),
            Self::Observe(ObserveEnd::AfterChange) => later(changed),
            Self::Observe(ObserveEnd::AfterEnrolment) => later(enrolled),
        }
    }
}

/// The mode as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Written {
    Enforce,
    Observe,
}

/// What becomes of a generation that was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnReject {
    /// Its profile link is moved to where no boot loader looks.
    Quarantine,
    /// Nothing but the alert.
    Alert,
}

/// Which programs need an admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Those that activate a generation.
    Activation,
    /// Whatever runs as root from the store.
    Root,
}

/// What the gate does with a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Whether a denial holds.
    pub mode: Mode,
    /// The longest that an operator may observe at a time; zero forbids it.
    pub observe_at_most: Duration,
    /// Programs beside Nix that may read the entry points of what is not admitted: backups.
    pub readers: Vec<PathBuf>,
    /// How long a request waits for its verdict.
    pub deadline: Duration,
    /// What becomes of a generation that was denied.
    pub on_reject: OnReject,
    /// Which programs need an admission.
    pub scope: Scope,
    /// How often everything is hashed again; zero where that is never.
    pub scrub_every: Duration,
}

pub(super) fn gate(document: &Document, remarks: &mut Remarks) -> Gate {
    let mode = mode(document, remarks);
    let written = &document.gate;
    let deadline = written.deadline.as_ref().map_or(Some(DEFAULT_DEADLINE), |written| {
        let help = "write \"60s\": systemd gives up on a starting unit after 90 s";
        length(written, Duration::from_secs(1)..=LONGEST_DEADLINE, ("1s to 85s", help), remarks)
    });
    let observe_at_most = written.observe_at_most.as_ref().map_or(Some(DEFAULT_OBSERVE), |it| {
        let help = "write \"24h\", or \"0s\" if nobody may";
        length(it, Duration::ZERO..=OBSERVING, ("0s to 168h", help), remarks)
    });
    if let Some(scope) = written.scope.as_ref().filter(|scope| *scope.as_ref() == Scope::Root) {
        remarks.error(
            scope.span(),
            "programs that activate nothing are not judged by this version",
            "write \"activation\": a rule that nothing enforces would be a false promise",
        );
    }
    Gate {
        mode,
        observe_at_most: observe_at_most.unwrap_or(DEFAULT_OBSERVE),
        readers: readers(&written.readers, remarks),
        deadline: deadline.unwrap_or(DEFAULT_DEADLINE),
        on_reject: written.on_reject.unwrap_or(OnReject::Quarantine),
        scrub_every: scrub_every(document, remarks),
        scope: written.scope.as_ref().map_or(Scope::Activation, |scope| *scope.as_ref()),
    }
}

fn mode(document: &Document, remarks: &mut Remarks) -> Mode {
    let until = document.observe_until.as_ref();
    let moment = until.and_then(|at| moment(at, End::End, remarks));
    match (document.mode.as_ref().map(|mode| *mode.as_ref()), until) {
        (Some(Written::Enforce), None) => Mode::Enforce,
        (Some(Written::Observe), None) => Mode::Observe(ObserveEnd::AfterChange),
        // A date that is none was complained about.
        (Some(Written::Observe), Some(_)) => {
            moment.map_or(Mode::Enforce, |at| Mode::Observe(ObserveEnd::At(at)))
        }
        (None, None) => Mode::Observe(ObserveEnd::AfterEnrolment),
        (Some(Written::Enforce) | None, Some(until)) => {
            remarks.error(
                until.span(),
                "an end of observing is given, and the mode is not `observe`",
                "write mode = \"observe\", or remove the date",
            );
            Mode::Enforce
        }
    }
}

fn scrub_every(document: &Document, remarks: &mut Remarks) -> Duration {
    let Some(written) = &document.scrub.every else { return DEFAULT_SCRUB };
    let text = written.as_ref();
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    let parsed = match days {
        Some(days) => Some(Duration::from_secs(u64::from(days).saturating_mul(24 * 3600))),
        None => text.parse().ok().and_then(|it: SignedDuration| Duration::try_from(it).ok()),
    };
    let every = parsed.filter(|it| it.is_zero() || SCRUB.contains(it));
    every.unwrap_or_else(|| {
        let problem = format!("`{}` is no time from 1h to 90d", text.escape_debug());
        remarks.error(
            written.span(),
            problem,
            "write \"7d\", or \"0s\" if nothing is to be hashed again",
        );
        DEFAULT_SCRUB
    })
}

fn length(
    written: &Spanned<String>,
    range: RangeInclusive<Duration>,
    (bounds, help): (&str, &'static str),
    remarks: &mut Remarks,
) -> Option<Duration> {
    let parsed: Option<SignedDuration> = written.as_ref().parse().ok();
    let parsed = parsed.and_then(|length| Duration::try_from(length).ok());
    let length = parsed.filter(|length| range.contains(length));
    if length.is_none() {
        let problem = format!("`{}` is no time from {bounds}", written.as_ref().escape_debug());
        remarks.error(written.span(), problem, help);
    }
    length
}

fn readers(written: &[Spanned<String>], remarks: &mut Remarks) -> Vec<PathBuf> {
    if let Some(one) = written.get(MOST_READERS) {
        let problem = format!("more than {MOST_READERS} programs are listed");
        remarks.error(one.span(), problem, "list those that back up the store");
    }
    let absolute = written.iter().filter(|path| {
        let absolute = path.as_ref().starts_with('/');
        if !absolute {
            let problem = format!("`{}` is no absolute path", path.as_ref().escape_debug());
            let help = "write where the program is, such as /run/current-system/sw/bin/borg";
            remarks.error(path.span(), problem, help);
        }
        absolute
    });
    absolute.map(|path| PathBuf::from(path.as_ref())).collect()
}
