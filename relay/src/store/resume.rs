//! What a torrent's state on a disk is kept in, so that a restart need not hash everything again.
//!
//! What the state itself says is the engine's; here it is wrapped with what decides whether it may be believed, and
//! written so that a crash leaves the old one or the new one.
//!
//! A process that is killed loses no written byte, since the system holds them; a machine that loses power may. So a
//! record that was not closed properly is believed only in the same boot of the same machine.

use super::{Files, Stamp, StoreError};
use anatomic_core::{Bitfield, FileIndex, InfoHash};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Longest record that is read, in bytes.
const MAX_RECORD: u64 = 128 * 1024 * 1024;
const VERSION: u32 = 1;

/// Where the record of a torrent lies: beside its data.
#[must_use]
pub fn resume_path(root: &Path, info_hash: InfoHash) -> PathBuf {
    root.join(".anatomic").join(format!("{info_hash}.resume"))
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The engine's resume data, as it encodes them.
    pub state: Vec<u8>,
    /// Stamps of the files if the torrent was closed properly; `None` while it is in use.
    pub stamps: Option<Vec<Option<Stamp>>>,
    boot: String,
}

#[derive(Serialize, Deserialize)]
struct Encoded {
    version: u32,
    boot: String,
    state: ByteBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    stamps: Option<Vec<(u8, Stamp)>>,
}

impl Resume {
    /// A record of a torrent in use.
    #[must_use]
    pub fn in_use(state: Vec<u8>) -> Self {
        Self { state, stamps: None, boot: boot() }
    }

    /// A record of a torrent that is closed; its files will not change any more.
    #[must_use]
    pub fn closed(state: Vec<u8>, files: &Files) -> Self {
        Self { state, stamps: Some(files.stamps()), boot: boot() }
    }

    /// Reads a record; `None` if there is none, or none that can be read: then the data are checked.
    #[must_use]
    pub fn load(path: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(MAX_RECORD).read_to_end(&mut bytes).ok()?;
        let encoded: Encoded = serde_bencode::from_bytes(&bytes).ok()?;
        if encoded.version != VERSION {
            return None;
        }
        let stamps = encoded
            .stamps
            .map(|stamps| stamps.into_iter().map(|(there, stamp)| (there == 1).then_some(stamp)).collect());
        Some(Self { state: encoded.state.into_vec(), stamps, boot: encoded.boot })
    }

    /// Writes the record, whole or not at all.
    ///
    /// # Errors
    /// When the disk does not take it; the old record is untouched then.
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        let stamps = self.stamps.as_ref().map(|stamps| {
            stamps.iter().map(|stamp| (u8::from(stamp.is_some()), stamp.unwrap_or_default())).collect()
        });
        let state = ByteBuf::from(self.state.clone());
        let encoded = Encoded { version: VERSION, boot: self.boot.clone(), state, stamps };
        let bytes = serde_bencode::to_bytes(&encoded)
            .map_err(|error| StoreError::of("encode", path)(std::io::Error::other(error)))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(StoreError::of("create", folder))?;
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let written = File::create(&temporary).and_then(|mut file| file.write_all(&bytes));
        let result = written
            .map_err(StoreError::of("write", &temporary))
            .and_then(|()| fs::rename(&temporary, path).map_err(StoreError::of("replace", path)));
        if result.is_err() {
            // What is left of a failed attempt only takes room.
            let _ = fs::remove_file(&temporary);
        }
        result
    }

    /// Whether the files may be believed to hold the pieces of `have` without hashing them.
    #[must_use]
    pub fn is_believable(&self, files: &Files, have: &Bitfield) -> bool {
        if let Some(stamps) = &self.stamps {
            return *stamps == files.stamps();
        }
        self.boot == boot() && !self.boot.is_empty() && files.hold_files_of(have)
    }
}

impl Files {
    /// Whether every file that a piece of `have` touches is there at full length.
    fn hold_files_of(&self, have: &Bitfield) -> bool {
        let geometry = self.metainfo().geometry();
        let mut touched = vec![false; self.metainfo().files().len()];
        for piece in have.iter() {
            for span in
                self.metainfo().spans_at(geometry.start_of(piece), u64::from(geometry.length_of(piece)))
            {
                let FileIndex(index) = span.file;
                if let Some(touched) = touched.get_mut(index as usize) {
                    *touched = true;
                }
            }
        }
        self.metainfo().files().iter().zip(touched).filter(|(_, touched)| *touched).all(|(file, _)| {
            file.kind == anatomic_core::metainfo::FileKind::Pad
                || fs::metadata(self.path_of(file)).is_ok_and(|facts| facts.len() == file.length)
        })
    }
}

/// Names this run of the machine; empty where the system does not tell.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
