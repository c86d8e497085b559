//! `narwarden policy test`: does this policy admit what it must, and deny what it must?
//!
//! ```text
//! policy, trust set ─► rulebook ──┐
//! directory ─► fixtures ──────────┴─► suite ─► text, json
//! ```

mod json;
mod suite;
mod text;

use crate::arguments::PolicyTest;
use crate::files::{self, LONGEST, Source};
use crate::outcome::{Exit, Failure};
use crate::terminal;
use narwarden_core::policy::Policy;
use narwarden_forge::fixture::{Fixture, StandIns, TrustTexts};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use suite::{Case, Suite};

/// More files than anybody writes by hand.
const MOST_FIXTURES: usize = 1000;
/// More remarks than anybody reads; each is drawn with a part of the file.
const MOST_REMARKS: usize = 16;

/// What the fixtures are judged by.
struct Rules {
    policy: Policy,
    policy_path: PathBuf,
    trust: narwarden_core::trust::TrustSet,
    trust_path: PathBuf,
}

pub(crate) fn run(arguments: &PolicyTest) -> Result<Exit, Failure> {
    let beside = |name: &str| arguments.file.with_file_name(name);
    let trust = arguments.trust.clone().unwrap_or_else(|| beside("trust.toml"));
    let fixtures = arguments.fixtures.clone().unwrap_or_else(|| beside("fixtures"));
    let source = Source::read_untrusted(&arguments.file, LONGEST)?;
    let policy = source.policy()?;
    let trust = Source::read_untrusted(&trust, LONGEST)?;
    let texts = TrustTexts::parse(&trust.text).map_err(|rejected| trust.reject(&rejected))?;
    let bound = policy.policy.bind(texts.stand_ins.trust());
    let bound = bound.map_err(|rejected| source.reject(&rejected))?;
    let cases = read(&fixtures, &texts.stand_ins)?;
    files::count_warnings(texts.warnings.len() + policy.warnings.len() + bound.warnings.len())?;
    let suite = Suite::run(cases, &bound.rulebook);
    let rules = Rules {
        policy: policy.policy,
        policy_path: source.path,
        trust: texts.written,
        trust_path: trust.path,
    };
    terminal::print(&match arguments.json {
        true => terminal::json(&json::results(&rules, &suite)),
        false => text::results(&rules, &suite),
    })?;
    let failed = suite.failed() > 0 || (arguments.strict && !suite.is_thorough());
    Ok(if failed { Exit::Denied } else { Exit::Admitted })
}

/// Reads every fixture of the directory; none is run if one cannot be read.
fn read(directory: &Path, stand_ins: &StandIns) -> Result<Vec<Case>, Failure> {
    let mut cases = Vec::new();
    let mut refused = String::new();
    for name in names(directory)? {
        let source = Source::read_untrusted(&directory.join(&name), Fixture::LONGEST)?;
        match Fixture::parse(&source.text, stand_ins) {
            Ok(fixture) => {
                let name = Path::new(&name).file_stem().unwrap_or(&name);
                cases.push(Case { name: name.to_string_lossy().into_owned(), fixture });
            }
            Err(rejected) => {
                let shown = rejected.0.get(..MOST_REMARKS).unwrap_or(&rejected.0);
                refused.push_str(&source.draw(shown));
                if shown.len() < rejected.0.len() {
                    let more = rejected.0.len() - shown.len();
                    refused.push_str(&format!("… and {more} more in this file\n\n"));
                }
            }
        }
    }
    if refused.is_empty() { Ok(cases) } else { Err(Failure::Usage(refused)) }
}

/// The names of the fixtures, in their order. Names with a dot in front are editors' own.
fn names(directory: &Path) -> Result<Vec<OsString>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format_args!(
            "cannot read the fixtures in {}: {error}; name their directory with --fixtures DIR",
            directory.display()
        ))
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let bytes = name.as_encoded_bytes();
        if bytes.ends_with(b".toml") && !bytes.starts_with(b".") {
            names.push(name);
        }
        if names.len() > MOST_FIXTURES {
            let directory = directory.display();
            return Err(Failure::usage(format_args!(
                "{directory} has more than {MOST_FIXTURES} fixtures: is it the right directory?"
            )));
        }
    }
    if names.is_empty() {
        return Err(Failure::usage(format_args!(
            "there is no fixture (*.toml) in {}, so nothing would be tested: see docs/policy-test.md",
            directory.display()
        )));
    }
    names.sort();
    Ok(names)
}
