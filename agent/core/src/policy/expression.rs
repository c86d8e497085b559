//! Requirements by name, and what the names mean in a trust set.

use super::document::{Compound, Expression as Written};
use crate::diagnostic::Remarks;
use crate::requirement::{MAX_WAYS, Requirement};
use crate::trust::TrustSet;
use std::ops::Range;
use toml::Spanned;

/// How deep requirements may nest.
const MAX_DEPTH: usize = 8;

/// A requirement whose names have not been looked up yet.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    span: Range<usize>,
    tree: Tree,
}

#[derive(Clone, Debug)]
enum Tree {
    Name(String),
    Threshold { needed: u32, of: Vec<Expression> },
}

impl Expression {
    /// A role or key by its name.
    pub(super) fn read(written: Spanned<Written>, remarks: &mut Remarks) -> Option<Self> {
        Self::read_at(0, written, remarks)
    }

    /// The branches of one of the three forms that a table may have.
    pub(super) fn read_compound(
        span: Range<usize>,
        compound: Compound,
        remarks: &mut Remarks,
    ) -> Option<Self> {
        Self::compound_at(0, span, compound, remarks)
    }

    fn read_at(depth: usize, written: Spanned<Written>, remarks: &mut Remarks) -> Option<Self> {
        let span = written.span();
        if depth > MAX_DEPTH {
            remarks.error(
                span,
                format!("requirements nest more than {MAX_DEPTH} deep"),
                "give a part of it a name, as a role of the trust set",
            );
            return None;
        }
        match written.into_inner() {
            Written::Name(name) => Some(Self { span, tree: Tree::Name(name) }),
            Written::Compound(compound) => Self::compound_at(depth, span, *compound, remarks),
        }
    }

    fn compound_at(
        depth: usize,
        span: Range<usize>,
        compound: Compound,
        remarks: &mut Remarks,
    ) -> Option<Self> {
        let (needed, written) = match (compound.all, compound.any, compound.threshold, compound.of)
        {
            (Some(all), None, None, None) => (u32::try_from(all.len()).unwrap_or(u32::MAX), all),
            (None, Some(any), None, None) => (1, any),
            (None, None, Some(threshold), Some(of)) => (threshold.into_inner(), of),
            (_, _, _, _) => {
                remarks.error(
                    span,
                    "it must say exactly one of `all`, `any`, or `threshold` with `of`",
                    "write { all = [\"ci\", \"release\"] } or { threshold = 2, of = [\"a\", \"b\", \"c\"] }",
                );
                return None;
            }
        };
        if needed == 0 || written.is_empty() {
            remarks.error(span, "this asks for nothing", "ask for at least one role or key");
            return None;
        }
        if usize::try_from(needed).map_or(true, |needed| needed > written.len()) {
            remarks.error(
                span,
                format!("{needed} are asked for, and {} are listed", written.len()),
                "lower the threshold or list more",
            );
            return None;
        }
        let count = written.len();
        let of: Vec<_> = written
            .into_iter()
            .filter_map(|branch| Self::read_at(depth + 1, branch, remarks))
            .collect();
        (of.len() == count).then_some(Self { span, tree: Tree::Threshold { needed, of } })
    }

    /// Where it stands in the policy.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The requirement in terms of the keys of `trust`.
    pub(super) fn resolve(&self, trust: &TrustSet, remarks: &mut Remarks) -> Option<Requirement> {
        let requirement = self.look_up(trust, remarks)?;
        if requirement.most_ways() > MAX_WAYS {
            remarks.error(
                self.span(),
                format!("it can be satisfied in more than {MAX_WAYS} ways"),
                "list fewer keys: what must be counted is which of them are different",
            );
            return None;
        }
        if requirement.satisfied_by(trust.every_key()).is_none() {
            remarks.error(
                self.span(),
                "no signatures could ever satisfy it: a key counts once, and there are too few",
                "lower the threshold, or add keys to the roles it names",
            );
            return None;
        }
        Some(requirement)
    }

    fn look_up(&self, trust: &TrustSet, remarks: &mut Remarks) -> Option<Requirement> {
        match &self.tree {
            Tree::Threshold { needed, of } => {
                let branches: Vec<_> =
                    of.iter().filter_map(|branch| branch.look_up(trust, remarks)).collect();
                (branches.len() == of.len())
                    .then_some(Requirement::Threshold { needed: *needed, of: branches })
            }
            Tree::Name(name) => {
                if let Some(role) = trust.role(name) {
                    return Some(Requirement::Role { name: name.clone(), role });
                }
                if let Some(key) = trust.key_named(name) {
                    return Some(Requirement::Key { id: name.clone(), key });
                }
                let known: Vec<&str> = trust
                    .roles()
                    .map(|(name, _)| name)
                    .chain(trust.keys().map(|(_, key)| key.id.as_str()))
                    .take(12)
                    .collect();
                remarks.error(
                    self.span(),
                    format!("the trust set has no role or key `{}`", name.escape_debug()),
                    format!("write `any` or one of: {}", known.join(", ")),
                );
                None
            }
        }
    }
}
