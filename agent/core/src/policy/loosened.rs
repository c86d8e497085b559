//! A rulebook with one demand less, for whoever wants to know which of its demands somebody checks.
//!
//! A test of a policy that nothing but the policy's text could fail shows little. Each demand is therefore taken
//! out once: if every expectation still holds, none was about that demand.

use super::{
    ContentAddressed, ContentAddressedToplevel, DeniedWhat, MetadataRule, RuleOrigin, Rulebook,
    WeakContentAddress,
};
use crate::requirement::Requirement;
use crate::trust::{ANY, KeySet, Role, RulesDigest, TrustSet};
use std::fmt;

/// One demand of a policy, taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loosening {
    /// Nobody need have signed.
    Nobody(RuleOrigin),
    /// One pinned key is enough, whichever it is.
    AnyKey(RuleOrigin),
    /// One branch or key less is needed.
    OneLess(RuleOrigin),
    /// A content address vouches like a signature, once recomputed.
    ContentAddress(RuleOrigin),
    /// A content address vouches for a toplevel.
    ContentAddressedToplevel,
    /// Keys of community caches count for a toplevel.
    CommunityToplevel,
    /// A weak kind of content address is taken.
    Weak(WeakContentAddress),
    /// Metadata that Nix would not have left behind is noted only.
    Metadata,
    /// An entry of the deny list is gone.
    Denied(DeniedWhat),
}

impl Loosening {
    /// The rule that it is about, if it is about one.
    #[must_use]
    pub fn origin(&self) -> Option<&RuleOrigin> {
        match self {
            Self::Nobody(origin)
            | Self::AnyKey(origin)
            | Self::OneLess(origin)
            | Self::ContentAddress(origin) => Some(origin),
            Self::ContentAddressedToplevel
            | Self::CommunityToplevel
            | Self::Weak(_)
            | Self::Metadata
            | Self::Denied(_) => None,
        }
    }
}

impl fmt::Display for Loosening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody(origin) => write!(f, "{origin} asks for no signature"),
            Self::AnyKey(origin) => write!(f, "{origin} takes any one pinned key"),
            Self::OneLess(origin) => write!(f, "{origin} asks for one less"),
            Self::ContentAddress(origin) => {
                write!(f, "{origin} says content-addressed = \"recompute\"")
            }
            Self::ContentAddressedToplevel => f.write_str("content-addressed-toplevel = true"),
            Self::CommunityToplevel => {
                f.write_str("keys of community caches count for the toplevel")
            }
            Self::Weak(kind) => write!(f, "weak-content-address lists \"{}\"", kind.code()),
            Self::Metadata => f.write_str("metadata = \"report\""),
            Self::Denied(what) => write!(f, "deny list without {what}"),
        }
    }
}

impl Rulebook {
    /// The rulebook with one demand less, for each that can make a difference. No verdict of a host is made by
    /// one of these: they name no policy that anybody wrote.
    #[must_use]
    pub fn loosened(&self) -> Vec<(Loosening, Self)> {
        let mut loosened = Vec::new();
        for origin in self.origins() {
            let Some(requirement) = self.requirement(&origin) else { continue };
            for (variant, loosening) in [
                (Some(nobody()), Loosening::Nobody(origin.clone())),
                (one_less(requirement), Loosening::OneLess(origin.clone())),
                (any_key(requirement, &self.trust), Loosening::AnyKey(origin.clone())),
            ] {
                let Some(variant) = variant else { continue };
                self.take_out(&mut loosened, loosening, |rulebook| {
                    rulebook.replace_requirement(&origin, variant);
                });
            }
            if self.content_addressed(&origin).is_some_and(|it| it != ContentAddressed::Recompute) {
                let loosening = Loosening::ContentAddress(origin.clone());
                self.take_out(&mut loosened, loosening, |rulebook| {
                    rulebook.recompute(&origin);
                });
            }
        }
        self.loosen_the_rest(&mut loosened);
        loosened
    }

    fn loosen_the_rest(&self, loosened: &mut Vec<(Loosening, Self)>) {
        let addresses_vouch = self
            .origins()
            .any(|it| self.content_addressed(&it) == Some(ContentAddressed::Recompute));
        match self.content_addressed_toplevel {
            ContentAddressedToplevel::Deny if addresses_vouch => {
                self.take_out(loosened, Loosening::ContentAddressedToplevel, |rulebook| {
                    rulebook.content_addressed_toplevel = ContentAddressedToplevel::Accept;
                });
            }
            ContentAddressedToplevel::Deny | ContentAddressedToplevel::Accept => {}
        }
        let asked_for =
            self.origins().filter_map(|it| self.requirement(&it).map(Requirement::keys));
        let asked_for = asked_for.fold(KeySet::EMPTY, KeySet::union);
        if self.toplevel.is_none() && !asked_for.intersection(self.community).is_empty() {
            self.take_out(loosened, Loosening::CommunityToplevel, |rulebook| {
                rulebook.community = KeySet::EMPTY;
            });
        }
        for weak in WeakContentAddress::ALL {
            if addresses_vouch && !self.takes(weak) {
                self.take_out(loosened, Loosening::Weak(weak), |rulebook| {
                    rulebook.weak_content_address.push(weak);
                });
            }
        }
        match self.metadata {
            MetadataRule::Canonical => {
                self.take_out(loosened, Loosening::Metadata, |rulebook| {
                    rulebook.metadata = MetadataRule::Report;
                });
            }
            MetadataRule::Report | MetadataRule::Ignore => {}
        }
        for (position, denied) in self.denied.iter().enumerate() {
            self.take_out(loosened, Loosening::Denied(denied.what.clone()), |rulebook| {
                rulebook.denied.remove(position);
            });
        }
    }

    fn take_out(
        &self,
        loosened: &mut Vec<(Loosening, Self)>,
        loosening: Loosening,
        change: impl FnOnce(&mut Self),
    ) {
        let mut rulebook = self.clone();
        change(&mut rulebook);
        // Whoever made a verdict by it could not say that it was made by the policy.
        rulebook.policy = RulesDigest::of(&format!("{} with {loosening}", self.policy));
        loosened.push((loosening, rulebook));
    }

    fn requirement(&self, origin: &RuleOrigin) -> Option<&Requirement> {
        match origin {
            RuleOrigin::Default => Some(&self.default.requirement),
            RuleOrigin::Toplevel => self.toplevel.as_ref(),
            RuleOrigin::Rule { .. } => {
                let rule = self.rules.iter().find(|(_, rule)| rule.origin == *origin);
                rule.map(|(_, rule)| &rule.requirement)
            }
        }
    }

    /// What a content address is worth; `None` for the toplevel, whose name decides that.
    fn content_addressed(&self, origin: &RuleOrigin) -> Option<ContentAddressed> {
        match origin {
            RuleOrigin::Default => Some(self.default.content_addressed),
            RuleOrigin::Toplevel => None,
            RuleOrigin::Rule { .. } => {
                let rule = self.rules.iter().find(|(_, rule)| rule.origin == *origin);
                rule.map(|(_, rule)| rule.content_addressed)
            }
        }
    }

    fn replace_requirement(&mut self, origin: &RuleOrigin, requirement: Requirement) {
        match origin {
            RuleOrigin::Default => self.default.requirement = requirement,
            RuleOrigin::Toplevel => self.toplevel = Some(requirement),
            RuleOrigin::Rule { .. } => {
                let rule = self.rules.iter_mut().find(|(_, rule)| rule.origin == *origin);
                if let Some((_, rule)) = rule {
                    rule.requirement = requirement;
                }
            }
        }
    }

    fn recompute(&mut self, origin: &RuleOrigin) {
        let rules = self.rules.iter_mut().map(|(_, rule)| rule);
        for rule in rules.chain([&mut self.default]).filter(|rule| rule.origin == *origin) {
            rule.content_addressed = ContentAddressed::Recompute;
        }
    }
}

/// What no policy can say: nobody need have signed.
fn nobody() -> Requirement {
    Requirement::Threshold { needed: 0, of: Vec::new() }
}

/// One branch or key less, where more than one is needed.
fn one_less(requirement: &Requirement) -> Option<Requirement> {
    match requirement {
        Requirement::Role { name, role: Role { keys, threshold: threshold @ 2.. } } => {
            let role = Role { keys: *keys, threshold: threshold.saturating_sub(1) };
            Some(Requirement::Role { name: name.clone(), role })
        }
        Requirement::Threshold { needed: needed @ 2.., of } => {
            Some(Requirement::Threshold { needed: needed.saturating_sub(1), of: of.clone() })
        }
        Requirement::Key { .. } | Requirement::Role { .. } | Requirement::Threshold { .. } => None,
    }
}

/// Any one pinned key, unless that is what is asked for already.
fn any_key(requirement: &Requirement, trust: &TrustSet) -> Option<Requirement> {
    let alone = |key| requirement.satisfied_by(KeySet::of(key)).is_some();
    if trust.every_key().iter().all(alone) {
        return None;
    }
    trust.role(ANY).map(|role| Requirement::Role { name: ANY.to_owned(), role })
}
