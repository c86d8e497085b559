//! A policy bound to a trust set: for every path, what it must show.

use super::expression::Expression;
use super::{
    AgentRule, ContentAddressed, ContentAddressedToplevel, Denied, MetadataRule, NamePattern,
    Policy, WeakContentAddress,
};
use crate::diagnostic::{Diagnostic, Rejected, Remarks};
use crate::requirement::Requirement;
use crate::store_path::StorePath;
use crate::trust::{KeySet, RulesDigest, TrustSet};
use std::fmt;

/// A policy whose requirements are in terms of one trust set's keys.
#[derive(Clone, Debug)]
pub struct Rulebook {
    pub(super) default: PathRule,
    pub(super) toplevel: Option<Requirement>,
    pub(super) rules: Vec<(NamePattern, PathRule)>,
    pub(super) community: KeySet,
    pub(super) content_addressed_toplevel: ContentAddressedToplevel,
    pub(super) weak_content_address: Vec<WeakContentAddress>,
    pub(super) metadata: MetadataRule,
    pub(super) agent: AgentRule,
    pub(super) denied: Vec<Denied>,
    pub(super) policy: RulesDigest,
    pub(super) trust: TrustSet,
}

/// What one path must show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRule {
    /// Who must have signed it.
    pub requirement: Requirement,
    /// Keys whose signature does not count here.
    pub excluded: KeySet,
    /// What a content address is worth for it.
    pub content_addressed: ContentAddressed,
    /// Which part of the policy says so.
    pub origin: RuleOrigin,
}

/// Which part of the policy a rule comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleOrigin {
    /// `require.default`.
    Default,
    /// `require.toplevel`.
    Toplevel,
    /// A `[[require.rule]]`.
    Rule {
        /// Which of them, counted from 1: two may have the same pattern.
        number: usize,
        /// Its pattern.
        name: NamePattern,
    },
}

impl fmt::Display for RuleOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("require.default"),
            Self::Toplevel => f.write_str("require.toplevel"),
            Self::Rule { name, .. } => write!(f, "rule for {name}"),
        }
    }
}

/// A rulebook with what its author should look at once more.
#[derive(Debug)]
pub struct Bound {
    /// The rulebook.
    pub rulebook: Rulebook,
    /// Remarks on the policy that do not keep it from being used.
    pub warnings: Vec<Diagnostic>,
}

impl Policy {
    /// Looks the policy's names up in `trust`.
    ///
    /// # Errors
    /// Names that the trust set does not have, and requirements that its keys could never satisfy.
    pub fn bind(&self, trust: &TrustSet) -> Result<Bound, Rejected> {
        let mut remarks = Remarks::default();
        let rule = |require: &Expression, content, origin, remarks: &mut Remarks| {
            let requirement = require.resolve(trust, remarks)?;
            let content_addressed = content;
            Some(PathRule { requirement, excluded: KeySet::EMPTY, content_addressed, origin })
        };
        let default =
            rule(&self.default, self.content_addressed, RuleOrigin::Default, &mut remarks);
        let mut rules = Vec::new();
        for (number, written) in (1..).zip(&self.rules) {
            let content = written.content_addressed.unwrap_or(self.content_addressed);
            let origin = RuleOrigin::Rule { number, name: written.name.clone() };
            if let Some(rule) = rule(&written.require, content, origin, &mut remarks) {
                rules.push((written.name.clone(), rule));
            }
        }
        let toplevel = self.toplevel.as_ref().and_then(|it| it.resolve(trust, &mut remarks));
        let community = trust.community_keys();
        let own = trust.every_key().difference(community);
        self.warn_of_community(community, own, toplevel.as_ref(), default.as_ref(), &mut remarks);
        self.warn_of_names(&mut remarks);
        let (default, warnings) = remarks.finish(default)?;
        let rulebook = Rulebook {
            default,
            toplevel,
            rules,
            community,
            content_addressed_toplevel: self.content_addressed_toplevel,
            weak_content_address: self.weak_content_address.clone(),
            metadata: self.metadata,
            agent: self.agent,
            denied: self.denied.clone(),
            policy: self.digest,
            trust: trust.clone(),
        };
        Ok(Bound { rulebook, warnings })
    }

    /// A name is its author's choice: what must hold for every toplevel cannot hang on one.
    fn warn_of_names(&self, remarks: &mut Remarks) {
        let by_name =
            self.rules.iter().find(|rule| rule.name.to_string().starts_with("nixos-system"));
        if let (None, Some(rule)) = (&self.toplevel, by_name) {
            remarks.warning(
                rule.require.span(),
                "a path of another name could be a toplevel all the same, and would need less",
                "say it as `toplevel` under [require], which holds for whatever is activated",
            );
        }
    }

    fn warn_of_community(
        &self,
        community: KeySet,
        own: KeySet,
        toplevel: Option<&Requirement>,
        default: Option<&PathRule>,
        remarks: &mut Remarks,
    ) {
        if let (Some(requirement), Some(written)) = (toplevel, &self.toplevel) {
            if requirement.satisfied_by(community).is_some() {
                remarks.warning(
                    written.span(),
                    "keys of community caches alone can vouch for a toplevel: they sign thousands of \
                     test systems, some with an empty root password",
                    "name a role whose keys sign your own systems only",
                );
            }
        } else if let Some(PathRule { requirement, .. }) = default
            && requirement.satisfied_by(own).is_none()
        {
            remarks.warning(
                self.default.span(),
                "no toplevel could satisfy this: keys of community caches do not count for one",
                "add toplevel = \"ROLE\" under [require], with a key that signs your own systems",
            );
        }
    }
}

impl Rulebook {
    /// Every part of the policy that says what a path must show, in the order that they are looked at in.
    pub fn origins(&self) -> impl Iterator<Item = RuleOrigin> {
        let toplevel = self.toplevel.iter().map(|_| RuleOrigin::Toplevel);
        let rules = self.rules.iter().map(|(_, rule)| rule.origin.clone());
        toplevel.chain(rules).chain([self.default.origin.clone()])
    }

    /// What `path` must show as a part of a closure.
    #[must_use]
    pub fn rule_for(&self, path: &StorePath) -> &PathRule {
        let matching = self.rules.iter().find(|(name, _)| name.matches(path.name()));
        matching.map_or(&self.default, |(_, rule)| rule)
    }

    /// What `path` must show as the toplevel itself: `require.toplevel` where the policy has one, else the
    /// path's own rule with the keys of community caches left out.
    #[must_use]
    pub fn rule_for_toplevel(&self, path: &StorePath) -> PathRule {
        let ordinary = self.rule_for(path).clone();
        let content_addressed = match self.content_addressed_toplevel {
            ContentAddressedToplevel::Accept => ordinary.content_addressed,
            ContentAddressedToplevel::Deny => match ordinary.content_addressed {
                ContentAddressed::Recompute | ContentAddressed::Signed => ContentAddressed::Signed,
                ContentAddressed::Deny => ContentAddressed::Deny,
            },
        };
        match &self.toplevel {
            Some(requirement) => PathRule {
                requirement: requirement.clone(),
                excluded: KeySet::EMPTY,
                content_addressed,
                origin: RuleOrigin::Toplevel,
            },
            None => PathRule { excluded: self.community, content_addressed, ..ordinary },
        }
    }

    /// Whether the policy takes this kind of weak content address.
    #[must_use]
    pub fn takes(&self, weak: WeakContentAddress) -> bool {
        self.weak_content_address.contains(&weak)
    }

    /// What becomes of metadata that Nix would not have left behind.
    #[must_use]
    pub fn metadata(&self) -> MetadataRule {
        self.metadata
    }

    /// Whether a generation may take narwardend away.
    #[must_use]
    pub fn agent(&self) -> AgentRule {
        self.agent
    }

    /// What is refused whatever vouches for it.
    #[must_use]
    pub fn denied(&self) -> &[Denied] {
        &self.denied
    }

    /// Names the policy it comes from.
    #[must_use]
    pub fn policy_digest(&self) -> RulesDigest {
        self.policy
    }

    /// The trust set it is bound to.
    #[must_use]
    pub fn trust(&self) -> &TrustSet {
        &self.trust
    }
}
