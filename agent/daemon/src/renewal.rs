//! Becoming another version of the program in place: the same process, the same groups, and no gap.
//!
//! The new program is read and checked first. Its own execution asks nobody: the files that the kernel opens for it
//! carry ignore marks. The gate then stands still, between two requests, until it is gone with the old program.

use crate::audit::Announce;
use crate::gate::Pause;
use narwarden_core::event::{Event, EventKind, Field};
use narwarden_linux::fanotify::{Group, Lasting};
use narwarden_linux::successor::{Running, Successor};
use narwarden_linux::wake::Wake;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// The names of the groups, for the service manager's store and for a successor.
pub const WATCH: &str = "narwarden-watch";
/// The group that outlives the process.
pub const HOLD: &str = "narwarden-hold";

/// How long the gate may take to finish what it is at.
const GATE: Duration = Duration::from_secs(1);

/// Who may replace the program.
#[derive(Debug)]
pub struct Renewal {
    /// The program as it was when it started.
    pub running: Running,
    /// Where another version would lie; the first that differs counts.
    pub places: Vec<PathBuf>,
    /// What to start it with, without its name.
    pub arguments: Vec<OsString>,
    /// Sees every execution.
    pub watch: Group,
    /// Sees every opening of what is not admitted.
    pub hold: Group,
    /// Rings the gate.
    pub wake: Arc<Wake>,
    /// Stops the gate.
    pub pause: Arc<Pause>,
    /// Where events go.
    pub announce: Arc<dyn Announce>,
}

impl Renewal {
    /// Looks whether there is another version each time that it is asked to; tells when there is none to become.
    pub fn run(&self, asked: &Receiver<Asked>) {
        for Asked { done } in asked {
            self.renew();
            // Whoever asked goes on by itself after a while.
            let _ = done.send(());
        }
    }

    /// Returns where the old program goes on.
    fn renew(&self) {
        let Some(successor) = self.places.iter().find_map(|path| self.look(path)) else { return };
        let file = successor.path().display().to_string();
        let event = Event::new(EventKind::Successor).with(Field::File, &file);
        let _ = self.announce.announce(&event);
        let error = self.become_it(&successor);
        let event = Event::new(EventKind::SuccessorFailed)
            .with(Field::File, &file)
            .with(Field::Error, error);
        let _ = self.announce.announce(&event);
    }

    fn look(&self, path: &std::path::Path) -> Option<Successor> {
        match self.running.successor(path) {
            Ok(successor) => successor,
            Err(error) => {
                let event = Event::new(EventKind::SuccessorFailed)
                    .with(Field::File, path.display())
                    .with(Field::Error, error);
                let _ = self.announce.announce(&event);
                None
            }
        }
    }

    fn become_it(&self, successor: &Successor) -> std::io::Error {
        // The host's executions wait from the pause on, and must not wait for a disk too.
        if let Err(error) = successor.read_ahead() {
            return error;
        }
        for file in successor.files() {
            // Without the mark the gate has to answer, which it does when the pause is over.
            let _ = self.watch.ignore_file(file, Lasting::Kept);
        }
        if !self.pause.begin(|| self.wake.ring(), GATE) {
            return std::io::Error::other("the gate is busy: try again");
        }
        use std::os::fd::AsFd as _;
        let kept = [(WATCH, self.watch.as_fd()), (HOLD, self.hold.as_fd())];
        let error = successor.exec(&self.arguments, &kept);
        self.pause.end();
        error
    }
}

/// Somebody asks whether there is another version.
#[derive(Debug)]
pub struct Asked {
    /// Rings when there is none.
    pub done: tokio::sync::oneshot::Sender<()>,
}
