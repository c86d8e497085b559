//! The reason codes: why a generation was refused, or what was worth noting.
//!
//! Codes are stable: scripts, journals and alerts match on them. This table is the only place where they
//! are spelled; `docs/reasons.md` is generated from it.

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The generation is refused for it.
    Deny,
    /// Worth knowing; refuses nothing.
    Note,
}

impl Severity {
    /// The word in JSON and text.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Note => "note",
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident, $code:literal, $meaning:literal, $next:literal;)*) => {
        /// Why. The order is that of the table in `docs/reasons.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = $meaning] $variant,)*
        }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable code.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What it means, in one sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// What to do next: a command that can be copied, with a comment. `{path}` stands for the store path, `{top}` for the toplevel.
            #[must_use]
            pub fn next_step(self) -> &'static str {
                match self { $(Self::$variant => $next,)* }
            }
        }
    };
}

reasons! {
    Unsigned, "unsigned",
        "Nothing vouches for the path: it has no signature, and no content address that may.",
        "nix store copy-sigs -s CACHE {path}   # or, where it was built: nix store sign -k KEYFILE {path}";
    UnknownKey, "unknown-key",
        "The path is signed, but by no key of the trust set.",
        "narwarden explain {top} {path}   # shows the names; pin the key if it is yours";
    BadSignature, "bad-signature",
        "The path carries a signature under a pinned key's name that does not fit what was measured.",
        "nix-store --repair-path {path}   # fetches it again from a cache";
    BelowThreshold, "below-threshold",
        "Pinned keys signed the path, but not those that the policy asks for.",
        "narwarden explain {top} {path}   # shows who is missing; then nix store sign -k KEYFILE {path}";
    CommunityKey, "community-key",
        "The toplevel is vouched for by community caches only, which sign test systems too.",
        "nix store sign -k KEYFILE {path}   # with a key of your own";
    RevokedKey, "revoked-key",
        "The signature that would have counted is by a key that was revoked.",
        "nix store sign -k KEYFILE {path}   # built again, and with a key that is not revoked";
    ExpiredKey, "expired-key",
        "The signature that would have counted is by a key whose time is over.",
        "nix store sign -k KEYFILE {path}   # with the key's successor";
    NotYetValidKey, "not-yet-valid-key",
        "The signature that would have counted is by a key whose time has not begun.",
        "timedatectl   # is the clock right? then the key's not-before in the trust set";
    ExpiredTrustSet, "expired-trust-set",
        "The trust set has expired: what runs keeps running, and nothing new is admitted.",
        "timedatectl   # is the clock right? then install a trust set with a later `expires`";
    ContentDrift, "content-drift",
        "The bytes on disk are not what the database says, and nothing vouches for them.",
        "nix-store --repair-path {path}   # and find out who wrote to the store";
    DatabaseDrift, "database-drift",
        "The bytes on disk are vouched for, and the database says something else about them.",
        "nix-store --verify --check-contents   # and find out who wrote to the database";
    MetadataDrift, "metadata-drift",
        "Owner, mode, time or attributes are not what Nix leaves behind, or another file system is mounted there.",
        "nix-store --repair-path {path}   # and find out who changed it";
    ContentAddressMismatch, "content-address-mismatch",
        "The path claims a content address that its bytes or references do not have.",
        "nix-store --repair-path {path}   # and find out who wrote to the store";
    WeakContentAddress, "weak-content-address",
        "Only a content address vouches for the path, of a kind that can be forged.",
        "nix store sign -k KEYFILE {path}   # or list its kind in weak-content-address";
    DeniedContentAddress, "denied-content-address",
        "The path is content-addressed, and the policy takes no such path here.",
        "narwarden explain {top} {path}   # then build it as an ordinary path, or change content-addressed";
    MissingPath, "missing-path",
        "The path is not there: not in the database, or not on disk.",
        "nix-store --realise {path}";
    MissingReference, "missing-reference",
        "The path refers to something that is not registered.",
        "nix-store --verify   # then nix-store --realise {path}";
    MalformedClaim, "malformed-claim",
        "The database holds something about the path that Nix does not write.",
        "nix-store --verify   # and find out who wrote to the database";
    Unreadable, "unreadable",
        "The path could not be read, so nothing is known about it.",
        "dmesg   # are there I/O errors? and run as root";
    UnsupportedFile, "unsupported-file",
        "The path holds a device, a socket or a named pipe, which no NAR can.",
        "nix-store --repair-path {path}   # and find out who put it there";
    TooLarge, "too-large",
        "The path is deeper, wider or far larger than it may be, so it was not read to its end.",
        "du -sh {path}   # then nix-store --repair-path {path}, and find out who wrote to the store";
    ChangedWhileRead, "changed-while-read",
        "The path changed while it was read, so no measurement of it holds.",
        "fuser -vm /nix/store   # who writes to the store? then run it again";
    Interrupted, "interrupted",
        "Measuring was broken off before this path's turn.",
        "narwarden verify {top}   # once more";
    DeniedPath, "denied-path",
        "The path, its contents or its name is on the policy's deny list.",
        "narwarden explain {top} {path}   # shows who refers to it; build the generation without it";
    AgentRemoved, "agent-removed",
        "The running system brings narwardend, and the generation, or a specialisation of it, leaves its unit out or masks it.",
        "ls -lL {top}/etc/systemd/system/narwardend.service   # build it with services.narwarden.enable; to take narwarden off on purpose: agent = \"may-leave\" under [require] in the policy, and narwarden policy accept, or for a while narwarden observe";
}

/// What must have happened to a generation that was admitted once, for it to be refused for a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It is not what it was: bytes, metadata, or what the database says.
    Drift,
    /// Somebody said that it, or a key, is no longer to be trusted.
    Revocation,
    /// Time went by.
    Time,
    /// The rules ask for something else. Where they are the ones that admitted it, it is drift.
    Rules,
    /// Another system runs, which asks for something else.
    Host,
    /// Nothing could be found out.
    Unknown,
}

impl Reason {
    /// The reason with that code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }

    /// What must have happened to a generation that was admitted once.
    #[must_use]
    pub fn cause(self) -> Cause {
        match self {
            // Signed under a pinned name, but not these bytes.
            Self::BadSignature
            | Self::ContentDrift
            | Self::DatabaseDrift
            | Self::MetadataDrift
            | Self::ContentAddressMismatch
            | Self::MissingPath
            | Self::MissingReference
            | Self::MalformedClaim
            | Self::UnsupportedFile
            | Self::TooLarge => Cause::Drift,
            Self::RevokedKey | Self::DeniedPath => Cause::Revocation,
            Self::ExpiredKey | Self::NotYetValidKey | Self::ExpiredTrustSet => Cause::Time,
            Self::Unsigned
            | Self::UnknownKey
            | Self::BelowThreshold
            | Self::CommunityKey
            | Self::WeakContentAddress
            | Self::DeniedContentAddress => Cause::Rules,
            Self::AgentRemoved => Cause::Host,
            Self::Unreadable | Self::ChangedWhileRead | Self::Interrupted => Cause::Unknown,
        }
    }

    /// Whether it speaks against a generation however often that was admitted before: time, other rules and another
    /// system that runs do not.
    #[must_use]
    pub fn is_about_bytes_or_revocation(self) -> bool {
        match self.cause() {
            Cause::Drift | Cause::Revocation => true,
            Cause::Time | Cause::Rules | Cause::Host | Cause::Unknown => false,
        }
    }

    /// Whether it says that nothing could be found out, rather than that something is wrong. Both deny.
    #[must_use]
    pub fn is_unknown(self) -> bool {
        self.cause() == Cause::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, Reason};
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_different_and_plain() {
        let codes: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        assert!(codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
    }

    #[test]
    fn codes_are_read_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(*reason));
        }
        assert_eq!(Reason::from_code("Unsigned"), None);
        assert_eq!(Reason::from_code(""), None);
    }

    #[test]
    fn time_and_other_rules_are_nothing_against_what_was_admitted() {
        let codes = |is: fn(Reason) -> bool| -> BTreeSet<&str> {
            let found = Reason::ALL.iter().filter(|reason| is(**reason));
            found.map(|reason| reason.code()).collect()
        };
        let against = codes(Reason::is_about_bytes_or_revocation);
        for code in ["content-drift", "database-drift", "metadata-drift", "bad-signature"] {
            assert!(against.contains(code), "{code}");
        }
        for code in ["content-address-mismatch", "revoked-key", "denied-path"] {
            assert!(against.contains(code), "{code}");
        }
        let time = codes(|reason| reason.cause() == Cause::Time);
        assert_eq!(time, ["expired-key", "expired-trust-set", "not-yet-valid-key"].into());
        let rules = codes(|reason| reason.cause() == Cause::Rules);
        for code in ["unsigned", "unknown-key", "below-threshold"] {
            assert!(rules.contains(code) && !against.contains(code), "{code}");
        }
        let unknown = codes(Reason::is_unknown);
        assert_eq!(unknown, ["changed-while-read", "interrupted", "unreadable"].into());
        let host = codes(|reason| reason.cause() == Cause::Host);
        assert_eq!(host, ["agent-removed"].into());
        let all = [&against, &time, &rules, &host, &unknown].map(BTreeSet::len);
        assert_eq!(all.iter().sum::<usize>(), Reason::ALL.len());
    }
}
