//! The daemon's own unit: what the running system brings, a generation may not take away.
//!
//! After a switch to a generation without the unit, or with it masked, systemd takes no notification of the daemon any
//! more, its watchdog ends it, and nothing is gated from then on. Only that there is a unit is asked, not what it
//! says: that is the word of whoever signed it.
//!
//! What the names lead to is looked up by whoever may read the store, and held against the plan when verified.

use crate::store_path::StorePath;
use std::fmt;

/// The unit's place below a toplevel.
pub const UNIT: &str = "etc/systemd/system/narwardend.service";

/// What was found out about the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Agent {
    /// The running system brings none, or nobody asked, or what is judged is no system.
    NotAsked,
    /// The running system brings it.
    Asked {
        /// What the toplevel has in its place.
        toplevel: Unit,
        /// What its specialisations have, by their place below the toplevel: with it, they can be booted.
        specialisations: Vec<(String, Unit)>,
    },
    /// It could not be told, which denies all the same. The text is escaped.
    Unknown(String),
}

/// What lies where a unit would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A file with something in it, in this store path.
    In(StorePath),
    /// Nothing that systemd could start.
    Removed(Removed),
    /// It could not be told. The text is escaped.
    Unknown(String),
}

/// How a unit is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// There is no such name.
    Missing,
    /// It leads out of the store, as a link to `/dev/null` does, which masks a unit. The text is escaped.
    LeadsOut(String),
    /// It is something else than a regular file.
    NoFile(&'static str),
    /// A file without anything in it, which masks a unit too. systemd.unit(5)
    Empty,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is none"),
            Self::LeadsOut(target) => {
                write!(f, "it leads out of the store, to \"{target}\", which masks it")
            }
            Self::NoFile(found) => write!(f, "it is {found}"),
            Self::Empty => f.write_str("it is empty, which masks it"),
        }
    }
}
