//! Torrents made by a classic program, so that none of our own code vouches for itself.
//!
//! Not for reading metainfo: that is `anatomic-core`, which tests check from the outside.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs;

/// A `.torrent` file.
#[derive(Debug, Clone)]
pub struct Torrent {
    /// Where it is.
    pub path: PathBuf,
    /// v1 info-hash, 40 lower-case hexadecimal digits.
    pub info_hash: String,
}

/// Makes a torrent of `content` (a file or a folder) with transmission-create, which knows no
/// WebSocket trackers.
///
/// # Panics
/// When that program is missing or refuses.
pub fn make(content: &Path, path: &Path, trackers: &[&str], piece_kib: u32) -> Torrent {
    let mut command = Command::new(programs::on_path(&["transmission-create"]));
    command.arg("-o").arg(path).arg("-s").arg(piece_kib.to_string());
    for tracker in trackers {
        command.arg("-t").arg(tracker);
    }
    let output = command.arg(content).output().expect("transmission-create runs");
    assert!(
        output.status.success() && path.exists(),
        "transmission-create {}: {}{}",
        content.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    open(path)
}

/// Reads the info-hash of a torrent with transmission-show.
///
/// # Panics
/// When that program is missing or takes the file for no torrent.
pub fn open(path: &Path) -> Torrent {
    let output = Command::new(programs::on_path(&["transmission-show"]))
        .arg(path)
        .output()
        .expect("transmission-show runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let info_hash = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Hash: "))
        .unwrap_or_else(|| panic!("transmission-show {}: {text}", path.display()))
        .to_owned();
    Torrent { path: path.to_path_buf(), info_hash }
}

/// The magnet inside a planted link: what any client takes.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn magnet_of(link: &str) -> &str {
    let at = link.find("magnet:").unwrap_or_else(|| panic!("no magnet in the link {link}"));
    &link[at..]
}

/// The v1 info-hash in a magnet or planted link.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn info_hash_of(link: &str) -> String {
    let magnet = magnet_of(link);
    let at = magnet.find("urn:btih:").unwrap_or_else(|| panic!("no v1 info-hash in {link}")) + 9;
    magnet[at..].chars().take(40).collect::<String>().to_lowercase()
}
