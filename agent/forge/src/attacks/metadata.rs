//! What no hash covers, and what no NAR can hold.

use super::{Attack, Control, Outcome};
use crate::disk::set_time;
use crate::error::ForgeError;
use crate::generation::Generation;
use crate::rules::Rules;
use crate::store::Forge;
use narwarden_core::reason::Reason;
use narwarden_core::store_path::StorePath;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

/// Deeper than anything that is read, and not too deep for `rm`.
const DEPTH: usize = 600;

const IGNORED: Control = Control::Rules(|| Rules::with("metadata = \"ignore\""));

pub(super) const SETUID: Attack = Attack {
    id: "D10",
    title: "shell made setuid",
    expected: Outcome::Deny(Reason::MetadataDrift),
    control: IGNORED,
    rules: Rules::good,
    apply: |forge, generation| mode(forge, generation, "bin/bash", 0o4555),
};

pub(super) const SETGID: Attack = Attack {
    id: "D10",
    title: "shell made setgid",
    expected: Outcome::Deny(Reason::MetadataDrift),
    control: IGNORED,
    rules: Rules::good,
    apply: |forge, generation| mode(forge, generation, "bin/bash", 0o2555),
};

pub(super) const WORLD_WRITABLE: Attack = Attack {
    id: "D10",
    title: "directory made writable for everybody",
    expected: Outcome::Deny(Reason::MetadataDrift),
    control: IGNORED,
    rules: Rules::good,
    apply: |forge, generation| mode(forge, generation, "bin", 0o777),
};

pub(super) const WRITABLE_FILE: Attack = Attack {
    id: "D10",
    title: "file made writable for everybody",
    expected: Outcome::Deny(Reason::MetadataDrift),
    control: IGNORED,
    rules: Rules::good,
    apply: |forge, generation| mode(forge, generation, "bin/bash", 0o777),
};

pub(super) const TIME: Attack = Attack {
    id: "D10",
    title: "modification time changed",
    expected: Outcome::Deny(Reason::MetadataDrift),
    control: IGNORED,
    rules: Rules::good,
    apply: |forge, generation| {
        set_time(&forge.file(&generation.bash, "bin/bash"), 1_700_000_000)?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const SYMLINK: Attack = Attack {
    id: "D11",
    title: "store path replaced by a link to a copy of it",
    expected: Outcome::Deny(Reason::ContentDrift),
    control: Control::Unread,
    rules: Rules::good,
    apply: |forge, generation| {
        let copy = forge.root().join("copy");
        forge.change(&generation.systemd, |at| {
            fs::rename(at, &copy)?;
            symlink(&copy, at)
        })?;
        crate::canonicalise(&copy)?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const FIFO: Attack = Attack {
    id: "D11",
    title: "FIFO in place of a file, to hang whoever reads it",
    expected: Outcome::Deny(Reason::UnsupportedFile),
    control: Control::Unread,
    rules: Rules::good,
    apply: |forge, generation| node(forge, generation, FileType::Fifo),
};

pub(super) const SOCKET: Attack = Attack {
    id: "D11",
    title: "socket in place of a file",
    expected: Outcome::Deny(Reason::UnsupportedFile),
    control: Control::Unread,
    rules: Rules::good,
    apply: |forge, generation| node(forge, generation, FileType::Socket),
};

pub(super) const DEEP: Attack = Attack {
    id: "D11",
    title: "directories nested to exhaust whoever reads them",
    expected: Outcome::Deny(Reason::TooLarge),
    control: Control::Unread,
    rules: Rules::good,
    apply: |forge, generation| {
        forge.change(&generation.systemd, |at| fs::create_dir_all(at.join("d/".repeat(DEPTH))))?;
        Ok(generation.toplevel.clone())
    },
};

fn mode(
    forge: &mut Forge,
    generation: &Generation,
    inside: &str,
    mode: u32,
) -> Result<StorePath, ForgeError> {
    let at = forge.file(&generation.bash, inside);
    fs::set_permissions(&at, Permissions::from_mode(mode)).map_err(ForgeError::io(&at))?;
    Ok(generation.toplevel.clone())
}

fn node(
    forge: &mut Forge,
    generation: &Generation,
    kind: FileType,
) -> Result<StorePath, ForgeError> {
    forge.change(&generation.systemd, |at| {
        let at = at.join("bin/systemctl");
        fs::remove_file(&at)?;
        Ok(mknodat(CWD, &at, kind, Mode::from_raw_mode(0o444), 0)?)
    })?;
    Ok(generation.toplevel.clone())
}
