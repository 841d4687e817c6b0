//! Strangers' bytes against every reader of files, links and signed statements: mutated from good ones, seeded.
//!
//! Messages of peers and trackers have the same test beside their decoders.
//!
//! Nothing may panic, and no input may take long. `ANATOMIC_FUZZ_SECONDS` makes each test go on so long with fresh seeds.

// A test speaks by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use anatomic_core::bencode::{self, Limits};
use anatomic_core::{Link, Magnet, Metainfo, PieceIndex, metainfo, paths};
use anatomic_mesh::api::{Handover, Lookup, Offer, PlantRequest, Problem, WellKnown};
use anatomic_mesh::{Claim, Identity, Key, Listing, Proof, Receipt, Signed, UnixTime, Withdrawal};
use fastrand::Rng;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest time for one input: far above what is needed, far below what would hurt.
const LIMIT: Duration = Duration::from_secs(5);

fn torrents() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for folder in ["corpus/libtorrent", "corpus/webtorrent"] {
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "torrent") {
                found.push((path.clone(), std::fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, bytes)| bytes).filter(|bytes| bytes.len() < 8_000).collect()
}

/// Pieces of bencode and links that lead somewhere.
const WORDS: [&[u8]; 24] = [
    b"d",
    b"l",
    b"e",
    b"i0e",
    b"i-1e",
    b"i9223372036854775807e",
    b"i99999999999999999999e",
    b"0:",
    b"1:",
    b"2:..",
    b"99999999:",
    b"18446744073709551615:",
    b"4:info",
    b"5:files",
    b"6:lengthi1e",
    b"12:piece lengthi16384e",
    b"6:pieces20:",
    b"4:pathl2:..1:/e",
    b"12:meta versioni2e",
    b"9:file treed0:d",
    b"4:attr1:p",
    b"&xt=urn:btih:",
    b"%ff%",
    b"so=0-4294967295,",
];

fn mutate(rng: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = rng.choice(seeds).cloned().unwrap_or_default();
    // Mostly one change: what is broken in many places is refused at the first.
    for _ in 0..1 << rng.u8(0..4).saturating_sub(1) {
        let at = rng.usize(0..=bytes.len());
        match rng.u8(0..8) {
            0 if at < bytes.len() => bytes[at] = rng.u8(..),
            1 | 7 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(0..8),
            2 => bytes.truncate(at),
            3 => drop(bytes.splice(at..at, rng.choice(WORDS).unwrap().iter().copied())),
            4 => {
                let end = (at + rng.usize(0..40)).min(bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let end = (at + rng.usize(0..200)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => {
                let other = rng.choice(seeds).unwrap();
                let from = rng.usize(0..=other.len());
                let to = (from + rng.usize(0..200)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    bytes
}

/// Runs `body` on many mutations of `seeds`.
fn fuzz(name: &str, rounds: u64, seeds: &[Vec<u8>], mut body: impl FnMut(&[u8])) {
    let more = std::env::var("ANATOMIC_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let end = Instant::now() + Duration::from_secs(more);
    let mut round = 0;
    while round < rounds || Instant::now() < end {
        // A failure names the round, which is the seed of its input.
        let input = mutate(&mut Rng::with_seed(round), seeds);
        let start = Instant::now();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(&input)));
        assert!(result.is_ok(), "{name}: round {round} panicked on {}", input.escape_ascii());
        assert!(start.elapsed() < LIMIT, "{name}: round {round} took {:?}", start.elapsed());
        round += 1;
    }
}

#[test]
fn no_torrent_breaks_the_reader_or_escapes_its_folder() {
    let mut taken = 0;
    fuzz("torrent", 20_000, &torrents(), |bytes| {
        let _ = metainfo::hashes_of(bytes);
        let Ok(read) = Metainfo::from_torrent(bytes) else { return };
        taken += 1;
        for file in read.files() {
            for element in file.path.iter().chain(file.symlink.iter().flatten()) {
                assert!(!matches!(element.as_str(), "" | "." | "..") && !element.contains(['/', '\\', '\0']));
                assert!(element.len() <= 260);
            }
        }
        let geometry = read.geometry();
        assert!(geometry.pieces() == 0 || read.piece_hash(PieceIndex(geometry.pieces() - 1)).is_some());
        assert_eq!(read.piece_hash(PieceIndex(geometry.pieces())), None);
        let middle = geometry.length() / 2;
        let length = (geometry.length() - middle).min(100_000);
        assert_eq!(read.spans_at(middle, length).map(|span| span.length).sum::<u64>(), length);
        let again = Metainfo::from_torrent(&read.to_torrent()).expect("what was written is read");
        assert_eq!(again.info_hash(), read.info_hash());
        let _ = Magnet::of(&read).to_string();
    });
    // Else the mutations would be too coarse to reach what lies behind the first checks.
    assert!(taken > 500, "only {taken} inputs were taken");
}

#[test]
fn no_bytes_break_the_bencode_reader() {
    fuzz("bencode", 20_000, &torrents(), |bytes| {
        let Ok(parsed) = bencode::parse_prefix(bytes, Limits::MESSAGE) else { return };
        assert_eq!(parsed.length() + parsed.rest().len(), bytes.len());
        let mut open = vec![parsed.root()];
        while let Some(value) = open.pop() {
            let span = value.span();
            assert_eq!(&bytes[span.clone()], value.raw());
            assert!(!value.raw().is_empty());
            open.extend(value.items());
            open.extend(value.entries().map(|(_, value)| value));
            let _ = (value.as_int(), value.as_str(), value.get(b"info"));
        }
    });
}

#[test]
fn no_text_breaks_the_reader_of_links() {
    let hash = "d2474e86c95b19b8bcfdb92bc12c9d44667cfa36";
    let seeds: Vec<Vec<u8>> = [
        format!("magnet:?xt=urn:btih:{hash}&dn=a%20b&xl=5&tr=udp%3A%2F%2Ft%3A1&x.pe=1.2.3.4:5&so=1,3-9"),
        format!(
            "magnet:?xt.1=urn:btih:2JDU5BWJLMM3RPH5XEV4CLE5IRTHZ6RW&xt.2=urn:btmh:1220{hash}{}",
            &hash[..24]
        ),
        format!("https://host:8080/#magnet:?xt=urn:btih:{hash}&x.sn=https%3A%2F%2Fs"),
        format!("http://[::1]:80/t/{hash}?a=b#c"),
        hash.to_owned(),
    ]
    .map(String::into_bytes)
    .into();
    fuzz("link", 50_000, &seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(link) = Link::parse(&text) {
            let again = Link::parse(&link.to_string());
            if !matches!(link, Link::Url(_)) {
                assert_eq!(again.as_ref(), Ok(&link), "{text}");
            }
        }
        let _ = paths::sanitise(bytes);
    });
}

#[test]
fn no_bytes_break_or_forge_a_signed_statement() {
    let identity = Identity::from_seed([1; 32]);
    let receipt = Receipt {
        info_hash: anatomic_core::InfoHash([7; 20]),
        info_hash_v2: Some([8; 32]),
        node: identity.key(),
        url: "https://node.example".into(),
        planter: Key([3; 32]),
        sisters: vec![Key([4; 32])],
        listing: Listing::Listed,
        issued: UnixTime(1_800_000_000),
        claimed: None,
        expires: UnixTime(1_800_100_000),
    };
    let claim = Claim {
        info_hash: receipt.info_hash,
        info_hash_v2: None,
        node: Key([5; 32]),
        planter: identity.key(),
        sisters: Vec::new(),
        listing: Listing::Listed,
        issued: receipt.issued,
        at: None,
    };
    let receipt = Signed::new(receipt, &identity).unwrap();
    let claim = Signed::new(claim, &identity).unwrap();
    let seeds = vec![receipt.as_bytes().to_vec(), claim.as_bytes().to_vec()];
    fuzz("statement", 20_000, &seeds, |bytes| {
        if let Ok(read) = Signed::<Receipt>::from_bytes(bytes) {
            assert_eq!(read, receipt);
        }
        if let Ok(read) = Signed::<Claim>::from_bytes(bytes) {
            assert_eq!(read, claim);
        }
        assert!(Signed::<Withdrawal>::from_bytes(bytes).is_err());
        assert!(Signed::<Proof>::from_bytes(bytes).is_err());
    });
}

#[test]
fn no_json_breaks_the_types_of_the_api() {
    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let node = format!(
        r#"{{"key":"{key}","url":"http://n","announce":{{"http":"http://n/announce"}},"tcp":"1.2.3.4:5","planting":"open","free":3}}"#
    );
    let seeds: Vec<Vec<u8>> = [
        format!(r#"{{"nodes":[{node}],"supernodes":[{{"key":"{key}","url":"http://s","seen":5}}]}}"#),
        format!(r#"{{"version":1,"software":"x","key":"{key}","roles":["node","page"],"node":{node},"limits":{{}}}}"#),
        format!(r#"{{"info_hash":"{}","magnet":"magnet:?","nodes":[{node}],"receipts":[]}}"#, &key[..40]),
        r#"{"type":"about:blank","title":"t","status":403,"detail":"d","code":"full"}"#.to_owned(),
        r#"{"claim":"64343a","torrent":"00ff","trackers":["http://t"]}"#.to_owned(),
    ]
    .map(String::into_bytes)
    .into();
    fuzz("json", 20_000, &seeds, |bytes| {
        let _ = serde_json::from_slice::<Offer>(bytes);
        let _ = serde_json::from_slice::<WellKnown>(bytes);
        let _ = serde_json::from_slice::<Lookup>(bytes);
        let _ = serde_json::from_slice::<Problem>(bytes).map(|problem| problem.to_string());
        let _ = serde_json::from_slice::<PlantRequest>(bytes);
        let _ = serde_json::from_slice::<Handover>(bytes);
    });
    for (at, seed) in seeds.iter().enumerate().take(4) {
        let taken = [
            serde_json::from_slice::<Offer>(seed).is_ok(),
            serde_json::from_slice::<WellKnown>(seed).is_ok(),
            serde_json::from_slice::<Lookup>(seed).is_ok(),
            serde_json::from_slice::<Problem>(seed).is_ok(),
        ];
        assert!(taken[at], "seed {at} is not good to begin with");
    }
}

#[test]
fn the_largest_inputs_are_bounded_in_time() {
    let inputs: [(&str, Vec<u8>); 6] = [
        ("lists", b"le".repeat(4_999_999)),
        ("open lists", vec![b'l'; 10_000_000]),
        ("digits", vec![b'1'; 10_000_000]),
        ("one long list", [&b"l"[..], &b"0:".repeat(2_999_990), b"e"].concat()),
        ("many equal files", many_files(|_| "same".to_owned())),
        (
            "files that take each other's number",
            many_files(|at| match at % 2 {
                0 => format!("a.{at}"),
                _ => "a".to_owned(),
            }),
        ),
    ];
    for (name, bytes) in inputs {
        let start = Instant::now();
        let _ = Metainfo::from_torrent(&bytes);
        assert!(start.elapsed() < LIMIT, "{name} took {:?}", start.elapsed());
    }
}

/// A torrent of 100,000 files.
fn many_files(name: impl Fn(u32) -> String) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut text = String::from("d4:infod5:filesl");
    for at in 0..100_000 {
        let name = name(at);
        write!(text, "d6:lengthi1e4:pathl{}:{name}ee", name.len()).unwrap();
    }
    write!(text, "e4:name1:t12:piece lengthi1048576e6:pieces20:{}ee", "h".repeat(20)).unwrap();
    text.into_bytes()
}
