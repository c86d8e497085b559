//! `narwarden`: judges the closure of a NixOS generation from its bytes and signatures.
//!
//! `arguments` says what may be asked; one file each answers a question; `outcome` says how it ends.

mod accept;
mod arguments;
mod check;
mod client;
mod demo;
mod enroll;
mod explain;
mod files;
mod log;
mod manual;
mod observe;
mod outcome;
mod pin;
mod policy_test;
mod progress;
mod quarantine;
mod scrub;
mod seals;
mod status;
mod terminal;
mod text;
mod verify;
mod watch;

use arguments::{Arguments, Command, PolicyCommand, TrustCommand};
use clap::Parser as _;
use narwarden_core::interface::What;
use outcome::{Exit, Failure};
use std::process::ExitCode;

fn main() -> ExitCode {
    // Help, and complaints about arguments, are printed while these are still being read.
    if let Some(color) = arguments::Color::asked(std::env::args_os().skip(1)) {
        color.write_global();
    }
    // Arguments that cannot be understood end here, with exit code 2 and clap's explanation.
    let arguments = Arguments::parse();
    arguments.color.write_global();
    // A tree may be as deep as there are descriptors for it.
    narwarden_linux::limits::raise_open_file_limit();
    match run(arguments.command) {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report().into(),
    }
}

fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Trust { command: TrustCommand::Check(arguments) } => check::trust(&arguments),
        Command::Policy { command: PolicyCommand::Check(arguments) } => check::policy(&arguments),
        Command::Policy { command: PolicyCommand::Test(arguments) } => policy_test::run(&arguments),
        Command::Trust { command: TrustCommand::Accept(arguments) } => {
            accept::run(&arguments, What::Trust)
        }
        Command::Policy { command: PolicyCommand::Accept(arguments) } => {
            accept::run(&arguments, What::Policy)
        }
        Command::Enroll(arguments) if arguments.pin => pin::run(&arguments),
        Command::Enroll(arguments) => enroll::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Log(arguments) => log::run(&arguments),
        Command::Watch(arguments) => watch::run(&arguments),
        Command::Quarantine(arguments) => quarantine::run(&arguments),
        Command::Observe(arguments) => observe::run(&arguments),
        Command::Reload(arguments) => observe::reload(&arguments),
        Command::Scrub(arguments) => scrub::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Completions(arguments) => manual::completions(&arguments),
        Command::Man(arguments) => manual::pages(&arguments),
    }
}
