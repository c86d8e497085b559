//! The trust set and the policy, read from files that only their owner may change.

use crate::arguments::RulesArguments;
use crate::outcome::Failure;
use crate::terminal::{self, NOTE};
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use narwarden_core::diagnostic::{Diagnostic, Rejected, Severity};
use narwarden_core::policy::{self, Policy, PolicyFile, Rulebook};
use narwarden_core::trust::{TrustFile, TrustSet};
use narwarden_linux::trusted_file;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

pub(crate) const TRUST: &str = "/etc/narwarden/trust.toml";
pub(crate) const POLICY: &str = "/etc/narwarden/policy.toml";
/// Far more than anybody writes by hand.
pub(crate) const LONGEST: u64 = 1 << 20;

/// A file with its text, for remarks that point into it.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let file = trusted_file::read(path, LONGEST).map_err(Failure::usage)?;
        Ok(Self { path: path.to_owned(), text: file.text })
    }

    /// Reads a file that nothing is going to be judged by on this host, whoever owns it.
    pub(crate) fn read_untrusted(path: &Path, longest: u64) -> Result<Self, Failure> {
        let file = trusted_file::read_untrusted(path, longest).map_err(Failure::usage)?;
        Ok(Self { path: path.to_owned(), text: file.text })
    }

    /// Draws remarks with file, line, column and a caret.
    pub(crate) fn draw(&self, remarks: &[Diagnostic]) -> String {
        // The library leaves a few characters as they are that a terminal would obey.
        let shown = |c: char| if obeyed(c) { '\u{fffd}' } else { c };
        let text: String = self.text.chars().map(shown).collect();
        let moved = |place: usize| -> usize {
            let before = self.text.char_indices().take_while(|(at, _)| *at < place);
            before.map(|(_, c)| shown(c).len_utf8()).sum()
        };
        let mut drawn = String::new();
        for remark in remarks {
            let level = match remark.severity {
                Severity::Error => Level::ERROR,
                Severity::Warning => Level::WARNING,
            };
            let span = moved(remark.span.start)..moved(remark.span.end);
            let message = terminal::plain_lines(&remark.message);
            let help = terminal::plain_lines(&remark.help);
            let path = self.path.display().to_string();
            let snippet = Snippet::source(&text)
                .path(terminal::plain(&path).into_owned())
                .annotation(AnnotationKind::Primary.span(span));
            let group = level
                .primary_title(message.as_str())
                .element(snippet)
                .element(Level::HELP.message(help.as_str()));
            drawn.push_str(&Renderer::styled().render(&[group]));
            drawn.push_str("\n\n");
        }
        drawn
    }

    pub(crate) fn reject(&self, rejected: &Rejected) -> Failure {
        Failure::Usage(self.draw(&rejected.0))
    }

    /// Parses the trust set that it is.
    pub(crate) fn trust(&self) -> Result<TrustFile, Failure> {
        TrustSet::parse(&self.text).map_err(|rejected| self.reject(&rejected))
    }

    /// Parses the policy that it is.
    pub(crate) fn policy(&self) -> Result<PolicyFile, Failure> {
        Policy::parse(&self.text).map_err(|rejected| self.reject(&rejected))
    }
}

fn obeyed(c: char) -> bool {
    !matches!(c, '\n' | '\r' | '\t') && narwarden_core::event::is_steering(c)
}

fn is_absent(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// Refuses a place where something is.
pub(crate) fn require_new(path: &Path) -> Result<(), Failure> {
    if is_absent(path) {
        return Ok(());
    }
    Err(Failure::usage(format_args!("{} exists: move it away, or write elsewhere", path.display())))
}

/// Writes a new file. Not group-writable whatever the umask: such a file would be refused when it is read.
pub(crate) fn save(path: &Path, text: &str) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::usage(format_args!("cannot write {}: {error}", path.display())))
}

/// The rules to judge by.
pub(crate) fn rulebook(arguments: &RulesArguments) -> Result<Rulebook, Failure> {
    let trust = arguments.trust.as_deref().unwrap_or_else(|| Path::new(TRUST));
    if arguments.trust.is_none() && is_absent(trust) {
        return Err(Failure::usage(format_args!(
            "{TRUST} does not exist: name a trust set with --trust FILE, or make one with `narwarden enroll`"
        )));
    }
    let source = Source::read(trust)?;
    let TrustFile { trust, warnings: of_trust } = source.trust()?;
    let policy = match &arguments.policy {
        Some(path) => Source::read(path)?,
        // Only where there is nothing at all: a broken link is a policy that somebody meant to be there.
        None if is_absent(Path::new(POLICY)) => {
            Source { path: PathBuf::from("built-in"), text: policy::BUILT_IN.to_owned() }
        }
        None => Source::read(Path::new(POLICY))?,
    };
    let PolicyFile { policy: parsed, warnings: of_policy } = policy.policy()?;
    let bound = parsed.bind(&trust).map_err(|rejected| policy.reject(&rejected))?;
    count_warnings(of_trust.len() + of_policy.len() + bound.warnings.len())?;
    Ok(bound.rulebook)
}

/// Says on standard error that there are warnings, and where to read them.
pub(crate) fn count_warnings(warnings: usize) -> Result<(), Failure> {
    if warnings > 0 {
        let count = terminal::counted(warnings as u64, "warning");
        terminal::print_error(&format!(
            "{NOTE}{count} about these rules{NOTE:#}: narwarden trust check, narwarden policy check --trust\n"
        ))?;
    }
    Ok(())
}
