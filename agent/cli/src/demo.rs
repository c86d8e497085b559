//! `narwarden demo`: a good generation, and every attack on it that needs neither root nor Nix.
//!
//! Nothing in the table is written down beforehand: each store is made, attacked and judged, and judged once
//! more with the one defence taken out that decides, where the answer must turn around.

use crate::arguments::Demo;
use crate::files;
use crate::outcome::{Exit, Failure};
use crate::terminal::{self, BAD, DIM, GOOD, STRONG};
use narwarden_core::closure::Closure;
use narwarden_core::metadata::Owner;
use narwarden_core::plan::{Contents, Plan, Scope};
use narwarden_core::policy::{Policy, Rulebook};
use narwarden_core::store_path::StorePath;
use narwarden_core::trust::TrustSet;
use narwarden_core::verdict::Verdict;
use narwarden_forge::{Attack, Forge, ForgeError, NOW, Outcome, Rules, Setup, Workshop, attacks};
use narwarden_store::{Database, Location, Options, Progress, judge};
use rustix::process::{getegid, geteuid};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

pub(crate) fn run(arguments: &Demo) -> Result<Exit, Failure> {
    let place = Place::new(arguments.keep.as_deref())?;
    terminal::print(&format!(
        "A good generation, and {} attacks on it. Each is judged by bytes and signatures, and once more with\n\
         the one defence taken out that decides: then the answer must turn around.\n\n\
         {STRONG}row   attack                                                        verdict  reason                    without the defence{STRONG:#}\n",
        attacks().len()
    ))?;
    let good = good(&place)?;
    let mut wrong = u32::from(good != Outcome::Admit);
    print_row("", "none", good, None)?;
    for (number, attack) in attacks().iter().enumerate() {
        let (found, control) = try_attack(&place, number + 1, attack)?;
        let turns = matches!(
            (found, control),
            (Outcome::Admit, Outcome::Deny(_)) | (Outcome::Deny(_), Outcome::Admit)
        );
        wrong += u32::from(found != attack.expected || !turns);
        print_row(attack.id, attack.title, found, Some(control))?;
    }
    let exit = if wrong == 0 { Exit::Admitted } else { Exit::Denied };
    let (style, word) = if wrong == 0 {
        (GOOD, "every answer is as it must be".to_owned())
    } else {
        (BAD, format!("{wrong} answers are not as they must be: this is a fault of narwarden"))
    };
    terminal::print(&format!("\n{style}{word}{style:#}\n{}", place.hint()))?;
    Ok(exit)
}

fn good(place: &Place) -> Result<Outcome, Failure> {
    let mut forge = place.forge(0, "good")?;
    let generation = forge.good_generation()?;
    let setup = Setup { rules: Rules::good(), contents: Contents::Measured };
    place.keep(forge.root(), &generation.toplevel, &setup.rules)?;
    judged(forge.root(), &generation.toplevel, &setup)
}

/// The answer to an attack, and the one without the defence.
fn try_attack(
    place: &Place,
    number: usize,
    attack: &Attack,
) -> Result<(Outcome, Outcome), Failure> {
    let mut forge = place.forge(number, attack.id)?;
    let generation = forge.good_generation()?;
    let toplevel = attack.apply(&mut forge, &generation)?;
    let setup = attack.setup();
    place.keep(forge.root(), &toplevel, &setup.rules)?;
    let found = judged(forge.root(), &toplevel, &setup)?;
    // In a store of its own, so that what is kept is the attack.
    let workshop = Workshop::new()?;
    let mut forge = Forge::new(workshop.root())?;
    let generation = forge.good_generation()?;
    let toplevel = attack.apply(&mut forge, &generation)?;
    let disarmed = attack.disarm(&mut forge, &generation)?;
    Ok((found, judged(forge.root(), &toplevel, &disarmed)?))
}

fn judged(root: &Path, toplevel: &StorePath, setup: &Setup) -> Result<Outcome, Failure> {
    let location = Location::new(root);
    let closure: Closure =
        Database::at(&location).closure(toplevel).map_err(Failure::undecided)?.value;
    let rules = rulebook(&setup.rules)?;
    let plan = Plan::new(&closure, &rules, Scope::Closure, setup.contents, NOW);
    let owner = Owner { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    let options = Options { owner, ..Options::default() };
    Ok(match judge(&location, &plan, options, &Progress::default()).verdict {
        Verdict::Admit(_) | Verdict::Limited(_) => Outcome::Admit,
        Verdict::Deny(denial) => Outcome::Deny(denial.first()),
    })
}

fn rulebook(rules: &Rules) -> Result<Rulebook, Failure> {
    let trust = TrustSet::parse(&rules.trust).map_err(Failure::undecided)?.trust;
    let policy = Policy::parse(&rules.policy).map_err(Failure::undecided)?.policy;
    Ok(policy.bind(&trust).map_err(Failure::undecided)?.rulebook)
}

fn print_row(
    id: &str,
    title: &str,
    found: Outcome,
    control: Option<Outcome>,
) -> Result<(), Failure> {
    let (style, word, reason) = match found {
        Outcome::Admit => (GOOD, "ADMIT", ""),
        Outcome::Deny(reason) => (BAD, "DENY", reason.code()),
    };
    let control = match control {
        None => "",
        Some(Outcome::Admit) => "admitted",
        Some(Outcome::Deny(_)) => "refused",
    };
    let row =
        format!("{id:5} {title:61} {style}{word:8}{style:#} {reason:25} {DIM}{control}{DIM:#}");
    terminal::print(&format!("{}\n", row.trim_end()))?;
    Ok(())
}

/// Where the stores are made.
enum Place {
    Kept(PathBuf),
    ThrownAway(Workshop),
}

impl Place {
    fn new(keep: Option<&Path>) -> Result<Self, Failure> {
        let Some(directory) = keep else { return Ok(Self::ThrownAway(Workshop::new()?)) };
        std::fs::create_dir(directory).map_err(|error| {
            Failure::usage(format_args!("cannot make {}: {error}", directory.display()))
        })?;
        Ok(Self::Kept(directory.to_owned()))
    }

    fn forge(&self, number: usize, name: &str) -> Result<Forge, Failure> {
        let parent = match self {
            Self::Kept(directory) => directory,
            Self::ThrownAway(workshop) => workshop.root(),
        };
        let root = parent.join(format!("{number:02}-{name}"));
        std::fs::create_dir(&root).map_err(|error| {
            Failure::usage(format_args!("cannot make {}: {error}", root.display()))
        })?;
        Ok(Forge::new(&root)?)
    }

    /// Makes a store that is kept one that `narwarden verify` understands without further words.
    fn keep(&self, root: &Path, toplevel: &StorePath, rules: &Rules) -> Result<(), Failure> {
        let Self::Kept(_) = self else { return Ok(()) };
        let run = root.join("run");
        std::fs::create_dir(&run)
            .and_then(|()| symlink(toplevel.to_string(), run.join("current-system")))
            .map_err(|error| Failure::usage(format_args!("{}: {error}", root.display())))?;
        files::save(&root.join("trust.toml"), &rules.trust)?;
        files::save(&root.join("policy.toml"), &rules.policy)
    }

    fn hint(&self) -> String {
        match self {
            Self::ThrownAway(_) => "Look at one yourself: narwarden demo --keep DIR\n".to_owned(),
            Self::Kept(directory) => {
                let directory = directory.display().to_string();
                let directory = terminal::plain(&directory);
                let owner = if geteuid().is_root() {
                    ""
                } else {
                    "(It will find metadata-drift too: a store belongs to root, and these belong to you.)\n"
                };
                format!(
                    "Judge one yourself: S={directory}/01-D01; narwarden verify --root $S \
                     --trust $S/trust.toml --policy $S/policy.toml\n{owner}"
                )
            }
        }
    }
}

impl From<ForgeError> for Failure {
    fn from(error: ForgeError) -> Self {
        Self::undecided(format_args!("the throw-away store could not be made: {error}"))
    }
}
