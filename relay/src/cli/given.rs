//! Tells what a person gave: the bytes of a torrent file, a link or magnet, or files that are yet to become a torrent.
//!
//! Reads the disk and never the network; turning it into a torrent that can be downloaded is `source`'s business.

use anatomic_core::bencode::Limits;
use anatomic_core::magnet::{Link, LinkError};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What was given.
#[derive(Debug)]
pub enum Given {
    /// The bytes of a torrent file; whether they are a good torrent is yet to be seen.
    Torrent(Vec<u8>),
    /// A magnet, planted link, short link, info-hash or address.
    Link(Box<Link>),
    /// A folder, or a file that is no torrent.
    Content(PathBuf),
}

/// Finds out what `text` names. A file that exists goes before a link of the same spelling; a file counts as a
/// torrent if its name ends in `.torrent`, or if it begins like one.
///
/// # Errors
/// One line that says why it is nothing of the kind.
pub fn read(text: &str) -> Result<Given, String> {
    let path = Path::new(text);
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Ok(Given::Content(path.to_owned())),
        Ok(_) => read_file(path).map_err(|error| format!("cannot read {text}: {error}")),
        Err(error) => match Link::parse(text) {
            Ok(link) => Ok(Given::Link(Box::new(link))),
            Err(LinkError::Unknown) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(format!("{text}: no such file, and neither a magnet, a link nor an info-hash"))
            }
            Err(LinkError::Unknown) => Err(format!("cannot read {text}: {error}")),
            Err(reason) => Err(reason.to_string()),
        },
    }
}

fn read_file(path: &Path) -> std::io::Result<Given> {
    let mut file = File::open(path)?;
    let mut start = [0; 2];
    let is_named = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("torrent"));
    let read = file.read(&mut start)?;
    // A bencoded dictionary whose first key has one or more digits of length.
    let begins_like_one = matches!(start, [b'd', b'1'..=b'9']) && looks_bencoded(path)?;
    if !is_named && !begins_like_one {
        return Ok(Given::Content(path.to_owned()));
    }
    // One byte more than allowed tells the parser that the file is too long, without reading a disk full of it.
    let mut bytes = start.get(..read).unwrap_or_default().to_vec();
    file.take(Limits::TORRENT.bytes as u64).read_to_end(&mut bytes)?;
    Ok(Given::Torrent(bytes))
}

/// Whether the first kilobyte holds one of the keys with which torrents begin.
fn looks_bencoded(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(1024).read_to_end(&mut start)?;
    let keys: [&[u8]; 5] = [b"8:announce", b"4:info", b"10:created by", b"7:comment", b"13:announce-list"];
    Ok(keys.iter().any(|key| start.windows(key.len()).any(|window| window == *key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_no_file_is_read_as_a_link() {
        let hash = "d2474e86c95b19b8bcfdb92bc12c9d44667cfa36";
        assert!(matches!(read(hash), Ok(Given::Link(link)) if matches!(*link, Link::Magnet(_))));
        assert!(matches!(read(&format!("https://host/#magnet:?xt=urn:btih:{hash}")), Ok(Given::Link(_))));
        assert!(read("magnet:?dn=x").unwrap_err().contains("xt=urn:btih:"));
        assert!(read("/no/such/file").unwrap_err().contains("no such file"));
    }

    #[test]
    fn torrents_are_told_from_other_files_by_name_or_content() {
        let folder = std::env::temp_dir().join(format!("anatomic-source-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let kind = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, bytes).unwrap();
            read(path.to_str().unwrap()).unwrap()
        };
        assert!(matches!(kind("a.torrent", b"rubbish"), Given::Torrent(bytes) if bytes == b"rubbish"));
        assert!(matches!(kind("b", b"d4:infodee"), Given::Torrent(_)));
        assert!(matches!(kind("c.txt", b"d1 text"), Given::Content(_)));
        assert!(matches!(kind("empty", b""), Given::Content(_)));
        assert!(matches!(read(folder.to_str().unwrap()), Ok(Given::Content(_))));
        let _ = fs::remove_dir_all(folder);
    }
}
