//! `anatomic config`: prints every setting of a role, its value, and where that came from.
//!
//! The layers themselves are [`crate::config`]'s. What is printed is a configuration file.

use super::{Cli, Failure};
use crate::config::{self, File};
use clap::CommandFactory as _;
use std::ffi::OsString;

/// Arguments of `anatomic config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The role (up, node or supernode) and flags that it would be given
    #[arg(value_name = "ROLE AND FLAGS", trailing_var_arg = true, allow_hyphen_values = true)]
    role: Vec<OsString>,
}

/// Prints the settings.
///
/// # Errors
/// When the file or a flag is wrong.
pub fn run(args: &Args) -> Result<(), Failure> {
    let mut given = args.role.clone();
    if given.first().is_none_or(|first| first.to_string_lossy().starts_with('-')) {
        given.insert(0, "up".into());
    }
    given.insert(0, "anatomic".into());
    let mut command = Cli::command();
    let all: Vec<OsString> = std::env::args_os().collect();
    // Before the role, or among the flags that it would be given.
    let before = config::glance(&all, &command).named;
    let file = File::find(config::glance(&given, &command).named.or(before), &command)?;
    if let Some(file) = &file {
        command = file.apply(command);
    }
    let matches = command
        .try_get_matches_from_mut(&given)
        .map_err(|error| Failure { reason: error.to_string(), code: 2 })?;
    let Some((role, matches)) = matches.subcommand() else { return Ok(()) };
    let Some(role) = command.find_subcommand(role) else { return Ok(()) };
    print!("{}", config::print(role, matches, file.as_ref()));
    Ok(())
}
