//! The v2 half of a hybrid torrent: must describe the same files as the v1 half ([BEP 52], "Upgrade Path").
//!
//! Compares names and lengths; merkle roots and piece layers are not verified yet.
//!
//! [BEP 52]: https://www.bittorrent.org/beps/bep_0052.html#upgrade-path

use super::MetainfoError;
use super::info::{has_attribute, preferred};
use crate::bencode::{Kind, Value};

/// A file by its raw path and length.
type Listed<'a> = (Vec<&'a [u8]>, u64);

pub(super) fn check(info: Value<'_, '_>, piece_length: u32) -> Result<(), MetainfoError> {
    let tree = info.get(b"file tree").ok_or(MetainfoError::Inconsistent)?;
    let mut v2 = Vec::new();
    walk(tree, &mut Vec::new(), &mut v2)?;
    let v1 = flat(info, u64::from(piece_length))?;
    if v1 == v2 { Ok(()) } else { Err(MetainfoError::Inconsistent) }
}

/// Depth is bounded by the parser's limit.
fn walk<'a>(
    tree: Value<'a, '_>,
    path: &mut Vec<&'a [u8]>,
    into: &mut Vec<Listed<'a>>,
) -> Result<(), MetainfoError> {
    if tree.kind() != Kind::Dict {
        return Err(MetainfoError::Files);
    }
    for (name, node) in tree.entries() {
        if name.is_empty() {
            let length = node.get(b"length").and_then(Value::as_uint);
            into.push((path.clone(), length.ok_or(MetainfoError::Length)?));
        } else {
            path.push(name);
            walk(node, path, into)?;
            path.pop();
        }
    }
    Ok(())
}

/// The v1 files without padding. Every one with bytes must start at a piece.
fn flat<'a>(info: Value<'a, '_>, piece_length: u64) -> Result<Vec<Listed<'a>>, MetainfoError> {
    let Some(files) = info.get(b"files") else {
        let name = preferred(info, b"name.utf-8", b"name", Kind::Bytes).and_then(Value::as_bytes);
        let length = info.get(b"length").and_then(Value::as_uint).ok_or(MetainfoError::Length)?;
        return Ok(vec![(vec![name.ok_or(MetainfoError::Name)?], length)]);
    };
    let mut offset = 0u64;
    let mut listed = Vec::new();
    for file in files.items() {
        let length = match file.get(b"length").and_then(Value::as_uint) {
            _ if has_attribute(file, b'l') => 0,
            length => length.ok_or(MetainfoError::Length)?,
        };
        if !has_attribute(file, b'p') {
            if length > 0 && !offset.is_multiple_of(piece_length) {
                return Err(MetainfoError::Inconsistent);
            }
            let path = preferred(file, b"path.utf-8", b"path", Kind::List).ok_or(MetainfoError::Path)?;
            listed.push((path.items().filter_map(Value::as_bytes).collect(), length));
        }
        offset = offset.saturating_add(length);
    }
    Ok(listed)
}
