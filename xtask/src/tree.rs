//! Folders as values: every file below one, and one number that changes when any of them does.
//!
//! Not a build system: cargo decides what to compile; this only spares a Trunk run that would change nothing.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// Every file at or below `path`, sorted; nothing if it does not exist.
pub(crate) fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(path, &mut found);
    found.sort();
    found
}

fn collect(path: &Path, into: &mut Vec<PathBuf>) {
    if path.is_file() {
        into.push(path.to_owned());
    } else if let Ok(entries) = fs::read_dir(path) {
        for entry in entries.flatten() {
            collect(&entry.path(), into);
        }
    }
}

/// A number for the names and contents of everything at or below `paths`, and for `also`.
pub(crate) fn fingerprint(paths: &[PathBuf], also: &str) -> String {
    let mut hasher = DefaultHasher::new();
    also.hash(&mut hasher);
    for file in paths.iter().flat_map(|path| files(path)) {
        file.hash(&mut hasher);
        fs::read(&file).unwrap_or_default().hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}
