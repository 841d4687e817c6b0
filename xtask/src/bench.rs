//! `cargo xtask bench`: runs the measurements, which are the `bench_*` programs of `tests/`.
//!
//! Measures nothing itself. What each figure means is in BENCHMARKS.md.

use crate::page::Build;
use crate::{page, paths, relay, run, setup};

/// Runs every benchmark, or those whose name contains the first of `args`; the rest goes to the programs.
///
/// # Errors
/// If a build or a benchmark fails, or none has that name.
pub(crate) fn bench(args: &[String]) -> Result<(), String> {
    let (filter, rest) = match args.split_first() {
        Some((name, rest)) if !name.starts_with('-') => (name.as_str(), rest),
        _ => ("", args),
    };
    let all = programs()?;
    let chosen: Vec<&String> = all.iter().filter(|name| name.contains(filter)).collect();
    if chosen.is_empty() {
        return Err(format!("no benchmark is called `{filter}`; there are: {}", all.join(", ")));
    }
    let tools = setup::build_tools()?;
    let peers = setup::test_peers()?;
    page::page(&tools, Build::Small)?;
    let anatomic = relay::build()?;
    let rivals = match chosen.iter().any(|name| name.as_str() == "bench_tracker") {
        true => Some(setup::rival_trackers()?),
        false => None,
    };
    for name in chosen {
        eprintln!("\nbench: {name}");
        let mut command = run::cargo_like("cargo");
        command.args(["run", "--release", "--package", "anatomic-tests", "--example", name, "--"]).args(rest);
        command.env("ANATOMIC_BIN", &anatomic);
        peers.tell(&mut command);
        if let Some(folder) = &rivals {
            command.env("ANATOMIC_TRACKERS", folder);
        }
        run::loud(&mut command)?;
    }
    Ok(())
}

/// The benchmarks are the examples of `tests/` whose name begins with `bench_`.
fn programs() -> Result<Vec<String>, String> {
    let folder = paths::root().join("tests/examples");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return Err(format!("there is no benchmark in {}", folder.display()));
    };
    let names = entries.flatten().filter_map(|entry| {
        let path = entry.path();
        let name = path.file_stem()?.to_str()?.to_owned();
        name.starts_with("bench_").then_some(name)
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}
