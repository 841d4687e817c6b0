//! Where the programs are that the tests run.
//!
//! Installs nothing: a missing program fails the test with the command that installs it.

use std::path::{Path, PathBuf};

/// The command that installs every program the tests need.
pub const SETUP: &str = "cargo xtask setup --test";

/// The folder of the workspace (above `tests/`).
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests' folder has a parent").to_path_buf()
}

/// The workspace's build folder: `$CARGO_TARGET_DIR`, else `target/`.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// The first of `names` that is on `PATH`.
///
/// # Panics
/// When none is: says how to install it.
#[must_use]
pub fn on_path(names: &[&str]) -> PathBuf {
    find_on_path(names).unwrap_or_else(|| {
        panic!("none of {names:?} is on PATH: this test needs it; install it with `{SETUP}`")
    })
}

fn find_on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    names
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |dir| dir.join(name)))
        .find(|file| file.is_file())
}

/// The binary under test: `$ANATOMIC_BIN`, else the younger of `target/release/anatomic` and
/// `target/debug/anatomic`.
///
/// # Panics
/// When there is none: says how to build it.
#[must_use]
pub fn anatomic() -> PathBuf {
    if let Some(file) = std::env::var_os("ANATOMIC_BIN") {
        let file = PathBuf::from(file);
        assert!(file.is_file(), "ANATOMIC_BIN={} is no file", file.display());
        return file;
    }
    ["release", "debug"]
        .iter()
        .map(|profile| target().join(profile).join("anatomic"))
        .filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file)))
        .max()
        .map(|(_, file)| file)
        .unwrap_or_else(|| {
            panic!(
                "the binary under test is missing: build it and its page with `cargo xtask build`, \
                 or `cargo build -p anatomic-relay`, or name it in ANATOMIC_BIN"
            )
        })
}

/// The browser: `$ANATOMIC_CHROMIUM`, else Chromium from `PATH`.
#[must_use]
pub fn chromium() -> PathBuf {
    std::env::var_os("ANATOMIC_CHROMIUM").map_or_else(
        || on_path(&["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"]),
        PathBuf::from,
    )
}

/// The folder of the peer programs that no package manager of the system has: `$ANATOMIC_PEERS`,
/// else `~/.cache/anatomic/peers`, with `node_modules/` (WebTorrent, bittorrent-tracker) and
/// `venv/` (libtorrent).
#[must_use]
pub fn peers() -> PathBuf {
    std::env::var_os("ANATOMIC_PEERS").map_or_else(
        || {
            let home = std::env::var_os("HOME").expect("HOME is set");
            PathBuf::from(home).join(".cache/anatomic/peers")
        },
        PathBuf::from,
    )
}

/// A file below [`peers`].
///
/// # Panics
/// When it is missing: says how to install it.
#[must_use]
pub fn peer_file(path: &str) -> PathBuf {
    let file = peers().join(path);
    assert!(file.exists(), "{} is missing: this test needs it; install it with `{SETUP}`", file.display());
    file
}

/// A script of ours that drives a peer program (`tests/peers/`).
#[must_use]
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}
