//! What a generation brought along for `/etc/narwarden`, next to what is pinned.

use super::{Loaded, Pinned, PinnedError, file};
use crate::places::Places;
use crate::state::difference::difference;
use jiff::Timestamp;
use narwarden_core::trust::{RulesDigest, TrustSet};
use narwarden_linux::trusted_file::{self, TrustedFileError};
use std::path::PathBuf;

/// Far more than anybody writes by hand.
const LONGEST: u64 = 1 << 20;

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `trust.toml`.
    Trust,
    /// `policy.toml`.
    Policy,
}

/// What `/etc/narwarden` says otherwise than what is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Proposal {
    /// Another trust set.
    pub trust: Option<Change>,
    /// Another policy.
    pub policy: Option<Change>,
}

/// A file that could be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its text.
    pub text: String,
    /// Names the text.
    pub digest: RulesDigest,
    /// What is other than in the pinned one, escaped, line by line.
    pub difference: String,
    /// Why it would be refused, if it would be.
    pub problem: Option<String>,
}

/// What there is to pin where nothing is pinned.
#[derive(Clone, Debug)]
pub struct FirstProposal {
    /// The trust set, if there is one.
    pub trust: Option<Change>,
    /// The policy, if there is one.
    pub policy: Option<Change>,
    /// Both as they would hold, if there are both and they can be used.
    pub pinned: Option<Box<Pinned>>,
}

impl What {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Trust => "trust set",
            Self::Policy => "policy",
        }
    }

    fn path(self, places: &Places) -> PathBuf {
        places.proposals.join(match self {
            Self::Trust => "trust.toml",
            Self::Policy => "policy.toml",
        })
    }
}

impl Pinned {
    /// The first start: pins what lies in `/etc/narwarden`, if there is both a trust set and a policy. Trust on first
    /// use, once: afterwards a changed file is a proposal and no more.
    ///
    /// # Errors
    /// When the rules are refused, or others could have written them; when there is, or was, another enrolment.
    pub fn first(places: &Places, now: Timestamp) -> Result<Option<Self>, PinnedError> {
        match Self::load(places)? {
            Loaded::FirstStart => {}
            Loaded::Pinned(_) | Loaded::Lost(_) => {
                return Err(PinnedError::AlreadyPinned { path: file(places) });
            }
        }
        match (text(places, What::Trust)?, text(places, What::Policy)?) {
            (Some(trust), Some(policy)) => Self::pin(places, &trust, &policy, now).map(Some),
            (None, _) | (_, None) => Ok(None),
        }
    }

    /// What lies there to be pinned first. Nothing is pinned by asking.
    ///
    /// # Errors
    /// Where others could have written a file, or it cannot be read.
    pub fn first_proposal(places: &Places, now: Timestamp) -> Result<FirstProposal, PinnedError> {
        let (trust, policy) = (change(places, What::Trust, "")?, change(places, What::Policy, "")?);
        let (Some(mut trust), Some(mut policy)) = (trust.clone(), policy.clone()) else {
            return Ok(FirstProposal { trust, policy, pinned: None });
        };
        let pinned = match Self::unsaved(places, &trust.text, &policy.text, now) {
            Ok(pinned) => Some(Box::new(pinned)),
            Err(error @ PinnedError::Trust(_)) => {
                trust.problem = Some(error.to_string());
                None
            }
            Err(error) => {
                policy.problem = Some(error.to_string());
                None
            }
        };
        Ok(FirstProposal { trust: Some(trust), policy: Some(policy), pinned })
    }

    /// What is proposed now; `None` where that is what is pinned, or nothing is proposed.
    ///
    /// # Errors
    /// Where others could have written a file, or it cannot be read.
    pub fn proposal(&self, places: &Places) -> Result<Option<Proposal>, PinnedError> {
        let mut trust = change(places, What::Trust, self.trust_text())?;
        let mut policy = change(places, What::Policy, self.policy_text())?;
        let refused = |document| self.tried(document).err().map(|error| error.to_string());
        if let Some(trust) = &mut trust {
            trust.problem = refused((trust.text.clone(), self.policy_text().to_owned()));
        }
        if let Some(policy) = &mut policy {
            policy.problem = refused((self.trust_text().to_owned(), policy.text.clone()));
        }
        let other = trust.is_some() || policy.is_some();
        Ok(other.then_some(Proposal { trust, policy }))
    }

    /// Pins the trust set that is proposed, if it has this digest and the pinned policy can be bound to it.
    ///
    /// # Errors
    /// Everything that speaks against it. What was pinned still holds then.
    pub fn accept_trust(
        &self,
        places: &Places,
        digest: &str,
        now: Timestamp,
    ) -> Result<Self, PinnedError> {
        let trust = self.proposed(places, What::Trust, digest)?;
        self.accept(places, trust, self.policy_text().to_owned(), now)
    }

    /// Pins the policy that is proposed, if it has this digest and can be bound to the pinned trust set.
    ///
    /// # Errors
    /// As for [`Self::accept_trust`].
    pub fn accept_policy(
        &self,
        places: &Places,
        digest: &str,
        now: Timestamp,
    ) -> Result<Self, PinnedError> {
        let policy = self.proposed(places, What::Policy, digest)?;
        self.accept(places, self.trust_text().to_owned(), policy, now)
    }

    /// Pins both, where neither can be bound to what is pinned of the other.
    ///
    /// # Errors
    /// As for [`Self::accept_trust`].
    pub fn accept_both(
        &self,
        places: &Places,
        trust_digest: &str,
        policy_digest: &str,
        now: Timestamp,
    ) -> Result<Self, PinnedError> {
        let trust = self.proposed(places, What::Trust, trust_digest)?;
        let policy = self.proposed(places, What::Policy, policy_digest)?;
        self.accept(places, trust, policy, now)
    }

    fn accept(
        &self,
        places: &Places,
        trust: String,
        policy: String,
        now: Timestamp,
    ) -> Result<Self, PinnedError> {
        let mut accepted = self.tried((trust, policy))?;
        accepted.document.changed = now;
        accepted.save(places)?;
        Ok(accepted)
    }

    /// What would hold with these texts.
    fn tried(&self, (trust, policy): (String, String)) -> Result<Self, PinnedError> {
        let version = TrustSet::parse(&trust).map_err(PinnedError::Trust)?.trust.version();
        if version < self.trust.version() {
            return Err(PinnedError::OlderTrust { pinned: self.trust.version(), found: version });
        }
        Self::of(super::Document { trust, policy, ..self.document.clone() })
    }

    fn proposed(&self, places: &Places, what: What, digest: &str) -> Result<String, PinnedError> {
        let pinned = match what {
            What::Trust => self.trust_text(),
            What::Policy => self.policy_text(),
        };
        let path = what.path(places);
        let Some(change) = change(places, what, pinned)? else {
            return Err(PinnedError::NothingProposed { what: what.word(), path });
        };
        let found = change.digest.to_string();
        if found != digest {
            let expected = digest.escape_debug().take(2 * found.len()).collect();
            return Err(PinnedError::AnotherProposal { what: what.word(), expected, found });
        }
        Ok(change.text)
    }

    /// Where it is kept.
    #[must_use]
    pub fn path(places: &Places) -> PathBuf {
        file(places)
    }
}

fn change(places: &Places, what: What, pinned: &str) -> Result<Option<Change>, TrustedFileError> {
    let text = text(places, what)?.filter(|text| text != pinned);
    Ok(text.map(|text| Change {
        digest: RulesDigest::of(&text),
        difference: difference(pinned, &text),
        problem: None,
        text,
    }))
}

/// What the file says, if there is one.
fn text(places: &Places, what: What) -> Result<Option<String>, TrustedFileError> {
    match trusted_file::read(&what.path(places), LONGEST) {
        Ok(file) => Ok(Some(file.text)),
        Err(TrustedFileError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
