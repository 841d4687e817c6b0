//! The key of this process, made at first start and kept in the data folder.
//!
//! What a key is and signs is `anatomic_mesh`'s; here it is found or made.

use super::files::{self, Access};
use anatomic_core::ids::{from_hex, to_hex};
use anatomic_mesh::Identity;
use std::io;
use std::path::Path;

/// Reads the secret key at `path`, or makes one there.
///
/// # Errors
/// When the file is there but is no key (it is never overwritten), or cannot be written.
pub fn load_or_create(path: &Path) -> io::Result<Identity> {
    match std::fs::read_to_string(path) {
        Ok(text) => from_hex(text.trim()).map(Identity::from_seed).ok_or_else(|| {
            let reason =
                format!("{} holds no key; restore it, or remove it to get a new one", path.display());
            io::Error::new(io::ErrorKind::InvalidData, reason)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(io::Error::other)?;
            files::write(path, format!("{}\n", to_hex(&seed)).as_bytes(), Access::Secret)?;
            Ok(Identity::from_seed(seed))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_the_same_and_a_damaged_one_is_not_overwritten() {
        let folder = std::env::temp_dir().join(format!("anatomic-identity-{}", std::process::id()));
        let path = folder.join("key");
        let first = load_or_create(&path).unwrap().key();
        assert_eq!(load_or_create(&path).unwrap().key(), first);
        std::fs::write(&path, "broken").unwrap();
        assert!(load_or_create(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"broken");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
