//! Rows that say less, more, or something else than is there.

use super::{Attack, Control, Outcome};
use crate::error::ForgeError;
use crate::rows::Column;
use crate::rules::Rules;
use narwarden_core::reason::Reason;
use narwarden_core::store_path::StorePath;
use std::fs;

/// The number of no row.
const NOWHERE: i64 = 1_000_000;

pub(super) const REFERENCE_DELETED: Attack = Attack {
    id: "D12",
    title: "reference deleted, so that a path escapes judgement",
    expected: Outcome::Deny(Reason::BadSignature),
    control: Control::Undone(|forge, generation| {
        forge.add_reference(&generation.toplevel, &generation.switch)
    }),
    rules: Rules::good,
    apply: |forge, generation| {
        forge.remove_reference(&generation.toplevel, &generation.switch)?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const REFERENCE_DANGLING: Attack = Attack {
    id: "D12",
    title: "reference to a row that does not exist",
    expected: Outcome::Deny(Reason::MissingReference),
    control: Control::Undone(|forge, _| {
        forge.connection().execute("DELETE FROM Refs WHERE reference = ?1", [NOWHERE])?;
        Ok(())
    }),
    rules: Rules::good,
    apply: |forge, generation| {
        let row = [forge.id(&generation.bash)?, NOWHERE];
        forge.connection().execute("INSERT INTO Refs VALUES (?1, ?2)", row)?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const UNREGISTERED: Attack = Attack {
    id: "D12",
    title: "row of a referenced path deleted",
    expected: Outcome::Deny(Reason::MissingReference),
    control: Control::Undone(|forge, generation| forge.restore_row(&generation.text)),
    rules: Rules::good,
    apply: |forge, generation| {
        forge.delete_row(&generation.text)?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const NOT_ON_DISK: Attack = Attack {
    id: "D13",
    title: "path in the database that is gone from the disk",
    expected: Outcome::Deny(Reason::MissingPath),
    control: Control::Unread,
    rules: Rules::good,
    apply: |forge, generation| {
        forge.change(&generation.systemd, |at| fs::remove_dir_all(at))?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const NO_ROW: Attack = Attack {
    id: "D13",
    title: "toplevel on disk that the database does not know",
    expected: Outcome::Deny(Reason::MissingPath),
    control: Control::Undone(|forge, generation| {
        forge.set(&elsewhere()?, Column::Path, generation.toplevel.to_string())
    }),
    rules: Rules::good,
    apply: |forge, generation| {
        forge.set(&generation.toplevel, Column::Path, elsewhere()?.to_string())?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const WRONG_TYPE: Attack = Attack {
    id: "D14",
    title: "blob where the database should have a hash",
    expected: Outcome::Deny(Reason::MalformedClaim),
    control: Control::Undone(|forge, generation| forge.adjust_row(&generation.systemd)),
    rules: Rules::good,
    apply: |forge, generation| {
        forge.set(&generation.systemd, Column::Hash, [0_u8; 32])?;
        Ok(generation.toplevel.clone())
    },
};

pub(super) const ADDRESSED_REFERENCES: Attack = Attack {
    id: "D23",
    title: "reference of a content-addressed text deleted",
    expected: Outcome::Deny(Reason::ContentAddressMismatch),
    control: Control::Undone(|forge, generation| {
        forge.add_reference(&generation.unit, &generation.bash)
    }),
    rules: Rules::good,
    apply: |forge, generation| {
        forge.remove_reference(&generation.unit, &generation.bash)?;
        Ok(generation.toplevel.clone())
    },
};

/// A path that nothing lies at.
fn elsewhere() -> Result<StorePath, ForgeError> {
    Ok(StorePath::make("output:out", &[0; 32], "elsewhere")?)
}
