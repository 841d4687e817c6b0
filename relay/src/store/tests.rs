//! Rules of the store, on real files in a temporary folder.

use super::*;
use anatomic_core::bencode::Item;
use anatomic_core::metainfo::Metainfo;
use anatomic_core::{Bitfield, Block, PieceIndex};
use bytes::Bytes;
use sha1::{Digest as _, Sha1};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("anatomic-store-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A torrent of files with these names, lengths and attributes; its hashes are of no matter here.
fn torrent(piece_length: u64, files: &[(&str, u64, &str)]) -> Arc<Metainfo> {
    let text = |text: &str| Item::Bytes(text.as_bytes().to_vec());
    let number = |number: u64| Item::Integer(number as i64);
    let total: u64 = files.iter().map(|(_, length, _)| length).sum();
    let list = files.iter().map(|(path, length, attr)| {
        let path = Item::List(path.split('/').map(text).collect());
        Item::dict(vec![("attr", text(attr)), ("length", number(*length)), ("path", path)])
    });
    let info = Item::dict(vec![
        ("files", Item::List(list.collect())),
        ("name", text("t")),
        ("piece length", number(piece_length)),
        ("pieces", Item::Bytes(vec![0; total.div_ceil(piece_length) as usize * 20])),
    ]);
    Arc::new(Metainfo::from_info(Bytes::from(info.to_bytes()), Vec::new(), Vec::new()).unwrap())
}

fn content(length: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..length).map(|_| rng.u8(..)).collect()
}

fn blocks(bytes: &[u8]) -> Vec<Bytes> {
    bytes.chunks(16 * 1024).map(Bytes::copy_from_slice).collect()
}

fn store(folder: &Folder, metainfo: &Arc<Metainfo>) -> Files {
    Files::new(folder.0.clone(), Arc::clone(metainfo), Arc::new(Handles::new(3)))
}

#[test]
fn pieces_over_many_files_come_back_as_written() {
    let folder = Folder::new("many");
    let metainfo = torrent(
        65_536,
        &[
            ("a", 10, ""),
            ("b/c", 100_000, ""),
            ("e", 0, ""),
            ("pad", 31_062, "p"),
            ("d", 70_001, "x"),
            ("f", 1, ""),
        ],
    );
    let mut bytes = content(201_074, 7);
    bytes[100_010..131_072].fill(0);
    let files = store(&folder, &metainfo);
    assert!(!files.any_exists());
    let geometry = metainfo.geometry();
    for piece in (0..geometry.pieces()).rev().map(PieceIndex) {
        let start = geometry.start_of(piece) as usize;
        let piece_bytes = &bytes[start..start + geometry.length_of(piece) as usize];
        files.write(piece, &blocks(piece_bytes)).unwrap();
        assert_eq!(files.check(piece).unwrap(), Some(Sha1::digest(piece_bytes).into()));
        for block in geometry.blocks(piece) {
            let at = start + block.offset as usize;
            assert_eq!(files.read(block).unwrap(), bytes[at..at + block.length as usize]);
        }
    }
    assert!(files.any_exists());
    assert_eq!(fs::read(folder.0.join("t/b/c")).unwrap(), bytes[10..100_010]);
    assert_eq!(fs::read(folder.0.join("t/f")).unwrap(), bytes[201_073..]);
    assert!(!folder.0.join("t/pad").exists());
    files.make_empty_files().unwrap();
    assert_eq!(fs::metadata(folder.0.join("t/e")).unwrap().len(), 0);
}

#[test]
fn a_piece_that_is_not_there_in_full_is_no_piece() {
    let folder = Folder::new("absent");
    let metainfo = torrent(16_384, &[("a", 16_384, ""), ("b", 16_384, "")]);
    let files = store(&folder, &metainfo);
    assert_eq!(files.check(PieceIndex(0)).unwrap(), None);
    fs::create_dir_all(folder.0.join("t")).unwrap();
    fs::write(folder.0.join("t/a"), [0; 16_383]).unwrap();
    assert_eq!(files.check(PieceIndex(0)).unwrap(), None);
    let block = Block { piece: PieceIndex(1), offset: 0, length: 16_384 };
    let error = files.read(block).unwrap_err().to_string();
    assert!(error.starts_with("cannot open") && error.ends_with("was it moved or deleted?"), "{error}");
}

#[test]
fn a_file_takes_no_room_before_its_bytes_come() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = Folder::new("sparse");
    let metainfo = torrent(1 << 20, &[("a", (4 << 30) + 5, "")]);
    let files = store(&folder, &metainfo);
    files.write(PieceIndex(4096), &[Bytes::from_static(b"12345")]).unwrap();
    let facts = fs::metadata(folder.0.join("t/a")).unwrap();
    assert_eq!(facts.len(), (4 << 30) + 5);
    assert!(facts.blocks() * 512 < 1 << 20);
}

#[test]
fn a_longer_file_of_that_name_is_left_alone() {
    let folder = Folder::new("longer");
    let metainfo = torrent(16_384, &[("a", 5, "")]);
    fs::create_dir_all(folder.0.join("t")).unwrap();
    fs::write(folder.0.join("t/a"), b"mine, longer").unwrap();
    let error = store(&folder, &metainfo).write(PieceIndex(0), &[Bytes::from_static(b"12345")]).unwrap_err();
    assert!(error.to_string().contains("a longer file"), "{error}");
    assert_eq!(fs::read(folder.0.join("t/a")).unwrap(), b"mine, longer");
}

#[test]
fn a_full_disk_is_an_error_in_words_and_goes_on_after_space_is_made() {
    let folder = Folder::new("full");
    let metainfo = torrent(1 << 20, &[("a", 8 << 20, "")]);
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
        .arg(&folder.0)
        .stderr(std::process::Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("not run: mounting a small disk needs root");
        return;
    }
    let piece = blocks(&content(1 << 20, 1));
    let files = store(&folder, &metainfo);
    let ballast = folder.0.join("ballast");
    fs::write(&ballast, vec![0; 5 << 19]).unwrap();
    let error = files.write(PieceIndex(0), &piece).unwrap_err().to_string();
    fs::remove_file(&ballast).unwrap();
    let again = files.write(PieceIndex(0), &piece);
    let read = files.check(PieceIndex(0));
    drop(files);
    let unmounted = std::process::Command::new("umount").arg(&folder.0).status().unwrap();
    assert!(unmounted.success());
    assert!(error.contains("the disk is full; free some space"), "{error}");
    again.unwrap();
    assert_eq!(read.unwrap(), Some(Sha1::digest(content(1 << 20, 1)).into()));
}

#[test]
fn resume_data_are_believed_as_long_as_the_files_are_the_same() {
    let folder = Folder::new("resume");
    let metainfo = torrent(16_384, &[("a", 20_000, ""), ("b", 20_000, "")]);
    let path = resume_path(&folder.0, metainfo.info_hash());
    let files = store(&folder, &metainfo);
    files.write(PieceIndex(0), &blocks(&content(16_384, 1))).unwrap();
    let mut have = Bitfield::empty(3);
    have.insert(PieceIndex(0));

    // In use, then killed: the same boot believes it.
    Resume::in_use(b"state".to_vec()).save(&path).unwrap();
    let killed = Resume::load(&path).unwrap();
    assert_eq!(killed.state, b"state");
    assert!(killed.is_believable(&files, &have));
    have.insert(PieceIndex(2));
    assert!(!killed.is_believable(&files, &have), "b is not there");
    have.remove(PieceIndex(2));

    // Closed: any change is seen.
    Resume::closed(b"state".to_vec(), &files).save(&path).unwrap();
    let closed = Resume::load(&path).unwrap();
    assert!(closed.is_believable(&files, &have));
    fs::write(folder.0.join("t/a"), content(20_000, 2)).unwrap();
    assert!(!closed.is_believable(&files, &have));

    // Damaged, cut or foreign: as if there were none.
    let bytes = fs::read(&path).unwrap();
    for bytes in [&bytes[..bytes.len() / 2], b"", b"garbage", b"de"] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(Resume::load(&path), None);
    }
}
