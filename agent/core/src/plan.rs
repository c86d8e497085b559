//! The plan: for every path of a closure, what it must show and what must be measured for that.

use crate::claim::Claim;
use crate::closure::{Closure, PathIndex};
use crate::content_address::{Method, SelfReference};
use crate::hash::Algorithm;
use crate::policy::{AgentRule, PathRule, Rulebook};
use crate::store_path::StorePath;
use jiff::Timestamp;

/// How much of the closure is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Closure,
    /// One path of it alone, not what it refers to.
    Path(PathIndex),
}

impl Scope {
    /// Whether the path at `index` is judged.
    #[must_use]
    pub fn includes(self, index: PathIndex) -> bool {
        match self {
            Self::Closure => true,
            Self::Path(only) => only == index,
        }
    }
}

/// What signatures are held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// What the bytes on disk measure.
    Measured,
    /// What the database claims, unmeasured.
    Claimed,
}

/// What is asked of a generation for the daemon's sake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentAsk {
    /// Nothing: the policy lets it go, or what is judged proves no generation.
    Nothing,
    /// That it brings the daemon's unit, where the running system does.
    Unit,
}

/// What is to be judged, by which rules, at which moment.
#[derive(Debug)]
#[must_use]
pub struct Plan<'a> {
    closure: &'a Closure,
    rulebook: &'a Rulebook,
    scope: Scope,
    contents: Contents,
    now: Timestamp,
    toplevel_rule: PathRule,
}

/// One path to measure.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Its place in the closure.
    pub index: PathIndex,
    /// The path.
    pub path: &'a StorePath,
    /// How large the database says that its NAR is, to measure large ones first; 0 where it says nothing.
    pub claimed_size: u64,
    /// The content address to recompute beside the NAR hash.
    pub content: ContentAsk,
}

/// Which content address to recompute from the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentAsk {
    /// None.
    Nothing,
    /// The hash of the one regular file that the path is.
    File(Algorithm),
    /// The hash of the NAR, without the path's own hash part where it refers to itself.
    Nar(Algorithm, SelfReference),
    /// The git object id.
    Git(Algorithm),
}

impl<'a> Plan<'a> {
    /// Plans the judgement of `closure` by `rulebook`, as of `now`.
    pub fn new(
        closure: &'a Closure,
        rulebook: &'a Rulebook,
        scope: Scope,
        contents: Contents,
        now: Timestamp,
    ) -> Self {
        let toplevel_rule = rulebook.rule_for_toplevel(closure.toplevel());
        Self { closure, rulebook, scope, contents, now, toplevel_rule }
    }

    /// What must be measured; nothing where claims are all that is judged.
    pub fn jobs(&self) -> impl Iterator<Item = Job<'a>> {
        let wanted = match self.contents {
            Contents::Measured => usize::MAX,
            Contents::Claimed => 0,
        };
        self.checks().take(wanted).map(|(index, claim)| Job {
            index,
            path: &claim.path,
            claimed_size: claim.nar_size.unwrap_or(0),
            content: self.content_ask(index, claim),
        })
    }

    /// The paths to judge.
    pub fn checks(&self) -> impl Iterator<Item = (PathIndex, &'a Claim)> {
        let scope = self.scope;
        self.closure.claims().filter(move |(index, _)| scope.includes(*index))
    }

    /// What the path at `index` must show.
    #[must_use]
    pub fn rule(&self, index: PathIndex) -> &PathRule {
        match self.closure.claim(index) {
            Some(claim) if claim.path != *self.closure.toplevel() => {
                self.rulebook.rule_for(&claim.path)
            }
            Some(_) | None => &self.toplevel_rule,
        }
    }

    /// The closure to judge.
    #[must_use]
    pub fn closure(&self) -> &'a Closure {
        self.closure
    }

    /// The rules to judge it by.
    #[must_use]
    pub fn rulebook(&self) -> &'a Rulebook {
        self.rulebook
    }

    /// How much of the closure is judged.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// What is asked for the daemon's sake.
    #[must_use]
    pub fn agent_ask(&self) -> AgentAsk {
        match (self.rulebook.agent(), self.scope, self.contents) {
            (AgentRule::Keep, Scope::Closure, Contents::Measured) => AgentAsk::Unit,
            (AgentRule::Keep | AgentRule::MayLeave, Scope::Closure | Scope::Path(_), _) => {
                AgentAsk::Nothing
            }
        }
    }

    /// What signatures are held against.
    #[must_use]
    pub fn contents(&self) -> Contents {
        self.contents
    }

    /// The moment of the decision.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// What the path at `index` refers to apart from itself, and whether it refers to itself.
    #[must_use]
    pub fn references(&self, index: PathIndex) -> (Vec<StorePath>, SelfReference) {
        let references = self.closure.references(index);
        let others = references.iter().filter(|reference| **reference != index);
        let others = others.filter_map(|reference| self.closure.claim(*reference));
        let to_itself =
            if references.contains(&index) { SelfReference::Yes } else { SelfReference::No };
        (others.map(|claim| claim.path.clone()).collect(), to_itself)
    }

    fn content_ask(&self, index: PathIndex, claim: &Claim) -> ContentAsk {
        let Some(address) = &claim.content_address else { return ContentAsk::Nothing };
        let algorithm = address.hash.algorithm();
        match address.method {
            Method::Flat | Method::Text => ContentAsk::File(algorithm),
            Method::Git => ContentAsk::Git(algorithm),
            Method::Nar => {
                let to_itself = self.closure.references(index).contains(&index);
                let to_itself = if to_itself { SelfReference::Yes } else { SelfReference::No };
                ContentAsk::Nar(algorithm, to_itself)
            }
        }
    }
}
