//! The service: signals, the socket, the watchdog. It waits for all of them at once, and for nothing else.

use crate::audit::{Announce as _, JournalVoice};
use crate::desk::Desk;
use crate::gate::{Scans, Stats};
use crate::ipc;
use crate::renewal::Asked;
use narwarden_core::event::{Event, EventKind, Field};
use narwarden_linux::signals::let_hangups_in;
use narwarden_linux::systemd::{Notifier, watchdog_interval};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Before systemd gives up on a starting unit (`TimeoutStartSec=`).
const LONGEST_START: Duration = Duration::from_secs(50);
/// How often to look whether all is known.
const LOOK: Duration = Duration::from_millis(20);
/// How long a reload waits for another version to be looked for.
const RENEWAL: Duration = Duration::from_secs(5);
/// How long to wait before the socket is tried again.
const SOCKET: Duration = Duration::from_secs(30);
/// How often the heart is looked at where no watchdog says so.
const BEAT: Duration = Duration::from_secs(10);

/// What the service works with.
#[derive(Debug)]
pub struct Service {
    /// Answers the socket.
    pub desk: Arc<Desk>,
    /// To the service manager.
    pub notifier: Notifier,
    /// The gate's heart.
    pub stats: Arc<Stats>,
    /// How far the first look is.
    pub scans: Arc<Scans>,
    /// The journal.
    pub journal: Arc<JournalVoice>,
    /// Who may replace the program.
    pub renewal: Sender<Asked>,
}

impl Service {
    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// What kept it from going on.
    pub fn run(self, socket: &Path) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.serve(socket))
    }

    async fn serve(self, socket: &Path) -> anyhow::Result<()> {
        let mut answering = Box::pin(self.answer(socket));
        let (mut hangup, mut terminate) =
            (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?);
        // What came before there was a handler, while the predecessor became this program, comes now.
        let_hangups_in()?;
        let mut beat = tokio::time::interval(watchdog_interval().unwrap_or(BEAT));
        let mut last = 0;
        // Ready is who holds what there is in the store: an interpreter could read it until then.
        let mut look = tokio::time::interval(LOOK);
        let (begin, mut ready) = (Instant::now(), false);
        loop {
            tokio::select! {
                () = &mut answering => {}
                _ = look.tick(), if !ready => {
                    ready = self.scans.is_all_known() || begin.elapsed() > LONGEST_START;
                    if ready {
                        // Who took over guards already, and another is given up by the manager itself.
                        if let Err(error) = self.notifier.ready("guarding") {
                            self.desk.trouble("telling the manager that it is ready", &error);
                        }
                        self.desk.has_started();
                    }
                }
                // Not before: the manager would be told that the host is guarded where it is not yet.
                _ = hangup.recv(), if ready => {
                    // The manager waits for what follows; that it could not be told changes nothing.
                    let _ = self.notifier.reloading();
                    self.renew().await;
                    let _ = self.desk.reread(None);
                    let _ = self.notifier.ready("guarding");
                }
                _ = terminate.recv() => {
                    let _ = self.notifier.stopping();
                    let event = Event::new(EventKind::Stopped).with(Field::Error, "SIGTERM");
                    let _ = self.journal.announce(&event);
                    return Ok(());
                }
                _ = beat.tick() => {
                    self.desk.look_at_the_mode();
                    self.desk.look_at_the_scrub();
                    let beats = self.stats.snapshot().beats;
                    if beats != last {
                        last = beats;
                        let _ = self.notifier.watchdog();
                    }
                }
            }
        }
    }

    /// Answers the socket. Where that cannot be done the host is guarded all the same, and it is tried again.
    async fn answer(&self, socket: &Path) {
        loop {
            let ended = match ipc::bind(socket) {
                Ok(listener) => ipc::serve(listener, Arc::clone(&self.desk)).await,
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                self.desk.trouble(&format!("answering at {}", socket.display()), &error);
            }
            tokio::time::sleep(SOCKET).await;
        }
    }

    /// Becomes another version of the program, if there is one: then this never returns.
    async fn renew(&self) {
        let (done, is_done) = tokio::sync::oneshot::channel();
        if self.renewal.send(Asked { done }).is_ok() {
            let _ = tokio::time::timeout(RENEWAL, is_done).await;
        }
    }
}
