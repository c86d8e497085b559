//! What the rest of the world may ask of the warden, and what it answers: the trait between the socket
//! ([`crate::ipc`]) and everything behind it.
//!
//! Who may ask what is decided before any of these is called: what takes a [`Caller`] is asked by uid 0 alone.
//! Every call comes on a thread where it may block, a few at a time; a call that panics is answered with an
//! error. None may hold a lock that the gate waits for while it does I/O.

pub use narwarden_core::interface::{
    Error as Refusal, FindingSummary, ProposalReply, ProposedFile, QuarantineEntry,
    QuarantineRecord, ReceiptsChecked, Status, VerdictSummary, What,
};

use jiff::Timestamp;
use std::time::Duration;
use tokio::sync::oneshot;

/// Who asks, as the kernel says (`SO_PEERCRED`, unix(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user, as seen from our own user namespace.
    pub uid: u32,
    /// The process, if it is in our own process namespace. It may be gone already: for the journal only.
    pub pid: Option<u32>,
}

/// Whether to judge what has a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Only what has none.
    IfUnknown,
    /// In any case.
    Always,
}

/// Where the report of a verification arrives, in the form `narwarden.verdict/1`. Dropping it cancels nothing.
pub type PendingReport = oneshot::Receiver<Result<serde_json::Value, Refusal>>;

/// The warden, as seen through its socket.
pub trait Warden: Send + Sync + 'static {
    /// Its state, now.
    fn status(&self) -> Status;

    /// The latest verdicts, newest first, no more than `limit`.
    fn verdicts(&self, limit: usize) -> Vec<VerdictSummary>;

    /// What is in quarantine, oldest first.
    ///
    /// # Errors
    /// The quarantine cannot be read.
    fn quarantine_list(&self) -> Result<Vec<QuarantineEntry>, Refusal>;

    /// One entry with its findings.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be read.
    fn quarantine_show(&self, name: &str) -> Result<QuarantineRecord, Refusal>;

    /// Walks the chain of receipts.
    ///
    /// # Errors
    /// It cannot be read. A chain that does not hold is no error but the answer.
    fn check_receipts(&self, caller: Caller) -> Result<ReceiptsChecked, Refusal>;

    /// Begins to judge a store path or a generation link.
    ///
    /// # Errors
    /// The target is none, or the queue is full.
    fn verify(&self, caller: Caller, target: &str, again: Again) -> Result<PendingReport, Refusal>;

    /// Reads the configuration again.
    ///
    /// # Errors
    /// It cannot be used; what was in force stays in force.
    fn reload(&self, caller: Caller) -> Result<(), Refusal>;

    /// Lets denials not hold for `length`, and says until when that is.
    ///
    /// # Errors
    /// The policy forbids it.
    fn observe(&self, caller: Caller, length: Duration, reason: &str)
    -> Result<Timestamp, Refusal>;

    /// Ends that; nothing happens if denials hold.
    ///
    /// # Errors
    /// The policy itself says `observe`.
    fn end_observe(&self, caller: Caller) -> Result<(), Refusal>;

    /// Puts a link back into its profile.
    ///
    /// # Errors
    /// There is none of that name, its place is taken, or the profile is locked.
    fn quarantine_release(&self, caller: Caller, name: &str) -> Result<(), Refusal>;

    /// Forgets a link.
    ///
    /// # Errors
    /// There is none of that name.
    fn quarantine_drop(&self, caller: Caller, name: &str) -> Result<(), Refusal>;

    /// Begins to hash everything again.
    ///
    /// # Errors
    /// Nothing is pinned.
    fn scrub(&self, caller: Caller) -> Result<(), Refusal>;

    /// What of `/etc/narwarden` differs from what is pinned.
    ///
    /// # Errors
    /// It cannot be read, for another reason than that a file is not there.
    fn proposal(&self, caller: Caller) -> Result<ProposalReply, Refusal>;

    /// Takes one proposed file over, if it has that digest and can be used.
    ///
    /// # Errors
    /// It has another digest by now, cannot be used, or does not fit the other pinned file.
    fn accept(&self, caller: Caller, what: What, digest: &str) -> Result<(), Refusal>;

    /// Pins both files for the first time, if they have these digests and can be used.
    ///
    /// # Errors
    /// Something is pinned already, a digest is another by now, or a file cannot be used.
    fn pin(&self, caller: Caller, trust_digest: &str, policy_digest: &str) -> Result<(), Refusal>;
}
