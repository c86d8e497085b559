//! The trust set and policy that hold: pinned once, changed only when root says so.
//!
//! Decides which rules a verdict is made by. What lies in `/etc/narwarden` came with a generation and is a
//! [`Proposal`]; it counts when it is accepted, by the digest of the text that was shown. Both texts, the moment
//! of enrolment and the links of the generations older than it are one file of state, so that there is never one
//! without the other. Where that file is missing and anything else shows that there was one, this is no first
//! start: nothing may be pinned by itself then. One such sign lies outside of the state directory, so that a host
//! that lost all of it is not taken for a new one.

mod proposal;
mod signs;

pub use proposal::{Change, FirstProposal, Proposal, What};

use super::atomic::{self, Stored};
use super::{Damage, StateError};
use crate::generations::{Link, Mark, scan};
use crate::places::Places;
use jiff::Timestamp;
use narwarden_core::diagnostic::Rejected;
use narwarden_core::policy::{Gate, Policy, Rulebook};
use narwarden_core::trust::{RulesDigest, TrustSet};
use narwarden_linux::trusted_file::TrustedFileError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;
use thiserror::Error;

/// The name of the file of state.
const FILE: &str = "pinned.json";
const SCHEMA: u32 = 1;
/// Two texts of at most 1 MiB, escaped, and the marks of as many links as there may be.
const LONGEST: u64 = 32 << 20;

/// What holds.
#[derive(Clone, Debug)]
pub struct Pinned {
    document: Document,
    trust: TrustSet,
    rulebook: Rulebook,
    gate: Gate,
    grandfathered: Grandfathered,
}

/// The links of generations that were there before the enrolment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grandfathered(BTreeSet<Mark>);

/// What the state directory says about pinned rules.
#[derive(Debug)]
#[must_use]
pub enum Loaded {
    /// These hold.
    Pinned(Box<Pinned>),
    /// None do, and nothing says that any ever did.
    FirstStart,
    /// None do any more: nothing may be admitted until an operator pins again.
    Lost(Lost),
}

/// How pinned rules went missing.
#[derive(Debug)]
pub enum Lost {
    /// The file was not as it had been written.
    Damaged(Damage),
    /// The file is gone; this is a sign that there was one.
    Missing {
        /// What was found.
        sign: PathBuf,
    },
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let next = "narwarden enroll --pin pins again";
        match self {
            Self::Damaged(damage) => write!(f, "{damage}: {next}"),
            Self::Missing { sign } => {
                write!(
                    f,
                    "the pinned rules are gone, and {sign:?} shows that there were some: {next}"
                )
            }
        }
    }
}

/// Why nothing was pinned, or what is pinned cannot be used.
#[derive(Debug, Error)]
pub enum PinnedError {
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// There are pinned rules already.
    #[error(
        "{path:?} is there already: change it with `narwarden trust accept` and `narwarden policy accept`"
    )]
    AlreadyPinned {
        /// The file of state.
        path: PathBuf,
    },
    /// The trust set is refused.
    #[error("the trust set is refused: {0}")]
    Trust(Rejected),
    /// The policy is refused, by itself or by this trust set.
    #[error("the policy is refused: {0}")]
    Policy(Rejected),
    /// The trust set's version would fall.
    #[error("the trust set has version {found}, and {pinned} is pinned: versions only rise")]
    OlderTrust {
        /// The version that is pinned.
        pinned: u64,
        /// The version that was proposed.
        found: u64,
    },
    /// A file in `/etc/narwarden` is not to be relied on.
    #[error(transparent)]
    Proposal(#[from] TrustedFileError),
    /// Nothing is proposed, or it is what is pinned already.
    #[error("there is no other {what} in {path:?} than the one that is pinned")]
    NothingProposed {
        /// Which file.
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// What is proposed now is not what was shown.
    #[error("the {what} that is proposed has digest {found}, not {expected}: look at it again")]
    AnotherProposal {
        /// Which file.
        what: &'static str,
        /// The digest that was accepted.
        expected: String,
        /// The digest that it has.
        found: String,
    },
    /// The file is whole, and not of this version's making.
    #[error(
        "{path:?} is whole, but this version cannot read it: {found}; was it written by a newer one?"
    )]
    Foreign {
        /// The file of state.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: u32,
    since: Timestamp,
    changed: Timestamp,
    trust: String,
    policy: String,
    grandfathered: BTreeSet<Mark>,
}

impl Pinned {
    /// Reads what is pinned.
    ///
    /// # Errors
    /// When nothing can be found out, or what is pinned is not of this version's making. Nothing holds then.
    pub fn load(places: &Places) -> Result<Loaded, PinnedError> {
        let path = file(places);
        let body = match atomic::read(&path, LONGEST)? {
            Stored::Whole(body) => body,
            Stored::Damaged(damage) => return Ok(Loaded::Lost(Lost::Damaged(damage))),
            Stored::Absent => {
                let sign = signs::find(places)?;
                return Ok(
                    sign.map_or(Loaded::FirstStart, |sign| Loaded::Lost(Lost::Missing { sign }))
                );
            }
        };
        let foreign = |found: String| PinnedError::Foreign { path: path.clone(), found };
        let document: Document =
            serde_json::from_slice(&body).map_err(|error| foreign(error.to_string()))?;
        if document.schema != SCHEMA {
            return Err(foreign(format!("it has schema {}", document.schema)));
        }
        let pinned = Self::of(document)?;
        signs::leave(places);
        Ok(Loaded::Pinned(Box::new(pinned)))
    }

    /// Enrols: pins a first trust set and policy, and takes down which generations are older.
    ///
    /// # Errors
    /// When the rules are refused, or others are pinned already.
    pub fn pin(
        places: &Places,
        trust: &str,
        policy: &str,
        now: Timestamp,
    ) -> Result<Self, PinnedError> {
        let path = file(places);
        if path.symlink_metadata().is_ok() {
            return Err(PinnedError::AlreadyPinned { path });
        }
        let pinned = Self::unsaved(places, trust, policy, now)?;
        super::prepare(places)?;
        pinned.save(places)?;
        signs::leave(places);
        Ok(pinned)
    }

    fn unsaved(
        places: &Places,
        trust: &str,
        policy: &str,
        now: Timestamp,
    ) -> Result<Self, PinnedError> {
        Self::of(Document {
            schema: SCHEMA,
            since: now,
            changed: now,
            trust: trust.to_owned(),
            policy: policy.to_owned(),
            grandfathered: scan(places).links.iter().map(Link::mark).collect(),
        })
    }

    fn of(document: Document) -> Result<Self, PinnedError> {
        let trust = TrustSet::parse(&document.trust).map_err(PinnedError::Trust)?.trust;
        let policy = Policy::parse(&document.policy).map_err(PinnedError::Policy)?.policy;
        let rulebook = policy.bind(&trust).map_err(PinnedError::Policy)?.rulebook;
        let grandfathered = Grandfathered(document.grandfathered.clone());
        Ok(Self { gate: policy.gate().clone(), document, trust, rulebook, grandfathered })
    }

    fn save(&self, places: &Places) -> Result<(), PinnedError> {
        let path = file(places);
        let mut body = serde_json::to_vec(&self.document)
            .map_err(|error| StateError::io("write", &path)(std::io::Error::other(error)))?;
        body.push(b'\n');
        let size = body.len() as u64;
        if size > LONGEST - 1024 {
            return Err(StateError::TooLarge { path, size, limit: LONGEST }.into());
        }
        Ok(atomic::write(&path, &body)?)
    }

    /// The rules to judge by.
    #[must_use]
    pub fn rulebook(&self) -> &Rulebook {
        &self.rulebook
    }

    /// What the gate does with a verdict.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The pinned trust set.
    #[must_use]
    pub fn trust(&self) -> &TrustSet {
        &self.trust
    }

    /// The text of the trust set.
    #[must_use]
    pub fn trust_text(&self) -> &str {
        &self.document.trust
    }

    /// The text of the policy.
    #[must_use]
    pub fn policy_text(&self) -> &str {
        &self.document.policy
    }

    /// Names the policy's text.
    #[must_use]
    pub fn policy_digest(&self) -> RulesDigest {
        self.rulebook.policy_digest()
    }

    /// When this host was enrolled.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.document.since
    }

    /// When the rules last changed.
    #[must_use]
    pub fn changed(&self) -> Timestamp {
        self.document.changed
    }

    /// The generations older than the enrolment.
    #[must_use]
    pub fn grandfathered(&self) -> &Grandfathered {
        &self.grandfathered
    }
}

impl Grandfathered {
    /// Whether the link is as it was at the enrolment. That admits nothing; it only leaves the link alone.
    #[must_use]
    pub fn contains(&self, link: &Link) -> bool {
        self.0.contains(&link.mark())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn file(places: &Places) -> PathBuf {
    places.state.join(FILE)
}
