//! Command-line tools that cargo builds from source: Trunk and wasm-bindgen.
//!
//! Each lies in a folder named for its version, so an update never meets a half-replaced tool.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::{paths, run, versions};

/// One tool to be had by `cargo install`.
pub(crate) struct CargoTool {
    package: &'static str,
    binary: &'static str,
    version: String,
    options: &'static [&'static str],
}

/// Bundles the page. Without its default features it has no TLS, which it needs only to download tools that we
/// bring ourselves.
pub(crate) fn trunk() -> CargoTool {
    let options = ["--locked", "--no-default-features"].as_slice();
    CargoTool { package: "trunk", binary: "trunk", version: versions::TRUNK.to_owned(), options }
}

/// Writes the JavaScript beside each wasm file. Not `--locked`: the lock file of 0.2.130 names a version that
/// was withdrawn.
pub(crate) fn wasm_bindgen(version: &str) -> CargoTool {
    CargoTool {
        package: "wasm-bindgen-cli",
        binary: "wasm-bindgen",
        version: version.to_owned(),
        options: &[],
    }
}

/// Finds the tool on PATH in just this version, or in the cache, or builds it into the cache.
///
/// Returns the folder to put on PATH, or `None` if it is there already.
///
/// # Errors
/// If it cannot be built.
pub(crate) fn find_or_install(tool: &CargoTool) -> Result<Option<PathBuf>, String> {
    let CargoTool { package, binary, version, options } = tool;
    let says = run::ask(Command::new(binary).arg("--version"));
    if says.is_some_and(|says| says.split_whitespace().nth(1) == Some(version.as_str())) {
        return Ok(None);
    }
    let home = paths::cache().join(format!("{package}-{version}"));
    let folder = home.join("bin");
    if folder.join(binary).is_file() {
        return Ok(Some(folder));
    }
    // Kept until the tool is built, so that an interrupted set-up goes on where it was.
    let build = paths::cache().join("build").join(package);
    let mut command = run::cargo_like("cargo");
    command.args(["install", package, "--version", version, "--root"]).arg(&home).args(*options);
    command.current_dir(std::env::temp_dir()).env("CARGO_TARGET_DIR", &build);
    // Tools that run for a second each are built quickly rather than for speed: Trunk's own profile asks for
    // whole-program optimisation, which takes longer than everything else that the set-up does.
    command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").env("CARGO_PROFILE_RELEASE_LTO", "off");
    command.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16").env("CARGO_INCREMENTAL", "0");
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let what = format!("building {package} {version} from source (some minutes, once a machine)");
    run::step(&what, &mut command, Duration::from_secs(45 * 60))?;
    let _ = fs::remove_dir_all(&build);
    Ok(Some(folder))
}
