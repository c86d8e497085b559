//! `docs/reasons.md` is the table of [`Reason`], `docs/refused.md` the same table for whoever was refused: this test
//! compares them with it, and writes the files anew when `NARWARDEN_BLESS=1` is set.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use narwarden_core::reason::{Cause, Reason};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const INTRODUCTION: &str = "\
# Reason codes

<!-- Generated from agent/core/src/reason.rs: NARWARDEN_BLESS=1 cargo test -p narwarden-core --test reasons -->

A finding names its reason by one of these codes. They are stable: scripts and alerts may match on them. A
code is never given another meaning; new ones may be added.

A finding *denies* or is a *note*. `metadata-drift` is a note where the policy says `metadata = \"report\"`,
and `database-drift` is one where the database does not know a size; everything else denies.

In the last column `{path}` stands for the store path and `{top}` for the toplevel; `narwarden verify` fills
them in.

| code | meaning | next step |
|---|---|---|
";

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for reason in Reason::ALL {
        let (meaning, next) = (cell(reason.meaning()), cell(reason.next_step()));
        writeln!(page, "| `{}` | {meaning} | {next} |", reason.code()).unwrap();
    }
    page
}

const REFUSED: &str = "\
# My deploy was refused

<!-- Generated from agent/core/src/reason.rs: NARWARDEN_BLESS=1 cargo test -p narwarden-core --test reasons -->

The host stays on the system that runs. Nothing was deleted: the refused generation is in quarantine, or where it was.

1. The first line of the refusal has a reason code and a path. Find the code below.
2. `narwarden verify TOPLEVEL` lists every path at fault; `narwarden explain TOPLEVEL PATH` says everything about one:
   how it was reached, which rule asked for what, who signed, what was measured.
3. Put it right, and run the same command again. A refusal is remembered for ten seconds.

A message without a code is in [the operator's page](operate.md#a-refusal). Where everything is refused:
[Recovery](recovery.md). What a code promises to scripts: [Reason codes](reasons.md).

`{path}` stands for the store path, `{top}` for the toplevel; `narwarden verify` fills them in.
";

/// Groups of the page: what must have happened, and what it means for whoever was refused.
const CAUSES: [(Cause, &str, &str); 6] = [
    (
        Cause::Rules,
        "Who signed is not enough",
        "Nothing says that the bytes are wrong. Somebody whose signature the policy asks for has not signed.",
    ),
    (
        Cause::Drift,
        "It is not what was signed",
        "Bytes, metadata or database differ from what they were. Before you repair, keep what is there, and find out \
         who wrote it: `stat` shows when. Repairing it destroys the evidence.",
    ),
    (Cause::Time, "Time has run out", "Nothing else speaks against it. What runs keeps running."),
    (
        Cause::Revocation,
        "It was taken back",
        "Somebody said so on purpose. Do not sign it anew: build it anew.",
    ),
    (
        Cause::Host,
        "It would leave the host unguarded",
        "Nothing says that it is not what was signed. After a switch to it nothing would be gated any more.",
    ),
    (
        Cause::Unknown,
        "Nothing could be found out",
        "That denies too, but moves nothing to quarantine. It is tried again by itself.",
    ),
];

/// What it comes from, most often.
fn usually(reason: Reason) -> &'static str {
    match reason {
        Reason::Unsigned => {
            "It was built on this host, or copied here without its signatures. `nix copy` does not add signatures to a \
             path that is there already."
        }
        Reason::UnknownKey => {
            "It came from a cache whose key is not pinned, `cache.nixos.org` or a colleague's. Or the key is new, and \
             this host was not told: `narwarden trust accept`."
        }
        Reason::BadSignature => {
            "The path was altered after it was signed, or somebody uses a pinned key's name for another key."
        }
        Reason::BelowThreshold => {
            "The release signature, or the second builder's, is not there yet. One key counts once, however often it \
             signed."
        }
        Reason::CommunityKey => {
            "The toplevel was substituted from a public cache, and never signed by you."
        }
        Reason::RevokedKey => "An old generation, or a CI that still has the old key.",
        Reason::ExpiredKey => {
            "The key's `not-after` went by unnoticed. See [Keys](keys.md#an-end-that-was-forgotten)."
        }
        Reason::NotYetValidKey => "The host's clock is behind, or a rotation was begun too early.",
        Reason::ExpiredTrustSet => {
            "Nobody renewed it. `narwarden trust accept` needs root, and no admission. See \
             [Keys](keys.md#an-end-that-was-forgotten)."
        }
        Reason::ContentDrift => {
            "Something wrote below `/nix/store`: a disk error, an operator with a remounted store, an attacker."
        }
        Reason::DatabaseDrift => {
            "`nix-store --load-db`, a restored database, or somebody who changed rows. The bytes are what was signed."
        }
        Reason::MetadataDrift => {
            "A backup or `chown -R` went over the store, or something is mounted there. No signature covers owner, mode \
             or time, and a setuid bit is enough to be root."
        }
        Reason::ContentAddressMismatch => {
            "As `content-drift`, for a path whose name is made from its contents."
        }
        Reason::WeakContentAddress => {
            "A fixed output by MD5 or SHA-1, an executable downloaded as one flat file, or a self-referential path of \
             Nix 2.17 to 2.34."
        }
        Reason::DeniedContentAddress => "The policy says `content-addressed = \"deny\"`.",
        Reason::MissingPath => {
            "A copy that was interrupted, a garbage collection in between, or a toplevel of another store."
        }
        Reason::MissingReference => {
            "A database that was restored or edited: the path names one that has no row."
        }
        Reason::MalformedClaim => {
            "A damaged database, or somebody who edited it; or so many signatures that nobody could read them all."
        }
        Reason::Unreadable => {
            "Run by an ordinary user, a failing disk, or a program that `narwardend` keeps from reading."
        }
        Reason::UnsupportedFile => "Somebody with root made it: Nix leaves no such file behind.",
        Reason::TooLarge => "The path is far larger than its row says. SECURITY.md has the bounds.",
        Reason::ChangedWhileRead => {
            "Something writes there right now: a repair, an optimisation, an attacker."
        }
        Reason::Interrupted => {
            "Interrupted from the keyboard, or one finding made a part of the program give up."
        }
        Reason::DeniedPath => {
            "A `[[deny]]` of the pinned policy names it, with the reason that is shown."
        }
        Reason::AgentRemoved => {
            "`services.narwarden.enable` is off, `systemd.services.narwardend.enable` is, or the module is not imported; \
             or it is a generation from before narwarden was installed. See [The gate](gate.md#itself)."
        }
    }
}

fn refused() -> String {
    let mut page = REFUSED.to_owned();
    for (cause, heading, about) in CAUSES {
        write!(page, "\n## {heading}\n\n{about}\n").unwrap();
        for reason in Reason::ALL.iter().filter(|reason| reason.cause() == cause) {
            let (code, meaning, next) = (reason.code(), reason.meaning(), reason.next_step());
            let usually = usually(*reason);
            write!(
                page,
                "\n### `{code}`\n\n{meaning}\n\nUsually: {usually}\n\n```bash\n{next}\n```\n"
            )
            .unwrap();
        }
    }
    page
}

#[test]
fn the_pages_of_reasons_are_the_table_in_the_code() {
    for (name, expected) in [("reasons.md", page()), ("refused.md", refused())] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        if std::env::var_os("NARWARDEN_BLESS").is_some_and(|value| value == "1") {
            fs::write(&path, &expected).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        if let Some((line, (found, expected))) = found
            .lines()
            .chain([""])
            .zip(expected.lines().chain([""]))
            .enumerate()
            .find(|(_, (a, b))| a != b)
        {
            panic!(
                "docs/{name}, line {}:\n  found    {found}\n  expected {expected}\n\
                 write it anew: NARWARDEN_BLESS=1 cargo test -p narwarden-core --test reasons",
                line + 1
            );
        }
        assert_eq!(found, expected, "docs/{name} ends otherwise");
    }
}

#[test]
fn every_reason_is_in_the_page_once() {
    let page = page();
    for reason in Reason::ALL {
        let row = format!("\n| `{}` | ", reason.code());
        assert_eq!(page.matches(&row).count(), 1, "{}", reason.code());
        assert!(!reason.meaning().is_empty() && !reason.next_step().is_empty());
        let heading = format!("\n### `{}`\n", reason.code());
        assert_eq!(refused().matches(&heading).count(), 1, "{}", reason.code());
    }
}
