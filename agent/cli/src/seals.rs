//! The seals that root's own verifications leave for the next one, in `/var/cache/narwarden`.
//!
//! Nobody else has any: only the owner of a file may ask whether somebody is writing to it, and what may be
//! written to is not sealed.

use crate::arguments::Verify;
use crate::outcome::Failure;
use crate::terminal::{self, NOTE, plain};
use narwarden_core::metadata::Owner;
use narwarden_linux::boot::Clock;
use narwarden_store::{Belief, Location, NoSeals, Seals, Shelf};

/// The seals to judge by, if there can be any.
pub(crate) fn open(
    arguments: &Verify,
    location: &Location,
    owner: Owner,
) -> Result<Option<Seals>, Failure> {
    if arguments.no_contents || !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let belief = if arguments.full { Belief::None } else { Belief::Fitting };
    let opened = Shelf::among(&arguments.seals, location)
        .and_then(|shelf| Ok((shelf, Clock::now()?)))
        .map_err(|error| NoSeals::System(error.to_string()))
        .and_then(|(shelf, clock)| Seals::open(shelf, location, owner, belief, clock));
    match opened {
        Ok(seals) => Ok(Some(seals)),
        // As it is on every such system, each time.
        Err(NoSeals::FileSystem(_) | NoSeals::NoMountIds) => Ok(None),
        Err(NoSeals::System(error)) => {
            say(&format!("everything is hashed, since there can be no seals: {error}"))?;
            Ok(None)
        }
    }
}

/// Keeps what was sealed for the next time.
pub(crate) fn close(seals: Option<Seals>) -> Result<(), Failure> {
    let Some(seals) = seals else { return Ok(()) };
    seals.close().troubles.iter().try_for_each(|trouble| say(trouble))
}

fn say(what: &str) -> Result<(), Failure> {
    Ok(terminal::print_error(&format!("{NOTE}note{NOTE:#}: {}\n", plain(what)))?)
}
