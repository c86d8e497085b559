//! What becomes of an attempt to activate, for journal and terminal.

use super::subject;
use narwarden_core::store_path::StorePath;
use narwarden_linux::fanotify::Request;
use narwarden_linux::process::Process;
use std::sync::Arc;
use std::time::Duration;

/// An attempt that was answered.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What was to be activated.
    pub toplevel: Option<StorePath>,
    /// What the gate did.
    pub action: Action,
    /// Who tried.
    pub process: Process,
    /// The file that was to be run or read, by the name that the kernel gives it.
    pub file: Option<String>,
    /// How long it had to wait for the answer.
    pub waited: Duration,
}

/// What the gate did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Let it run.
    Allowed,
    /// Refused, and why.
    Denied(Arc<str>),
    /// Refused, since there was no verdict before the deadline, and what is waited for.
    Late(Arc<str>),
    /// Let it run although it would have been refused: the mode is observe.
    WouldDeny(Arc<str>),
}

impl Attempt {
    pub(super) fn of(
        request: &Request,
        toplevel: Option<StorePath>,
        action: Action,
        waited: Duration,
    ) -> Self {
        let file = subject::name(request.file()).map(|name| name.display().to_string());
        Self { toplevel, action, process: Process::of(request), file, waited }
    }
}
