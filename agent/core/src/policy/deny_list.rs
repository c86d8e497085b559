//! What is refused whatever vouches for it.

use super::document::Deny;
use super::pattern::NamePattern;
use crate::diagnostic::Remarks;
use crate::hash::NarHash;
use crate::store_path::StorePath;
use std::fmt;
use toml::Spanned;

/// One entry of the deny list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// What it is about.
    pub what: DeniedWhat,
    /// Why, in the operator's words.
    pub reason: String,
}

/// What an entry of the deny list is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeniedWhat {
    /// One store path.
    Path(StorePath),
    /// Any path with these contents, whatever it is called.
    NarHash(NarHash),
    /// Any path with such a name.
    Name(NamePattern),
}

impl fmt::Display for DeniedWhat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "path {path}"),
            Self::NarHash(hash) => write!(f, "nar-hash {hash}"),
            Self::Name(pattern) => write!(f, "name {pattern}"),
        }
    }
}

impl Denied {
    /// Whether it is about this path with these contents.
    #[must_use]
    pub fn concerns(&self, path: &StorePath, nar_hash: Option<&NarHash>) -> bool {
        match &self.what {
            DeniedWhat::Path(denied) => denied == path,
            DeniedWhat::NarHash(denied) => Some(denied) == nar_hash,
            DeniedWhat::Name(pattern) => pattern.matches(path.name()),
        }
    }
}

pub(super) fn deny_list(documents: Vec<Spanned<Deny>>, remarks: &mut Remarks) -> Vec<Denied> {
    documents.into_iter().filter_map(|document| denied(document, remarks)).collect()
}

fn denied(document: Spanned<Deny>, remarks: &mut Remarks) -> Option<Denied> {
    let span = document.span();
    let Deny { path, nar_hash, name, reason } = document.into_inner();
    if reason.as_ref().trim().is_empty() {
        remarks.error(
            reason.span(),
            "the reason is empty",
            "say why: it is shown to whoever is refused because of it",
        );
    }
    let (what, at) = match (path, nar_hash, name) {
        (Some(path), None, None) => (
            StorePath::parse(path.as_ref())
                .map(DeniedWhat::Path)
                .map_err(|error| error.to_string()),
            path.span(),
        ),
        (None, Some(hash), None) => (
            NarHash::parse(hash.as_ref())
                .map(DeniedWhat::NarHash)
                .map_err(|error| error.to_string()),
            hash.span(),
        ),
        (None, None, Some(name)) => (
            NamePattern::parse(name.as_ref())
                .map(DeniedWhat::Name)
                .map_err(|error| error.to_string()),
            name.span(),
        ),
        (None, None, None)
        | (Some(_), Some(_), _)
        | (_, Some(_), Some(_))
        | (Some(_), _, Some(_)) => {
            (Err("an entry is about exactly one of `path`, `nar-hash` and `name`".to_owned()), span)
        }
    };
    match what {
        Ok(what) => Some(Denied { what, reason: reason.into_inner() }),
        Err(message) => {
            let help = "write path = \"/nix/store/…\", nar-hash = \"sha256:…\" or name = \"openssl-1.0.*\"";
            remarks.error(at, message, help);
            None
        }
    }
}
