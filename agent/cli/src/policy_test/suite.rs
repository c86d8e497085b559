//! All fixtures judged, and what they say together about the rules.

use narwarden_core::policy::{Loosening, RuleOrigin, Rulebook};
use narwarden_forge::fixture::{Fixture, Outcome, Use};

/// A fixture with the name of its file.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) fixture: Fixture,
}

/// A fixture with what came of it.
#[derive(Debug)]
pub(super) struct Tested {
    pub(super) case: Case,
    pub(super) outcome: Outcome,
}

/// At how many paths of all fixtures a rule came out in which way.
#[derive(Debug)]
pub(super) struct RuleUses {
    pub(super) origin: RuleOrigin,
    pub(super) satisfied: u64,
    pub(super) by_content_address: u64,
    pub(super) refused: u64,
}

/// What came of all fixtures.
#[derive(Debug)]
pub(super) struct Suite {
    pub(super) tested: Vec<Tested>,
    pub(super) rules: Vec<RuleUses>,
    /// Demands that could be taken out, and every fixture would come out as it does now.
    pub(super) unnoticed: Vec<Loosening>,
}

impl Tested {
    pub(super) fn is_as_expected(&self) -> bool {
        self.outcome.is(self.case.fixture.expected())
    }
}

impl RuleUses {
    /// At how many paths the rule was the one that counts.
    pub(super) fn applied(&self) -> u64 {
        self.satisfied + self.by_content_address + self.refused
    }
}

impl Suite {
    pub(super) fn run(cases: Vec<Case>, rulebook: &Rulebook) -> Self {
        let judge = |case: Case| Tested { outcome: case.fixture.judge(rulebook), case };
        let tested: Vec<Tested> = cases.into_iter().map(judge).collect();
        let rules = rulebook.origins().map(|origin| count(&tested, origin)).collect();
        let unnoticed = rulebook.loosened().into_iter().filter(|(_, loosened)| {
            let same = |it: &Tested| {
                let fixture = &it.case.fixture;
                fixture.judge(loosened).is(fixture.expected()) == it.is_as_expected()
            };
            tested.iter().all(same)
        });
        let unnoticed = unnoticed.map(|(loosening, _)| loosening).collect();
        Self { tested, rules, unnoticed }
    }

    /// How many fixtures came out in another way.
    pub(super) fn failed(&self) -> usize {
        self.tested.iter().filter(|it| !it.is_as_expected()).count()
    }

    /// Rules that no signatures of a fixture satisfy: none shows that they can be satisfied.
    pub(super) fn unsatisfied(&self) -> impl Iterator<Item = &RuleUses> {
        self.rules.iter().filter(|rule| rule.satisfied == 0)
    }

    /// Whether a fixture depends on each demand, and satisfies each rule.
    pub(super) fn is_thorough(&self) -> bool {
        self.unnoticed.is_empty() && self.unsatisfied().next().is_none()
    }
}

fn count(tested: &[Tested], origin: RuleOrigin) -> RuleUses {
    let mut uses = RuleUses { origin, satisfied: 0, by_content_address: 0, refused: 0 };
    for (origin, used) in tested.iter().flat_map(|it| &it.outcome.uses) {
        if *origin == uses.origin {
            match used {
                Use::Satisfied => uses.satisfied += 1,
                Use::ContentAddress => uses.by_content_address += 1,
                Use::Refused => uses.refused += 1,
            }
        }
    }
    uses
}
