//! Whether a claimed content address holds: for the name and references, and for the bytes.
//!
//! Nix holds it against the name and references only (`isContentAddressed`, `path-info.cc`), so contents may
//! be changed under it unseen. Here the bytes decide.

use crate::content_address::{ContentAddress, Method, SelfReference};
use crate::evidence::MeasuredContent;
use crate::hash::Algorithm;
use crate::policy::WeakContentAddress;
use crate::sink::Executable;
use crate::store_path::StorePath;

/// What a content address proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// There is none, or nothing was measured to hold it against.
    None,
    /// Name, references and bytes are those that it was made from; the list says in which ways they could
    /// have been made to fit.
    Holds(Vec<WeakContentAddress>),
    /// They are not, for this reason.
    Fails(String),
}

/// Holds `address` against everything that it covers.
pub(super) fn prove(
    path: &StorePath,
    address: &ContentAddress,
    references: &[StorePath],
    to_itself: SelfReference,
    measured: &MeasuredContent,
) -> Proof {
    match address.store_path(path.name(), references, to_itself) {
        Err(error) => return Proof::Fails(error.to_string()),
        Ok(proved) if proved != *path => {
            return Proof::Fails(format!(
                "with its name and references, {address} would be {proved}"
            ));
        }
        Ok(_) => {}
    }
    match measured {
        MeasuredContent::NotAsked => Proof::None,
        MeasuredContent::NotARegularFile => {
            Proof::Fails(format!("{address} is about a single regular file, and this is none"))
        }
        MeasuredContent::Hash { strict, legacy, executable } => {
            let mut weak = Vec::new();
            if *strict != Some(address.hash) {
                if *legacy != Some(address.hash) {
                    let found = strict.map_or_else(
                        || "more self references than are kept track of".to_owned(),
                        |hash| hash.to_string(),
                    );
                    return Proof::Fails(format!("claimed {address}, measured {found}"));
                }
                weak.push(WeakContentAddress::LegacySelfReference);
            }
            match address.hash.algorithm() {
                Algorithm::Md5 => weak.push(WeakContentAddress::Md5),
                Algorithm::Sha1 => weak.push(WeakContentAddress::Sha1),
                Algorithm::Blake3 | Algorithm::Sha256 | Algorithm::Sha512 => {}
            }
            match (address.method, executable) {
                (Method::Flat | Method::Git | Method::Text, Executable::Yes) => {
                    weak.push(WeakContentAddress::ExecutableFlat);
                }
                (Method::Flat | Method::Git | Method::Text, Executable::No) | (Method::Nar, _) => {}
            }
            Proof::Holds(weak)
        }
    }
}
