//! What the warden and the operator's tool say to each other: the Varlink interface `io.narwarden` as types.
//!
//! No I/O: the server is in `agent/daemon`, the client in `agent/cli`, and both use what is here. The interface
//! itself, for `varlinkctl introspect` and for people, is `interface/io.narwarden.varlink`; a test of the server
//! holds every reply against it. Messages are JSON objects, each ended by a NUL byte
//! (<https://varlink.org/Wire-Protocol>, <https://varlink.org/Interface-Definition>).
//!
//! Strings come from file names, store paths and operators: whoever prints one escapes it first.

mod call;
mod status;

pub use call::{
    Accept, Call, Error, Observe, Pin, QuarantineName, Reply, Verdicts, Verify, VerifyReply,
};
pub use status::{
    Bin, Gate, Generation, JournalState, Marks, Mode, ModeKind, Policy, Scrub, ScrubDone,
    ScrubRound, Standing, State, Status, Trust,
};

use serde::{Deserialize, Serialize};

/// The name of the interface.
pub const INTERFACE: &str = "io.narwarden";
/// What every Varlink service offers about itself.
pub const SERVICE: &str = "org.varlink.service";
/// The interface as `varlinkctl introspect` shows it.
pub const DESCRIPTION: &str = include_str!("interface/io.narwarden.varlink");
/// Where the warden listens.
pub const SOCKET: &str = "/run/narwarden/io.narwarden";

/// The longest call in bytes. A call holds a name, a reason or a digest; anybody may send one.
pub const LONGEST_CALL: usize = 64 << 10;
/// The longest reply in bytes, but for [`LONGEST_REPORT`].
pub const LONGEST_REPLY: usize = 1 << 20;
/// The longest reply that holds a report or a difference. Only uid 0 can ask for one.
pub const LONGEST_REPORT: usize = 16 << 20;
/// The most verdicts of one reply.
pub const MOST_VERDICTS: usize = 1000;
/// The most generations of one reply; of more, the first are left out and counted.
pub const MOST_GENERATIONS: usize = 1024;
/// The longest reason an operator may give, in characters.
pub const LONGEST_REASON: usize = 500;

/// The verdict in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It may run.
    Admit,
    /// It may not.
    Deny,
}

/// How often a reason was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    /// The code, as in docs/reasons.md.
    pub code: String,
    /// How many findings have it.
    pub count: u64,
}

/// A verdict in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictSummary {
    /// The store path.
    pub toplevel: String,
    /// The profile link that leads there, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<String>,
    /// What it was.
    pub verdict: Answer,
    /// When, in RFC 3339.
    pub decided: String,
    /// Whether the gate acts on it; if not, it is history.
    pub in_force: bool,
    /// Why, if it was a denial.
    pub reasons: Vec<ReasonCount>,
    /// By which trust set.
    pub trust_digest: String,
    /// By which policy.
    pub policy_digest: String,
}

/// The reply to `Verdicts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictsReply {
    /// Newest first.
    pub verdicts: Vec<VerdictSummary>,
}

/// The reply to `CheckReceipts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptsChecked {
    /// How many receipts hold together, up to the break if there is one.
    pub receipts: u64,
    /// SHA-256 of the last one, in base 16: the journal has it as `NARWARDEN_RECEIPT`. Absent where it is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Where the chain does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<ChainBreak>,
}

/// Where a chain of receipts does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainBreak {
    /// The file.
    pub file: String,
    /// The line in it, from 1.
    pub line: u64,
    /// What is wrong there.
    pub problem: String,
}

/// The reply to `Observe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObserveReply {
    /// When it ends, in RFC 3339.
    pub until: String,
}

/// A link that was moved out of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineEntry {
    /// What it is called in quarantine.
    pub name: String,
    /// The profile it was in.
    pub profile: String,
    /// What the link was called there.
    pub generation: String,
    /// The store path that it leads to.
    pub toplevel: String,
    /// When it was moved, in RFC 3339.
    pub moved: String,
    /// Why.
    pub reason: String,
}

/// The reply to `QuarantineList`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineListReply {
    /// Oldest first.
    pub entries: Vec<QuarantineEntry>,
}

/// The reply to `QuarantineShow`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineRecord {
    /// The entry.
    pub entry: QuarantineEntry,
    /// What denied it.
    pub findings: Vec<FindingSummary>,
}

/// A finding in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingSummary {
    /// The code, as in docs/reasons.md.
    pub reason: String,
    /// The path at fault.
    pub store_path: String,
    /// What was expected and found.
    pub detail: String,
}

/// Which of the two files an operator writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Whom this host trusts.
    Trust,
    /// What a generation must show.
    Policy,
}

impl What {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Policy => "policy",
        }
    }
}

/// A file that is not the pinned one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposedFile {
    /// Where it is.
    pub file: String,
    /// SHA-256 of it, in base 16.
    pub digest: String,
    /// SHA-256 of what is pinned; absent before anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_digest: Option<String>,
    /// What changes, line by line: `+`, `-` and a blank.
    pub difference: String,
    /// Why it cannot be used, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The reply to `Proposal`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalReply {
    /// A trust set that is not the pinned one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<ProposedFile>,
    /// A policy that is not the pinned one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ProposedFile>,
    /// Where nothing is pinned yet: the mode that pinning both would begin in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}
