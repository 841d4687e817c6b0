//! `cargo xtask test`: formatting, lints, licences, the page, and every test with real clients and a real browser.
//!
//! Contains no test: they lie beside the code they test, and those of the whole in `tests/`.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::page::Build;
use crate::{licences, page, relay, run, setup};

/// The crates whose code strangers' bytes reach in a tab and in a relay: nothing in them may panic.
const SHARED: [&str; 6] =
    ["anatomic-core", "anatomic-wire", "anatomic-engine", "anatomic-mesh", "anatomic-utp", "anatomic-sim"];
/// Lints that are errors in [`SHARED`] and advice elsewhere.
const PANICS: [&str; 4] =
    ["clippy::unwrap_used", "clippy::expect_used", "clippy::indexing_slicing", "clippy::panic"];

/// What came of each step, in order.
struct Summary {
    lines: Vec<(String, Duration, Result<(), String>)>,
}

impl Summary {
    /// Runs a step and notes its result; later steps run even if this one fails.
    fn step(&mut self, name: &str, run: impl FnOnce() -> Result<(), String>) {
        eprintln!("\n== {name}");
        let start = Instant::now();
        let result = run();
        if let Err(why) = &result {
            eprintln!("{why}");
        }
        self.lines.push((name.to_owned(), start.elapsed(), result));
    }

    /// # Errors
    /// If any step failed.
    fn close(self) -> Result<(), String> {
        eprintln!("\n== summary");
        for (name, time, result) in &self.lines {
            let word = if result.is_ok() { "ok" } else { "FAILED" };
            eprintln!("  {word:6} {name} ({})", run::human(*time));
        }
        let failed: Vec<String> =
            self.lines.into_iter().filter(|line| line.2.is_err()).map(|line| line.0).collect();
        if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
    }
}

/// Runs every check and test, or only the tests whose name contains the filter.
///
/// # Errors
/// If anything failed; the summary on stderr says what.
pub(crate) fn test(args: &[String]) -> Result<(), String> {
    let filter = match args {
        [] => None,
        [filter] if !filter.starts_with('-') => Some(filter.as_str()),
        _ => return Err("usage: cargo xtask test [FILTER]".to_owned()),
    };
    let start = Instant::now();
    eprintln!("== setup");
    let tools = setup::build_tools()?;
    let peers = setup::test_peers()?;
    let mut summary = Summary { lines: Vec::new() };
    summary.lines.push(("setup".to_owned(), start.elapsed(), Ok(())));

    if filter.is_none() {
        checks(&mut summary, &tools);
    }
    summary.step("page", || page::page(&tools, Build::Small));
    summary.step("size of the page", page::check_sizes);
    let mut anatomic = None;
    summary.step("relay", || {
        anatomic = Some(relay::build()?);
        Ok(())
    });
    let prepare = |command: &mut Command| {
        if let Some(anatomic) = &anatomic {
            command.env("ANATOMIC_BIN", anatomic);
        }
        peers.tell(command);
    };
    let nextest = run::ask(Command::new("cargo").args(["nextest", "--version"])).is_some();
    if nextest {
        summary.step("tests", || {
            let mut command = cargo("nextest");
            command.args(["run", "--workspace", "--no-fail-fast"]).args(filter);
            if filter.is_some() {
                command.args(["--no-tests", "warn"]);
            }
            prepare(&mut command);
            run::loud(&mut command)
        });
    } else {
        summary.step("tests", || {
            let mut command = cargo("test");
            command
                .args(["--workspace", "--exclude", "anatomic-tests", "--all-targets", "--no-fail-fast"])
                .args(filter);
            prepare(&mut command);
            run::loud(&mut command)
        });
        // One after another: they share this machine's cores with real clients and a browser.
        summary.step("end-to-end tests", || {
            let mut command = cargo("test");
            command
                .args(["--package", "anatomic-tests", "--no-fail-fast"])
                .args(filter)
                .args(["--", "--test-threads=1"]);
            prepare(&mut command);
            run::loud(&mut command)
        });
    }
    if filter.is_none() {
        summary.step("examples in the documentation", || {
            run::loud(cargo("test").arg("--doc").args(SHARED.iter().flat_map(|name| ["--package", name])))
        });
    }
    let result = summary.close();
    eprintln!("{} after {}", if result.is_ok() { "all passed" } else { "done" }, run::human(start.elapsed()));
    result
}

/// Runs every check but no test: what to run before a commit.
///
/// # Errors
/// If any failed; the summary on stderr says which.
pub(crate) fn check(args: &[String]) -> Result<(), String> {
    if !args.is_empty() {
        return Err("usage: cargo xtask check".to_owned());
    }
    let tools = setup::build_tools()?;
    let mut summary = Summary { lines: Vec::new() };
    checks(&mut summary, &tools);
    summary.close()
}

fn checks(summary: &mut Summary, tools: &setup::Tools) {
    summary.step("formatting", || run::loud(cargo("fmt").args(["--all", "--check"])));
    summary.step("licences and sources", licences::check);
    summary.step("lints of shared", clippy_shared);
    summary.step("lints of the rest", clippy_rest);
    summary.step("lints of the page", || clippy_web(tools));
}

fn cargo(subcommand: &str) -> Command {
    let mut command = run::cargo_like("cargo");
    command.arg(subcommand);
    command
}

fn clippy_shared() -> Result<(), String> {
    let packages = SHARED.iter().flat_map(|name| ["--package", name]);
    run::loud(cargo("clippy").args(packages).args(["--all-targets", "--", "-D", "warnings"]))
}

fn clippy_rest() -> Result<(), String> {
    let packages =
        ["anatomic-relay", "anatomic-tests", "xtask"].into_iter().flat_map(|name| ["--package", name]);
    run::loud(cargo("clippy").args(packages).args(["--all-targets", "--no-deps", "--"]).args(lenient()))
}

/// For wasm32 where clippy's compiler has that target, else for this machine.
fn clippy_web(tools: &setup::Tools) -> Result<(), String> {
    let mut command = cargo("clippy");
    command.args(["--package", "anatomic-web", "--no-deps"]);
    if tools.one_compiler() {
        command.args(["--target", "wasm32-unknown-unknown"]);
    }
    run::loud(command.arg("--").args(lenient()))
}

/// Every warning is an error but those on panics, which only the page's own crate or this process would suffer.
fn lenient() -> Vec<&'static str> {
    ["-D", "warnings"].into_iter().chain(PANICS.into_iter().flat_map(|lint| ["-A", lint])).collect()
}
