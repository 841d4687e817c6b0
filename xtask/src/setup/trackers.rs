//! The trackers that ours is measured beside, with their load generators: aquatic from crates.io, opentracker from Debian.
//!
//! Only `cargo xtask bench tracker` needs them; what cannot be had is left out there.

use super::system;
use crate::{paths, run, versions};
use std::path::PathBuf;
use std::time::Duration;

/// aquatic's programs.
const PROGRAMS: [&str; 6] = [
    "aquatic_udp",
    "aquatic_udp_load_test",
    "aquatic_http",
    "aquatic_http_load_test",
    "aquatic_ws",
    "aquatic_ws_load_test",
];

/// Looks for every tracker and installs what is absent; returns the folder of aquatic's.
///
/// # Errors
/// If this machine has no folder for them.
pub(crate) fn find_or_install() -> Result<PathBuf, String> {
    let folder = paths::cache().join("trackers");
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    if paths::which("opentracker").is_none() {
        left_out("opentracker", system::install("a tracker to measure beside", &["opentracker"]));
    }
    let missing: Vec<&str> =
        PROGRAMS.iter().copied().filter(|name| !folder.join("bin").join(name).is_file()).collect();
    if !missing.is_empty() && paths::which("cmake").is_none() {
        left_out("cmake", system::install("what builds aquatic's allocator", &["cmake"]));
    }
    let version = versions::AQUATIC;
    let build = paths::cache().join("build/trackers");
    for name in &missing {
        let mut command = run::cargo_like("cargo");
        command.args(["install", name, "--version", version, "--root"]).arg(&folder);
        command.current_dir(std::env::temp_dir()).env("CARGO_TARGET_DIR", &build);
        command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        let what = format!("building {name} {version} from source (some minutes, once a machine)");
        left_out(name, run::step(&what, &mut command, Duration::from_secs(30 * 60)));
    }
    let _ = std::fs::remove_dir_all(&build);
    Ok(folder)
}

fn left_out(name: &str, installed: Result<(), String>) {
    if let Err(reason) = installed {
        eprintln!("  {name} is left out: {reason}");
    }
}
