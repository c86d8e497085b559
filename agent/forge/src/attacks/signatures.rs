//! Signatures that are missing, by the wrong key, or more than they should be.

use super::{Attack, Control, Outcome};
use crate::rows::Column;
use crate::rules::Rules;
use crate::signer::{attacker, ci, community, release};
use narwarden_core::policy::BUILT_IN;
use narwarden_core::reason::Reason;

/// How many signatures a local user adds in one go.
const MANY: u32 = 100_000;

pub(super) const ULTIMATE: Attack = Attack {
    id: "D04",
    title: "unsigned path marked as built here (`ultimate`)",
    expected: Outcome::Deny(Reason::Unsigned),
    control: Control::Undone(|forge, generation| forge.sign(&generation.systemd, &[&ci()])),
    rules: Rules::good,
    apply: |forge, generation| {
        forge.set(&generation.systemd, Column::Signatures, None::<String>)?;
        forge.set(&generation.systemd, Column::Ultimate, 1)?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const TWICE: Attack = Attack {
    id: "D06",
    title: "two signatures by one key where two keys must sign",
    expected: Outcome::Deny(Reason::BelowThreshold),
    control: Control::Undone(|forge, generation| forge.sign(&generation.toplevel, &[&release()])),
    rules: Rules::good,
    apply: |forge, generation| {
        let fingerprint = forge.fingerprint(&generation.toplevel)?;
        let ci = ci();
        let both = [ci.sign(&fingerprint), ci.sign_again(&fingerprint, 1)].join(" ");
        forge.set(&generation.toplevel, Column::Signatures, both)?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const JUNK: Attack = Attack {
    id: "D07",
    title: "100,000 junk signatures added beside the good one",
    expected: Outcome::Admit,
    // Without the good one, junk must not do.
    control: Control::Undone(|forge, generation| {
        let mut signatures = forge.signatures(&generation.systemd)?;
        let good = ci().sign(&forge.fingerprint(&generation.systemd)?);
        signatures.retain(|signature| *signature != good);
        forge.set(&generation.systemd, Column::Signatures, signatures.join(" "))
    }),
    rules: Rules::good,
    apply: |forge, generation| {
        let fingerprint = forge.fingerprint(&generation.systemd)?;
        let ci = ci();
        let junk = ci.sign("something else");
        let (name, bytes) = junk.split_once(':').unwrap_or_default();
        let mut signatures = vec![
            // Each alone makes Nix give up on the path.
            format!("{name}:AAAA"),
            format!("{name}:"),
            format!("{name}:{bytes}{bytes}"),
            "no colon".to_owned(),
        ];
        // Under the pinned name and of the right length, so that each must be tried.
        let unlike = |count: u32| {
            let rest = bytes.get(8..).unwrap_or_default();
            format!("{name}:A{:07}{rest}", count % 10_000_000)
        };
        signatures.extend((0..MANY).map(unlike));
        signatures.push(ci.sign(&fingerprint));
        forge.set(&generation.systemd, Column::Signatures, signatures.join(" "))?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const OTHER_NAME: Attack = Attack {
    id: "D08",
    title: "a pinned key's signature under another's name",
    expected: Outcome::Deny(Reason::BadSignature),
    control: Control::Undone(|forge, generation| forge.sign(&generation.bash, &[&ci()])),
    rules: Rules::good,
    apply: |forge, generation| {
        forge.sign_afresh(&generation.bash, &[&release().named(ci().name())])?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const BORROWED_NAME: Attack = Attack {
    id: "D08",
    title: "the attacker's signature under a pinned name",
    expected: Outcome::Deny(Reason::BadSignature),
    control: Control::Rules(|| Rules::attacker_pinned(ci().name())),
    rules: Rules::good,
    apply: |forge, generation| {
        forge.sign_afresh(&generation.bash, &[&attacker().named(ci().name())])?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const UNKNOWN: Attack = Attack {
    id: "D08",
    title: "the attacker's signature under a name of its own",
    expected: Outcome::Deny(Reason::UnknownKey),
    control: Control::Rules(|| Rules::attacker_pinned(attacker().name())),
    rules: Rules::good,
    apply: |forge, generation| {
        forge.sign_afresh(&generation.bash, &[&attacker()])?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const NON_CANONICAL: Attack = Attack {
    id: "D09",
    title: "good signature written in a way that is not canonical",
    expected: Outcome::Deny(Reason::BadSignature),
    control: Control::Undone(|forge, generation| forge.sign(&generation.bash, &[&ci()])),
    rules: Rules::good,
    apply: |forge, generation| {
        let fingerprint = forge.fingerprint(&generation.bash)?;
        let signature = ci().sign_non_canonically(&fingerprint);
        forge.set(&generation.bash, Column::Signatures, signature)?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const COMMUNITY: Attack = Attack {
    id: "D22",
    title: "a test system that a community cache signed",
    expected: Outcome::Deny(Reason::CommunityKey),
    control: Control::Rules(|| {
        Rules::by_policy("[require]\ndefault = \"any\"\ntoplevel = \"community\"\n")
    }),
    rules: || Rules::by_policy(BUILT_IN),
    apply: |forge, generation| {
        forge.sign_afresh(&generation.toplevel, &[&community()])?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const REVOKED: Attack = Attack {
    id: "L02",
    title: "signatures by a key that was revoked since",
    expected: Outcome::Deny(Reason::RevokedKey),
    control: Control::Rules(Rules::good),
    rules: || Rules::ci_being(", revoked = 2026-09-01, reason = \"laptop stolen\""),
    apply: |_, generation| Ok(generation.toplevel.clone()),
};
