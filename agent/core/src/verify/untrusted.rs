//! Why nothing vouches for a path, in the word that helps most.

use super::Signers;
use crate::claim::Claim;
use crate::plan::Plan;
use crate::policy::{ContentAddressed, PathRule, WeakContentAddress};
use crate::reason::Reason;
use crate::trust::{KeyIndex, KeySet, Standing, TrustSet, Validity};

/// The reasons, most telling first; at least one.
pub(super) fn why(
    plan: &Plan<'_>,
    rule: &PathRule,
    claim: &Claim,
    signers: &Signers,
) -> Vec<(Reason, String)> {
    let trust = plan.rulebook().trust();
    let needs = format!("needs {}", rule.requirement);
    let counting = signers.valid.difference(rule.excluded);
    let with_lapsed = counting.union(signers.lapsed_keys());
    if !signers.lapsed.is_empty()
        && (counting.is_empty() || rule.requirement.satisfied_by(with_lapsed).is_some())
    {
        return signers.lapsed.iter().map(|(key, why)| lapsed(trust, *key, *why, &needs)).collect();
    }
    if !counting.is_empty() {
        return vec![(
            Reason::BelowThreshold,
            format!("{needs}; signed by {}", names(trust, signers.valid)),
        )];
    }
    if !signers.valid.is_empty() {
        return vec![(
            Reason::CommunityKey,
            format!("{needs}; signed by {} only", names(trust, signers.valid)),
        )];
    }
    if signers.failed > 0 {
        return vec![(
            Reason::BadSignature,
            format!(
                "{needs}; {} under a pinned name, not over these contents and references",
                many(signers.failed)
            ),
        )];
    }
    if signers.unknown > 0 {
        return vec![(
            Reason::UnknownKey,
            format!(
                "{needs}; {} under names that are not pinned: {}",
                many(signers.unknown),
                unknown_names(claim)
            ),
        )];
    }
    let mut detail = needs;
    if signers.malformed > 0 {
        detail.push_str(&format!("; {} malformed", many(signers.malformed)));
    }
    if claim.content_address.is_some() && rule.content_addressed != ContentAddressed::Recompute {
        detail.push_str(if claim.path == *plan.closure().toplevel() {
            "; a content address never vouches for a toplevel: any user can add one"
        } else {
            "; the policy asks for signatures on content-addressed paths too"
        });
    }
    vec![(Reason::Unsigned, detail)]
}

/// What is weak about a content address, for people.
pub(super) fn weakness(weak: &WeakContentAddress) -> &'static str {
    match weak {
        WeakContentAddress::Md5 => "MD5 can be forged (md5)",
        WeakContentAddress::Sha1 => "SHA-1 can be forged (sha1)",
        WeakContentAddress::ExecutableFlat => {
            "it does not cover the executable bit (executable-flat)"
        }
        WeakContentAddress::LegacySelfReference => {
            "it does not cover where the path names itself (legacy-self-reference)"
        }
    }
}

fn lapsed(trust: &TrustSet, key: KeyIndex, why: Standing, needs: &str) -> (Reason, String) {
    let Some(pinned) = trust.key(key) else { return (Reason::UnknownKey, needs.to_owned()) };
    let id = &pinned.id;
    match (&pinned.validity, why) {
        (Validity::Revoked { since, reason }, _) => {
            let reason = reason.as_ref().map(|it| format!(" ({})", it.escape_debug()));
            let reason = reason.unwrap_or_default();
            (Reason::RevokedKey, format!("{needs}; signed by {id}, revoked {since}{reason}"))
        }
        (Validity::Between { not_before: Some(begin), .. }, Standing::NotYetValid) => {
            (Reason::NotYetValidKey, format!("{needs}; signed by {id}, valid from {begin}"))
        }
        (
            Validity::Between { until, .. },
            Standing::NotYetValid | Standing::Expired | Standing::Revoked | Standing::Valid,
        ) => {
            let until = until.map(|end| format!(" {end}")).unwrap_or_default();
            (Reason::ExpiredKey, format!("{needs}; signed by {id}, whose time ended{until}"))
        }
    }
}

fn names(trust: &TrustSet, keys: KeySet) -> String {
    let ids: Vec<_> =
        keys.iter().filter_map(|key| trust.key(key)).map(|key| key.id.as_str()).collect();
    ids.join(", ")
}

/// The first few names; anybody may have added thousands.
fn unknown_names(claim: &Claim) -> String {
    let mut names: Vec<String> =
        claim.signatures.well_formed.iter().map(|it| it.key_name().to_string()).collect();
    names.dedup();
    let more = names.len() > 3;
    names.truncate(3);
    let names: Vec<_> = names.iter().map(|name| name.escape_debug().to_string()).collect();
    format!("{}{}", names.join(", "), if more { ", …" } else { "" })
}

fn many(count: u64) -> String {
    if count == 1 { "1 signature".to_owned() } else { format!("{count} signatures") }
}
