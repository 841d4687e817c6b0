//! `cargo xtask up`: from a fresh clone to a running node, supernode and page.
//!
//! What `anatomic up` then does is the relay's affair.

use std::process::Command;
use std::time::Instant;

use crate::page::Build;
use crate::{page, relay, run, setup};

/// Builds what is missing and runs `anatomic up` with `args`; returns when that ends.
///
/// # Errors
/// If something cannot be built, or `anatomic up` fails.
pub(crate) fn up(args: &[String]) -> Result<(), String> {
    let start = Instant::now();
    let tools = setup::build_tools()?;
    page::page(&tools, Build::Small)?;
    let anatomic = relay::build()?;
    eprintln!("ready after {}: {} up {}", run::human(start.elapsed()), anatomic.display(), args.join(" "));
    let mut command = Command::new(anatomic);
    command.arg("up").args(args);
    replace(&mut command)
}

/// Becomes `command`, so that signals and the exit code are its own.
#[cfg(unix)]
fn replace(command: &mut Command) -> Result<(), String> {
    use std::os::unix::process::CommandExt;
    Err(format!("cannot run `{}`: {}", run::line(command), command.exec()))
}

#[cfg(not(unix))]
fn replace(command: &mut Command) -> Result<(), String> {
    run::loud(command)
}
