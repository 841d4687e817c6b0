//! Where things are: the project, its build output, and the cache that outlives `target/`.
//!
//! Creates nothing; who writes somewhere makes the folder.

use std::path::PathBuf;

/// The project's top folder.
pub(crate) fn root() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().map_or(xtask.clone(), PathBuf::from)
}

/// Where cargo builds for this machine (`CARGO_TARGET_DIR` is honoured).
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Where cargo builds for the browser: apart, because its compiler may be another one.
pub(crate) fn wasm_target() -> PathBuf {
    target().join("wasm")
}

/// The finished page, each file also as `.br` and `.gz`; `relay/build.rs` embeds it.
pub(crate) fn dist() -> PathBuf {
    root().join("dist")
}

/// Tools and test peers, kept a user: `$ANATOMIC_CACHE`, `$XDG_CACHE_HOME/anatomic` or `~/.cache/anatomic`.
pub(crate) fn cache() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(dir) = from("ANATOMIC_CACHE") {
        return dir;
    }
    let base = from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")));
    base.map_or_else(|| target().join("cache"), |base| base.join("anatomic"))
}

/// The test peers from npm and PyPI.
pub(crate) fn peers() -> PathBuf {
    cache().join("peers")
}

/// An executable on PATH.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}
