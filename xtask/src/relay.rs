//! Builds the relay, the binary `anatomic`, with whatever page lies in `dist/` inside it.
//!
//! Runs nothing.

use std::path::PathBuf;

use crate::{paths, run};

/// Builds `anatomic` optimised and returns its place.
///
/// # Errors
/// If cargo fails; its messages are on the terminal.
pub(crate) fn build() -> Result<PathBuf, String> {
    eprintln!("relay: cargo build --release (a few minutes the first time)");
    let mut command = run::cargo_like("cargo");
    command.args(["build", "--release", "--package", "anatomic-relay"]);
    run::loud(&mut command)?;
    Ok(paths::target().join("release").join(format!("anatomic{}", std::env::consts::EXE_SUFFIX)))
}
