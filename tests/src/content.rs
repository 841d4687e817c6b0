//! Content to share: made from a seed, the same each time, recognisable, and its digests.
//!
//! Not torrents ([`crate::torrent`]). No file of somebody else's is used.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// One mebibyte.
pub const MIB: u64 = 1 << 20;

/// Stands at the start of every 4 KiB of made content, so that a copy of any page of it is found.
pub const MARKER: &[u8] = b"anatomic end-to-end content";

const PAGE: usize = 4096;

/// The `page`-th 4 KiB of the content of `seed`: the marker, then noise that does not compress.
fn page(seed: u64, page: u64) -> [u8; PAGE] {
    let mut bytes = [0; PAGE];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ page.wrapping_mul(0xd1b5_4a32_d192_ed03);
    for word in bytes.chunks_exact_mut(8) {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    bytes[..MARKER.len()].copy_from_slice(MARKER);
    bytes
}

/// Writes a file of `length` bytes and returns its SHA-256 in hexadecimal.
///
/// # Panics
/// When it cannot be written.
pub fn file(path: &Path, seed: u64, length: u64) -> String {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).expect("the content's folder");
    }
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).expect("a content file"));
    let mut digest = Sha256::new();
    let mut left = length;
    let mut number = 0;
    while left > 0 {
        let bytes = page(seed, number);
        let part = &bytes[..left.min(PAGE as u64) as usize];
        out.write_all(part).expect("space for the content");
        digest.update(part);
        left -= part.len() as u64;
        number += 1;
    }
    out.flush().expect("space for the content");
    hex(&digest.finalize())
}

/// Writes a sparse file of `length` bytes: holes, and a page of content at each of 64 places and at
/// its very end. Returns its SHA-256.
///
/// # Panics
/// When it cannot be written.
pub fn sparse_file(path: &Path, seed: u64, length: u64) -> String {
    let mut out = File::create(path).expect("a content file");
    out.set_len(length).expect("a sparse file");
    for place in 0..64 {
        out.seek(SeekFrom::Start(length / 64 * place)).expect("seek");
        out.write_all(&page(seed, place)).expect("space");
    }
    out.seek(SeekFrom::Start(length - 100)).expect("seek");
    out.write_all(&page(seed, 64)[..100]).expect("space");
    drop(out);
    sha256(path)
}

/// Writes `count` small files (1 to 5,000 bytes) over folders of a hundred each below `dir`.
pub fn small_files(dir: &Path, seed: u64, count: u64) {
    for number in 0..count {
        let path = dir.join(format!("{:02}", number / 100)).join(format!("{number:04}.bin"));
        file(&path, seed.wrapping_add(number), number.wrapping_mul(7919) % 5000 + 1);
    }
}

/// SHA-256 of a file in hexadecimal.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn sha256(path: &Path) -> String {
    let mut file =
        File::open(path).unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).expect("a readable file") {
            0 => return hex(&digest.finalize()),
            read => digest.update(&buffer[..read]),
        }
    }
}

/// SHA-256 of every file below `dir`, by relative path.
#[must_use]
pub fn sha256_tree(dir: &Path) -> BTreeMap<PathBuf, String> {
    files(dir)
        .into_iter()
        .map(|file| {
            let name = file.strip_prefix(dir).expect("below the folder").to_path_buf();
            (name, sha256(&file))
        })
        .collect()
}

/// Files below `dir` that hold a page of made content.
#[must_use]
pub fn files_with_content(dir: &Path) -> Vec<PathBuf> {
    files(dir)
        .into_iter()
        .filter(|file| {
            let bytes = std::fs::read(file).unwrap_or_default();
            bytes.windows(MARKER.len()).any(|window| window == MARKER)
        })
        .collect()
}

/// Bytes of all files below `dir`.
#[must_use]
pub fn size(dir: &Path) -> u64 {
    files(dir).iter().filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
