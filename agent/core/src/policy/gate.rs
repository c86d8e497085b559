//! What the gate does with a verdict. No verdict depends on it.

use super::document::Document;
use crate::diagnostic::Remarks;
use crate::moment::{End, moment};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use std::time::Duration;

/// The longest a request may wait for a verdict: systemd gives a starting unit 90 s
/// (`DefaultTimeoutStartSec=`, systemd-system.conf(5)), and the answer must come before that.
const LONGEST_DEADLINE: Duration = Duration::from_secs(85);
const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

/// Whether a denial holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It does.
    Enforce,
    /// It is written down, and the activation goes on.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Whether a denial holds.
    pub mode: Mode,
    /// When [`Mode::Observe`] ends.
    pub observe_until: Option<Timestamp>,
    /// How long a request waits for its verdict.
    pub deadline: Duration,
    /// What becomes of a generation that was denied.
    pub on_reject: OnReject,
    /// Which programs need an admission.
    pub scope: Scope,
}

pub(super) fn gate(document: &Document, remarks: &mut Remarks) -> Gate {
    let mode = document.mode.as_ref().map_or(Mode::Enforce, |mode| *mode.as_ref());
    let observe_until =
        document.observe_until.as_ref().and_then(|at| moment(at, End::End, remarks));
    match (mode, &document.mode, &document.observe_until) {
        (Mode::Enforce, _, Some(until)) => remarks.error(
            until.span(),
            "an end of observing is given, and the mode is not `observe`",
            "write mode = \"observe\", or remove the date",
        ),
        (Mode::Observe, Some(written), None) => remarks.warning(
            written.span(),
            "observing has no end, so nothing will ever be refused",
            "add observe-until = DATE",
        ),
        (Mode::Enforce, _, None) | (Mode::Observe, _, Some(_)) | (Mode::Observe, None, None) => {}
    }
    let deadline = document.gate.deadline.as_ref().map_or(Some(DEFAULT_DEADLINE), |written| {
        let parsed: Option<SignedDuration> = written.as_ref().parse().ok();
        let parsed = parsed.and_then(|length| Duration::try_from(length).ok());
        let fits = |length: &Duration| (Duration::from_secs(1)..=LONGEST_DEADLINE).contains(length);
        let deadline = parsed.filter(fits);
        if deadline.is_none() {
            remarks.error(
                written.span(),
                format!("`{}` is no time from 1s to 85s", written.as_ref().escape_debug()),
                "write \"60s\": systemd gives up on a starting unit after 90 s",
            );
        }
        deadline
    });
    Gate {
        mode,
        observe_until,
        deadline: deadline.unwrap_or(DEFAULT_DEADLINE),
        on_reject: document.gate.on_reject.unwrap_or(OnReject::Quarantine),
        scope: document.gate.scope.unwrap_or(Scope::Activation),
    }
}
