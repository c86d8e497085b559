//! How a command ends: four exit codes, and one way to say what went wrong.

use crate::terminal::{self, ERROR};
use std::fmt::Write as _;
use std::process::ExitCode;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The question was answered with yes.
    Admitted = 0,
    /// It was answered with no.
    Denied = 1,
    /// It was not asked in a way that could be answered.
    Usage = 2,
    /// The answer could not be found out.
    Undecided = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The question or the files it rests on are wrong. Drawn and ready to print.
    Usage(String),
    /// The store could not be read.
    Undecided(String),
    /// It was asked of somebody who said no.
    Denied(String),
    /// Whoever read our output has gone.
    Closed,
}

impl Failure {
    /// A sentence about the question.
    pub(crate) fn usage(message: impl std::fmt::Display) -> Self {
        Self::Usage(line(&message.to_string()))
    }

    /// A sentence about the store.
    pub(crate) fn undecided(message: impl std::fmt::Display) -> Self {
        Self::Undecided(line(&message.to_string()))
    }

    /// A sentence about why not.
    pub(crate) fn denied(message: impl std::fmt::Display) -> Self {
        Self::Denied(line(&message.to_string()))
    }

    /// Says it on standard error.
    pub(crate) fn report(self) -> Exit {
        let (text, exit) = match self {
            Self::Usage(text) => (text, Exit::Usage),
            Self::Undecided(text) => (text, Exit::Undecided),
            Self::Denied(text) => (text, Exit::Denied),
            // A reader such as `head` got all it wanted.
            Self::Closed => return Exit::Undecided,
        };
        // There is nobody left to tell if this fails.
        let _ = terminal::print_error(&text);
        exit
    }
}

impl From<std::io::Error> for Failure {
    /// An error while printing.
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::Closed;
        }
        Self::undecided(format_args!("cannot print: {error}"))
    }
}

fn line(message: &str) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{ERROR}error:{ERROR:#} {}", terminal::plain(message));
    text
}
