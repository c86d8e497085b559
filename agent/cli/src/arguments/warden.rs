//! What may be asked of the warden that runs on this host.

use clap::{Args, Subcommand, ValueHint};
use jiff::SignedDuration;
use narwarden_core::interface::SOCKET;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const STATUS_HELP: &str = "\
The first word:
  READY     it answers, and looked at every generation
  STARTING  it answers, and has not looked at every generation yet
  DEGRADED  no trust set is pinned, or the journal is lost: nothing new is admitted

Of each generation:
  admitted       it may run
  denied         it may not: narwarden log says why
  pending        nothing is known of it yet, so it may not
  grandfathered  it is older than the enrolment: kept, and not admitted by that
  quarantined    it was denied and moved to where no boot loader looks

Exit codes: 0 it does its work, 1 something it needs is missing, 3 it is not running";

pub(crate) const LOG_EXAMPLES: &str = "\
Examples:
  narwarden log -n 100                                         the last hundred verdicts
  narwarden log --json | jq '.verdicts[] | select(.verdict == \"deny\")'
  narwarden log --verify-chain                                 is the record whole?
  narwarden log --verify-chain --state /mnt/var/lib/narwarden  of a disk that was taken out

A chain that is whole can still have been cut off at its end, head and all: the journal has the digest of every \
verdict's receipt (NARWARDEN_RECEIPT), and a copy of the journal on another machine says what the last one was.

Exit codes: 0 shown, or whole; 1 broken; 2 usage, or not root; 3 nothing could be read";

pub(crate) const QUARANTINE_EXAMPLES: &str = "\
Examples:
  narwarden quarantine list
  narwarden quarantine show system-42-20261122T120000Z
  sudo narwarden quarantine release system-42-20261122T120000Z   once the missing signature is there
  sudo narwarden quarantine drop system-42-20261122T120000Z      let the garbage collector have it";

pub(crate) const WATCH_EXAMPLES: &str = "\
Examples:
  narwarden watch              until interrupted
  narwarden watch --for 10m    while a deployment runs elsewhere";

pub(crate) const ACCEPT_EXAMPLES: &str = "\
What is pinned stays in force until a change is accepted, whatever a generation brings in /etc/narwarden. The \
difference is shown, and only what was shown is accepted: --digest names it where nobody is there to be asked.

Exit codes: 0 accepted, or nothing to accept; 1 refused, or answered with no; 2 usage, or not root; 3 narwardend is \
not running";

pub(crate) const OBSERVE_EXAMPLES: &str = "\
Examples:
  narwarden observe --for 30m --reason 'cache key lost, ticket 4711'
  narwarden observe --end";

/// Where the warden is.
#[derive(Debug, Args)]
pub(crate) struct SocketArguments {
    /// The warden's socket
    #[arg(long, global = true, value_name = "PATH", default_value = SOCKET, value_hint = ValueHint::FilePath)]
    pub(crate) socket: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) socket: SocketArguments,
    /// Print it as JSON (the reply of io.narwarden.Status)
    #[arg(long)]
    pub(crate) json: bool,
    /// Show every generation, not the latest
    #[arg(long, conflicts_with = "json")]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Log {
    #[command(flatten)]
    pub(crate) socket: SocketArguments,
    /// How many verdicts
    #[arg(long, short = 'n', value_name = "N", default_value = "20")]
    pub(crate) lines: NonZeroU64,
    /// Print them as JSON (the reply of io.narwarden.Verdicts or CheckReceipts)
    #[arg(long)]
    pub(crate) json: bool,
    /// Instead of showing verdicts, walk the chain of receipts: was a line changed or removed? (root)
    ///
    /// narwardend is asked; if it is not running, its files are read.
    #[arg(long, conflicts_with = "lines")]
    pub(crate) verify_chain: bool,
    /// Read the receipts in this directory, whether or not narwardend runs [default: /var/lib/narwarden, if it does not]
    #[arg(long, value_name = "DIR", requires = "verify_chain", conflicts_with = "socket", value_hint = ValueHint::DirPath)]
    pub(crate) state: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    pub(crate) socket: SocketArguments,
    /// Stop after this long, such as 10m [default: when interrupted]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) length: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct Quarantine {
    #[command(flatten)]
    pub(crate) socket: SocketArguments,
    #[command(subcommand)]
    pub(crate) command: QuarantineCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List the generations that were moved out of their profiles
    List {
        /// Print them as JSON (the reply of io.narwarden.QuarantineList)
        #[arg(long)]
        json: bool,
    },
    /// Say what denied one
    Show(QuarantineName),
    /// Put one back into its profile (root)
    Release(QuarantineName),
    /// Forget one, so that the garbage collector may delete it (root)
    Drop(QuarantineName),
}

#[derive(Debug, Args)]
pub(crate) struct QuarantineName {
    /// The name that `narwarden quarantine list` shows
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct Observe {
    #[command(flatten)]
    pub(crate) socket: SocketArguments,
    /// For how long, such as 30m or 2h; the policy may shorten it
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, required_unless_present = "end")]
    pub(crate) length: Option<Duration>,
    /// Why; it goes to the journal
    #[arg(long, value_name = "TEXT", required_unless_present = "end")]
    pub(crate) reason: Option<String>,
    /// Let denials hold again
    #[arg(long, conflicts_with_all = ["length", "reason"])]
    pub(crate) end: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Accept {
    #[command(flatten)]
    pub(crate) socket: SocketArguments,
    /// Accept the file with this SHA-256 without asking; of another, nothing is accepted
    #[arg(long, value_name = "HEX")]
    pub(crate) digest: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Scrub {
    #[command(flatten)]
    pub(crate) socket: SocketArguments,
}

#[derive(Debug, Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    pub(crate) socket: SocketArguments,
}

fn duration(text: &str) -> Result<Duration, String> {
    let length: Option<SignedDuration> = text.parse().ok();
    let length = length.and_then(|it| Duration::try_from(it).ok());
    length
        .filter(|it| *it >= Duration::from_secs(1))
        .ok_or_else(|| "write a duration of a second or more, such as 30m or 1h30m".to_owned())
}
