//! Scrape over HTTP ([BEP 48]): how many peers a swarm has.
//!
//! A scrape of everything is neither asked nor answered: what people share is not for listing.
//!
//! [BEP 48]: https://www.bittorrent.org/beps/bep_0048.html

use super::{ReplyError, RequestError, for_people, query};
use crate::bencode::{self, Dict};
use anatomic_core::InfoHash;
use serde::Serialize;
use serde_bytes::ByteBuf;
use std::collections::BTreeMap;

/// The most swarms that one scrape may name; more are ignored.
pub const MAX_HASHES: usize = 255;

/// Figures of one swarm.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct SwarmCounts {
    /// Seeds.
    pub complete: u32,
    /// Completed downloads that the tracker was told of.
    pub downloaded: u32,
    /// Leeches.
    pub incomplete: u32,
}

/// The URL to scrape that belongs to an announce URL: the last path segment's `announce` becomes `scrape`.
///
/// `None` where it does not begin with `announce`: such trackers cannot be scraped (BEP 48).
#[must_use]
pub fn scrape_url(announce: &str, hashes: &[InfoHash]) -> Option<String> {
    let (path, query) = announce.split_once('?').unwrap_or((announce, ""));
    let (folder, last) = path.rsplit_once('/')?;
    let rest = last.strip_prefix("announce")?;
    let mut url = format!("{folder}/scrape{rest}");
    if !query.is_empty() {
        url = query::append(&url, query);
    }
    for hash in hashes.iter().take(MAX_HASHES) {
        url = query::append(&url, &format!("info_hash={}", query::encode(hash.as_bytes())));
    }
    Some(url)
}

/// Reads the query of a scrape.
///
/// # Errors
/// [`RequestError::InfoHash`] if one is malformed, [`RequestError::EmptyScrape`] if there is none.
pub fn hashes_from_query(text: &str) -> Result<Vec<InfoHash>, RequestError> {
    let mut hashes = Vec::new();
    for (key, value) in query::pairs(text) {
        if key == "info_hash" && hashes.len() < MAX_HASHES {
            hashes.push(InfoHash(value.as_ref().try_into().map_err(|_| RequestError::InfoHash)?));
        }
    }
    if hashes.is_empty() { Err(RequestError::EmptyScrape) } else { Ok(hashes) }
}

/// A tracker's answer to a scrape.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ScrapeReply {
    /// Figures of the swarms that the tracker knows.
    pub files: BTreeMap<InfoHash, SwarmCounts>,
}

#[derive(Serialize)]
struct Encoded {
    files: BTreeMap<ByteBuf, SwarmCounts>,
}

impl ScrapeReply {
    /// Reads the body of a reply.
    ///
    /// # Errors
    /// [`ReplyError`] as for an announce.
    pub fn decode(body: &[u8]) -> Result<Self, ReplyError> {
        let mut dict = Dict::parse(body).ok_or(ReplyError::Malformed)?;
        if let Some(reason) = dict.text("failure reason") {
            return Err(ReplyError::Refused(for_people(&reason)));
        }
        let files = dict.take_dict("files").ok_or(ReplyError::Malformed)?;
        let files = files
            .into_dicts()
            .filter_map(|(key, counts)| {
                let figure = |name| counts.integer(name).unwrap_or(0);
                let counts = SwarmCounts {
                    complete: figure("complete"),
                    downloaded: figure("downloaded"),
                    incomplete: figure("incomplete"),
                };
                Some((InfoHash(key.try_into().ok()?), counts))
            })
            .collect();
        Ok(Self { files })
    }

    /// The body of a reply.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let files =
            self.files.iter().map(|(hash, counts)| (ByteBuf::from(hash.as_bytes().to_vec()), *counts));
        bencode::to_bytes(&Encoded { files: files.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_announce_segment_becomes_scrape() {
        let hash = InfoHash([b'a'; 20]);
        for (announce, scrape) in [
            ("http://t/announce", Some("http://t/scrape?info_hash=aaaaaaaaaaaaaaaaaaaa")),
            ("http://t/x/announce.php", Some("http://t/x/scrape.php?info_hash=aaaaaaaaaaaaaaaaaaaa")),
            ("http://t/announce?x=2/4", Some("http://t/scrape?x=2/4&info_hash=aaaaaaaaaaaaaaaaaaaa")),
            ("http://t/a", None),
            ("http://t/x_announce", None),
        ] {
            assert_eq!(scrape_url(announce, &[hash]).as_deref(), scrape);
        }
    }

    #[test]
    fn a_scrape_comes_back_as_written() {
        let counts = SwarmCounts { complete: 5, downloaded: 50, incomplete: 10 };
        let reply = ScrapeReply { files: [(InfoHash([0xff; 20]), counts)].into() };
        assert!(reply.encode().ends_with(b"d8:completei5e10:downloadedi50e10:incompletei10eeee"));
        assert_eq!(ScrapeReply::decode(&reply.encode()), Ok(reply));
    }

    #[test]
    fn a_scrape_of_everything_is_refused() {
        assert_eq!(hashes_from_query(""), Err(RequestError::EmptyScrape));
        assert_eq!(hashes_from_query("info_hash=ab"), Err(RequestError::InfoHash));
        assert_eq!(
            hashes_from_query(&"info_hash=aaaaaaaaaaaaaaaaaaaa&".repeat(300)).unwrap().len(),
            MAX_HASHES
        );
    }
}
