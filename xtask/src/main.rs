//! `cargo xtask`: sets up tools, builds the page and the relay, runs them, tests them, measures them.
//!
//! Nothing of the product lives here; a person who has the built `anatomic` never needs this.

mod bench;
mod licences;
mod page;
mod paths;
mod relay;
mod run;
mod setup;
mod shorten;
mod sizes;
mod test;
mod tree;
mod up;
mod versions;
mod wasm;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask COMMAND

  up [ARGS]               build what is missing, then run node, supernode and page (`anatomic up ARGS`)
  test [FILTER]           every check and test, real clients and a real browser included
  check                   only the checks: formatting, licences, lints
  bench [NAME] [ARGS]     the measurements of BENCHMARKS.md, or those whose name contains NAME
  page [--quick]          only build the page into dist/ (--quick: faster to build, larger to load)
  setup [--test] [--fresh]
                          only bring the tools (--test: also the clients and the browser that the tests
                          run against; --fresh: forget what was brought before)
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", args.as_slice()),
    };
    let done = match command {
        "up" => up::up(rest),
        "test" => test::test(rest),
        "check" => test::check(rest),
        "bench" => bench::bench(rest),
        "page" => page::command(rest),
        "setup" => setup::command(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        other => Err(format!("there is no command `{other}`\n\n{USAGE}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("\nxtask: {why}");
            ExitCode::FAILURE
        }
    }
}
