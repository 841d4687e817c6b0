//! What can go wrong with a disk, in words for the person whose disk it is.
//!
//! Never caused by what peers send: names are made safe before they come here.

use std::io;
use std::path::{Path, PathBuf};

/// A file could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {}", path.display(), words(source))]
pub struct StoreError {
    /// What was tried: `write`, `read`, `create`, …
    pub action: &'static str,
    /// Which file or folder.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl StoreError {
    /// Makes the error of one failed action; for `map_err`.
    pub fn of<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self { action, path: path.to_owned(), source }
    }
}

/// The system's error, and what to do about it.
fn words(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full; free some space, then go on",
        io::ErrorKind::QuotaExceeded => "the disk quota is used up; free some space, then go on",
        io::ErrorKind::FileTooLarge => {
            "this disk, or a limit of this process, does not allow a file that large; choose another folder"
        }
        io::ErrorKind::PermissionDenied => "permission denied; choose a folder you may write to",
        io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only; choose another folder",
        io::ErrorKind::NotFound => "it is not there; was it moved or deleted?",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "a file is in the way of a folder; move it, or choose another folder"
        }
        io::ErrorKind::IsADirectory => "a folder is in the way; move it, or choose another folder",
        io::ErrorKind::InvalidFilename => "this disk does not allow a name that long; choose another folder",
        io::ErrorKind::UnexpectedEof => "it is shorter than it should be; was it changed by another program?",
        _ => return error.to_string(),
    };
    advice.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_with_file_and_advice() {
        let error = StoreError::of("write", Path::new("/d/a.bin"))(io::ErrorKind::StorageFull.into());
        assert_eq!(error.to_string(), "cannot write /d/a.bin: the disk is full; free some space, then go on");
    }
}
