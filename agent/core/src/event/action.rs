//! What was done about something: the words that `NARWARDEN_ACTION` can hold.

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was let through.
    Allowed,
    /// It was not.
    Refused,
    /// The link was moved out of its profile.
    Quarantined,
    /// Somebody was told, and nothing else was done.
    Alerted,
    /// It was left where it is.
    Kept,
}

impl Action {
    /// Every word.
    pub const ALL: &[Self] =
        &[Self::Allowed, Self::Refused, Self::Quarantined, Self::Alerted, Self::Kept];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Quarantined => "quarantined",
            Self::Alerted => "alerted",
            Self::Kept => "kept",
        }
    }

    /// What has that word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.word() == word)
    }
}
