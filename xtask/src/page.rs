//! Builds the page: two wasm binaries through Trunk, then every file of it compressed, into `dist/`.
//!
//! Serves nothing: the relay does, from what its build script finds in `dist/`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::setup::{self, Tools};
use crate::{paths, run, tree};

/// Files smaller than this are not worth a compressed copy.
const WORTH_COMPRESSING: usize = 256;

/// How small against how soon.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// What people load: the `wasm` profile of `Cargo.toml`.
    Small,
    /// For work on the page: `wasm-quick`, rebuilt sooner, larger.
    Quick,
}

/// `cargo xtask page [--quick]`.
pub(crate) fn command(args: &[String]) -> Result<(), String> {
    let build = match args {
        [] => Build::Small,
        [flag] if flag == "--quick" => Build::Quick,
        _ => return Err("usage: cargo xtask page [--quick]".to_owned()),
    };
    let tools = setup::build_tools()?;
    page(&tools, build)
}

/// Makes `dist/` current. Does nothing if no source of the page has changed since it was made.
pub(crate) fn page(tools: &Tools, build: Build) -> Result<(), String> {
    let stamp = paths::target().join("page.fingerprint");
    let now = fingerprint(tools, build)?;
    let dist = paths::dist();
    if dist.join("index.html").is_file() && fs::read_to_string(&stamp).is_ok_and(|then| then == now) {
        eprintln!("page: current ({})", sizes(&dist));
        return Ok(());
    }
    let start = Instant::now();
    let staged = trunk(tools, build)?;
    check_imports(&staged)?;
    publish(&staged, &dist)?;
    fs::create_dir_all(paths::target())
        .and_then(|()| fs::write(&stamp, now))
        .map_err(|e| format!("cannot write {}: {e}", stamp.display()))?;
    eprintln!("page: built in {} ({})", run::human(start.elapsed()), sizes(&dist));
    Ok(())
}

/// What the page is made from.
fn fingerprint(tools: &Tools, build: Build) -> Result<String, String> {
    let root = paths::root();
    let sources =
        ["web", "shared", "www", "Trunk.toml", "Cargo.toml", "Cargo.lock", ".cargo", "xtask/src/page.rs"];
    let sources: Vec<PathBuf> = sources.iter().map(|name| root.join(name)).collect();
    let with = match build {
        Build::Small => "small",
        Build::Quick => "quick",
    };
    Ok(tree::fingerprint(&sources, &format!("{with} {} {}", root.display(), tools.compiler())))
}

/// Runs Trunk into a folder of its own, so that `dist/` is never half a page.
fn trunk(tools: &Tools, build: Build) -> Result<PathBuf, String> {
    let staged = paths::target().join("page");
    let mut command = run::cargo_like("trunk");
    command.args(["build", "--offline", "--dist"]).arg(&staged);
    command.args(match build {
        Build::Small => ["--cargo-profile", "wasm", "--release"].as_slice(),
        Build::Quick => ["--cargo-profile", "wasm-quick"].as_slice(),
    });
    command.env("CARGO_TARGET_DIR", paths::wasm_target()).env("NO_COLOR", "true");
    tools.for_wasm(&mut command);
    run::step("building the page with Trunk", &mut command, Duration::from_secs(40 * 60))?;
    Ok(staged)
}

/// A wasm file that imports from `env` asks for a C library that no browser has: a dependency slipped in that
/// does not belong in a page. Found here rather than by the first person who opens it.
fn check_imports(staged: &Path) -> Result<(), String> {
    for file in tree::files(staged).iter().filter(|file| file.extension().is_some_and(|e| e == "wasm")) {
        let bytes = fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
        if let Some(name) = crate::wasm::imports(&bytes)?.iter().find(|(module, _)| module == "env") {
            return Err(format!("{} imports `{}` from `env`, which no browser has", file.display(), name.1));
        }
    }
    Ok(())
}

/// Copies what changed from `staged` to `dist`, compressed beside it, and removes what is gone.
fn publish(staged: &Path, dist: &Path) -> Result<(), String> {
    let fail = |what: &Path, e: std::io::Error| format!("cannot write {}: {e}", what.display());
    let mut wanted = Vec::new();
    for file in tree::files(staged) {
        let Ok(name) = file.strip_prefix(staged) else { continue };
        let bytes = fs::read(&file).map_err(|e| fail(&file, e))?;
        let to = dist.join(name);
        let (br, gz) = (with_suffix(&to, ".br"), with_suffix(&to, ".gz"));
        wanted.push(to.clone());
        let compress = bytes.len() >= WORTH_COMPRESSING && !is_compressed_kind(name);
        if compress {
            wanted.extend([br.clone(), gz.clone()]);
        }
        let same =
            fs::read(&to).is_ok_and(|old| old == bytes) && (!compress || (br.is_file() && gz.is_file()));
        if same {
            continue;
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(|e| fail(parent, e))?;
        }
        fs::write(&to, &bytes).map_err(|e| fail(&to, e))?;
        if compress {
            fs::write(&br, brotli_of(&bytes).map_err(|e| fail(&br, e))?).map_err(|e| fail(&br, e))?;
            fs::write(&gz, gzip_of(&bytes).map_err(|e| fail(&gz, e))?).map_err(|e| fail(&gz, e))?;
        }
    }
    for file in tree::files(dist).iter().filter(|file| !wanted.contains(file)) {
        fs::remove_file(file).map_err(|e| fail(file, e))?;
    }
    Ok(())
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Pictures and fonts that are compressed inside.
fn is_compressed_kind(file: &Path) -> bool {
    file.extension()
        .is_some_and(|e| ["png", "jpg", "webp", "woff2", "torrent"].iter().any(|known| e == *known))
}

fn brotli_of(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let params = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 22, ..Default::default() };
    brotli::BrotliCompress(&mut &*bytes, &mut out, &params)?;
    Ok(out)
}

fn gzip_of(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// "transferred with brotli: 271 kB, of it the worker 140 kB (raw 812 kB and 390 kB)".
pub(crate) fn sizes(dist: &Path) -> String {
    let (mut raw, mut small, mut worker_raw, mut worker_small) = (0, 0, 0, 0);
    let length = |file: &Path| fs::metadata(file).map_or(0, |m| m.len());
    for file in tree::files(dist) {
        if file.extension().is_some_and(|e| e == "br" || e == "gz") {
            continue;
        }
        let br = with_suffix(&file, ".br");
        let (size, sent) = (length(&file), if br.is_file() { length(&br) } else { length(&file) });
        raw += size;
        small += sent;
        if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("worker")) {
            worker_raw += size;
            worker_small += sent;
        }
    }
    format!(
        "transferred with brotli: {} kB, of it the worker {} kB; raw {} kB and {} kB",
        small.div_ceil(1000),
        worker_small.div_ceil(1000),
        raw.div_ceil(1000),
        worker_raw.div_ceil(1000)
    )
}
