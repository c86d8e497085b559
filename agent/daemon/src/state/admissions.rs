//! What was decided, for those who ask later.
//!
//! History, nothing more: an [`Admission`](narwarden_core::verdict::Admission) is made by a verdict and cannot be
//! read from a file, so nothing that stands here lets anything run. What was admitted once is known from here, so
//! that its link is left alone when nothing but the time or the rules speak against it. One file of state, replaced at
//! each verdict; bounded by number and by size, the oldest out first, and before them those never admitted: whoever
//! can have many toplevels refused cannot have an admission forgotten by that.

use super::atomic::{self, Stored};
use super::{Damage, StateError};
use crate::places::Places;
use jiff::Timestamp;
use narwarden_core::reason::{Reason, Severity};
use narwarden_core::store_path::StorePath;
use narwarden_core::trust::RulesDigest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};

pub(super) const FILE: &str = "admissions.json";
/// How many verdicts are kept.
pub const MOST: usize = 4096;
/// How many bytes of findings one of them may have.
const MOST_FINDINGS: usize = 8 << 10;
/// How many bytes all of them may have.
const LARGEST: usize = 4 << 20;

/// What a verdict was about and by what it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The toplevel.
    pub toplevel: String,
    /// The digest of the trust set.
    pub trust: String,
    /// The digest of the policy.
    pub policy: String,
    /// The boot in which it was made.
    pub boot: BootId,
}

/// Names one run of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BootId(String);

/// Which way a verdict went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It may run.
    Admitted,
    /// It may not.
    Denied,
}

/// A verdict in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// What it was about.
    pub key: Key,
    /// When.
    pub decided: Timestamp,
    /// Which way it went.
    pub outcome: Outcome,
    /// How many findings there were.
    pub found: u64,
    /// The first of them, as in the report; as many as there is room for.
    pub findings: Vec<Value>,
    /// By which rules the same toplevel was admitted before, where this verdict is none or another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<AdmittedBy>,
}

/// The rules that admitted a toplevel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdmittedBy {
    /// The digest of the trust set.
    pub trust: String,
    /// The digest of the policy.
    pub policy: String,
}

/// The verdicts that are remembered.
#[derive(Debug)]
pub struct Admissions {
    path: PathBuf,
    /// Each with its size in the file, the oldest first.
    entries: VecDeque<(Summary, usize)>,
    size: usize,
}

impl Key {
    /// Names a verdict.
    #[must_use]
    pub fn new(
        toplevel: &StorePath,
        trust: RulesDigest,
        policy: RulesDigest,
        boot: &BootId,
    ) -> Self {
        let (trust, policy) = (trust.to_string(), policy.to_string());
        Self { toplevel: toplevel.to_string(), trust, policy, boot: boot.clone() }
    }
}

impl Summary {
    /// Keeps as many of `findings` as there is room for.
    #[must_use]
    pub fn new(key: Key, decided: Timestamp, outcome: Outcome, findings: Vec<Value>) -> Self {
        let found = findings.len() as u64;
        let mut room = MOST_FINDINGS;
        let fits = |finding: &Value| {
            let size = finding.to_string().len() + 1;
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        };
        Self {
            key,
            decided,
            outcome,
            found,
            findings: findings.into_iter().take_while(fits).collect(),
            before: None,
        }
    }

    /// By which rules the toplevel was admitted last, if it ever was.
    #[must_use]
    pub fn admitted_by(&self) -> Option<AdmittedBy> {
        match self.outcome {
            Outcome::Admitted => {
                let Key { trust, policy, .. } = &self.key;
                Some(AdmittedBy { trust: trust.clone(), policy: policy.clone() })
            }
            Outcome::Denied => self.before.clone(),
        }
    }

    /// What it was refused for, as far as that was kept.
    pub fn reasons(&self) -> impl Iterator<Item = Reason> {
        let text = |finding: &Value, key: &str| {
            finding.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let denies = move |it: &&Value| text(it, "severity") == Severity::Deny.code();
        let denials = self.findings.iter().filter(denies);
        denials.filter_map(move |finding| Reason::from_code(&text(finding, "reason")))
    }
}

impl BootId {
    /// Reads one: 36 hexadecimal digits and dashes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end();
        let fits = text.len() == 36 && text.bytes().all(|it| it.is_ascii_hexdigit() || it == b'-');
        fits.then(|| Self(text.to_owned()))
    }

    /// That of the running kernel, random(4).
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn current() -> Result<Self, StateError> {
        let path = Path::new("/proc/sys/kernel/random/boot_id");
        let text = std::fs::read_to_string(path).map_err(StateError::io("read", path))?;
        let unknown =
            || StateError::io("understand", path)(std::io::Error::other("it is no boot id"));
        Self::parse(&text).ok_or_else(unknown)
    }
}

impl TryFrom<String> for BootId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("it is no boot id")
    }
}

impl From<BootId> for String {
    fn from(boot: BootId) -> Self {
        boot.0
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Admissions {
    /// Remembers nothing yet.
    #[must_use]
    pub fn none(places: &Places) -> Self {
        Self { path: places.state.join(FILE), entries: VecDeque::new(), size: 0 }
    }

    /// Reads what is remembered; after damage, nothing is.
    ///
    /// # Errors
    /// When nothing can be found out.
    pub fn load(places: &Places) -> Result<(Self, Option<Damage>), StateError> {
        let mut admissions = Self::none(places);
        let damage = match atomic::read(&admissions.path, 2 * LARGEST as u64)? {
            Stored::Absent => None,
            Stored::Damaged(damage) => Some(damage),
            Stored::Whole(body) => match serde_json::from_slice::<Vec<Summary>>(&body) {
                Ok(summaries) => {
                    summaries.into_iter().for_each(|summary| admissions.remember(summary));
                    None
                }
                Err(error) => Some(atomic::set_aside(&admissions.path, error.to_string())),
            },
        };
        Ok((admissions, damage))
    }

    /// Remembers a verdict, in place of an earlier one with the same key, and saves all of them.
    ///
    /// # Errors
    /// When it cannot be saved. It is remembered all the same, until the daemon ends.
    pub fn record(&mut self, summary: Summary) -> Result<(), StateError> {
        self.remember(summary);
        let mut body = String::with_capacity(self.size + self.entries.len() + 4);
        for (position, (summary, _)) in self.entries.iter().enumerate() {
            body.push_str(if position == 0 { "[" } else { ",\n" });
            body.push_str(&text(summary));
        }
        body.push_str("]\n");
        atomic::write(&self.path, body.as_bytes())
    }

    fn remember(&mut self, mut summary: Summary) {
        // One that takes the place of an admission must not let it be forgotten.
        if summary.outcome == Outcome::Denied && summary.before.is_none() {
            summary.before = self.last(&summary.key.toplevel).and_then(Summary::admitted_by);
        }
        if let Some(at) = self.entries.iter().position(|(it, _)| it.key == summary.key)
            && let Some((_, size)) = self.entries.remove(at)
        {
            self.size = self.size.saturating_sub(size);
        }
        let size = text(&summary).len() + 2;
        self.entries.push_back((summary, size));
        self.size = self.size.saturating_add(size);
        while self.entries.len() > MOST || self.size > LARGEST {
            let newest = self.entries.len().saturating_sub(1);
            let mut older = self.entries.iter().take(newest);
            let out = older.position(|(it, _)| it.admitted_by().is_none()).unwrap_or(0);
            let Some((_, size)) = self.entries.remove(out) else { break };
            self.size = self.size.saturating_sub(size);
        }
    }

    /// The last verdict with this key.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Summary> {
        self.latest().find(|summary| summary.key == *key)
    }

    /// The last verdict on this toplevel, by whatever rules.
    #[must_use]
    pub fn last(&self, toplevel: &str) -> Option<&Summary> {
        self.latest().find(|summary| summary.key.toplevel == toplevel)
    }

    /// The verdicts, the latest first.
    pub fn latest(&self) -> impl Iterator<Item = &Summary> {
        self.entries.iter().rev().map(|(summary, _)| summary)
    }
}

fn text(summary: &Summary) -> String {
    // What this is made of has only text for keys, so there is nothing that could fail.
    serde_json::to_string(summary).unwrap_or_default()
}
