//! The key of this process, made at first start and kept in the data folder.
//!
//! What a key is and signs is `anatomic_mesh`'s; here it is found or made.

use super::files::{self, Access};
use anatomic_core::ids::{from_hex, to_hex};
use anatomic_mesh::Identity;
use std::io;
use std::path::Path;

/// Reads the secret key at `path`, or makes one there; of several processes that do so at once one makes it.
///
/// # Errors
/// When the file is there but is no key (it is never overwritten), or cannot be written.
pub fn load_or_create(path: &Path) -> io::Result<Identity> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path),
        read => read,
    }
}

fn read(path: &Path) -> io::Result<Identity> {
    match std::fs::read_to_string(path) {
        Ok(text) => from_hex(text.trim()).map(Identity::from_seed).ok_or_else(|| {
            let reason =
                format!("{} holds no key; restore it, or remove it to get a new one", path.display());
            io::Error::new(io::ErrorKind::InvalidData, reason)
        }),
        Err(error) => Err(error),
    }
}

fn create(path: &Path) -> io::Result<Identity> {
    let (mut seed, mut name) = ([0; 32], [0; 8]);
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    getrandom::fill(&mut name).map_err(io::Error::other)?;
    let draft = path.with_extension(to_hex(&name));
    files::write(&draft, format!("{}\n", to_hex(&seed)).as_bytes(), Access::Secret)?;
    // A link, unlike a renamed file, never takes the place of what another process put there meanwhile.
    let linked = match std::fs::hard_link(&draft, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // A file system without links.
        Err(_) => std::fs::rename(&draft, path),
    };
    let _ = std::fs::remove_file(&draft);
    linked?;
    if let Some(folder) = path.parent().and_then(|folder| std::fs::File::open(folder).ok()) {
        folder.sync_all()?;
    }
    read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_start_at_once_make_one_key() {
        let folder = std::env::temp_dir().join(format!("anatomic-identities-{}", std::process::id()));
        let path = folder.join("key");
        let make = || load_or_create(&path).unwrap().key();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == make()), "{keys:?}");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "and leave nothing else");
        std::fs::remove_dir_all(folder).unwrap();
    }

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
