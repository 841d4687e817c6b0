//! Puts the page into the binary: lists the files of `../dist` as a table that `src/http/page.rs` includes.
//!
//! Builds no page; `cargo xtask page` does. Without one the table is empty and the relay builds all the same.

// A build script that fails must say so by panicking; strangers' bytes never come here.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};

fn main() {
    let relay = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets this"));
    let dist = relay.join("../dist");
    // Cargo asks again at every build for a path that does not exist: an empty folder spares that.
    let _ = fs::create_dir_all(&dist);
    println!("cargo:rerun-if-changed={}", dist.display());
    println!("cargo:rerun-if-changed=build.rs");
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        collect(&dist, &mut files);
    }
    files.sort();
    // An expression of type `&[File]`; `File` is where it is included.
    let mut table = String::from("&[\n");
    for file in files.iter().filter(|file| !has_extension(file, &["br", "gz"])) {
        let bytes = fs::read(file).expect("dist/ is readable");
        let name =
            file.strip_prefix(&dist).expect("collected below it").to_str().expect("file names are UTF-8");
        let etag: String = Sha1::digest(&bytes).iter().take(10).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let _ = writeln!(
            table,
            "    File {{ path: {:?}, content_type: {:?}, etag: {etag:?}, immutable: {}, bytes: include_bytes!({:?}), \
             br: {}, gz: {} }},",
            format!("/{}", name.replace('\\', "/")),
            content_type(file),
            is_hashed(file),
            absolute(file),
            compressed(file, "br"),
            compressed(file, "gz"),
        );
    }
    table.push_str("]\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets this")).join("page.rs");
    fs::write(out, table).expect("OUT_DIR is writable");
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("dist/ is readable") {
        let path = entry.expect("dist/ is readable").path();
        if path.is_dir() {
            collect(&path, into);
        } else {
            into.push(path);
        }
    }
}

fn has_extension(file: &Path, any_of: &[&str]) -> bool {
    file.extension().is_some_and(|e| any_of.iter().any(|known| e == *known))
}

fn absolute(file: &Path) -> String {
    fs::canonicalize(file).expect("it exists").to_str().expect("paths are UTF-8").to_owned()
}

/// The compressed copy beside `file`, as an expression.
fn compressed(file: &Path, suffix: &str) -> String {
    let copy = PathBuf::from(format!("{}.{suffix}", file.display()));
    if copy.is_file() { format!("Some(include_bytes!({:?}))", absolute(&copy)) } else { "None".to_owned() }
}

/// Trunk writes a hash of the content into the name: such a file never changes, so browsers may keep it for good.
fn is_hashed(file: &Path) -> bool {
    let stem = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((_, after)) = stem.rsplit_once('-') else { return false };
    let hash = after.split(['.', '_']).next().unwrap_or_default();
    hash.len() >= 14 && hash.bytes().all(|b| b.is_ascii_hexdigit())
}

fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|e| e.to_str()).unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "wasm" => "application/wasm",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
