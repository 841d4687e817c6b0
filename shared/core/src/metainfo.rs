//! What a torrent file says: name, files, pieces and their hashes, trackers; [BEP 3], 12, 17, 19, 27, 47.
//!
//! Reads v1 torrents and the v1 half of hybrid ones; a v2-only torrent ([BEP 52]) is recognised and named, its use
//! comes later. The bytes of `info` are never changed, so the info-hash survives every rewrite of the root.
//! Making a torrent from files is the `create` module's business.
//!
//! [BEP 3]: https://www.bittorrent.org/beps/bep_0003.html#metainfo-files
//! [BEP 52]: https://www.bittorrent.org/beps/bep_0052.html

mod hybrid;
mod info;
mod root;
#[cfg(test)]
mod tests;

use crate::bencode::{self, BencodeError, Item, Limits};
use crate::geometry::{Block, FileIndex, Geometry, PieceIndex};
use crate::ids::{InfoHash, Sha1Hash, Sha256Hash, to_hex};
use bytes::Bytes;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use std::fmt;

/// Most pieces of a torrent that are accepted: 2^21, as elsewhere.
pub const MAX_PIECES: u32 = 2_097_152;
/// Longest piece that is accepted: 32,767 blocks of 16 KiB.
pub const MAX_PIECE_LENGTH: u32 = 32_767 * 16 * 1024;
/// Deepest path of a file, in elements.
pub const MAX_LEVELS: usize = 100;
/// How many files may bear the name of another before the torrent is refused.
pub const MAX_DUPLICATES: usize = 500;

/// Why bytes are not a torrent that can be used. The text names the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetainfoError {
    /// Not bencode, or beyond the limits.
    #[error("not a torrent: {0}")]
    Bencode(#[from] BencodeError),
    /// The outermost value is no dictionary.
    #[error("not a torrent: the file is not a dictionary")]
    NotADictionary,
    /// There is no dictionary `info`.
    #[error("not a torrent: there is no dictionary `info`")]
    MissingInfo,
    /// `meta version` asks for canonical bencoding and the bytes are not ([BEP 52]).
    ///
    /// [BEP 52]: https://www.bittorrent.org/beps/bep_0052.html
    #[error("`info` is not canonically bencoded, as `meta version` demands")]
    NotCanonical,
    /// `meta version` is neither 1 nor 2.
    #[error("`meta version` {0} is unknown")]
    UnknownVersion(i64),
    /// A torrent of BitTorrent v2 alone.
    #[error(
        "`{name}` is a v2-only torrent, which is not yet supported (v2 info-hash {})",
        to_hex(info_hash_v2)
    )]
    V2Only {
        /// SHA-256 of the info dictionary.
        info_hash_v2: Sha256Hash,
        /// The torrent's name, sanitised.
        name: String,
    },
    /// `name` is absent, no string, or nothing but control characters.
    #[error("`name` is missing or not text")]
    Name,
    /// `piece length` is absent, no integer, zero, negative, too long, or (v2) no power of two of at least 16 KiB.
    #[error("`piece length` is missing or not a usable number")]
    PieceLength,
    /// A length is absent, no integer, negative or too large, or all lengths together are zero.
    #[error("`length` is missing or not a usable number")]
    Length,
    /// `files` is no list of dictionaries or is empty.
    #[error("`files` is not a list of files, or is empty")]
    Files,
    /// A file's `path` is absent, no list of strings, or too deep.
    #[error("`path` is missing, not a list of names, or too deep")]
    Path,
    /// `pieces` is absent or no string.
    #[error("`pieces` is missing or not a string")]
    MissingPieces,
    /// `pieces` is not 20 bytes for each piece.
    #[error("`pieces` holds {found} bytes where the files need {expected}")]
    Pieces {
        /// Bytes of `pieces`.
        found: u64,
        /// 20 bytes for each piece that the files fill.
        expected: u64,
    },
    /// More pieces than [`MAX_PIECES`].
    #[error("the torrent has more than {MAX_PIECES} pieces")]
    TooManyPieces,
    /// More than [`MAX_DUPLICATES`] files bear the name of another.
    #[error("more than {MAX_DUPLICATES} files bear the name of another file")]
    TooManyDuplicates,
    /// The v1 `files` and the v2 `file tree` of a hybrid torrent disagree.
    #[error("`files` and `file tree` of this hybrid torrent disagree")]
    Inconsistent,
}

/// Whether the bytes of a file mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A file that people want.
    Content,
    /// Zeros that align the next file to a piece ([BEP 47]); never stored, never shown.
    ///
    /// [BEP 47]: https://www.bittorrent.org/beps/bep_0047.html
    Pad,
}

/// One file of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Sanitised relative path, one element a level; in a multi-file torrent the first is the torrent's folder.
    pub path: Vec<String>,
    /// Bytes.
    pub length: u64,
    /// Where its first byte lies in the torrent's bytes.
    pub offset: u64,
    /// Content or padding.
    pub kind: FileKind,
    /// BEP 47 attribute `x`: to be made executable.
    pub executable: bool,
    /// BEP 47 attribute `h`: hidden.
    pub hidden: bool,
    /// BEP 47 attribute `l`: the sanitised path inside the torrent that this link names. Such a file has no bytes.
    pub symlink: Option<Vec<String>>,
}

/// A run of bytes inside one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub file: FileIndex,
    /// First byte in the file.
    pub offset: u64,
    /// Bytes, at least 1.
    pub length: u64,
}

/// A torrent's description.
#[derive(Clone, PartialEq, Eq)]
pub struct Metainfo {
    info_bytes: Bytes,
    info_hash: InfoHash,
    info_hash_v2: Option<Sha256Hash>,
    info: info::Info,
    root: root::Root,
}

impl Metainfo {
    /// Reads a torrent file.
    ///
    /// # Errors
    /// What is wrong with it, by the name of the field.
    pub fn from_torrent(bytes: &[u8]) -> Result<Self, MetainfoError> {
        let parsed = bencode::parse(bytes, Limits::TORRENT)?;
        let value = parsed.root();
        if value.kind() != bencode::Kind::Dict {
            return Err(MetainfoError::NotADictionary);
        }
        let info = value.get(b"info").filter(|info| info.kind() == bencode::Kind::Dict);
        let info = info.ok_or(MetainfoError::MissingInfo)?;
        Self::assemble(Bytes::copy_from_slice(info.raw()), root::Root::read(value))
    }

    /// A torrent of the info dictionary that peers sent ([BEP 9]), with what the magnet said around it.
    /// That `info` has the wanted hash is the caller's check.
    ///
    /// # Errors
    /// What is wrong with the dictionary, by the name of the field.
    ///
    /// [BEP 9]: https://www.bittorrent.org/beps/bep_0009.html
    pub fn from_info(
        info: Bytes,
        trackers: Vec<Vec<String>>,
        web_seeds: Vec<String>,
    ) -> Result<Self, MetainfoError> {
        Self::assemble(info, root::Root::new(trackers, web_seeds))
    }

    fn assemble(info_bytes: Bytes, root: root::Root) -> Result<Self, MetainfoError> {
        let (info_hash, sha256) = hash_both(&info_bytes);
        let (info, version) = info::read(&info_bytes, info_hash, sha256)?;
        let info_hash_v2 = (version == info::Version::Hybrid).then_some(sha256);
        Ok(Self { info_bytes, info_hash, info_hash_v2, info, root })
    }

    /// The v1 info-hash: SHA-1 over the raw bytes of `info`.
    #[must_use]
    pub const fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// The v2 info-hash of a hybrid torrent: SHA-256 over the raw bytes of `info`.
    #[must_use]
    pub const fn info_hash_v2(&self) -> Option<Sha256Hash> {
        self.info_hash_v2
    }

    /// The sanitised name: that of the file, or of the folder of a multi-file torrent.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// How the bytes are cut into pieces.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        self.info.geometry
    }

    /// The SHA-1 of a piece; `None` beyond the end.
    #[must_use]
    pub fn piece_hash(&self, piece: PieceIndex) -> Option<Sha1Hash> {
        self.info.hashes.get(piece.0 as usize * 20..)?.first_chunk().copied()
    }

    /// The files in the order of their bytes, pad files and empty files included.
    #[must_use]
    pub fn files(&self) -> &[File] {
        &self.info.files
    }

    /// Whether peers may come from trackers only ([BEP 27]).
    ///
    /// [BEP 27]: https://www.bittorrent.org/beps/bep_0027.html
    #[must_use]
    pub const fn is_private(&self) -> bool {
        self.info.private
    }

    /// The trackers in tiers ([BEP 12]): `announce-list` if it names any, else `announce`.
    ///
    /// [BEP 12]: https://www.bittorrent.org/beps/bep_0012.html
    #[must_use]
    pub fn trackers(&self) -> &[Vec<String>] {
        &self.root.trackers
    }

    /// The web seeds of `url-list` ([BEP 19]), each once.
    ///
    /// [BEP 19]: https://www.bittorrent.org/beps/bep_0019.html
    #[must_use]
    pub fn web_seeds(&self) -> &[String] {
        &self.root.web_seeds
    }

    /// Whether the root says that the torrent was planted.
    #[must_use]
    pub fn is_planted(&self) -> bool {
        self.root.get(b"planted").is_some_and(|raw| raw.as_ref() == b"i1e")
    }

    /// The exact bytes of the info dictionary.
    #[must_use]
    pub const fn info_bytes(&self) -> &Bytes {
        &self.info_bytes
    }

    /// The torrent file: `info` and every unknown key of the root as they were read.
    #[must_use]
    pub fn to_torrent(&self) -> Vec<u8> {
        self.root.encode(&self.info_bytes)
    }

    /// The planted form of this torrent: `announce`, `announce-list` and `planted` = 1 are set in the root,
    /// everything else, above all `info`, stays as it was.
    #[must_use]
    pub fn with_root(&self, announce: &str, announce_list: &[Vec<String>]) -> Self {
        Self { root: self.root.planted(announce, announce_list), ..self.clone() }
    }

    /// The same torrent with remarks for people in its root; `date` in seconds since 1970.
    #[must_use]
    pub fn with_remarks(
        mut self,
        comment: Option<&str>,
        created_by: Option<&str>,
        date: Option<u64>,
    ) -> Self {
        let remarks = [("comment", comment.map(Item::from)), ("created by", created_by.map(Item::from))];
        for (key, value) in remarks.into_iter().chain([("creation date", date.map(Item::from))]) {
            if let Some(value) = value {
                self.root.set(key.as_bytes(), &value);
            }
        }
        self
    }

    /// Where the bytes of `block` lie, in order, pad files included.
    pub fn spans(&self, block: Block) -> impl Iterator<Item = Span> + '_ {
        self.spans_at(
            self.geometry().start_of(block.piece) + u64::from(block.offset),
            u64::from(block.length),
        )
    }

    /// Where `length` bytes from byte `start` of the torrent lie, in order, pad files included; what reaches
    /// beyond the end is left out.
    pub fn spans_at(&self, start: u64, length: u64) -> impl Iterator<Item = Span> + '_ {
        let end = start.saturating_add(length);
        let files = self.files();
        // The first file that ends behind `start`; empty files in between hold no byte.
        let first = files.partition_point(|file| file.offset + file.length <= start);
        files
            .iter()
            .enumerate()
            .skip(first)
            .take_while(move |(_, file)| file.offset < end)
            .filter(|(_, file)| file.length > 0)
            .map(move |(index, file)| {
                let from = start.max(file.offset);
                let to = end.min(file.offset + file.length);
                let index = FileIndex(u32::try_from(index).unwrap_or(u32::MAX));
                Span { file: index, offset: from - file.offset, length: to - from }
            })
    }
}

impl fmt::Debug for Metainfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metainfo")
            .field("name", &self.name())
            .field("info_hash", &self.info_hash)
            .field("geometry", &self.geometry())
            .field("files", &self.files().len())
            .finish_non_exhaustive()
    }
}

/// The hashes of the info dictionary in a torrent file, usable or not: SHA-1, and SHA-256 if `meta version` is 2.
/// For telling people which torrent was refused.
#[must_use]
pub fn hashes_of(torrent: &[u8]) -> Option<(InfoHash, Option<Sha256Hash>)> {
    let parsed = bencode::parse_prefix(torrent, Limits::TORRENT).ok()?;
    let info = parsed.root().get(b"info").filter(|info| info.kind() == bencode::Kind::Dict)?;
    let (sha1, sha256) = hash_both(info.raw());
    let is_v2 = info.get(b"meta version").and_then(bencode::Value::as_int) == Some(2);
    Some((sha1, is_v2.then_some(sha256)))
}

fn hash_both(info: &[u8]) -> (InfoHash, Sha256Hash) {
    (InfoHash(Sha1::digest(info).into()), Sha256::digest(info).into())
}
