//! The two files to start from, with comments that say why they are as they are.

use super::Candidate;
use crate::terminal::{counted, grouped};
use jiff::Timestamp;
use narwarden_core::plan::Plan;
use narwarden_core::store_path::StorePath;
use narwarden_core::trust::Community;
use narwarden_store::Judged;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const LISTED: usize = 12;

/// What was seen of a system's signatures.
pub(crate) struct Seen<'a> {
    toplevel: &'a StorePath,
    paths: u64,
    keys: Vec<(&'a Candidate, u64)>,
    /// Keys of no community cache that signed the toplevel.
    toplevel_keys: Vec<&'a Candidate>,
    content_addressed: u64,
    /// Names of keys that nobody proposed, and how many paths carry them.
    unknown: BTreeMap<String, u64>,
    unvouched: Vec<&'a StorePath>,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(plan: &Plan<'a>, judged: &Judged, candidates: &'a [Candidate]) -> Self {
        let closure = plan.closure();
        let report = judged.report(plan);
        let keys = candidates.iter().map(|it| (it, report.keys.get(&it.id).copied().unwrap_or(0)));
        let trust = plan.rulebook().trust();
        let toplevel = judged.judgements.iter().find(|it| {
            closure.claim(it.index()).is_some_and(|claim| claim.path == *closure.toplevel())
        });
        let signed_toplevel = |candidate: &&Candidate| {
            candidate.community == Community::No
                && trust.key_named(&candidate.id).is_some_and(|key| {
                    toplevel.is_some_and(|judgement| judgement.signers().valid.contains(key))
                })
        };
        let proposed: Vec<_> = candidates.iter().map(|it| it.public.name().to_string()).collect();
        let mut unknown = BTreeMap::new();
        for (_, claim) in closure.claims() {
            let mut names: Vec<_> =
                claim.signatures.well_formed.iter().map(|it| it.key_name().to_string()).collect();
            names.dedup();
            for name in names.into_iter().filter(|name| !proposed.contains(name)) {
                *unknown.entry(name).or_insert(0) += 1;
            }
        }
        let unvouched = judged.judgements.iter().filter(|it| it.vouched().is_none());
        Self {
            toplevel: closure.toplevel(),
            paths: report.closure.paths,
            keys: keys.collect(),
            toplevel_keys: candidates.iter().filter(signed_toplevel).collect(),
            content_addressed: report.vouched.content_address,
            unknown,
            unvouched: unvouched
                .filter_map(|it| closure.claim(it.index()))
                .map(|claim| &claim.path)
                .collect(),
        }
    }

    /// The keys that signed anything.
    pub(crate) fn signing(&self) -> impl Iterator<Item = &(&'a Candidate, u64)> {
        self.keys.iter().filter(|(_, paths)| *paths > 0)
    }
}

/// A trust set of every candidate, to count by.
pub(crate) fn survey_trust(candidates: &[Candidate]) -> String {
    let mut text = String::from("[keys]\n");
    for candidate in candidates {
        let _ = writeln!(text, "{}", entry(candidate));
    }
    text
}

pub(crate) fn trust(seen: &Seen<'_>, now: Timestamp) -> String {
    let mut text = format!(
        "# Whom this host trusts. Written by `narwarden enroll` at {now:.0} from\n#   {}\n\
         # Read it before you use it: each key below can say what runs here. Check it with\n\
         #   narwarden trust check trust.toml\n\nversion = 1\n# expires = 2027-06-01   # afterwards nothing new is admitted\n\n[keys]\n",
        seen.toplevel
    );
    for (candidate, paths) in &seen.keys {
        let count = grouped(*paths);
        let of = counted(seen.paths, "path");
        let _ = match paths {
            0 => writeln!(text, "# signed nothing of this system:\n# {}", entry(candidate)),
            _ => writeln!(text, "# signed {count} of {of}\n{}", entry(candidate)),
        };
    }
    if seen.signing().next().is_none() {
        text.push_str(
            "# No proposed key signed anything. Make one, sign the system with it, and add its public half:\n\
             #   nix key generate-secret --key-name ci-1 > ci-1.secret\n\
             #   nix key convert-secret-to-public < ci-1.secret\n",
        );
        let _ = writeln!(text, "#   nix store sign -r -k ci-1.secret {}", seen.toplevel);
        text.push_str("# ci = { public = \"ci-1:…\" }\n");
    }
    if !seen.unknown.is_empty() {
        text.push_str("\n# Signatures under these names are there too, by keys that nobody proposed. If one is yours,\n# add its public half; if not, leave it: a signature that nobody pinned is ignored.\n");
        for (name, paths) in seen.unknown.iter().take(LISTED) {
            let _ = writeln!(text, "#   {} on {}", name.escape_debug(), counted(*paths, "path"));
        }
        more(&mut text, seen.unknown.len());
    }
    text
}

pub(crate) fn policy(seen: &Seen<'_>, now: Timestamp) -> String {
    let mut text = format!(
        "# What a generation must show on this host. Written by `narwarden enroll` at {now:.0} from\n#   {}\n\
         # Check it with\n#   narwarden policy check policy.toml --trust trust.toml\n\n[require]\n\
         # Every path: one key of the trust set. Two builders are better: {{ threshold = 2, of = [\"a\", \"b\"] }}.\n\
         default = \"any\"\n",
        seen.toplevel
    );
    text.push_str(
        "# The toplevel: keys of community caches never count for it unless this line names them, since they\n\
         # sign thousands of test systems too.\n",
    );
    match seen.toplevel_keys.as_slice() {
        [] => text.push_str("# toplevel = \"ci\"   # nobody but a community cache signed this one: sign it, see below\n"),
        [only] => {
            let _ = writeln!(text, "toplevel = \"{}\"", only.id);
        }
        several => {
            let ids: Vec<_> = several.iter().map(|it| format!("\"{}\"", it.id)).collect();
            let _ = writeln!(text, "toplevel = {{ any = [{}] }}", ids.join(", "));
        }
    }
    let _ = writeln!(
        text,
        "# {} of this system, sources and small texts, are vouched for by their content address alone.\n\
         content-addressed = \"recompute\"\nmetadata = \"canonical\"",
        counted(seen.content_addressed, "path")
    );
    if !seen.unvouched.is_empty() {
        let _ = writeln!(
            text,
            "\n# Nothing vouches for {} of this system. Sign them where they were built, all at once:\n\
             #   nix store sign -r -k KEYFILE {}\n# or fetch signatures that a cache has: nix store copy-sigs -r -s CACHE {}",
            counted(seen.unvouched.len() as u64, "path"),
            seen.toplevel,
            seen.toplevel
        );
        for path in seen.unvouched.iter().take(LISTED) {
            let _ = writeln!(text, "#   {path}");
        }
        more(&mut text, seen.unvouched.len());
    }
    text
}

fn entry(candidate: &Candidate) -> String {
    let community = match candidate.community {
        Community::Yes => ", community = true",
        Community::No => "",
    };
    // Ids are plain and keys are base64; a public name may hold a quote.
    let public = candidate.public.to_string().replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\" = {{ public = \"{public}\"{community} }}", candidate.id)
}

fn more(text: &mut String, count: usize) {
    if count > LISTED {
        let _ = writeln!(text, "#   … and {} more", count - LISTED);
    }
}
