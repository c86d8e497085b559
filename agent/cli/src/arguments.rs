//! What may be asked, and the help that teaches it. Completions and manual pages are made from it too.

pub(crate) mod warden;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes:
  0  admitted, or done (with --path-only or --no-contents: nothing found against the part that was looked at)
  1  denied, or refused
  2  wrong usage, or a trust set or policy that cannot be used
  3  could not decide: the store or its database cannot be read, or narwardend is not running";

/// Judges the closure of a NixOS generation from its bytes and signatures.
///
/// Nix checks signatures once, when a path enters the store. narwarden checks them again, over what is on
/// disk now, against keys that you pinned.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, propagate_version = true)]
pub(crate) struct Arguments {
    /// When to use colour: `auto` heeds NO_COLOR, CLICOLOR and CLICOLOR_FORCE
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// What `--color` says, whether or not the other arguments can be understood.
    pub(crate) fn asked(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut asked = None;
        while let Some(argument) = arguments.next() {
            let value = match argument.to_str() {
                Some("--") => break,
                Some("--color") => arguments.next().and_then(|it| it.into_string().ok()),
                Some(text) => text.strip_prefix("--color=").map(str::to_owned),
                None => None,
            };
            asked = value.and_then(|it| Self::from_str(&it, false).ok()).or(asked);
        }
        asked
    }

    pub(crate) fn write_global(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Judge a generation: is every path of its closure what a pinned key signed?
    #[command(after_long_help = VERIFY_EXAMPLES)]
    Verify(Verify),
    /// Say everything about one path: who signed it, which rule asked for what, what was measured
    Explain(Explain),
    /// Work with trust sets
    Trust {
        #[command(subcommand)]
        command: TrustCommand,
    },
    /// Work with policies
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Look at a running system and write a trust set and a policy to start from
    #[command(after_long_help = ENROLL_EXAMPLES)]
    Enroll(Enroll),
    /// Say whether this host is guarded, by what, and what is waiting
    #[command(after_help = warden::STATUS_HELP)]
    Status(warden::Status),
    /// Show what was decided lately, or whether the record of it is whole
    #[command(after_long_help = warden::LOG_EXAMPLES)]
    Log(warden::Log),
    /// Say what changes, as it changes
    #[command(after_long_help = warden::WATCH_EXAMPLES)]
    Watch(warden::Watch),
    /// Work with generations that were denied and moved out of their profile
    #[command(after_long_help = warden::QUARANTINE_EXAMPLES)]
    Quarantine(warden::Quarantine),
    /// Let denials not hold for a while, or hold again (root)
    #[command(after_long_help = warden::OBSERVE_EXAMPLES)]
    Observe(warden::Observe),
    /// Have narwardend read its configuration again (root)
    Reload(warden::Reload),
    /// Have narwardend hash everything again now, in the background (root)
    Scrub(warden::Scrub),
    /// Make a throw-away store, attack it in every known way, and judge each (no Nix, no network, no root)
    Demo(Demo),
    /// Print completions for a shell
    Completions(Completions),
    /// Write the manual pages into a directory
    Man(Man),
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  narwarden verify                           the running system, by /etc/narwarden
  narwarden verify 42                        generation 42 of the system profile
  narwarden verify ./result --trust ci.toml  what was just built, by other keys
  narwarden verify --no-contents 42          signatures only, in a moment
  narwarden verify --full                    every byte again, also of what did not change since
  narwarden verify --json | jq '.findings[] | select(.severity == \"deny\") | .store_path'

Exit codes: 0 admitted, 1 denied, 2 usage or configuration, 3 could not decide";

const ENROLL_EXAMPLES: &str = "\
Examples:
  narwarden enroll                       look at the running system, write trust.toml and policy.toml here
  narwarden enroll --output /etc/narwarden
  narwarden enroll --key ci-1:KmWk… 42   with a key that nix.conf does not list
  narwarden enroll --pin                 judge by what is in /etc/narwarden from now on: shows it, and asks
  narwarden enroll --pin --yes           the same where nobody is there to be asked

Exit codes: 0 written and admitted, or pinned; 1 denied by its own files, or refused; 2 usage; 3 could not, or \
narwardend is not running";

const POLICY_TEST_HELP: &str = "\
A fixture describes a closure, who signed what, what is on disk, and what must come of it: docs/policy-test.md. \
Plan, signatures and verdict are those of narwarden verify; only the measuring is made up.

Throw-away keys stand in for those of the trust set, with the same names, roles, times and revocations, since their \
secret halves are not here. So this tests rules, and not that the right public keys are pinned.

Examples:
  narwarden policy test policy.toml                        with trust.toml and fixtures/ beside it
  narwarden policy test policy.toml --strict               a fixture must depend on each demand
  narwarden policy test policy.toml --trust ../fleet.toml --fixtures tests
  narwarden policy test policy.toml --json | jq '.fixtures[] | select(.as_expected | not)'

Exit codes: 0 all came out as expected, 1 some did not, 2 usage, or a file that cannot be used, 3 could not print";

/// Where the store is.
#[derive(Debug, Args)]
pub(crate) struct StoreArguments {
    /// Read the store below DIR/nix instead of /nix; store paths stay /nix/store/…
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = ValueHint::DirPath)]
    pub(crate) root: PathBuf,
    /// How many paths to read at a time [default: one per core]
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
}

/// Which rules to judge by.
#[derive(Debug, Args)]
pub(crate) struct RulesArguments {
    /// The trust set [default: /etc/narwarden/trust.toml]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) trust: Option<PathBuf>,
    /// The policy [default: /etc/narwarden/policy.toml, or any pinned key for every path if there is none]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) policy: Option<PathBuf>,
}

const TARGET_HELP: &str =
    "A store path, the number of a generation, or a profile or other link to a store path";

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[arg(value_name = "TARGET", help = TARGET_HELP, default_value = "/run/current-system", value_hint = ValueHint::AnyPath)]
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) rules: RulesArguments,
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// Print the verdict as JSON (narwarden.verdict/1, see docs/json.md)
    #[arg(long)]
    pub(crate) json: bool,
    /// Judge this path alone, not what it refers to: proves nothing about a generation
    #[arg(long)]
    pub(crate) path_only: bool,
    /// Check signatures over what the database claims, without reading the files: proves nothing about them
    #[arg(long)]
    pub(crate) no_contents: bool,
    /// Hash every path, whatever its seal says, and seal none
    #[arg(long, conflicts_with = "no_contents")]
    pub(crate) full: bool,
    /// Where root keeps the seals of what was hashed, so that it is not hashed again while it does not change
    #[arg(long, value_name = "DIR", default_value = "/var/cache/narwarden", value_hint = ValueHint::DirPath)]
    pub(crate) seals: PathBuf,
    /// Show every finding, not the first few of each kind
    #[arg(long, conflicts_with = "json")]
    pub(crate) all: bool,
    /// Show no progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[arg(value_name = "TARGET", help = TARGET_HELP, value_hint = ValueHint::AnyPath)]
    pub(crate) target: String,
    /// A path of TARGET's closure: the store path, or its name if no other path has it
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) path: String,
    #[command(flatten)]
    pub(crate) rules: RulesArguments,
    #[command(flatten)]
    pub(crate) store: StoreArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// Say whether a trust set can be used, and what is in it
    Check(TrustCheck),
    /// Have this host judge by the trust set in /etc/narwarden from now on (root)
    #[command(after_long_help = warden::ACCEPT_EXAMPLES)]
    Accept(warden::Accept),
}

#[derive(Debug, Args)]
pub(crate) struct TrustCheck {
    /// The trust set
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Say whether a policy can be used, by itself or with a trust set
    Check(PolicyCheck),
    /// Say whether a policy admits and denies what it must, by small closures written down (no root, no store)
    #[command(after_long_help = POLICY_TEST_HELP)]
    Test(PolicyTest),
    /// Have this host judge by the policy in /etc/narwarden from now on (root)
    #[command(after_long_help = warden::ACCEPT_EXAMPLES)]
    Accept(warden::Accept),
}

#[derive(Debug, Args)]
pub(crate) struct PolicyCheck {
    /// The policy
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Look its roles and keys up in this trust set
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) trust: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyTest {
    /// The policy
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// The fixtures: every *.toml in this directory [default: fixtures, beside FILE]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) fixtures: Option<PathBuf>,
    /// The trust set that the policy is for [default: trust.toml, beside FILE]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) trust: Option<PathBuf>,
    /// Fail, too, where no fixture would notice that a demand of the policy is gone
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print the results as JSON (narwarden.policy-test/1, see docs/policy-test.md)
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Enroll {
    #[arg(value_name = "TARGET", help = TARGET_HELP, default_value = "/run/current-system", value_hint = ValueHint::AnyPath)]
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// Where to write trust.toml and policy.toml; files that exist are never overwritten
    #[arg(long, short, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) output: PathBuf,
    /// A public key to consider, NAME:BASE64, beside those of nix.conf; may be repeated
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Vec<String>,
    /// Read proposed keys from this file instead of etc/nix/nix.conf below the root
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) nix_conf: Option<PathBuf>,
    /// Look at nothing and write nothing: have narwardend pin what is in /etc/narwarden, for the first time (root)
    #[arg(long, conflicts_with_all = ["target", "output", "key", "nix_conf", "root", "jobs"])]
    pub(crate) pin: bool,
    /// With --pin, do not ask
    #[arg(long, requires = "pin")]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) socket: warden::SocketArguments,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Keep the stores below DIR, which must not exist yet, to look at them
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) keep: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Where to write the pages
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_definitions_are_sound() {
        super::Arguments::command().debug_assert();
    }
}
