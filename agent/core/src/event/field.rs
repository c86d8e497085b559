//! The fields of the journal that are narwarden's own.

macro_rules! fields {
    ($($variant:ident, $short:literal, $meaning:literal;)*) => {
        /// A field of a journal entry. The order is that of the table in `docs/journal.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field {
            $(#[doc = $meaning] $variant,)*
        }

        impl Field {
            /// Every field.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in the journal.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => concat!("NARWARDEN_", $short),)* }
            }

            /// The name within a message template.
            pub(super) const fn short(self) -> &'static str {
                match self { $(Self::$variant => $short,)* }
            }

            /// What it holds, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

fields! {
    Verdict, "VERDICT", "`admit` or `deny`.";
    Toplevel, "TOPLEVEL", "The store path of the generation that it is about.";
    Generation, "GENERATION", "The profile link that leads there, such as `system-42-link`.";
    Reason, "REASON", "The code of the first reason, as in docs/reasons.md.";
    Detail, "DETAIL", "What was expected and what was found.";
    StorePath, "STORE_PATH", "The path at fault.";
    Chain, "CHAIN", "How the toplevel comes to need that path, from one name to the next.";
    Findings, "FINDINGS", "How many findings deny.";
    Action, "ACTION", "What was done about it: `allowed`, `refused`, `quarantined`, `alerted` or `kept`.";
    EntryPoint, "ENTRY_POINT", "The file of the generation that was to be run, such as `activate`; its whole path where it has another name.";
    ProcessId, "PROCESS_ID", "The process that asked.";
    ProcessUid, "PROCESS_UID", "The user that the process belongs to.";
    ProcessExecutable, "PROCESS_EXECUTABLE", "The program that the process was running.";
    CallerPid, "CALLER_PID", "The process that sent a command to narwardend.";
    WaitedMs, "WAITED_MS", "For how many milliseconds the process was held.";
    Seconds, "SECONDS", "How long it took.";
    Paths, "PATHS", "How many store paths the closure has.";
    TrustVersion, "TRUST_VERSION", "The version of the pinned trust set.";
    TrustDigest, "TRUST_DIGEST", "SHA-256 of the pinned trust set.";
    PolicyDigest, "POLICY_DIGEST", "SHA-256 of the pinned policy.";
    What, "WHAT", "Which of the two files, `trust` or `policy`; in `trouble`, what was to be done.";
    File, "FILE", "The file it is about.";
    KeptAside, "KEPT_ASIDE", "Where a damaged file was moved to.";
    Difference, "DIFFERENCE", "What changes, line by line.";
    Error, "ERROR", "What went wrong, as the system said it.";
    Mode, "MODE", "`enforce` or `observe`.";
    Until, "UNTIL", "When it ends (RFC 3339).";
    Why, "WHY", "What the operator gave as the reason.";
    Count, "COUNT", "How many.";
    Quarantined, "QUARANTINED", "The name that `narwarden quarantine list` shows.";
    Version, "VERSION", "The version of narwardend.";
    Receipt, "RECEIPT", "SHA-256 of the verdict's line in the chain of receipts.";
}
