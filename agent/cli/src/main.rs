//! `narwarden`: judges the closure of a NixOS generation from its bytes and signatures.
//!
//! `arguments` says what may be asked; one file each answers a question; `outcome` says how it ends.

mod arguments;
mod check;
mod demo;
mod enroll;
mod explain;
mod files;
mod manual;
mod outcome;
mod progress;
mod terminal;
mod text;
mod verify;

use arguments::{Arguments, Command, PolicyCommand, TrustCommand};
use clap::Parser as _;
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
        Command::Enroll(arguments) => enroll::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Completions(arguments) => manual::completions(&arguments),
        Command::Man(arguments) => manual::pages(&arguments),
    }
}
