//! The policy: what a generation must show.
//!
//! ```toml
//! mode = "enforce"                             # or "observe"; unsaid, the first week is observed
//!
//! [require]
//! default = "builds"                           # a role or key of the trust set
//! toplevel = "release"                         # optional; else the toplevel's own rule, without community keys
//! content-addressed = "recompute"              # "recompute" | "signed" | "deny"
//! content-addressed-toplevel = false
//! weak-content-address = []                    # "md5", "sha1", "executable-flat", "legacy-self-reference"
//! metadata = "canonical"                       # "canonical" | "report" | "ignore"
//! agent = "keep"                               # "keep" | "may-leave"
//!
//! [[require.rule]]                             # the first whose name matches, else the default
//! name = "nixos-system-*"
//! all = ["cache", { threshold = 2, of = ["a", "b", "c"] }]
//!
//! [[deny]]                                     # refused whatever vouches for it
//! name = "openssl-1.0.*"
//! reason = "end of life"
//! ```
//!
//! A policy names roles; [`Policy::bind`] looks them up in a trust set and gives a [`Rulebook`], the only
//! form that a plan can be made from.

mod deny_list;
mod document;
mod expression;
mod gate;
mod loosened;
mod pattern;
mod rulebook;

pub use deny_list::{Denied, DeniedWhat};
pub use gate::{Gate, Mode, OBSERVING, ObserveEnd, OnReject, Scope};
pub use loosened::Loosening;
pub use pattern::{NamePattern, PatternError};
pub use rulebook::{Bound, PathRule, RuleOrigin, Rulebook};

use crate::diagnostic::{Diagnostic, Rejected, Remarks, parse_toml};
use crate::trust::RulesDigest;
use document::{Compound, Document, Rule as RuleDocument};
use expression::Expression;
use serde::Deserialize;
use toml::Spanned;

/// The policy that holds where the operator wrote none.
pub const BUILT_IN: &str = "[require]\ndefault = \"any\"\n";

/// What a content address is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContentAddressed {
    /// It vouches for the path once it was recomputed from the bytes on disk.
    Recompute,
    /// It vouches for nothing: such a path needs its signatures like any other.
    Signed,
    /// A path that has one is refused.
    Deny,
}

/// Content addresses that hold less than they seem to, taken only where the policy lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeakContentAddress {
    /// MD5 lets its author swap the contents (RFC 6151).
    Md5,
    /// SHA-1 lets its author swap the contents (RFC 6194).
    Sha1,
    /// `flat`, `text` and `git` do not cover the executable bit of a single file.
    ExecutableFlat,
    /// The self-reference hash of Nix 2.17 to 2.34 leaves out where the references stand, so two builds can
    /// have one path (NixOS/nix#15837).
    LegacySelfReference,
}

impl WeakContentAddress {
    /// Every kind.
    pub const ALL: [Self; 4] =
        [Self::Md5, Self::Sha1, Self::ExecutableFlat, Self::LegacySelfReference];

    /// The word in the policy.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::ExecutableFlat => "executable-flat",
            Self::LegacySelfReference => "legacy-self-reference",
        }
    }
}

/// What becomes of metadata that Nix would not have left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetadataRule {
    /// It denies.
    Canonical,
    /// It is noted.
    Report,
    /// It is not looked at.
    Ignore,
}

/// Whether a generation may take narwardend away from a host that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentRule {
    /// It may not.
    Keep,
    /// It may: the operator takes narwarden off on purpose.
    MayLeave,
}

/// A policy whose names have not been looked up yet.
#[derive(Clone, Debug)]
pub struct Policy {
    default: Expression,
    toplevel: Option<Expression>,
    rules: Vec<Rule>,
    content_addressed: ContentAddressed,
    content_addressed_toplevel: ContentAddressedToplevel,
    weak_content_address: Vec<WeakContentAddress>,
    metadata: MetadataRule,
    agent: AgentRule,
    denied: Vec<Denied>,
    gate: Gate,
    digest: RulesDigest,
}

/// Whether a content address may vouch for the toplevel, which any local user can add one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentAddressedToplevel {
    /// It may.
    Accept,
    /// It may not.
    Deny,
}

#[derive(Clone, Debug)]
struct Rule {
    name: NamePattern,
    require: Expression,
    content_addressed: Option<ContentAddressed>,
}

/// A policy with what its author should look at once more.
#[derive(Debug)]
pub struct PolicyFile {
    /// The policy.
    pub policy: Policy,
    /// Remarks that do not keep it from being used.
    pub warnings: Vec<Diagnostic>,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// Everything that is wrong with it by itself, with its place in `text`.
    pub fn parse(text: &str) -> Result<PolicyFile, Rejected> {
        let document: Document = parse_toml(text)?;
        let mut remarks = Remarks::default();
        let gate = gate::gate(&document, &mut remarks);
        let Document { require, deny, release, .. } = document;
        if let Some(statement) = release.statement.filter(|written| written.as_ref() != "off") {
            remarks.error(
                statement.span(),
                "release statements are not judged by this version",
                "write \"off\": a requirement that nothing checks would be a false promise",
            );
        }
        let default = Expression::read(require.default, &mut remarks);
        let toplevel = require.toplevel.and_then(|it| Expression::read(it, &mut remarks));
        let rules = require.rule.into_iter().filter_map(|it| rule(it, &mut remarks)).collect();
        let denied = deny_list::deny_list(deny, &mut remarks);
        let (default, warnings) = remarks.finish(default)?;
        let content_addressed_toplevel = if require.content_addressed_toplevel {
            ContentAddressedToplevel::Accept
        } else {
            ContentAddressedToplevel::Deny
        };
        let policy = Self {
            default,
            toplevel,
            rules,
            content_addressed: require.content_addressed.unwrap_or(ContentAddressed::Recompute),
            content_addressed_toplevel,
            weak_content_address: require.weak_content_address,
            metadata: require.metadata.unwrap_or(MetadataRule::Canonical),
            agent: require.agent.unwrap_or(AgentRule::Keep),
            denied,
            gate,
            digest: RulesDigest::of(text),
        };
        Ok(PolicyFile { policy, warnings })
    }

    /// What the gate does with a verdict.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Whether a generation may take narwardend away.
    #[must_use]
    pub fn agent(&self) -> AgentRule {
        self.agent
    }

    /// Names the file it was read from.
    #[must_use]
    pub fn digest(&self) -> RulesDigest {
        self.digest
    }
}

fn rule(document: Spanned<RuleDocument>, remarks: &mut Remarks) -> Option<Rule> {
    let span = document.span();
    let RuleDocument { name, require, all, any, threshold, of, content_addressed } =
        document.into_inner();
    let pattern = match NamePattern::parse(name.as_ref()) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let help = "write a store path name, with * for any run of characters";
            remarks.error(name.span(), error.to_string(), help);
            None
        }
    };
    let compound = Compound { all, any, threshold, of };
    let require = match require {
        None => Expression::read_compound(span, compound, remarks),
        Some(named) => {
            let Compound { all, any, threshold, of } = compound;
            if all.is_some() || any.is_some() || threshold.is_some() || of.is_some() {
                let help = "keep `require`, or the other way of saying it";
                remarks.error(span, "the rule says twice what it requires", help);
            }
            Expression::read(named, remarks)
        }
    };
    Some(Rule { name: pattern?, require: require?, content_addressed })
}

#[cfg(test)]
#[path = "policy/tests.rs"]
mod tests;
