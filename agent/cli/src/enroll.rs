//! `narwarden enroll`: looks at a running system and writes the files to start from.
//!
//! Nothing is trusted because it is there. Keys are proposed by nix.conf and by the operator, and one is only
//! written down as a key if it signed paths of this system, over bytes that were read just now.

mod candidates;
mod write;

use crate::arguments::Enroll;
use crate::files::{self, Source};
use crate::outcome::{Exit, Failure};
use crate::progress::{Show, judge_shown};
use crate::terminal::{self, STRONG};
use crate::text::{self, Detail};
use crate::verify::{closure, options, resolve};
use candidates::Candidate;
use jiff::Timestamp;
use narwarden_core::plan::{Contents, Plan, Scope};
use narwarden_core::policy::Rulebook;
use narwarden_core::verdict::Verdict;
use narwarden_core::verify::judge;
use narwarden_store::{Judged, Location};
use std::path::{Path, PathBuf};

/// Counts whose signatures are good, whatever they would be worth.
const SURVEY: &str = "[require]\ndefault = \"any\"\ntoplevel = \"any\"\nmetadata = \"report\"\n";

pub(crate) fn run(arguments: &Enroll) -> Result<Exit, Failure> {
    let location = Location::new(&arguments.store.root);
    let toplevel = resolve(&arguments.target, &location)?;
    let closure = closure(&location, &toplevel)?;
    if closure.claims().len() == 0 {
        return Err(Failure::usage(format_args!("{toplevel} is not in the database")));
    }
    let nix_conf = arguments.nix_conf.clone();
    let nix_conf = nix_conf.unwrap_or_else(|| location.physical(Path::new("/etc/nix/nix.conf")));
    let candidates = candidates::candidates(&nix_conf, &arguments.key)?;

    let survey = rulebook(&write::survey_trust(&candidates), SURVEY)?;
    let now = Timestamp::now();
    let plan = Plan::new(&closure, &survey, Scope::Closure, Contents::Measured, now);
    let judged = judge_shown(&location, &plan, options(&arguments.store), Show::Progress, None);

    let seen = write::Seen::new(&plan, &judged, &candidates);
    let trust = write::trust(&seen, now);
    let policy = write::policy(&seen, now);
    let written = [("trust.toml", &trust), ("policy.toml", &policy)];
    for (name, _) in written {
        files::require_new(&arguments.output.join(name))?;
    }
    for (name, text) in written {
        files::save(&arguments.output.join(name), text)?;
    }
    let mut out = String::new();
    for (name, _) in written {
        let path = arguments.output.join(name).display().to_string();
        out.push_str(&format!("wrote {STRONG}{}{STRONG:#}\n", terminal::plain(&path)));
    }
    if seen.signing().next().is_none() {
        out.push_str("\nNo proposed key signed anything: trust.toml says what to do before it can be used.\n");
        terminal::print(&out)?;
        return Ok(Exit::Denied);
    }
    out.push_str("\nBy these two files, this system would be:\n\n");
    let rules = rulebook(&trust, &policy)?;
    let plan = Plan::new(&closure, &rules, Scope::Closure, Contents::Measured, now);
    let (verdict, judged) = again(&plan, judged);
    out.push_str(&text::verdict(&judged.report(&plan), Detail::FirstOfEach));
    terminal::print(&out)?;
    Ok(verdict)
}

/// Judges by other rules what was measured already.
fn again(plan: &Plan<'_>, judged: Judged) -> (Exit, Judged) {
    let measured = &judged.measured;
    let judgements: Vec<_> = plan
        .checks()
        .filter_map(|(index, _)| measured.get(&index).map(|it| judge(plan, index, it)))
        .collect();
    let (verdict, findings) = Verdict::of(plan, &judgements, &judged.agent);
    let exit = match verdict {
        Verdict::Admit(_) | Verdict::Limited(_) => Exit::Admitted,
        Verdict::Deny(_) => Exit::Denied,
    };
    (exit, Judged { verdict, findings, judgements, ..judged })
}

/// Our own texts, read as an operator's would be.
fn rulebook(trust: &str, policy: &str) -> Result<Rulebook, Failure> {
    let source =
        |name: &str, text: &str| Source { path: PathBuf::from(name), text: text.to_owned() };
    let trust = source("trust.toml", trust).trust()?.trust;
    let policy = source("policy.toml", policy);
    let bound = policy.policy()?.policy.bind(&trust);
    bound.map(|bound| bound.rulebook).map_err(|rejected| policy.reject(&rejected))
}
