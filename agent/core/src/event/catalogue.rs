//! The table of events. The order is that of `docs/journal.md`.
//!
//! In the texts, `{FIELD}` stands for what the field `NARWARDEN_FIELD` holds.

use super::{Field, Priority};

macro_rules! events {
    ($($variant:ident, $code:literal, $id:literal, $priority:ident, $message:literal,
        [$($field:ident)*], $meaning:literal, $next:literal;)*) => {
        /// What can happen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventKind {
            $(#[doc = $meaning] $variant,)*
        }

        impl EventKind {
            /// Every event.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name; the field `NARWARDEN_EVENT`.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The field `MESSAGE_ID`.
            #[must_use]
            pub const fn message_id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            /// How urgent it is.
            #[must_use]
            pub const fn priority(self) -> Priority {
                match self { $(Self::$variant => Priority::$priority,)* }
            }

            /// The template of the message.
            pub(super) const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)* }
            }

            /// The fields that it may carry.
            #[must_use]
            pub const fn fields(self) -> &'static [Field] {
                match self { $(Self::$variant => &[$(Field::$field,)*],)* }
            }

            /// What it means.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// The template of what to do; empty where that is nothing.
            pub(super) const fn next_step(self) -> &'static str {
                match self { $(Self::$variant => $next,)* }
            }
        }
    };
}

events! {
    Started, "started", "2c53be3537c444e5a3ed050ecbe7e6be", Notice,
        "narwardend {VERSION} guards this host: {MODE}",
        [Version Mode Until TrustVersion TrustDigest PolicyDigest Count],
        "The warden has its marks and answers. `NARWARDEN_COUNT` is the number of generations it knows.",
        "";
    Stopped, "stopped", "51c8d1c677b44fb19893cffacce21783", Warning,
        "narwardend has stopped: activations are no longer judged",
        [Error],
        "The warden ended in an orderly way. Entry points that it held shut stay shut while systemd keeps their group; everything else runs as without it.",
        "systemctl start narwardend, unless you are removing it";
    NotEnrolled, "not-enrolled", "5dbf133609054ffea675eeb6824eed53", Critical,
        "No trust set is pinned: every generation is denied",
        [File Error],
        "The warden has nothing to judge by. What runs keeps running; nothing new is admitted.",
        "narwarden enroll --output /etc/narwarden, look at both files, then narwarden enroll --pin";
    RulesPinned, "rules-pinned", "813214f1d6474b5dae004f98174b1aad", Critical,
        "Trust set version {TRUST_VERSION} and the policy are pinned for the first time",
        [TrustVersion TrustDigest PolicyDigest CallerPid],
        "From now on this host judges by these copies, whatever a generation brings in /etc/narwarden.",
        "if this was not you: narwarden status shows both digests; compare them with your own files";
    RulesProposed, "rules-proposed", "3542878059f94b21b4cf5d37bcc80db2", Warning,
        "{FILE} differs from what is pinned: {WHAT} is not taken over by itself",
        [What File Difference TrustDigest PolicyDigest CallerPid Error],
        "A generation or an administrator brought another file. The pinned one stays in force until somebody accepts the change.",
        "narwarden {WHAT} accept shows the difference and takes it over";
    RulesAccepted, "rules-accepted", "fe9d655414c64762a58985dc838d38d4", Critical,
        "The pinned {WHAT} was replaced by {FILE}",
        [What File Difference TrustVersion TrustDigest PolicyDigest CallerPid],
        "Somebody with root changed whom or what this host trusts. Every admission is judged again.",
        "if this was not you, the host is compromised: root is needed for it";
    Reloaded, "reloaded", "1716bdbce47a46f98532bbed5d59f266", Info,
        "Reloaded",
        [TrustDigest PolicyDigest CallerPid],
        "Configuration was read again. Rules that differ from the pinned ones are proposals and no more.",
        "";
    ReloadFailed, "reload-failed", "ad8f932b59f546ed81a4ea0109070831", Error,
        "Reloading failed, what was in force stays in force: {ERROR}",
        [File Error CallerPid],
        "Nothing was changed.",
        "correct the file, then narwarden reload";
    VerificationStarted, "verification-started", "fe5a1388372d48459e100148e9eb21ed", Info,
        "Judging {TOPLEVEL}",
        [Toplevel Generation Paths],
        "A generation link appeared, or somebody asked to run one that had no verdict.",
        "";
    Admitted, "admitted", "6e32da690812420c8d889eccbc42c334", Notice,
        "Admitted: {TOPLEVEL}",
        [Verdict Toplevel Generation Paths Seconds TrustVersion TrustDigest PolicyDigest
         Receipt],
        "Everything in its closure is what a pinned key signed, or what the policy accepts. It may be activated.",
        "";
    Denied, "denied", "1eba8b1a85de4458bbdab088d58043a3", Error,
        "DENIED: {TOPLEVEL}: {DETAIL}",
        [Verdict Toplevel Generation Reason Detail StorePath Chain Findings Action EntryPoint
         ProcessId ProcessUid ProcessExecutable WaitedMs TrustVersion TrustDigest
         PolicyDigest Receipt],
        "The generation is not what your keys vouch for, so it does not run. The host stays on its current system. With `NARWARDEN_RECEIPT` this is the verdict; with `NARWARDEN_ACTION`, somebody tried to run it and was refused.",
        "narwarden explain {TOPLEVEL} {STORE_PATH} says what is missing";
    WouldDeny, "would-deny", "26347aee436a471ca0c0aae8bee80e22", Warning,
        "Would be denied, and was let through (observe): {TOPLEVEL}: {DETAIL}",
        [Verdict Toplevel Generation Reason Detail StorePath Chain Findings Action EntryPoint
         ProcessId ProcessUid ProcessExecutable WaitedMs TrustVersion TrustDigest
         PolicyDigest Receipt Until],
        "The mode is observe: nothing is refused, and this is what enforce would have refused. The fields are those of `denied`.",
        "narwarden explain {TOPLEVEL} {STORE_PATH}, before observe ends";
    Activated, "activated", "9d44d8e45d804317adfd3925359625bc", Notice,
        "Activated: {TOPLEVEL} ({ENTRY_POINT})",
        [Toplevel Generation Action EntryPoint ProcessId ProcessUid ProcessExecutable WaitedMs],
        "An entry point of an admitted generation was run. One activation runs several of them, and each is written down.",
        "";
    AnsweredByDeadline, "answered-by-deadline", "5bbe566a478746e1af39fd4e648e8235", Warning,
        "Refused for now, still judging {TOPLEVEL}",
        [Verdict Toplevel Generation EntryPoint Action ProcessId ProcessUid ProcessExecutable
         WaitedMs],
        "The verdict was not there before the deadline of the policy, so the process was refused. Judging goes on.",
        "narwarden status shows when it is done; then run the same command again";
    HeldOrphanDenied, "held-orphan-denied", "58f62cafcba344bd82cc91eaa4bb47d9", Warning,
        "Refused {COUNT} requests that a predecessor left unanswered",
        [Count],
        "narwardend ended between reading a request and answering it. Its successor refused what was left, so that nobody waits for ever.",
        "run the command that was refused again";
    QueueOverflow, "queue-overflow", "97f5e305b6a343a5baa7b7e4d8735f13", Error,
        "The kernel dropped events: every generation is looked at again",
        [Count],
        "More came than could be read. What was dropped was not let through unseen: links and marks are read again.",
        "if it comes back, look at what runs so many programs: journalctl -t narwardend";
    Quarantined, "quarantined", "d1beb6a86cbc48c5aae7b09a6d644bf8", Error,
        "Quarantined {GENERATION}: {DETAIL}",
        [Toplevel Generation Quarantined Reason Detail StorePath Action],
        "The link of a denied generation was moved to where no boot loader looks, and the profile leads to the last admitted one. Nothing was deleted.",
        "narwarden quarantine show {QUARANTINED}";
    QuarantineReleased, "quarantine-released", "7ae926859110459093e9b8ec61ce68cf", Warning,
        "Released from quarantine: {QUARANTINED}",
        [Quarantined Toplevel Generation CallerPid],
        "The link is back in the profile and stays there, whatever is thought of it. It is judged like any other, and not admitted by this.",
        "";
    QuarantineDropped, "quarantine-dropped", "5f91b297f7134dd4bbbab5ba2ab27d25", Notice,
        "Dropped from quarantine: {QUARANTINED}",
        [Quarantined Toplevel Generation CallerPid],
        "The link is gone; the next garbage collection may delete the generation.",
        "";
    ObserveStarted, "observe-started", "b3858393c1914818b4f4e3b1a3e89bf9", Critical,
        "Denials do not hold until {UNTIL}: {WHY}",
        [Until Why CallerPid Mode],
        "Everything is judged and written down, and nothing is refused. It ends by itself, and at a reboot.",
        "narwarden observe --end";
    ObserveEnded, "observe-ended", "5322d5221c6641568bcebeb4d31295fd", Notice,
        "Denials hold again: the mode is {MODE}",
        [Mode CallerPid],
        "The time was over, somebody ended it, or the host was restarted.",
        "";
    StateDamaged, "state-damaged", "0bfe05681eee43e0b02b4a777f909a53", Critical,
        "{FILE} is damaged and was not believed: {ERROR}",
        [File KeptAside Error],
        "A file of the warden's state is not what was written. It was moved aside and counts as absent, which denies.",
        "look at {KEPT_ASIDE}, and for disk errors (dmesg), or for who wrote there";
    ReceiptsBroken, "receipts-broken", "f6ad0b436b514eeb8da0aa9580ee5941", Critical,
        "The chain of receipts is broken: {ERROR}",
        [File Error Count Receipt],
        "A line of the record of verdicts was changed, or is missing.",
        "narwarden log --verify-chain, and find out who wrote to {FILE}";
    JournalLost, "journal-lost", "c598a5eb45b04f8da1c6081fc5769cd4", Critical,
        "Events could not be written to the journal: {ERROR}",
        [Count Error],
        "Sent when the journal is back. A verdict that could not be written down was no admission, so activations were refused meanwhile.",
        "systemctl status systemd-journald; narwarden log shows the verdicts";
    MarksFailed, "marks-failed", "544c1a1d47ff4832b0895caa3e472685", Critical,
        "{FILE} could not be guarded: {ERROR}",
        [File Error Toplevel Count],
        "The kernel did not take a mark. What it stands for may be run without being asked for.",
        "narwarden status; if ENOSPC or ENOMEM, look at memory and fs.fanotify limits";
    SandboxIncomplete, "sandbox-incomplete", "83aafd2393d049dcaadd1493e0f398bc", Warning,
        "Not everything that confines narwardend is in force: {DETAIL}",
        [Detail],
        "The kernel is older than what the warden can use. It guards all the same, with more rights than it needs.",
        "";
    Grandfathered, "grandfathered", "8ee9d182ea084bcd989c81948fb7c54b", Notice,
        "{COUNT} generations are older than the enrolment: kept, and not admitted",
        [Count],
        "They were there before anything could be judged. They stay where they are, are never quarantined, and are admitted only if they pass.",
        "narwarden status lists them";
    Trouble, "trouble", "23a4640926c44269bc9f7e4da210bdb1", Error,
        "Something could not be done: {WHAT}: {ERROR}",
        [What Error File Toplevel Generation Receipt],
        "A task of the warden failed. What is guarded stays guarded; what was to be done is tried again when there is reason to. With `NARWARDEN_RECEIPT`, the verdict that names this receipt does not count, and no such receipt was written.",
        "narwarden status, and look at what the error is about";
    ScrubDrift, "scrub-drift", "e286d2fc3eb34c54911c9aa62c16c924", Error,
        "{STORE_PATH} is not what it was: {DETAIL}",
        [StorePath Reason Detail Count],
        "A scrub hashed everything again, and a path of a generation differs from what was registered: its bytes, its metadata, or it cannot be read. `NARWARDEN_COUNT` generations need it and are judged again; those that it denies are not bootable any more, and what runs keeps running.",
        "nix store repair {STORE_PATH}, and look for disk errors (dmesg) or for who wrote there; narwarden status";
    ScrubFinished, "scrub-finished", "c2ba81f8e99b417da6dac3e0e9ccebe4", Info,
        "Everything was hashed again: {PATHS} paths in {SECONDS} s, {COUNT} of them had drifted",
        [Paths Seconds Count],
        "A scrub came to its end: what every generation needs was read from the first byte to the last, whatever its seals said. What had drifted was announced when it was found.",
        "";
    ClockChanged, "clock-changed", "d74871c2ce274947ab9bb898690880ef", Warning,
        "The clock was set: every generation is judged again",
        [Count Detail],
        "Keys and trust sets end at a time, so what was admitted by another clock is not admitted by this one. `NARWARDEN_COUNT` is how many are judged again.",
        "if this was neither you nor time synchronisation, find out who set it: timedatectl";
    Successor, "successor", "3071b6fe9e7246a4b973c9c15dcc861e", Notice,
        "narwardend was replaced by {FILE}, version {VERSION}",
        [File Version],
        "The program on disk is another one than the one that ran, so the warden started it in its own place. Marks were kept, and nothing ran unseen.",
        "";
    SuccessorFailed, "successor-failed", "0f3c200699924952a36de447c4519ec3", Error,
        "narwardend was not replaced by {FILE}: {ERROR}",
        [File Error],
        "Another program is on disk than the one that runs, and it could not be started in its place. The one that runs goes on.",
        "put a program there that works, then systemctl reload narwardend";
}
