//! The policy as it stands in TOML, before anything in it is believed.

use super::gate::Written as WrittenMode;
use super::{AgentRule, ContentAddressed, MetadataRule, OnReject, Scope, WeakContentAddress};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use toml::Spanned;
use toml::value::Datetime;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Document {
    pub(super) mode: Option<Spanned<WrittenMode>>,
    pub(super) observe_until: Option<Spanned<Datetime>>,
    pub(super) require: Require,
    #[serde(default)]
    pub(super) deny: Vec<Spanned<Deny>>,
    #[serde(default)]
    pub(super) release: Release,
    #[serde(default)]
    pub(super) gate: Gate,
    #[serde(default)]
    pub(super) scrub: Scrub,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Require {
    pub(super) default: Spanned<Expression>,
    pub(super) toplevel: Option<Spanned<Expression>>,
    pub(super) content_addressed: Option<ContentAddressed>,
    #[serde(default)]
    pub(super) content_addressed_toplevel: bool,
    #[serde(default)]
    pub(super) weak_content_address: Vec<WeakContentAddress>,
    pub(super) metadata: Option<MetadataRule>,
    pub(super) agent: Option<AgentRule>,
    #[serde(default)]
    pub(super) rule: Vec<Spanned<Rule>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) name: Spanned<String>,
    pub(super) require: Option<Spanned<Expression>>,
    pub(super) all: Option<Vec<Spanned<Expression>>>,
    pub(super) any: Option<Vec<Spanned<Expression>>>,
    pub(super) threshold: Option<Spanned<u32>>,
    pub(super) of: Option<Vec<Spanned<Expression>>>,
    pub(super) content_addressed: Option<ContentAddressed>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Compound {
    pub(super) all: Option<Vec<Spanned<Expression>>>,
    pub(super) any: Option<Vec<Spanned<Expression>>>,
    pub(super) threshold: Option<Spanned<u32>>,
    pub(super) of: Option<Vec<Spanned<Expression>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Deny {
    pub(super) path: Option<Spanned<String>>,
    pub(super) nar_hash: Option<Spanned<String>>,
    pub(super) name: Option<Spanned<String>>,
    pub(super) reason: Spanned<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Release {
    pub(super) statement: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Gate {
    pub(super) deadline: Option<Spanned<String>>,
    pub(super) on_reject: Option<OnReject>,
    pub(super) observe_at_most: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) readers: Vec<Spanned<String>>,
    pub(super) scope: Option<Spanned<Scope>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Scrub {
    pub(super) every: Option<Spanned<String>>,
}

/// `"role"`, or a table with `all`, `any`, or `threshold` and `of`.
#[derive(Debug)]
pub(super) enum Expression {
    Name(String),
    Compound(Box<Compound>),
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = Expression;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "the name of a role or key, or { all = […] }, { any = […] } or \
                     { threshold = N, of = […] }",
                )
            }

            fn visit_str<E>(self, name: &str) -> Result<Expression, E> {
                Ok(Expression::Name(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Expression, A::Error> {
                let compound = Compound::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Expression::Compound(Box::new(compound)))
            }
        }
        deserializer.deserialize_any(NameOrTable)
    }
}
