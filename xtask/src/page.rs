//! Builds the page: three wasm binaries through Trunk, then every file of it compressed, into `dist/`.
//!
//! Serves nothing: the relay does, from what its build script finds in `dist/`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::setup::{self, Tools};
use crate::sizes::{Sizes, with_suffix};
use crate::{paths, run, shorten, tree};

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
    page(&tools, build)?;
    if build == Build::Small { check_sizes() } else { Ok(()) }
}

/// Makes `dist/` current. Does nothing if no source of the page has changed since it was made.
pub(crate) fn page(tools: &Tools, build: Build) -> Result<(), String> {
    let stamp = paths::target().join("page.fingerprint");
    let now = fingerprint(tools, build)?;
    let dist = paths::dist();
    if dist.join("index.html").is_file() && fs::read_to_string(&stamp).is_ok_and(|then| then == now) {
        eprintln!("page: current ({})", Sizes::of(&dist));
        return Ok(());
    }
    let start = Instant::now();
    let staged = trunk(tools, build)?;
    check_imports(&staged)?;
    if build == Build::Small {
        shorten::leave_out(&staged)?;
        shorten::links(&staged)?;
    }
    name_by_content(&staged)?;
    publish(&staged, &dist)?;
    fs::create_dir_all(paths::target())
        .and_then(|()| fs::write(&stamp, now))
        .map_err(|e| format!("cannot write {}: {e}", stamp.display()))?;
    eprintln!("page: built in {} ({})", run::human(start.elapsed()), Sizes::of(&dist));
    Ok(())
}

/// Whether the page in `dist/` is as small as it was.
///
/// # Errors
/// If it has grown past a bound; the message says which.
pub(crate) fn check_sizes() -> Result<(), String> {
    Sizes::of(&paths::dist()).check()
}

/// What the page is made from.
fn fingerprint(tools: &Tools, build: Build) -> Result<String, String> {
    let root = paths::root();
    let sources = ["web", "shared", "www", "Trunk.toml", "Cargo.toml", "Cargo.lock", ".cargo"];
    let steps = ["xtask/src/page.rs", "xtask/src/shorten.rs", "xtask/src/wasm.rs"];
    let sources: Vec<PathBuf> = sources.iter().chain(&steps).map(|name| root.join(name)).collect();
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

/// The files that are hashed, each with those that name it. An order in which no name is put into a file whose own name
/// is settled.
const NAMED: [(&str, &[&str]); 8] = [
    ("app_bg.wasm", &["app.js", "index.html"]),
    ("app.js", &["index.html"]),
    ("style.css", &["index.html"]),
    ("worker_bg.wasm", &["worker.js", "index.html"]),
    ("worker.js", &["engine.js", "index.html"]),
    ("engine.js", &["index.html"]),
    ("planter_bg.wasm", &["planter.js"]),
    ("planter.js", &["planter_loader.js"]),
];

/// Puts a hash of the content into the names of files: then a browser that has them asks for none of them again.
fn name_by_content(staged: &Path) -> Result<(), String> {
    let fail = |what: &Path, e: std::io::Error| format!("cannot rename {}: {e}", what.display());
    for (name, named_in) in NAMED {
        let from = staged.join(name);
        let hash = tree::fingerprint(std::slice::from_ref(&from), "");
        let hashed = with_hash(name, &hash);
        fs::rename(&from, staged.join(&hashed)).map_err(|e| fail(&from, e))?;
        for file in named_in.iter().map(|file| staged.join(file)) {
            let text = fs::read_to_string(&file).map_err(|e| fail(&file, e))?;
            if !text.contains(name) {
                return Err(format!("{} does not name {name}", file.display()));
            }
            fs::write(&file, text.replace(name, &hashed)).map_err(|e| fail(&file, e))?;
        }
    }
    Ok(())
}

/// `worker_bg.wasm` becomes `worker-HASH_bg.wasm`.
fn with_hash(name: &str, hash: &str) -> String {
    let end = name.find(['_', '.']).unwrap_or(name.len());
    let (stem, rest) = name.split_at(end);
    format!("{stem}-{hash}{rest}")
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

#[cfg(test)]
mod tests {
    use super::with_hash;

    #[test]
    fn the_hash_stands_where_the_relay_looks_for_it() {
        assert_eq!(with_hash("worker_bg.wasm", "0123"), "worker-0123_bg.wasm");
        assert_eq!(with_hash("planter.js", "0123"), "planter-0123.js");
    }
}
