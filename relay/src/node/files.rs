//! Small files of the data folder, written whole or not at all.
//!
//! Not for torrents' contents.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Whoever the system lets.
    Default,
    /// Its owner alone.
    Secret,
}

/// Writes `bytes` so that after a crash at any moment the old content is there or the new one.
///
/// # Errors
/// When the disk does not take it; the old content is untouched then.
pub fn write(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    write_by(path, access, |file| file.write_all(bytes))
}

/// As [`write`], what is written coming from `content` piece by piece.
///
/// # Errors
/// When the disk does not take it, or `content` fails; the old content is untouched then.
pub fn write_by(
    path: &Path,
    access: Access,
    content: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    // The parent of a bare name is the empty path, which cannot be opened.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // Another process of the same folder must not write into the same temporary file.
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = folder.join(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    if access == Access::Secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let written = (|| {
        let mut file = options.open(&temporary)?;
        content(&mut file)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // The rename itself reaches the disk with the folder.
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Where data are kept unless somebody says otherwise.
///
/// # Errors
/// When the system names no home.
pub fn default_folder() -> io::Result<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("XDG_DATA_HOME")
        .or_else(|| named("HOME").map(|home| home.join(".local/share")))
        .or_else(|| named("LOCALAPPDATA"))
        .map(|folder| folder.join("anatomic"))
        .ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "no home folder is known; name one with --data DIR")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_behind() {
        let folder = std::env::temp_dir().join(format!("anatomic-files-{}", std::process::id()));
        let path = folder.join("a/key");
        write(&path, b"one", Access::Secret).unwrap();
        write(&path, b"two", Access::Secret).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.join("a")).unwrap().count(), 1);
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777,
            0o600
        );
        fs::remove_dir_all(folder).unwrap();
    }
}
