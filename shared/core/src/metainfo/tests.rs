//! Rules of the metainfo reader on torrents made by hand.
//!
//! Whole torrents of other programs are read in the crate of end-to-end tests.

use super::*;
use crate::bencode::Item;

/// A multi-file info with the given entries of `files` and enough hashes.
fn info(entries: Vec<Item>, length: u64) -> Vec<(&'static str, Item)> {
    let pieces = vec![b'h'; usize::try_from(length.div_ceil(16_384)).unwrap() * 20];
    vec![
        ("files", Item::List(entries)),
        ("name", Item::from("folder")),
        ("piece length", Item::Integer(16_384)),
        ("pieces", Item::from(pieces)),
    ]
}

fn entry(path: &[&str], length: u64) -> Item {
    Item::dict([("length", Item::from(length)), ("path", Item::list(path.iter().copied()))])
}

fn single(key: &'static str, value: Item) -> Result<Metainfo, MetainfoError> {
    let mut fields = vec![
        ("length", Item::Integer(20_000)),
        ("name", Item::from("file")),
        ("piece length", Item::Integer(16_384)),
        ("pieces", Item::from(vec![0; 40])),
    ];
    fields.push((key, value));
    read(fields)
}

fn read(fields: Vec<(&'static str, Item)>) -> Result<Metainfo, MetainfoError> {
    Metainfo::from_info(Item::dict(fields).to_bytes().into(), Vec::new(), Vec::new())
}

#[test]
fn bytes_are_found_in_their_files_across_empty_and_pad_files() {
    let pad = Item::dict([("attr", Item::from("p")), ("length", Item::Integer(6_384))]);
    let files = vec![entry(&["a"], 10_000), entry(&["e"], 0), pad, entry(&["s", "b"], 100)];
    let metainfo = read(info(files, 16_484)).unwrap();
    let spans = |start, length| {
        let spans = metainfo.spans_at(start, length);
        spans.map(|span| (span.file.0, span.offset, span.length)).collect::<Vec<_>>()
    };
    assert_eq!(spans(9_000, 7_400), [(0, 9_000, 1_000), (2, 0, 6_384), (3, 0, 16)]);
    assert_eq!(spans(10_000, 1), [(2, 0, 1)]);
    assert_eq!(spans(16_484, 5), []);
    assert_eq!(spans(16_480, u64::MAX), [(3, 96, 4)]);
    let last = Block { piece: PieceIndex(1), offset: 0, length: 100 };
    assert_eq!(
        metainfo.spans(last).collect::<Vec<_>>(),
        [Span { file: FileIndex(3), offset: 0, length: 100 }]
    );
    assert_eq!(metainfo.files()[2].kind, FileKind::Pad);
    assert_eq!(metainfo.files()[3].path, ["folder", "s", "b"]);
}

#[test]
fn wrong_numbers_are_refused_by_the_name_of_the_field() {
    use MetainfoError::*;
    for value in [Item::Integer(0), Item::Integer(-1), Item::Integer(1 << 31), Item::from("16384")] {
        assert_eq!(single("piece length", value), Err(PieceLength));
    }
    for value in [Item::Integer(0), Item::Integer(-1), Item::Integer(i64::MAX), Item::from("1")] {
        assert_eq!(single("length", value), Err(Length));
    }
    for found in [0, 20, 39, 60] {
        assert_eq!(
            single("pieces", Item::from(vec![0; found])),
            Err(Pieces { found: found as u64, expected: 40 })
        );
    }
    assert_eq!(single("pieces", Item::Integer(1)), Err(MissingPieces));
    assert_eq!(single("length", Item::Integer(1 << 40)), Err(TooManyPieces));
    assert_eq!(single("name", Item::Integer(1)), Err(Name));
    assert_eq!(single("files", Item::Integer(1)), Err(Files));
    assert_eq!(single("files", Item::List(Vec::new())), Err(Files));
    assert_eq!(single("meta version", Item::Integer(3)), Err(UnknownVersion(3)));
    assert_eq!(read(info(vec![entry(&["x"; 101], 1)], 1)), Err(Path));
    assert_eq!(read(info(vec![entry(&[], 1)], 1)), Err(Path));
    assert!(read(info(vec![entry(&["x"; 100], 1)], 1)).is_ok());
}

#[test]
fn a_name_of_which_nothing_is_left_becomes_the_info_hash() {
    for name in ["..", "", "/", "."] {
        let metainfo = single("name", Item::from(name)).unwrap();
        assert_eq!(metainfo.name(), metainfo.info_hash().to_string());
        assert_eq!(metainfo.files()[0].path, [metainfo.name()]);
    }
}

#[test]
fn links_have_no_bytes_and_stay_inside_the_folder() {
    let link = Item::dict([
        ("attr", Item::from("lx")),
        ("path", Item::list(["l"])),
        ("symlink path", Item::list(["..", "..", "etc", "passwd"])),
    ]);
    let metainfo = read(info(vec![link, entry(&["a"], 1)], 1)).unwrap();
    let link = &metainfo.files()[0];
    assert_eq!((link.length, link.executable), (0, true));
    assert_eq!(link.symlink.as_deref(), Some(&["etc".to_owned(), "passwd".to_owned()][..]));
}

#[test]
fn a_planted_torrent_keeps_its_info_and_every_unknown_key() {
    // Keys of `info` out of order: re-encoding would change the hash.
    let info = b"d4:name1:a6:lengthi5e12:piece lengthi16384e6:pieces20:hhhhhhhhhhhhhhhhhhhhe";
    let mut torrent = b"d8:announce11:http://old/4:info".to_vec();
    torrent.extend_from_slice(info);
    torrent.extend_from_slice(b"8:url-list10:http://w/a6:x-mored1:bi1e1:ai2eee");
    let old = Metainfo::from_torrent(&torrent).unwrap();
    assert!(!old.is_planted());
    let tiers =
        [vec!["http://node/announce".to_owned(), "ws://node/".to_owned()], vec!["http://super/".to_owned()]];
    let planted = old.with_root("http://super/announce", &tiers);
    let read = Metainfo::from_torrent(&planted.to_torrent()).unwrap();
    assert_eq!(read, planted);
    assert!(read.is_planted());
    assert_eq!(read.info_hash(), old.info_hash());
    assert_eq!(read.info_bytes().as_ref(), info);
    assert_eq!((read.trackers(), read.web_seeds()), (&tiers[..], &["http://w/a".to_owned()][..]));
    let text = read.to_torrent().escape_ascii().to_string();
    assert!(text.contains("6:x-mored1:bi1e1:ai2ee") && text.contains("8:announce21:http://super/announce"));
}

#[test]
fn announce_counts_only_without_an_announce_list() {
    let torrent = |list: &str| {
        let text = format!(
            "d8:announce10:http://a/1{list}4:infod6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces20:{}ee",
            "h".repeat(20)
        );
        Metainfo::from_torrent(text.as_bytes()).unwrap().trackers().to_vec()
    };
    assert_eq!(torrent(""), [["http://a/1"]]);
    assert_eq!(torrent("13:announce-listllel0:ee"), [["http://a/1"]]);
    assert_eq!(torrent("13:announce-listll9:udp://b:19:udp://b:1ee"), [["udp://b:1"]]);
    assert_eq!(torrent("13:announce-listl9:udp://b:1e"), [["udp://b:1"]]);
}

#[test]
fn the_torrent_of_a_v2_only_swarm_is_named() {
    let fields = vec![
        ("file tree", Item::dict([("f", Item::dict([("", Item::dict([("length", Item::Integer(1))]))]))])),
        ("meta version", Item::Integer(2)),
        ("name", Item::from("f")),
        ("piece length", Item::Integer(16_384)),
    ];
    let info = Item::dict(fields.clone()).to_bytes();
    let torrent = Item::dict([("info", Item::Raw(info))]).to_bytes();
    let (_, v2) = hashes_of(&torrent).unwrap();
    let error = read(fields).unwrap_err();
    assert_eq!(error, MetainfoError::V2Only { info_hash_v2: v2.unwrap(), name: "f".into() });
    assert!(error.to_string().contains("not yet supported"));
}
