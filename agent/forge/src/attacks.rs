//! The attacks of the threat model (`SECURITY.md`) that need neither root nor Nix nor a network.
//!
//! Each has a control: the same judgement with one defence taken out, which must come out the other way. An
//! attack that is refused for some other reason would not pass it.

mod claims;
mod content;
mod metadata;
mod signatures;

use crate::error::ForgeError;
use crate::generation::Generation;
use crate::rules::Rules;
use crate::signer::ci;
use crate::store::Forge;
use narwarden_core::plan::Contents;
use narwarden_core::reason::Reason;
use narwarden_core::store_path::StorePath;

/// One attack on a store that holds the good generation.
#[derive(Debug)]
pub struct Attack {
    /// Its row in the threat model; several attacks may belong to one row.
    pub id: &'static str,
    /// What is done, in one short line; no two attacks have the same.
    pub title: &'static str,
    /// What must come of it.
    pub expected: Outcome,
    /// What shows that the defence is what decided.
    pub control: Control,
    rules: fn() -> Rules,
    apply: fn(&mut Forge, &Generation) -> Result<StorePath, ForgeError>,
}

/// What must come of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It changes nothing: the generation is admitted.
    Admit,
    /// The generation is refused, first of all for this reason.
    Deny(Reason),
}

/// How the defence is taken out, so that the judgement turns around: what was refused no longer is, or the
/// other way about.
#[derive(Clone, Copy, Debug)]
pub enum Control {
    /// No bytes are read: every row is signed as it stands, and the signatures are judged alone.
    Unread,
    /// These rules lack the one that decides.
    Rules(fn() -> Rules),
    /// The one thing that was wrong is put right.
    Undone(fn(&mut Forge, &Generation) -> Result<(), ForgeError>),
}

/// How to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// By which rules.
    pub rules: Rules,
    /// Whether by bytes.
    pub contents: Contents,
}

static ATTACKS: [Attack; 36] = [
    content::SAME_SIZE,
    content::LONGER,
    content::WITH_ROW,
    content::NAR_WITH_ROW,
    content::FLAT_WITH_ROW,
    content::TEXT_WITH_ROW,
    signatures::ULTIMATE,
    signatures::TWICE,
    signatures::JUNK,
    signatures::OTHER_NAME,
    signatures::BORROWED_NAME,
    signatures::UNKNOWN,
    signatures::NON_CANONICAL,
    metadata::SETUID,
    metadata::SETGID,
    metadata::WORLD_WRITABLE,
    metadata::WRITABLE_FILE,
    metadata::TIME,
    metadata::SYMLINK,
    metadata::FIFO,
    metadata::SOCKET,
    metadata::DEEP,
    claims::REFERENCE_DELETED,
    claims::REFERENCE_DANGLING,
    claims::UNREGISTERED,
    claims::NOT_ON_DISK,
    claims::NO_ROW,
    claims::WRONG_TYPE,
    content::MD5,
    content::SHA1,
    content::EXECUTABLE_FLAT,
    content::LEGACY,
    content::OWN_TOPLEVEL,
    signatures::COMMUNITY,
    claims::ADDRESSED_REFERENCES,
    signatures::REVOKED,
];

/// Every attack, in the order of the threat model. Each wants a store of its own, fresh from
/// [`Forge::good_generation`].
#[must_use]
pub fn attacks() -> &'static [Attack] {
    &ATTACKS
}

impl Attack {
    /// Does it; gives the toplevel to judge.
    ///
    /// # Errors
    /// What the system or SQLite refuse.
    pub fn apply(
        &self,
        forge: &mut Forge,
        generation: &Generation,
    ) -> Result<StorePath, ForgeError> {
        (self.apply)(forge, generation)
    }

    /// How to judge what it made.
    #[must_use]
    pub fn setup(&self) -> Setup {
        Setup { rules: (self.rules)(), contents: Contents::Measured }
    }

    /// Takes the defence out, after [`apply`](Self::apply); gives how to judge then.
    ///
    /// # Errors
    /// What the system or SQLite refuse.
    pub fn disarm(&self, forge: &mut Forge, generation: &Generation) -> Result<Setup, ForgeError> {
        let Setup { rules, contents } = self.setup();
        match self.control {
            Control::Unread => {
                forge.sign_every_row(&[&ci()])?;
                Ok(Setup { rules, contents: Contents::Claimed })
            }
            Control::Rules(rules) => Ok(Setup { rules: rules(), contents }),
            Control::Undone(undo) => {
                undo(forge, generation)?;
                Ok(Setup { rules, contents })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn titles_are_short_and_different() {
        let titles: BTreeSet<_> = attacks().iter().map(|attack| attack.title).collect();
        assert_eq!(titles.len(), attacks().len());
        assert!(titles.iter().all(|title| (10..=60).contains(&title.len())), "{titles:?}");
    }
}
