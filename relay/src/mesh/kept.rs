//! The sisters' receipts in the data folder: after a restart the mesh comes together again though every supernode were dead.
//!
//! Losing the file loses nothing that supernodes and sisters could not tell.

use crate::node::files::{self, Access};
use anatomic_mesh::{Receipt, Signed};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use tracing::warn;

/// Longest file that is read, in bytes.
const MAX_LENGTH: u64 = 64 * 1024 * 1024;

/// What the file holds; what does not hold water is left out.
pub(super) fn read(path: &Path) -> Vec<Signed<Receipt>> {
    if std::fs::metadata(path).is_ok_and(|found| found.len() > MAX_LENGTH) {
        warn!(file = %path.display(), "the sisters' receipts are too long to be read");
        return Vec::new();
    }
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Writes the file: a receipt a line, in hexadecimal digits.
pub(super) fn write(path: &Path, receipts: &HashSet<Vec<u8>>) {
    let mut lines: Vec<String> = receipts.iter().map(|receipt| anatomic_core::ids::to_hex(receipt)).collect();
    lines.sort();
    lines.push(String::new());
    if let Err(error) = files::write(path, lines.join("\n").as_bytes(), Access::Default) {
        warn!(file = %path.display(), %error, "the sisters' receipts could not be kept");
    }
}

/// The same for the same receipts, within one process.
pub(super) fn fingerprint(receipts: &HashSet<Vec<u8>>) -> u64 {
    let one = |receipt: &Vec<u8>| {
        let mut hasher = DefaultHasher::new();
        receipt.hash(&mut hasher);
        hasher.finish()
    };
    receipts.iter().map(one).fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anatomic_core::InfoHash;
    use anatomic_mesh::{Identity, Listing, UnixTime};

    #[test]
    fn receipts_are_read_back_and_damaged_lines_left_out() {
        let node = Identity::from_seed([1; 32]);
        let receipt = Receipt {
            info_hash: InfoHash([1; 20]),
            info_hash_v2: None,
            node: node.key(),
            url: "http://n.example".into(),
            planter: node.key(),
            sisters: vec![],
            listing: Listing::Listed,
            issued: UnixTime(1),
            claimed: None,
            expires: UnixTime(2),
        };
        let receipt = Signed::new(receipt, &node).unwrap();
        let folder = std::env::temp_dir().join(format!("anatomic-sisters-{}", std::process::id()));
        let path = folder.join("sisters");
        assert!(read(&path).is_empty());
        write(&path, &HashSet::from([receipt.as_bytes().to_vec(), b"no receipt".to_vec()]));
        assert_eq!(read(&path), [receipt]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
