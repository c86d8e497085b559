//! One pinned key: whose it is and when it may vouch.

use crate::signature::PublicKey;
use jiff::Timestamp;

/// A public key as the operator pinned it.
#[derive(Clone, Debug)]
pub struct PinnedKey {
    /// The operator's own word for the key: its name in `[keys]`.
    pub id: String,
    /// The key itself, with the name that signatures carry.
    pub public: PublicKey,
    /// Who holds the secret half, if the operator said so.
    pub operator: Option<String>,
    /// Whether a community cache signs with it, which vouches for parts and never for a whole system.
    pub community: Community,
    /// When its signatures count.
    pub validity: Validity,
}

/// Whether a key belongs to a cache that signs for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Community {
    /// It does: thousands of test systems carry its signature.
    Yes,
    /// It does not.
    No,
}

/// When a key's signatures count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validity {
    /// From the one moment on and before the other, where given.
    Between {
        /// The first moment at which it counts.
        not_before: Option<Timestamp>,
        /// The first moment at which it no longer counts.
        until: Option<Timestamp>,
    },
    /// Never again, whatever the clock says: a clock can be set back.
    Revoked {
        /// When it was revoked, as the operator wrote it.
        since: String,
        /// Why, if the operator said so.
        reason: Option<String>,
    },
}

/// What a key is good for at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its signatures count.
    Valid,
    /// Its time has not begun.
    NotYetValid,
    /// Its time is over.
    Expired,
    /// It was withdrawn.
    Revoked,
}

impl Validity {
    /// The moments at which the key is worth something else than before.
    pub(super) fn changes(&self) -> impl Iterator<Item = Timestamp> + use<> {
        let (begin, end) = match self {
            Self::Between { not_before, until } => (*not_before, *until),
            Self::Revoked { .. } => (None, None),
        };
        begin.into_iter().chain(end)
    }

    /// What the key is good for at `now`.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        match self {
            Self::Revoked { .. } => Standing::Revoked,
            Self::Between { not_before: Some(begin), .. } if now < *begin => Standing::NotYetValid,
            Self::Between { until: Some(end), .. } if now >= *end => Standing::Expired,
            Self::Between { .. } => Standing::Valid,
        }
    }
}
