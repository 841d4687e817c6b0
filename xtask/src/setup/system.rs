//! Packages of the operating system: Debian's and Ubuntu's are installed, elsewhere the message says what to.
//!
//! Never upgrades or removes anything.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::{paths, run};

/// Installs those of `packages` that are absent.
///
/// # Errors
/// If this is no Debian, or nobody may install here; the message names the packages and what they are `for_what`.
pub(crate) fn install(for_what: &str, packages: &[&str]) -> Result<(), String> {
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if paths::which("apt-get").is_none() {
        return Err(format!("needed as {for_what}, under the names of your system: {list}"));
    }
    let Some(apt) = apt_get() else {
        return Err(format!("needed as {for_what}: run `sudo apt-get install {list}`"));
    };
    let quarter_hour = Duration::from_secs(15 * 60);
    let install = || {
        let mut command = apt();
        command.args(["install", "--yes", "--no-install-recommends"]).args(&missing);
        run::step(&format!("apt-get install {list}"), &mut command, quarter_hour)
    };
    // A package list that is fresh enough spares the update.
    if has_lists() && install().is_ok() {
        return Ok(());
    }
    run::step("apt-get update", apt().arg("update"), quarter_hour)?;
    install()
}

fn is_installed(package: &str) -> bool {
    let status =
        run::ask(Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]));
    status.as_deref() == Some("installed")
}

fn has_lists() -> bool {
    Path::new("/var/lib/apt/lists").read_dir().is_ok_and(|list| list.flatten().count() > 2)
}

/// How this user may run apt-get, if at all.
fn apt_get() -> Option<impl Fn() -> Command> {
    let root = run::ask(Command::new("id").arg("-u"))? == "0";
    if !root {
        run::ask(Command::new("sudo").args(["--non-interactive", "true"]))?;
    }
    Some(move || {
        let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
        if !root {
            command.args(["--non-interactive", "apt-get"]);
        }
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    })
}
