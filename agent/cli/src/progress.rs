//! How far measuring has come: a bar on a terminal, a line now and then elsewhere.

use crate::terminal::{counted, print_error};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use narwarden_core::plan::Plan;
use narwarden_store::{Judged, Location, Options, Progress, Seals, judge_sealed};
use std::io::IsTerminal as _;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Whether to say how far measuring has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    Progress,
    Nothing,
}

const BAR: Duration = Duration::from_millis(100);
const LINES: Duration = Duration::from_secs(10);

/// Judges, and says on standard error how far it has come.
pub(crate) fn judge_shown(
    location: &Location,
    plan: &Plan<'_>,
    options: Options,
    show: Show,
    seals: Option<&Seals>,
) -> Judged {
    let progress = Progress::default();
    let total: u64 = plan.jobs().map(|job| job.claimed_size).fold(0, u64::saturating_add);
    if show == Show::Nothing || total == 0 {
        return judge_sealed(location, plan, options, &progress, seals);
    }
    let (done, wait) = channel::<()>();
    let paths = plan.jobs().count() as u64;
    std::thread::scope(|scope| {
        let progress = &progress;
        scope.spawn(move || {
            let terminal = std::io::stderr().is_terminal();
            let bar = terminal.then(|| bar(total));
            let pause = if terminal { BAR } else { LINES };
            while wait.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                match &bar {
                    Some(bar) => {
                        bar.set_position(progress.bytes() + progress.sealed_bytes());
                        bar.set_message(format!(
                            "{} of {}",
                            progress.paths(),
                            counted(paths, "path")
                        ));
                    }
                    None => line(progress, total, paths),
                }
            }
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
        });
        let judged = judge_sealed(location, plan, options, progress, seals);
        drop(done);
        judged
    })
}

fn bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let template =
        "{bar:24} {percent:>3} %  {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left  {msg}";
    // A template that the library could not read would show its default bar.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸ "));
    }
    bar
}

fn line(progress: &Progress, total: u64, paths: u64) {
    let bytes = HumanBytes(progress.bytes() + progress.sealed_bytes());
    let total = HumanBytes(total);
    let paths = counted(paths, "path");
    let text = format!("measured {bytes} of {total}, {} of {paths}\n", progress.paths());
    // Progress that cannot be shown is no reason to stop.
    let _ = print_error(&text);
}
