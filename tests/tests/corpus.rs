//! Other projects' torrents, read as those projects read them.
//!
//! Not about torrents of our own making: rules of single fields stand beside the reader.

// A test speaks by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use anatomic_core::bencode::BencodeError;
use anatomic_core::metainfo::{FileKind, MetainfoError, hashes_of};
use anatomic_core::{InfoHash, Magnet, Metainfo, PieceIndex, create, ids};
use sha1::{Digest as _, Sha1};
use std::fs;
use std::path::{Path, PathBuf};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

fn torrent(name: &str) -> Vec<u8> {
    fs::read(corpus(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A line of libtorrent's table.
struct Expected {
    file: String,
    outcome: String,
    v1: Option<InfoHash>,
    v2: Option<[u8; 32]>,
}

fn expected() -> Vec<Expected> {
    let table = fs::read_to_string(corpus("libtorrent/expected.tsv")).unwrap();
    let lines = table.lines().skip(1).map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        Expected {
            file: field(0).to_owned(),
            outcome: field(1).to_owned(),
            v1: InfoHash::from_hex(field(2)),
            v2: ids::from_hex(field(3)),
        }
    });
    lines.collect()
}

/// Whether our error names the field that libtorrent's error names.
fn agrees(error: &MetainfoError, theirs: &str) -> bool {
    use MetainfoError as E;
    match theirs.trim_start_matches("error:errors::") {
        "torrent_is_no_dict" => matches!(error, E::NotADictionary),
        // `bad_name.torrent` also has rubbish behind its end, which we say first.
        "torrent_missing_name" => matches!(error, E::Name | E::Bencode(BencodeError::Trailing(_))),
        "torrent_missing_piece_length" => matches!(error, E::PieceLength),
        "torrent_invalid_length" => matches!(error, E::Length),
        "torrent_invalid_name" => matches!(error, E::Path),
        "too_many_pieces_in_torrent" => matches!(error, E::TooManyPieces),
        "torrent_inconsistent_files" => matches!(error, E::Inconsistent),
        "invalid_bencoding" => matches!(error, E::NotCanonical),
        _ => false,
    }
}

#[test]
fn every_torrent_of_libtorrent_is_taken_or_refused_as_libtorrent_does() {
    let lines = expected();
    assert!(lines.len() >= 54, "the table is cut");
    for line in lines {
        let bytes = torrent(&format!("libtorrent/{}", line.file));
        let ours = Metainfo::from_torrent(&bytes);
        // The hashes of the info dictionary are known whatever else is wrong.
        assert_eq!(hashes_of(&bytes).map(|hashes| hashes.0), line.v1, "{}", line.file);
        assert_eq!(hashes_of(&bytes).and_then(|hashes| hashes.1), line.v2, "{}", line.file);
        match (&ours, line.outcome.as_str()) {
            (Ok(metainfo), "ok" | "not-in-table") => {
                assert_eq!(Some(metainfo.info_hash()), line.v1, "{}", line.file);
                assert_eq!(metainfo.info_hash_v2(), line.v2, "{}", line.file);
            }
            // v2-only torrents are named, whether libtorrent takes them or not: using them comes later.
            (Err(MetainfoError::V2Only { info_hash_v2, .. }), _) => {
                assert_eq!(Some(*info_hash_v2), line.v2, "{}", line.file);
            }
            (Err(error), outcome) => assert!(agrees(error, outcome), "{}: {error} / {outcome}", line.file),
            (Ok(_), outcome) => panic!("{} was taken, but libtorrent says {outcome}", line.file),
        }
    }
}

#[test]
fn no_file_of_any_torrent_leaves_its_folder_and_no_two_share_a_path() {
    for line in expected() {
        let Ok(metainfo) = Metainfo::from_torrent(&torrent(&format!("libtorrent/{}", line.file))) else {
            continue;
        };
        let mut paths = std::collections::HashSet::new();
        let mut end = 0;
        for file in metainfo.files() {
            assert!(!file.path.is_empty());
            for element in file.path.iter().chain(file.symlink.iter().flatten()) {
                assert!(!matches!(element.as_str(), "" | "." | ".."), "{}: {:?}", line.file, file.path);
                assert!(!element.contains(['/', '\\', '\0']), "{}: {:?}", line.file, file.path);
            }
            let is_new = paths.insert(file.path.clone());
            assert!(is_new || file.kind == FileKind::Pad, "{}: {:?} twice", line.file, file.path);
            assert_eq!(file.offset, end);
            end += file.length;
        }
        assert_eq!(end, metainfo.geometry().length());
    }
}

#[test]
fn every_torrent_survives_writing_and_planting_with_its_info_hash() {
    for line in expected().iter().filter(|line| line.v1.is_some()) {
        let bytes = torrent(&format!("libtorrent/{}", line.file));
        let Ok(metainfo) = Metainfo::from_torrent(&bytes) else { continue };
        let again = Metainfo::from_torrent(&metainfo.to_torrent()).unwrap();
        assert_eq!(again, metainfo, "{}", line.file);
        let planted = metainfo.with_root("http://super/announce", &[vec!["http://node/announce".into()]]);
        let planted = Metainfo::from_torrent(&planted.to_torrent()).unwrap();
        assert_eq!(planted.info_bytes(), metainfo.info_bytes(), "{}", line.file);
        assert_eq!(planted.web_seeds(), metainfo.web_seeds(), "{}", line.file);
        let magnet = Magnet::of(&planted);
        assert_eq!(Magnet::parse(&magnet.to_string()).unwrap(), magnet, "{}", line.file);
    }
}

#[test]
fn names_are_sanitised_as_libtorrent_documents() {
    let paths = |name: &str| {
        let metainfo = Metainfo::from_torrent(&torrent(&format!("libtorrent/{name}"))).unwrap();
        metainfo.files().iter().map(|file| file.path.join("/")).collect::<Vec<_>>()
    };
    assert_eq!(paths("absolute_filename.torrent"), ["temp/abcde", "temp/foobar"]);
    assert_eq!(paths("parent_path.torrent"), ["temp/bar"]);
    assert_eq!(paths("duplicate_files.torrent"), ["temp/foo/bar.txt", "temp/foo/bar.1.txt"]);
    assert_eq!(paths("empty_path_multi.torrent"), ["temp/abcde", "temp/_", "temp/_.1"]);
    assert_eq!(paths("single_multi_file.torrent"), ["temp/foo/bar"]);
}

#[test]
fn web_seeds_and_trackers_are_read_once_each() {
    let read = |name: &str| Metainfo::from_torrent(&torrent(&format!("libtorrent/{name}"))).unwrap();
    let doubles = read("duplicate_web_seeds.torrent");
    let mut unique = doubles.web_seeds().to_vec();
    unique.dedup();
    assert_eq!(unique, doubles.web_seeds());
    assert_eq!(doubles.trackers(), [["udp://test.com/announce"]]);
    assert!(read("empty_httpseed.torrent").web_seeds().is_empty());
    assert!(read("url_list2.torrent").web_seeds().is_empty());
    assert_eq!(
        read("url_seed_multi_space_nolist.torrent").web_seeds(),
        ["http://test.com/test%20file/foo%20bar"]
    );
}

/// The torrents that come with their content.
const WITH_CONTENT: [&str; 6] = [
    "alice.torrent",
    "leaves.torrent",
    "leaves-metadata.torrent",
    "numbers.torrent",
    "lots-of-numbers.torrent",
    "folder.torrent",
];

fn content(metainfo: &Metainfo) -> Vec<u8> {
    let mut bytes = Vec::new();
    for file in metainfo.files() {
        bytes.extend(torrent(&format!("webtorrent/{}", file.path.join("/"))));
        assert_eq!(bytes.len() as u64, file.offset + file.length);
    }
    bytes
}

#[test]
fn content_of_known_torrents_has_the_hashes_that_they_name() {
    for name in WITH_CONTENT {
        let metainfo = Metainfo::from_torrent(&torrent(&format!("webtorrent/{name}"))).unwrap();
        let bytes = content(&metainfo);
        let pieces = bytes.chunks(metainfo.geometry().piece_length() as usize);
        assert_eq!(pieces.len() as u32, metainfo.geometry().pieces());
        for (at, piece) in (0..).zip(pieces) {
            let digest: [u8; 20] = Sha1::digest(piece).into();
            assert_eq!(metainfo.piece_hash(PieceIndex(at)), Some(digest), "{name}, piece {at}");
        }
        assert_eq!(metainfo.piece_hash(PieceIndex(metainfo.geometry().pieces())), None);
    }
}

#[test]
fn a_torrent_made_from_known_content_has_the_known_info_hash() {
    for name in WITH_CONTENT {
        let known = Metainfo::from_torrent(&torrent(&format!("webtorrent/{name}"))).unwrap();
        let options = create::Options {
            piece_length: Some(known.geometry().piece_length()),
            ..create::Options::default()
        };
        let plan = match known.files() {
            [file] if file.path.len() == 1 => create::Plan::file(known.name(), file.length, options),
            files => {
                let sources = files
                    .iter()
                    .map(|file| create::Source { path: file.path[1..].to_vec(), length: file.length });
                create::Plan::folder(known.name(), sources.collect(), options)
            }
        };
        let mut hasher = create::Hasher::new(plan.unwrap());
        hasher.feed(&content(&known));
        assert_eq!(hasher.finish().unwrap().info_hash(), known.info_hash(), "{name}");
    }
}

#[test]
fn a_torrent_without_a_name_is_refused() {
    assert_eq!(Metainfo::from_torrent(&torrent("webtorrent/corrupt.torrent")), Err(MetainfoError::Name));
    for large in ["bunny.torrent", "sintel.torrent"] {
        assert!(Metainfo::from_torrent(&torrent(&format!("webtorrent/{large}"))).is_ok());
    }
}
