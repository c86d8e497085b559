//! The trust set: whom this host believes.
//!
//! ```toml
//! version = 7                          # optional; only ever rises
//! expires = 2027-06-01T00:00:00Z       # optional; afterwards nothing new is admitted
//!
//! [keys]                               # the operator's own name for each key
//! ci    = { public = "cache.example-1:KmWk…=", operator = "ci", not-after = 2027-12-31 }
//! nixos = { public = "cache.nixos.org-1:6NCH…=", community = true }
//! old   = { public = "cache.example-0:u7aS…=", revoked = 2026-10-01, reason = "laptop stolen" }
//!
//! [roles]                              # optional; `any` (every key, threshold 1) is always there
//! builds = { keys = ["ci", "nixos"], threshold = 2 }
//! ```
//!
//! Key material may stand in a trust set once: a key under two names would count as two (NixOS/nix#8917).
//! Two keys may carry the same public name, as after a rotation in place; each is tried.

mod document;
mod key;
mod key_set;

pub use key::{Community, PinnedKey, Standing, Validity};
pub use key_set::{KeyIndex, KeySet, MAX_KEYS};

use crate::diagnostic::{Diagnostic, Rejected, Remarks, parse_toml};
use crate::hash::sha256;
use crate::moment::{End, moment};
use crate::signature::PublicKey;
use document::{Document, Key, Role as RoleDocument};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;

/// The name of the role that every trust set has: every key of it, threshold 1.
pub const ANY: &str = "any";

/// SHA-256 of the file a trust set or policy was read from: names the rules a verdict was made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RulesDigest([u8; 32]);

impl RulesDigest {
    /// The digest of the file's text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(sha256(text.as_bytes()))
    }
}

impl std::fmt::Display for RulesDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// The pinned keys of a host, with their roles.
#[derive(Clone, Debug)]
pub struct TrustSet {
    version: u64,
    expires: Option<Timestamp>,
    keys: Vec<PinnedKey>,
    roles: BTreeMap<String, Role>,
    digest: RulesDigest,
}

/// A group of keys, some of which must sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// The keys that count.
    pub keys: KeySet,
    /// How many of them must have signed, at least 1.
    pub threshold: u32,
}

/// A trust set with what its author should look at once more.
#[derive(Debug)]
pub struct TrustFile {
    /// The trust set.
    pub trust: TrustSet,
    /// Remarks that do not keep it from being used.
    pub warnings: Vec<Diagnostic>,
}

impl TrustSet {
    /// Reads a trust set.
    ///
    /// # Errors
    /// Every unknown field, weak or duplicate key, unknown name and threshold that no signatures could
    /// reach is reported with its place in `text`.
    pub fn parse(text: &str) -> Result<TrustFile, Rejected> {
        let document: Document = parse_toml(text)?;
        let mut remarks = Remarks::default();
        let expires = document.expires.as_ref().and_then(|at| moment(at, End::End, &mut remarks));
        let pins_nothing = document.keys.is_empty();
        let (keys, ids) = keys(document.keys, &mut remarks);
        let roles = roles(document.roles, &ids, &keys, &mut remarks);
        if pins_nothing {
            remarks.error(
                0..0,
                "no key is pinned, so nothing could ever be admitted",
                "add one under [keys]: NAME = { public = \"cache.example-1:…\" }",
            );
        }
        let ((), warnings) = remarks.finish(Some(()))?;
        let version = document.version.unwrap_or(0);
        let digest = RulesDigest::of(text);
        Ok(TrustFile { trust: Self { version, expires, keys, roles, digest }, warnings })
    }

    /// The number its author gave it, 0 where none was given.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The first moment at which it admits nothing new.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// The first moment after `now` at which a key or the whole set is worth something else.
    #[must_use]
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let of_keys = self.keys.iter().flat_map(|key| key.validity.changes());
        of_keys.chain(self.expires).filter(|change| *change > now).min()
    }

    /// Names the file it was read from.
    #[must_use]
    pub fn digest(&self) -> RulesDigest {
        self.digest
    }

    /// The pinned keys with their indices.
    pub fn keys(&self) -> impl Iterator<Item = (KeyIndex, &PinnedKey)> {
        self.keys
            .iter()
            .enumerate()
            .filter_map(|(position, key)| KeyIndex::new(position).map(|index| (index, key)))
    }

    /// The key at `index`; `None` for an index of another trust set.
    #[must_use]
    pub fn key(&self, index: KeyIndex) -> Option<&PinnedKey> {
        self.keys.get(index.position())
    }

    /// The key that the operator calls `id`.
    #[must_use]
    pub fn key_named(&self, id: &str) -> Option<KeyIndex> {
        self.keys().find(|(_, key)| key.id == id).map(|(index, _)| index)
    }

    /// The roles by name, without the built-in one.
    pub fn roles(&self) -> impl Iterator<Item = (&str, Role)> {
        self.roles.iter().map(|(name, role)| (name.as_str(), *role))
    }

    /// The role called `name`, [`ANY`] among them.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<Role> {
        if name == ANY {
            return Some(Role { keys: self.every_key(), threshold: 1 });
        }
        self.roles.get(name).copied()
    }

    /// Every pinned key, revoked ones too.
    #[must_use]
    pub fn every_key(&self) -> KeySet {
        self.keys().map(|(index, _)| index).collect()
    }

    /// The keys of community caches.
    #[must_use]
    pub fn community_keys(&self) -> KeySet {
        self.keys()
            .filter(|(_, key)| key.community == Community::Yes)
            .map(|(index, _)| index)
            .collect()
    }
}

type Ids = BTreeMap<String, KeyIndex>;

fn keys(
    documents: BTreeMap<Spanned<String>, Spanned<Key>>,
    remarks: &mut Remarks,
) -> (Vec<PinnedKey>, Ids) {
    let mut keys: Vec<PinnedKey> = Vec::new();
    let mut ids = Ids::new();
    // In the order of the file, so that of two equal keys the later one is the duplicate.
    let mut documents: Vec<_> = documents.into_iter().collect();
    documents.sort_by_key(|(id, _)| id.span().start);
    for (id, document) in documents {
        let Some(key) = key(&id, document.into_inner(), &keys, remarks) else { continue };
        let Some(index) = KeyIndex::new(keys.len()) else {
            remarks.error(
                id.span(),
                format!("more than {MAX_KEYS} keys are pinned"),
                "take out keys that are expired or revoked and signed nothing you still run",
            );
            break;
        };
        ids.insert(key.id.clone(), index);
        keys.push(key);
    }
    (keys, ids)
}

fn key(
    id: &Spanned<String>,
    document: Key,
    earlier: &[PinnedKey],
    remarks: &mut Remarks,
) -> Option<PinnedKey> {
    let named = name(id, remarks);
    if id.as_ref() == ANY {
        let help = "give the key another name";
        remarks.error(id.span(), format!("`{ANY}` is the role of every key of this file"), help);
    }
    let validity = validity(&document, remarks);
    let public = match PublicKey::parse(document.public.as_ref()) {
        Ok(public) => public,
        Err(error) => {
            remarks.error(
                document.public.span(),
                error.to_string(),
                "paste the line that `nix key convert-secret-to-public` prints: NAME:BASE64",
            );
            return None;
        }
    };
    if let Some(twin) = earlier.iter().find(|other| other.public.as_bytes() == public.as_bytes()) {
        remarks.error(
            document.public.span(),
            format!("this is the same key as `{}`: one key would count as two", twin.id),
            "keep one of the two entries",
        );
        return None;
    }
    named?;
    let community = if document.community { Community::Yes } else { Community::No };
    let id = id.as_ref().clone();
    Some(PinnedKey { id, public, operator: document.operator, community, validity })
}

fn validity(document: &Key, remarks: &mut Remarks) -> Validity {
    if let Some(since) = &document.revoked {
        let since = since.as_ref().to_string();
        let reason = document.reason.as_ref().map(|reason| reason.as_ref().clone());
        return Validity::Revoked { since, reason };
    }
    if let Some(reason) = &document.reason {
        remarks.error(
            reason.span(),
            "a reason is given for a key that is not revoked",
            "add `revoked = DATE`, or remove the reason",
        );
    }
    let mut read = |written: &Option<Spanned<_>>, end| {
        written.as_ref().and_then(|written| moment(written, end, remarks))
    };
    let not_before = read(&document.not_before, End::Beginning);
    let until = read(&document.not_after, End::End);
    if let (Some(begin), Some(end), Some(written)) = (not_before, until, &document.not_after)
        && begin >= end
    {
        remarks.error(
            written.span(),
            "the key's time ends before it begins",
            "give a `not-after` that is later than `not-before`",
        );
    }
    Validity::Between { not_before, until }
}

fn roles(
    documents: BTreeMap<Spanned<String>, Spanned<RoleDocument>>,
    ids: &Ids,
    keys: &[PinnedKey],
    remarks: &mut Remarks,
) -> BTreeMap<String, Role> {
    let mut roles = BTreeMap::new();
    for (id, document) in documents {
        if id.as_ref() == ANY {
            remarks.error(
                id.span(),
                format!("`{ANY}` is built in: every key of this file, threshold 1"),
                "give the role another name",
            );
        }
        if ids.contains_key(id.as_ref()) {
            remarks.error(
                id.span(),
                "a key has this name already, so a policy could not say which is meant",
                "give the role or the key another name",
            );
        }
        let span = document.span();
        if let (Some(()), Some(role)) =
            (name(&id, remarks), role(document.into_inner(), span, ids, keys, remarks))
        {
            roles.insert(id.into_inner(), role);
        }
    }
    roles
}

fn role(
    document: RoleDocument,
    span: Range<usize>,
    ids: &Ids,
    keys: &[PinnedKey],
    remarks: &mut Remarks,
) -> Option<Role> {
    let mut members = KeySet::EMPTY;
    for id in document.keys.as_ref() {
        match ids.get(id.as_ref()) {
            Some(index) if members.contains(*index) => remarks.error(
                id.span(),
                "the key is in this role already: it would not count twice",
                "remove it",
            ),
            Some(index) => members.insert(*index),
            None => remarks.error(
                id.span(),
                format!("no usable key is called `{}`", id.as_ref().escape_debug()),
                "write a name that stands under [keys]",
            ),
        }
    }
    let threshold = document.threshold.as_ref().map_or(1, |threshold| *threshold.as_ref());
    let at = document.threshold.as_ref().map_or(span, Spanned::span);
    if threshold == 0 {
        remarks.error(at, "a threshold of 0 asks for nothing", "write 1 or more");
        return None;
    }
    // Against the keys as listed, not as found: an unknown name was remarked on above.
    let listed = u32::try_from(document.keys.as_ref().len()).unwrap_or(u32::MAX);
    if threshold > listed {
        remarks.error(
            at,
            format!("{threshold} keys are asked for, and the role has {listed}"),
            "lower the threshold or add keys",
        );
        return None;
    }
    let revoked = members.iter().filter(|index| {
        keys.get(index.position())
            .is_some_and(|key| matches!(key.validity, Validity::Revoked { .. }))
    });
    let left = members.difference(revoked.collect());
    // Only a warning: a revocation must never be refused for what it makes impossible.
    if threshold > left.len() && left != members {
        remarks.warning(
            at,
            format!(
                "{threshold} keys are asked for, and {} of the role are not revoked",
                left.len()
            ),
            "add a key, or nothing that needs this role will be admitted",
        );
    }
    Some(Role { keys: members, threshold })
}

/// Names of keys and roles go into journals, terminals and pages, so they are plain from the start.
fn name(id: &Spanned<String>, remarks: &mut Remarks) -> Option<()> {
    let text = id.as_ref();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
        return Some(());
    }
    remarks.error(
        id.span(),
        "the name is not 1 to 64 letters, digits, `-`, `_` or `.`",
        "shorten or simplify it: it only names the key or role in this file, the policy and the logs",
    );
    None
}

#[cfg(test)]
#[path = "trust/tests.rs"]
mod tests;
