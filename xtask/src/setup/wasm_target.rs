//! A compiler for wasm32-unknown-unknown: rustup's, or one built from Debian's sources.
//!
//! Never changes what builds for this machine, and writes nothing outside the cache (Debian's packages aside).

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::system;
use crate::{paths, run};

const TARGET: &str = "wasm32-unknown-unknown";
/// Debian's compiler, its standard library's source, and a linker for wasm.
const PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "lld-19"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LINKER: &str = "wasm-ld-19";
/// The oldest compiler that builds this workspace (`rust-version` in `Cargo.toml`).
const OLDEST_MINOR: u32 = 95;
/// A rustup that cannot download gives up within this time or is given up on.
const RUSTUP_PATIENCE: Duration = Duration::from_secs(120);

/// Which compiler builds the page.
pub(crate) enum WasmCompiler {
    /// The one that cargo uses anyhow has the target.
    Ordinary,
    /// Debian's, with the target's standard library in the cache.
    Debian { sysroot: PathBuf },
}

impl WasmCompiler {
    /// Makes a cargo (or Trunk) command compile with it.
    pub(crate) fn apply(&self, command: &mut Command) {
        let Self::Debian { sysroot } = self else { return };
        command.env("RUSTC", DEBIAN_RUSTC).env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", DEBIAN_LINKER);
        command
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", format!("--sysroot={}", sysroot.display()));
        command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    }
}

impl fmt::Display for WasmCompiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ordinary => write!(f, "the ordinary one has {TARGET}"),
            Self::Debian { sysroot } => write!(f, "{DEBIAN_RUSTC} with {}", sysroot.display()),
        }
    }
}

/// Looks for the target, asks rustup for it, or builds it. `ANATOMIC_WASM=debian` goes straight to the last.
///
/// # Errors
/// If none of the three works here; the message says what to install.
pub(crate) fn find_or_install() -> Result<WasmCompiler, String> {
    let forced = std::env::var_os("ANATOMIC_WASM").is_some_and(|v| v == "debian");
    if !forced {
        if ordinary_has_target() {
            return Ok(WasmCompiler::Ordinary);
        }
        if let Some(sysroot) = cached() {
            return Ok(WasmCompiler::Debian { sysroot });
        }
        if paths::which("rustup").is_some() {
            let mut add = Command::new("rustup");
            add.args(["target", "add", TARGET]).env("RUSTUP_MAX_RETRIES", "1");
            match run::step("rustup target add wasm32-unknown-unknown", &mut add, RUSTUP_PATIENCE) {
                Ok(()) if ordinary_has_target() => return Ok(WasmCompiler::Ordinary),
                Ok(()) => eprintln!("  rustup added it to another toolchain than the one in use"),
                Err(_) => eprintln!("  rustup cannot download here; trying Debian's compiler"),
            }
        }
    }
    if let Some(sysroot) = cached() {
        return Ok(WasmCompiler::Debian { sysroot });
    }
    build().map(|sysroot| WasmCompiler::Debian { sysroot }).map_err(|why| {
        format!(
            "no compiler for {TARGET}: {why}\nEither `rustup target add {TARGET}`, or on Debian `apt-get install {}`",
            PACKAGES.join(" ")
        )
    })
}

fn ordinary_has_target() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let folder = run::ask(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]));
    folder.is_some_and(|folder| has_std(Path::new(&folder)))
}

fn has_std(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

/// The standard library of one compiler fits no other, so the folder carries the compiler's version.
fn sysroot() -> Option<PathBuf> {
    let version = run::ask(Command::new(DEBIAN_RUSTC).arg("--version"))?;
    let number = version.split_whitespace().nth(1)?;
    let minor: u32 = number.split('.').nth(1)?.parse().ok()?;
    (minor >= OLDEST_MINOR).then(|| paths::cache().join(format!("wasm-std-{number}")))
}

fn libraries(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib").join(TARGET).join("lib")
}

fn cached() -> Option<PathBuf> {
    sysroot().filter(|sysroot| has_std(&libraries(sysroot)) && paths::which(DEBIAN_LINKER).is_some())
}

/// Compiles the standard library for wasm32 with Debian's compiler and source.
fn build() -> Result<PathBuf, String> {
    system::install("a compiler that can build for wasm32", &PACKAGES)?;
    let sysroot =
        sysroot().ok_or_else(|| format!("{DEBIAN_RUSTC} is absent or older than 1.{OLDEST_MINOR}"))?;
    let fail = |what: &Path, e: std::io::Error| format!("cannot write {}: {e}", what.display());
    let empty = paths::cache().join("build/wasm-std");
    let source = empty.join("src");
    fs::create_dir_all(&source).map_err(|e| fail(&source, e))?;
    let manifest = "[package]\nname = \"nothing\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(empty.join("Cargo.toml"), manifest).map_err(|e| fail(&empty, e))?;
    fs::write(source.join("lib.rs"), "").map_err(|e| fail(&source, e))?;
    let mut command = run::cargo_like("cargo");
    command.current_dir(&empty).args([
        "build",
        "--release",
        "-Zbuild-std=std,panic_abort",
        "--target",
        TARGET,
    ]);
    command
        .env("RUSTC", DEBIAN_RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", empty.join("target"));
    // Without bitcode a build with link-time optimisation cannot use these libraries.
    command.env("RUSTFLAGS", "-Cembed-bitcode=yes").env_remove("RUSTC_WRAPPER");
    command.env_remove("CARGO_ENCODED_RUSTFLAGS");
    let what = "building Rust's standard library for wasm32 (about a minute, once a machine)";
    run::step(what, &mut command, Duration::from_secs(20 * 60))?;
    let built = empty.join("target").join(TARGET).join("release/deps");
    let unfinished = sysroot.with_extension("unfinished");
    let into = libraries(&unfinished);
    let _ = fs::remove_dir_all(&unfinished);
    fs::create_dir_all(&into).map_err(|e| fail(&into, e))?;
    for entry in fs::read_dir(&built).map_err(|e| fail(&built, e))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("lib") && name.ends_with(".rlib") && !name.starts_with("libnothing") {
            let to = into.join(&name);
            fs::copy(entry.path(), &to).map_err(|e| fail(&to, e))?;
        }
    }
    let _ = fs::remove_dir_all(&sysroot);
    fs::rename(&unfinished, &sysroot).map_err(|e| fail(&sysroot, e))?;
    let _ = fs::remove_dir_all(&empty);
    // What another standard library compiled against is unusable from here on.
    let _ = fs::remove_dir_all(paths::wasm_target());
    Ok(sysroot)
}
