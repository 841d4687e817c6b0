//! The info dictionary: parsed once into what the engine and the store need.
//!
//! Numbers and hashes that do not fit are refused by name; names of files are sanitised, never refused.

use super::{File, FileKind, MAX_LEVELS, MAX_PIECE_LENGTH, MAX_PIECES, MetainfoError, hybrid};
use crate::bencode::{self, Kind, Limits, Value};
use crate::geometry::Geometry;
use crate::ids::{InfoHash, Sha256Hash};
use crate::paths;
use bytes::Bytes;

/// Longest file and longest torrent: 2^48 bytes, far from every overflow.
const MAX_LENGTH: u64 = 1 << 48;

/// Which versions of the protocol a torrent speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    Hybrid,
}

/// What `info` says.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Info {
    pub(super) name: String,
    pub(super) geometry: Geometry,
    pub(super) hashes: Bytes,
    pub(super) files: Vec<File>,
    pub(super) private: bool,
}

pub(super) fn read(
    bytes: &Bytes,
    info_hash: InfoHash,
    info_hash_v2: Sha256Hash,
) -> Result<(Info, Version), MetainfoError> {
    let parsed = bencode::parse(bytes, Limits::METADATA)?;
    let info = parsed.root();
    if info.kind() != Kind::Dict {
        return Err(MetainfoError::MissingInfo);
    }
    let version = version(info)?;
    // BEP 52, "Upgrade Path": clients must refuse what is not canonical, else two readings of one hash could exist.
    if version > 1 && !parsed.faults().none() {
        return Err(MetainfoError::NotCanonical);
    }
    let name = name(info, info_hash)?;
    let piece_length = piece_length(info, version)?;
    let pieces = match info.get(b"pieces") {
        None if version == 2 && info.get(b"file tree").is_some() => {
            return Err(MetainfoError::V2Only { info_hash_v2, name });
        }
        None => return Err(MetainfoError::MissingPieces),
        Some(pieces) => pieces,
    };
    let hashes = pieces.as_bytes().ok_or(MetainfoError::MissingPieces)?;

    let mut files = files(info, &name)?;
    let length = place(&mut files)?;
    let geometry = Geometry::new(length, piece_length).ok_or(MetainfoError::TooManyPieces)?;
    if geometry.pieces() > MAX_PIECES {
        return Err(MetainfoError::TooManyPieces);
    }
    if version == 2 {
        hybrid::check(info, piece_length)?;
    }
    let (found, expected) = (hashes.len() as u64, u64::from(geometry.pieces()) * 20);
    if found != expected {
        return Err(MetainfoError::Pieces { found, expected });
    }
    let hashes = bytes.slice_ref(hashes);
    paths::make_unique(&mut files)?;
    let private = info.get(b"private").and_then(Value::as_int) == Some(1);
    let version = if version == 2 { Version::Hybrid } else { Version::V1 };
    Ok((Info { name, geometry, hashes, files, private }, version))
}

fn version(info: Value<'_, '_>) -> Result<i64, MetainfoError> {
    match info.get(b"meta version").map(Value::as_int) {
        None => Ok(1),
        Some(Some(version @ (1 | 2))) => Ok(version),
        Some(version) => Err(MetainfoError::UnknownVersion(version.unwrap_or(-1))),
    }
}

/// The field in its `.utf-8` variant, which old creators wrote beside one in a local encoding, else the plain one.
pub(super) fn preferred<'a, 'p>(
    dict: Value<'a, 'p>,
    utf8: &[u8],
    plain: &[u8],
    kind: Kind,
) -> Option<Value<'a, 'p>> {
    [utf8, plain].into_iter().find_map(|key| dict.get(key).filter(|value| value.kind() == kind))
}

fn name(info: Value<'_, '_>, info_hash: InfoHash) -> Result<String, MetainfoError> {
    let name = preferred(info, b"name.utf-8", b"name", Kind::Bytes).and_then(Value::as_bytes);
    let name = name.ok_or(MetainfoError::Name)?;
    if !name.is_empty() && name.iter().all(u8::is_ascii_control) {
        return Err(MetainfoError::Name);
    }
    // A name of which nothing is left, such as `..`, becomes the info-hash.
    Ok(paths::sanitise(name).unwrap_or_else(|| info_hash.to_string()))
}

fn piece_length(info: Value<'_, '_>, version: i64) -> Result<u32, MetainfoError> {
    let length = info.get(b"piece length").and_then(Value::as_uint).ok_or(MetainfoError::PieceLength)?;
    let length = u32::try_from(length).map_err(|_| MetainfoError::PieceLength)?;
    // BEP 52: "must be a power of two and at least 16KiB".
    let fits = if version == 2 { length.is_power_of_two() && length >= 16 * 1024 } else { length > 0 };
    if fits && length <= MAX_PIECE_LENGTH { Ok(length) } else { Err(MetainfoError::PieceLength) }
}

fn files(info: Value<'_, '_>, name: &str) -> Result<Vec<File>, MetainfoError> {
    let Some(list) = info.get(b"files") else {
        let file = file(info, vec![name.to_owned()])?;
        return Ok(vec![file]);
    };
    if list.kind() != Kind::List {
        return Err(MetainfoError::Files);
    }
    let files = list.items().map(|entry| listed(entry, name)).collect::<Result<Vec<_>, _>>()?;
    if files.is_empty() { Err(MetainfoError::Files) } else { Ok(files) }
}

fn listed(entry: Value<'_, '_>, folder: &str) -> Result<File, MetainfoError> {
    if entry.kind() != Kind::Dict {
        return Err(MetainfoError::Files);
    }
    let mut path = vec![folder.to_owned()];
    match preferred(entry, b"path.utf-8", b"path", Kind::List).map(Value::items) {
        Some(names) if names.clone().next().is_some() => {
            if names.clone().count() > MAX_LEVELS {
                return Err(MetainfoError::Path);
            }
            for name in names {
                let name = name.as_bytes().ok_or(MetainfoError::Path)?;
                path.extend(paths::sanitise_element(name));
            }
            if path.len() == 1 {
                path.push("_".to_owned());
            }
        }
        // BEP 47 gives pad files no name that matters; some creators leave it out.
        _ if has_attribute(entry, b'p') => path.push(".pad".to_owned()),
        _ => return Err(MetainfoError::Path),
    }
    file(entry, path)
}

/// The file that a dictionary with `length` and `attr` describes, offset not yet known.
fn file(entry: Value<'_, '_>, path: Vec<String>) -> Result<File, MetainfoError> {
    let symlink = has_attribute(entry, b'l').then(|| target(entry));
    let length = match (&symlink, entry.get(b"length")) {
        // BEP 47: a link has no bytes of its own.
        (Some(_), _) => 0,
        (None, length) => length
            .and_then(Value::as_uint)
            .filter(|length| *length <= MAX_LENGTH)
            .ok_or(MetainfoError::Length)?,
    };
    let is_pad = has_attribute(entry, b'p')
        || (path.len() > 1 && path.last().is_some_and(|name| name.starts_with("_____padding_file_")));
    Ok(File {
        path,
        length,
        offset: 0,
        kind: if is_pad { FileKind::Pad } else { FileKind::Content },
        executable: has_attribute(entry, b'x'),
        hidden: has_attribute(entry, b'h'),
        symlink,
    })
}

fn target(entry: Value<'_, '_>) -> Vec<String> {
    let names = entry.get(b"symlink path").map(Value::items).into_iter().flatten();
    names.take(MAX_LEVELS).filter_map(Value::as_bytes).filter_map(paths::sanitise_element).collect()
}

pub(super) fn has_attribute(entry: Value<'_, '_>, attribute: u8) -> bool {
    entry.get(b"attr").and_then(Value::as_bytes).is_some_and(|attributes| attributes.contains(&attribute))
}

/// Lays the files behind each other; gives the torrent's length.
fn place(files: &mut [File]) -> Result<u64, MetainfoError> {
    let mut length = 0u64;
    for file in files {
        file.offset = length;
        length = length.saturating_add(file.length);
    }
    if length == 0 || length > MAX_LENGTH { Err(MetainfoError::Length) } else { Ok(length) }
}
