//! `narwarden verify`: may this generation run?

use crate::arguments::{StoreArguments, Verify};
use crate::files;
use crate::outcome::{Exit, Failure};
use crate::progress::{Show, judge_shown};
use crate::seals;
use crate::terminal;
use crate::text::{self, Detail};
use jiff::Timestamp;
use narwarden_core::closure::{Closure, PathIndex};
use narwarden_core::plan::{Contents, Plan, Scope};
use narwarden_core::report::Answer;
use narwarden_core::store_path::StorePath;
use narwarden_store::{Database, Location, Options, Target, TargetError};

pub(crate) fn run(arguments: &Verify) -> Result<Exit, Failure> {
    let rulebook = files::rulebook(&arguments.rules)?;
    let location = Location::new(&arguments.store.root);
    let toplevel = resolve(&arguments.target, &location)?;
    let closure = closure(&location, &toplevel)?;
    let scope = match arguments.path_only {
        true => Scope::Path(PathIndex::TOPLEVEL),
        false => Scope::Closure,
    };
    let contents = if arguments.no_contents { Contents::Claimed } else { Contents::Measured };
    let show = if arguments.quiet { Show::Nothing } else { Show::Progress };
    let plan = Plan::new(&closure, &rulebook, scope, contents, Timestamp::now());
    let options = options(&arguments.store);
    let seals = seals::open(arguments, &location, options.owner)?;
    let judged = judge_shown(&location, &plan, options, show, seals.as_ref());
    seals::close(seals)?;
    let report = judged.report(&plan);
    let printed = if arguments.json {
        let json = serde_json::to_string_pretty(&report);
        json.map_err(Failure::undecided)? + "\n"
    } else {
        let detail = if arguments.all { Detail::Everything } else { Detail::FirstOfEach };
        text::verdict(&report, detail)
    };
    terminal::print(&printed)?;
    Ok(match report.verdict {
        Answer::Admit => Exit::Admitted,
        Answer::Deny => Exit::Denied,
    })
}

/// The store path that a target leads to.
pub(crate) fn resolve(target: &str, location: &Location) -> Result<StorePath, Failure> {
    Target::parse(target).resolve(location).map_err(|error| match error {
        TargetError::Io { .. } => Failure::undecided(error),
        TargetError::Missing { .. }
        | TargetError::NotALink { .. }
        | TargetError::NotAStorePath { .. }
        | TargetError::TooManyLinks { .. } => Failure::usage(error),
    })
}

/// What the database claims of a toplevel.
pub(crate) fn closure(location: &Location, toplevel: &StorePath) -> Result<Closure, Failure> {
    let read = Database::at(location).closure(toplevel).map_err(Failure::undecided)?;
    Ok(read.value)
}

/// How to measure.
pub(crate) fn options(arguments: &StoreArguments) -> Options {
    let default = Options::default();
    Options { threads: arguments.jobs.unwrap_or(default.threads), ..default }
}
