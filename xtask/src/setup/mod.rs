//! Brings every tool that a build or a test needs, once a machine.
//!
//! Looks before it installs, keeps what it installs in the cache of [`paths::cache`], and says what it does.
//! Versions are not chosen here: see [`crate::versions`].

mod cargo_tools;
mod peers;
mod system;
mod trackers;
mod wasm_target;

use std::ffi::OsString;
use std::fs;
use std::process::Command;
use std::time::Instant;

pub(crate) use peers::TestPeers;
use wasm_target::WasmCompiler;

use crate::{paths, run, versions};

/// What a build of the page needs, found or installed.
pub(crate) struct Tools {
    /// PATH with the tools of the cache first.
    path: OsString,
    compiler: WasmCompiler,
}

impl Tools {
    /// Makes `command` (cargo or Trunk) find the tools and compile for wasm32 with a compiler that has the target.
    pub(crate) fn for_wasm(&self, command: &mut Command) {
        command.env("PATH", &self.path);
        self.compiler.apply(command);
    }

    /// Which compiler it is, in words.
    pub(crate) fn compiler(&self) -> String {
        self.compiler.to_string()
    }

    /// Whether the compiler for wasm is the one that also builds for this machine, so that its clippy fits.
    pub(crate) fn one_compiler(&self) -> bool {
        matches!(self.compiler, WasmCompiler::Ordinary)
    }
}

/// `cargo xtask setup [--test] [--fresh]`.
pub(crate) fn command(args: &[String]) -> Result<(), String> {
    if let Some(unknown) = args.iter().find(|arg| !["--test", "--fresh"].contains(&arg.as_str())) {
        return Err(format!("`setup` knows no `{unknown}`; usage: cargo xtask setup [--test] [--fresh]"));
    }
    let start = Instant::now();
    if args.iter().any(|arg| arg == "--fresh") {
        let cache = paths::cache();
        eprintln!("setup: removing {}", cache.display());
        match fs::remove_dir_all(&cache) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(format!("cannot remove {}: {e}", cache.display())),
        }
    }
    let tools = build_tools()?;
    eprintln!("  wasm32 compiler: {}", tools.compiler);
    if args.iter().any(|arg| arg == "--test") {
        let peers = test_peers()?;
        eprintln!("  browser: {}", peers.chromium.display());
        eprintln!("  test peers: {}", peers.folder.display());
    }
    eprintln!("setup: done in {}", run::human(start.elapsed()));
    Ok(())
}

/// The wasm32 target, Trunk and wasm-bindgen.
///
/// Not wasm-opt: after `opt-level = "z"` with link-time optimisation it takes 9 % off the files but 1.5 % off
/// what is transferred, for one more tool to bring.
pub(crate) fn build_tools() -> Result<Tools, String> {
    let compiler = wasm_target::find_or_install()?;
    let bindgen = cargo_tools::find_or_install(&cargo_tools::wasm_bindgen(&versions::wasm_bindgen()?))?;
    let trunk = cargo_tools::find_or_install(&cargo_tools::trunk())?;
    let folders = [trunk, bindgen].into_iter().flatten();
    let old = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(folders.chain(std::env::split_paths(&old)))
        .map_err(|e| format!("PATH cannot be extended: {e}"))?;
    Ok(Tools { path, compiler })
}

/// The trackers that ours is measured beside: the folder of aquatic's programs.
pub(crate) fn rival_trackers() -> Result<std::path::PathBuf, String> {
    trackers::find_or_install()
}

/// The real clients, the reference trackers and the browser that the tests run against.
pub(crate) fn test_peers() -> Result<TestPeers, String> {
    peers::find_or_install()
}
