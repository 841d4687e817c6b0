//! Magnets and links: `magnet:?xt=urn:btih:…` ([BEP 9], [BEP 53]) and the planted links that carry one.
//!
//! Reads text that people paste; fetches nothing.
//!
//! [BEP 9]: https://www.bittorrent.org/beps/bep_0009.html#magnet-uri-format
//! [BEP 53]: https://www.bittorrent.org/beps/bep_0053.html

mod link;
mod text;

pub use link::{Link, LinkError};
pub use text::{escape, escape_bytes, unescape};

use crate::collections::BTreeSet;
use crate::ids::{self, InfoHash, Sha256Hash, to_hex};
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Longest magnet or link that is read, in bytes.
pub const MAX_LENGTH: usize = 64 * 1024;
/// Most addresses of each kind that one magnet may carry.
const MAX_ADDRESSES: usize = 100;

/// Why text is not a magnet that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MagnetError {
    /// It does not begin with `magnet:?`.
    #[error("not a magnet: it does not begin with `magnet:?`")]
    NotAMagnet,
    /// Longer than [`MAX_LENGTH`].
    #[error("the magnet is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// No `xt` names a BitTorrent info-hash.
    #[error("the magnet names no torrent: `xt=urn:btih:` is missing")]
    NoInfoHash,
    /// An info-hash of the wrong length or with wrong characters.
    #[error("the magnet's info-hash is neither 40 hexadecimal nor 32 base32 characters")]
    BadInfoHash,
    /// Two `xt` name different v1 info-hashes.
    #[error("the magnet names two different torrents")]
    TwoInfoHashes,
    /// Only a v2 info-hash is named.
    #[error("this magnet is of a v2-only torrent, which is not yet supported (v2 info-hash {})", to_hex(.0))]
    V2Only(Sha256Hash),
}

/// What a magnet says about a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Magnet {
    /// The v1 info-hash.
    pub info_hash: InfoHash,
    /// The v2 info-hash of a hybrid torrent.
    pub info_hash_v2: Option<Sha256Hash>,
    /// `dn`: a name to show until the metadata is there. A stranger's text; not for paths.
    pub name: Option<String>,
    /// `xl`: bytes of the content.
    pub length: Option<u64>,
    /// `tr`: announce URLs, each once.
    pub trackers: Vec<String>,
    /// `ws`: web seeds, each once.
    pub web_seeds: Vec<String>,
    /// `x.pe`: peers by literal address; names of hosts are left out.
    pub peers: Vec<SocketAddr>,
    /// `x.sn`: supernodes that know the torrent (planted links).
    pub supernodes: Vec<String>,
    /// `so`: the files wanted, as ascending ranges that do not touch; empty: all.
    pub select: Vec<RangeInclusive<u32>>,
}

impl Magnet {
    /// A magnet of an info-hash alone.
    #[must_use]
    pub const fn new(info_hash: InfoHash) -> Self {
        Self {
            info_hash,
            info_hash_v2: None,
            name: None,
            length: None,
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            peers: Vec::new(),
            supernodes: Vec::new(),
            select: Vec::new(),
        }
    }

    /// The magnet of a torrent that is known in full.
    #[must_use]
    pub fn of(metainfo: &crate::Metainfo) -> Self {
        Self {
            info_hash_v2: metainfo.info_hash_v2(),
            name: Some(metainfo.name().to_owned()),
            length: Some(metainfo.geometry().length()),
            trackers: metainfo.trackers().iter().flatten().cloned().collect(),
            web_seeds: metainfo.web_seeds().to_vec(),
            ..Self::new(metainfo.info_hash())
        }
    }

    /// Whether the file of that number is wanted.
    #[must_use]
    pub fn selects(&self, file: crate::FileIndex) -> bool {
        self.select.is_empty() || self.select.iter().any(|range| range.contains(&file.0))
    }

    /// Reads a magnet. Unknown keys are skipped; keys may be numbered (`tr.1`) and of either case.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn parse(text: &str) -> Result<Self, MagnetError> {
        let text = text.trim();
        if text.len() > MAX_LENGTH {
            return Err(MagnetError::TooLong);
        }
        let scheme = text.get(..8).filter(|scheme| scheme.eq_ignore_ascii_case("magnet:?"));
        let query = scheme.and_then(|_| text.get(8..)).ok_or(MagnetError::NotAMagnet)?;
        let (mut v1, mut v2) = (None, None);
        let mut magnet = Self::new(InfoHash([0; 20]));
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let key = unescape(key).to_ascii_lowercase();
            let value = unescape(value);
            // Lists of one kind are told apart by a number: `xt.1`, `tr.2`.
            let plain = match key.rsplit_once('.') {
                Some((plain, number)) if number.bytes().all(|digit| digit.is_ascii_digit()) => plain,
                _ => &key,
            };
            match plain {
                "xt" => match topic(&value)? {
                    Some(Topic::V1(hash)) if v1.is_some_and(|known| known != hash) => {
                        return Err(MagnetError::TwoInfoHashes);
                    }
                    Some(Topic::V1(hash)) => v1 = Some(hash),
                    Some(Topic::V2(hash)) => v2 = Some(hash),
                    None => {}
                },
                "dn" if magnet.name.is_none() => magnet.name = Some(value).filter(|name| !name.is_empty()),
                "xl" => magnet.length = value.parse().ok(),
                "tr" => add(&mut magnet.trackers, value),
                "ws" => add(&mut magnet.web_seeds, value),
                "x.sn" => add(&mut magnet.supernodes, value),
                "x.pe" if magnet.peers.len() < MAX_ADDRESSES => {
                    let fresh = value.parse().ok().filter(|peer| !magnet.peers.contains(peer));
                    magnet.peers.extend(fresh);
                }
                "so" => magnet.select = select(&value),
                _ => {}
            }
        }
        magnet.info_hash = match (v1, v2) {
            (Some(hash), _) => hash,
            (None, Some(hash)) => return Err(MagnetError::V2Only(hash)),
            (None, None) => return Err(MagnetError::NoInfoHash),
        };
        magnet.info_hash_v2 = v2;
        Ok(magnet)
    }
}

impl FromStr for Magnet {
    type Err = MagnetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Magnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "magnet:?xt=urn:btih:{}", self.info_hash)?;
        if let Some(hash) = &self.info_hash_v2 {
            write!(f, "&xt=urn:btmh:1220{}", to_hex(hash))?;
        }
        if let Some(name) = &self.name {
            write!(f, "&dn={}", escape(name))?;
        }
        if let Some(length) = self.length {
            write!(f, "&xl={length}")?;
        }
        for (key, urls) in [("tr", &self.trackers), ("ws", &self.web_seeds), ("x.sn", &self.supernodes)] {
            urls.iter().try_for_each(|url| write!(f, "&{key}={}", escape(url)))?;
        }
        self.peers.iter().try_for_each(|peer| write!(f, "&x.pe={peer}"))?;
        for (at, range) in self.select.iter().enumerate() {
            let (start, end) = (range.start(), range.end());
            f.write_str(if at == 0 { "&so=" } else { "," })?;
            if start == end { write!(f, "{start}")? } else { write!(f, "{start}-{end}")? }
        }
        Ok(())
    }
}

enum Topic {
    V1(InfoHash),
    V2(Sha256Hash),
}

/// Reads `urn:btih:` or `urn:btmh:`; `None` for a topic of another network.
fn topic(value: &str) -> Result<Option<Topic>, MagnetError> {
    let kind = value.get(..9).unwrap_or_default().to_ascii_lowercase();
    let hash = value.get(9..).unwrap_or_default();
    match kind.as_str() {
        "urn:btih:" => info_hash(hash).map(|hash| Some(Topic::V1(hash))).ok_or(MagnetError::BadInfoHash),
        // BEP 9: a multihash; 12 20 says SHA-256, 32 bytes.
        "urn:btmh:" => {
            let digits = hash.get(..4).filter(|prefix| *prefix == "1220").and_then(|_| hash.get(4..));
            let hash = digits.and_then(ids::from_hex).ok_or(MagnetError::BadInfoHash)?;
            Ok(Some(Topic::V2(hash)))
        }
        _ => Ok(None),
    }
}

/// Reads an info-hash of 40 hexadecimal or 32 base32 characters, of either case ([BEP 9]).
///
/// [BEP 9]: https://www.bittorrent.org/beps/bep_0009.html#magnet-uri-format
#[must_use]
pub fn info_hash(text: &str) -> Option<InfoHash> {
    if text.len() == 32 { text::base32(text).map(InfoHash) } else { InfoHash::from_hex(text) }
}

fn add(urls: &mut Vec<String>, url: String) {
    if urls.len() < MAX_ADDRESSES
        && !url.is_empty()
        && !url.contains(char::is_control)
        && !urls.contains(&url)
    {
        urls.push(url);
    }
}

/// BEP 53: `0,2,4,6-8`. Ranges that overlap or touch are merged, inverted and malformed ones dropped.
fn select(value: &str) -> Vec<RangeInclusive<u32>> {
    let ranges: BTreeSet<(u32, u32)> = value
        .split(',')
        .filter_map(|part| match part.split_once('-') {
            Some((start, end)) => Some((start.parse().ok()?, end.parse().ok()?)),
            None => part.parse().ok().map(|file| (file, file)),
        })
        .filter(|(start, end)| start <= end)
        .collect();
    let mut merged: Vec<(u32, u32)> = Vec::new();
    for (start, end) in ranges {
        match merged.last_mut() {
            Some(last) if start <= last.1.saturating_add(1) => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged.into_iter().map(|(start, end)| start..=end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "d2474e86c95b19b8bcfdb92bc12c9d44667cfa36";

    #[test]
    fn every_spelling_of_an_info_hash_is_read() {
        let hash = InfoHash::from_hex(HEX).unwrap();
        for text in [
            format!("magnet:?xt=urn:btih:{HEX}"),
            format!("MAGNET:?XT=urn:btih:{}", HEX.to_uppercase()),
            "magnet:?xt=urn:btih:2JDU5BWJLMM3RPH5XEV4CLE5IRTHZ6RW".to_owned(),
            "magnet:?xt.1=urn:btih:2jdu5bwjlmm3rph5xev4cle5irthz6rw".to_owned(),
            format!("magnet:?xt=urn%3Abtih%3A{HEX}"),
            format!("  magnet:?dn=x&xt=urn:sha1:abc&xt=urn:btih:{HEX}\n"),
        ] {
            assert_eq!(Magnet::parse(&text).unwrap().info_hash, hash, "{text}");
        }
    }

    #[test]
    fn a_wrong_info_hash_is_refused_by_name() {
        use MagnetError::*;
        let parse = |text: &str| Magnet::parse(text).unwrap_err();
        assert_eq!(parse(&format!("magnet:?xt=urn:btih:{}", &HEX[1..])), BadInfoHash);
        assert_eq!(parse(&format!("magnet:?xt=urn:btih:{HEX}0")), BadInfoHash);
        assert_eq!(parse("magnet:?xt=urn:btih:2JDU5BWJLMM3RPH5XEV4CLE5IRTHZ6R1"), BadInfoHash);
        assert_eq!(parse("magnet:?xt=urn:btmh:1221aa"), BadInfoHash);
        assert_eq!(parse("magnet:?dn=only"), NoInfoHash);
        assert_eq!(parse("http://example.com/"), NotAMagnet);
        assert_eq!(
            parse(&format!("magnet:?xt=urn:btih:{HEX}&xt=urn:btih:{}", HEX.replace('d', "e"))),
            TwoInfoHashes
        );
        assert_eq!(parse(&format!("magnet:?xt=urn:btih:{HEX}&dn={}", "x".repeat(MAX_LENGTH))), TooLong);
        let v2 = "caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e";
        assert_eq!(parse(&format!("magnet:?xt=urn:btmh:1220{v2}")), V2Only(ids::from_hex(v2).unwrap()));
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let text = format!(
            "magnet:?xt=urn:btih:{HEX}&dn=Leaves%20of%20Gr%C3%A4ss%20%26%20more&xl=362017\
             &tr=http%3A%2F%2Ftracker.example%2Fannounce%3Fa%3D1&tr=wss%3A%2F%2Ft.example%2F\
             &ws=https%3A%2F%2Fseed.example%2F&x.sn=https%3A%2F%2Fsuper.example%2F&x.pe=192.0.2.1:6881\
             &x.pe=[2001:db8::1]:6881&so=0,2,4-8"
        );
        let magnet = Magnet::parse(&text).unwrap();
        assert_eq!(magnet.name.as_deref(), Some("Leaves of Gräss & more"));
        assert_eq!(magnet.trackers, ["http://tracker.example/announce?a=1", "wss://t.example/"]);
        assert_eq!((magnet.peers.len(), magnet.supernodes.len(), magnet.web_seeds.len()), (2, 1, 1));
        assert_eq!(magnet.to_string(), text);
        assert_eq!(Magnet::parse(&magnet.to_string()).unwrap(), magnet);
    }

    #[test]
    fn file_ranges_are_merged_and_inverted_ones_dropped() {
        assert_eq!(select("4-8,0,2,6-10,9,3-1,x,12-"), [0..=0, 2..=2, 4..=10]);
        assert_eq!(select("5,4,3"), vec![3..=5]);
        assert!(select("-,9-2,").is_empty());
        let mut magnet = Magnet::new(InfoHash([1; 20]));
        assert!(magnet.selects(crate::FileIndex(7)));
        magnet.select = vec![1..=2];
        assert!(magnet.selects(crate::FileIndex(2)) && !magnet.selects(crate::FileIndex(3)));
    }

    #[test]
    fn a_flood_of_addresses_is_cut() {
        use std::fmt::Write as _;
        let mut text = format!("magnet:?xt=urn:btih:{HEX}");
        for number in 0..500 {
            write!(text, "&tr=http://t{number}/&x.pe=10.0.0.1:{}", number + 1).unwrap();
        }
        let magnet = Magnet::parse(&text).unwrap();
        assert_eq!((magnet.trackers.len(), magnet.peers.len()), (MAX_ADDRESSES, MAX_ADDRESSES));
    }
}
