//! Processes whose wall clock is wrong: by libfaketime, under the program and all that it is built of.
//!
//! Monotonic clocks stay right, as they do on a machine whose clock is set wrong.

use crate::programs;
use std::path::{Path, PathBuf};

/// The environment of a process whose clock is wrong by so much: `+1h`, `-1h`.
///
/// # Panics
/// When libfaketime is not installed.
#[must_use]
pub fn wrong(by: &str) -> Vec<(String, String)> {
    let pairs = [
        ("LD_PRELOAD", library().display().to_string()),
        ("FAKETIME", by.to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// libfaketime for programs of several threads, of Debian's package or of the system's library folder.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|folder| folder.path());
    let all = folders.chain([Path::new("/usr/lib").to_path_buf(), Path::new("/usr/lib64").to_path_buf()]);
    let mut files = all.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    files.find(|file| file.is_file()).unwrap_or_else(|| {
        panic!("libfaketime is missing: this test needs it; install it with `{}`", programs::SETUP)
    })
}
