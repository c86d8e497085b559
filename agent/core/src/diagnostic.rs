//! What is wrong with a file an operator wrote, and what to write instead.
//!
//! A diagnostic points at bytes of the file; drawing it with file name, line and caret is the work of
//! whoever shows it. Every check of a file reports all it found, not the first thing only.

use std::fmt;
use std::ops::Range;

/// Whether the file can be used in spite of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is taken, and this may not be what its author meant.
    Warning,
}

/// One remark on a file, with the place it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the file is refused for it.
    pub severity: Severity,
    /// The bytes of the file that it is about.
    pub span: Range<usize>,
    /// What is wrong, as a lower-case sentence.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// The remarks that made a file unusable; at least one of them is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected(pub Vec<Diagnostic>);

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, diagnostic) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("; ")?;
            }
            f.write_str(&diagnostic.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejected {}

/// Collects remarks while a file is read, so that its author sees all of them at once.
#[derive(Debug, Default)]
pub struct Remarks(Vec<Diagnostic>);

impl Remarks {
    /// Remarks on what makes the file unusable.
    pub fn error(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(Severity::Error, span, message.into(), help.into());
    }

    /// Remarks on what its author should look at once more.
    pub fn warning(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(Severity::Warning, span, message.into(), help.into());
    }

    fn add(&mut self, severity: Severity, span: Range<usize>, message: String, help: String) {
        self.0.push(Diagnostic { severity, span, message, help });
    }

    /// What was read, with the warnings; everything found instead when an error was among it.
    ///
    /// # Errors
    /// An error among the remarks, or nothing read.
    pub fn finish<T>(mut self, read: Option<T>) -> Result<(T, Vec<Diagnostic>), Rejected> {
        self.0.sort_by_key(|remark| (remark.severity, remark.span.start));
        let refused = self.0.first().is_some_and(|first| first.severity == Severity::Error);
        match read {
            Some(read) if !refused => Ok((read, self.0)),
            Some(_) | None => Err(Rejected(self.0)),
        }
    }
}

/// Reads a TOML document into `T`, with the parser's complaint as a diagnostic.
///
/// # Errors
/// The parser's first complaint.
pub fn parse_toml<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Rejected> {
    toml::from_str(text).map_err(|error| {
        let message = error.message().to_owned();
        let help = if message.starts_with("unknown field") {
            "correct or remove it: a field this version does not know is never skipped"
        } else if message.starts_with("missing field") {
            "add the field"
        } else if message.starts_with("duplicate") {
            "keep one of the two"
        } else {
            "see docs/trust.md, docs/policy.md or docs/policy-test.md for the fields and their types"
        };
        Rejected(vec![Diagnostic {
            severity: Severity::Error,
            span: error.span().unwrap_or(0..0),
            message,
            help: help.to_owned(),
        }])
    })
}
