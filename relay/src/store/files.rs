//! The files of one torrent under one folder: whole pieces written, blocks read, pieces checked.
//!
//! Positioned reads and writes only, so any number of threads may use it at once. Files are made when their first
//! byte comes, at full length but sparse; pad files (BEP 47) exist only as zeros in the air. Symbolic links of a torrent
//! are not made: a stranger does not choose what a name on our disk points to.

use super::StoreError;
use super::handles::{Access, Handles};
use anatomic_core::metainfo::{File as Entry, FileKind, Metainfo, Span};
use anatomic_core::{Block, FileIndex, PieceIndex, Sha1Hash};
use bytes::{Bytes, BytesMut};
use sha1::{Digest as _, Sha1};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Bytes read at a time while checking.
const CHECK_CHUNK: usize = 256 * 1024;
/// Slices in one vectored write; Linux takes 1024.
const MAX_SLICES: usize = 512;
static ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];

/// A torrent's files on this disk.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    metainfo: Arc<Metainfo>,
    handles: Arc<Handles>,
    number: u64,
}

/// What tells that a file was changed behind our back: its length and time of change (seconds and nanoseconds).
pub type Stamp = (u64, u64, u32);

impl Files {
    /// The torrent's files below `root`. Nothing is touched yet.
    #[must_use]
    pub fn new(root: PathBuf, metainfo: Arc<Metainfo>, handles: Arc<Handles>) -> Self {
        let number = handles.next_store();
        Self { root, metainfo, handles, number }
    }

    /// The folder that holds the torrent.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The torrent.
    #[must_use]
    pub const fn metainfo(&self) -> &Arc<Metainfo> {
        &self.metainfo
    }

    /// Where a file lies.
    #[must_use]
    pub fn path_of(&self, file: &Entry) -> PathBuf {
        let mut path = self.root.clone();
        path.extend(&file.path);
        path
    }

    /// Whether any of the torrent's files is there already.
    #[must_use]
    pub fn any_exists(&self) -> bool {
        self.stored().any(|(_, file)| fs::symlink_metadata(self.path_of(file)).is_ok())
    }

    /// Makes the files that have no bytes; no piece would ever make them.
    ///
    /// # Errors
    /// When a file or folder cannot be made.
    pub fn make_empty_files(&self) -> Result<(), StoreError> {
        for (index, _) in
            self.metainfo.files().iter().enumerate().filter(|(_, file)| {
                file.length == 0 && file.kind == FileKind::Content && file.symlink.is_none()
            })
        {
            self.open(FileIndex(u32::try_from(index).unwrap_or(u32::MAX)), Access::Write)?;
        }
        Ok(())
    }

    /// Writes a whole piece, over as many files as it spans.
    ///
    /// # Errors
    /// When a file cannot be made or written; a part may have been written then, which does no harm, since only
    /// verified pieces come here.
    pub fn write(&self, piece: PieceIndex, blocks: &[Bytes]) -> Result<(), StoreError> {
        let start = self.metainfo.geometry().start_of(piece);
        let length: usize = blocks.iter().map(Bytes::len).sum();
        let mut rest = Rest { blocks, at: 0 };
        for span in self.metainfo.spans_at(start, length as u64) {
            if self.is_pad(span.file) {
                rest.skip(span.length);
                continue;
            }
            let file = self.open(span.file, Access::Write)?;
            let (mut offset, mut left) = (span.offset, span.length);
            while left > 0 {
                let slices = rest.slices(left);
                let written = rustix::io::pwritev(&*file, &slices, offset).map_err(io::Error::from);
                let written = match written {
                    Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    other => other.map(|count| count as u64),
                };
                let written = written.map_err(|error| self.failed("write", span.file, error))?;
                rest.skip(written);
                offset += written;
                left = left.saturating_sub(written);
            }
        }
        Ok(())
    }

    /// Reads a block of a stored piece.
    ///
    /// # Errors
    /// When a file is gone, too short or unreadable.
    pub fn read(&self, block: Block) -> Result<Bytes, StoreError> {
        let mut bytes = BytesMut::zeroed(block.length as usize);
        let mut into = &mut bytes[..];
        for span in self.metainfo.spans(block) {
            let Some((now, later)) =
                into.split_at_mut_checked(usize::try_from(span.length).unwrap_or(usize::MAX))
            else {
                break;
            };
            into = later;
            if !self.is_pad(span.file) {
                let file = self.open(span.file, Access::Read)?;
                file.read_exact_at(now, span.offset)
                    .map_err(|error| self.failed("read", span.file, error))?;
            }
        }
        Ok(bytes.freeze())
    }

    /// Hashes a piece as it lies on the disk; `None` if a part of it is not there.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn check(&self, piece: PieceIndex) -> Result<Option<Sha1Hash>, StoreError> {
        let geometry = self.metainfo.geometry();
        let mut hash = Sha1::new();
        let mut buffer = vec![0; CHECK_CHUNK.min(geometry.length_of(piece) as usize)];
        for span in self.metainfo.spans_at(geometry.start_of(piece), u64::from(geometry.length_of(piece))) {
            if self.is_pad(span.file) {
                update_zeros(&mut hash, span.length);
            } else if !self.hash_span(span, &mut hash, &mut buffer)? {
                return Ok(None);
            }
        }
        Ok(Some(hash.finalize().into()))
    }

    fn hash_span(&self, span: Span, hash: &mut Sha1, buffer: &mut [u8]) -> Result<bool, StoreError> {
        let file = match self.open(span.file, Access::Read) {
            Ok(file) => file,
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let (mut offset, mut left) = (span.offset, span.length);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let Some(chunk) = buffer.get_mut(..most) else { break };
            match file.read_at(chunk, offset) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    hash.update(chunk.get(..count).unwrap_or_default());
                    offset += count as u64;
                    left -= count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("read", span.file, error)),
            }
        }
        Ok(true)
    }

    /// The stamps of all stored files; `None` for one that is not there.
    #[must_use]
    pub fn stamps(&self) -> Vec<Option<Stamp>> {
        self.stored().map(|(_, file)| stamp(&self.path_of(file))).collect()
    }

    /// Closes the files.
    pub fn close(&self) {
        self.handles.close(self.number);
    }

    /// Content files that have bytes, in order.
    fn stored(&self) -> impl Iterator<Item = (usize, &Entry)> {
        self.metainfo
            .files()
            .iter()
            .enumerate()
            .filter(|(_, file)| file.kind == FileKind::Content && file.length > 0)
    }

    fn is_pad(&self, index: FileIndex) -> bool {
        self.entry(index).is_some_and(|file| file.kind == FileKind::Pad)
    }

    fn entry(&self, index: FileIndex) -> Option<&Entry> {
        self.metainfo.files().get(index.0 as usize)
    }

    fn failed(&self, action: &'static str, index: FileIndex, error: io::Error) -> StoreError {
        let path = self.entry(index).map(|file| self.path_of(file)).unwrap_or_default();
        StoreError { action, path, source: error }
    }

    fn open(&self, index: FileIndex, access: Access) -> Result<Arc<File>, StoreError> {
        self.handles
            .get((self.number, index.0), access, || {
                let entry = self.entry(index).ok_or(io::ErrorKind::NotFound)?;
                let path = self.path_of(entry);
                match access {
                    Access::Read => File::open(path),
                    Access::Write => open_to_write(&path, entry),
                }
            })
            .map_err(|error| {
                self.failed(if access == Access::Read { "open" } else { "create" }, index, error)
            })
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.close();
    }
}

/// Opens a file to write it, with its folders. A new or shorter file gets its full length at once, without taking
/// room on the disk; a longer one is somebody else's and is left alone.
fn open_to_write(path: &Path, entry: &Entry) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(if entry.executable { 0o777 } else { 0o666 });
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            options.open(path)?
        }
        other => other?,
    };
    let length = file.metadata()?.len();
    if length > entry.length {
        return Err(io::Error::other(
            "a longer file of that name is there already; move it, or choose another folder",
        ));
    }
    if length < entry.length {
        file.set_len(entry.length)?;
    }
    Ok(file)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let facts = fs::metadata(path).ok()?;
    let changed = facts.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some((facts.len(), changed.as_secs(), changed.subsec_nanos()))
}

fn update_zeros(hash: &mut Sha1, mut count: u64) {
    while count > 0 {
        let now = usize::try_from(count).unwrap_or(usize::MAX).min(ZEROS.len());
        hash.update(ZEROS.get(..now).unwrap_or_default());
        count -= now as u64;
    }
}

/// What of a piece's blocks is still to be written.
struct Rest<'a> {
    blocks: &'a [Bytes],
    /// Bytes of the first block that are done.
    at: usize,
}

impl<'a> Rest<'a> {
    /// The next bytes, at most `limit` of them.
    fn slices(&self, limit: u64) -> Vec<IoSlice<'a>> {
        let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut at = self.at;
        let mut slices = Vec::with_capacity(self.blocks.len().min(MAX_SLICES));
        for block in self.blocks.iter().take(MAX_SLICES) {
            if left == 0 {
                break;
            }
            let bytes = block.get(at..).unwrap_or_default();
            let bytes = bytes.get(..left).unwrap_or(bytes);
            left -= bytes.len();
            at = 0;
            slices.push(IoSlice::new(bytes));
        }
        slices
    }

    fn skip(&mut self, count: u64) {
        let mut count = usize::try_from(count).unwrap_or(usize::MAX);
        while let Some((first, later)) = self.blocks.split_first() {
            let here = first.len() - self.at;
            if count < here {
                self.at += count;
                return;
            }
            count -= here;
            self.at = 0;
            self.blocks = later;
        }
    }
}
