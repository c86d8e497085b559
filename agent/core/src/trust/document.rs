//! The trust set as it stands in TOML, before anything in it is believed.

use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::value::Datetime;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Document {
    pub(super) version: Option<u64>,
    pub(super) expires: Option<Spanned<Datetime>>,
    #[serde(default)]
    pub(super) keys: BTreeMap<Spanned<String>, Spanned<Key>>,
    #[serde(default)]
    pub(super) roles: BTreeMap<Spanned<String>, Spanned<Role>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Key {
    pub(super) public: Spanned<String>,
    pub(super) operator: Option<String>,
    #[serde(default)]
    pub(super) community: bool,
    pub(super) not_before: Option<Spanned<Datetime>>,
    pub(super) not_after: Option<Spanned<Datetime>>,
    pub(super) revoked: Option<Spanned<Datetime>>,
    pub(super) reason: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Role {
    pub(super) keys: Spanned<Vec<Spanned<String>>>,
    pub(super) threshold: Option<Spanned<u32>>,
}
