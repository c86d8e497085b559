//! Completions and manual pages, from the same definitions as the help.

use crate::arguments::{Arguments, Completions, Man};
use crate::outcome::{Exit, Failure};
use crate::terminal;
use clap::CommandFactory as _;

pub(crate) fn completions(arguments: &Completions) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "narwarden", &mut script);
    terminal::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Admitted)
}

pub(crate) fn pages(arguments: &Man) -> Result<Exit, Failure> {
    let directory = &arguments.directory;
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Arguments::command(), directory))
        .map_err(|error| {
            Failure::usage(format_args!("cannot write to {}: {error}", directory.display()))
        })?;
    Ok(Exit::Admitted)
}
