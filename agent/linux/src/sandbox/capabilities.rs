//! Gives up capabilities, of this thread and those it starts.
//!
//! Order: ambient and inheritable first, as they need nothing; the bounding set while CAP_SETPCAP
//! is still there; effective before permitted, of which it must be a part.

use std::collections::HashSet;
use std::fmt::Display;

use caps::{CapSet, Capability, CapsHashSet};

/// Keeps `wanted`, as far as this thread has them. Nothing is ever gained.
pub(super) fn keep(wanted: &[Capability], note: &mut impl FnMut(&str, &dyn Display)) {
    let wanted: CapsHashSet = wanted.iter().copied().collect();
    let mut attempt = |what, result: Result<(), caps::errors::CapsError>| {
        if let Err(error) = result {
            note(what, &error);
        }
    };
    attempt("cannot clear ambient capabilities", caps::clear(None, CapSet::Ambient));
    attempt("cannot clear inheritable capabilities", caps::clear(None, CapSet::Inheritable));
    // Without CAP_SETPCAP the bounding set stays as the unit file made it; with no_new_privs it
    // gives nothing back.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).unwrap_or(false) {
        for capability in caps::all().difference(&wanted) {
            if caps::has_cap(None, CapSet::Bounding, *capability).unwrap_or(false) {
                let dropped = caps::drop(None, CapSet::Bounding, *capability);
                attempt("cannot drop a bounding capability", dropped);
            }
        }
    }
    for (set, what) in [
        (CapSet::Effective, "cannot drop effective capabilities"),
        (CapSet::Permitted, "cannot drop permitted capabilities"),
    ] {
        let left = caps::read(None, set).map(|held| &held & &wanted);
        attempt(what, left.and_then(|left: HashSet<_>| caps::set(None, set, &left)));
    }
}

/// The capabilities this thread has in effect, sorted.
pub(super) fn in_effect() -> Option<Vec<Capability>> {
    let mut held: Vec<_> = caps::read(None, CapSet::Effective).ok()?.into_iter().collect();
    held.sort_by_key(Capability::index);
    Some(held)
}
