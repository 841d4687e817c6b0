//! Announce over HTTP: the query of a request and the bencoded reply.
//!
//! [BEP 3]'s dictionary of peers is read but never written: all clients take the compact form ([BEP 23], [BEP 7]).
//!
//! [BEP 3]: https://www.bittorrent.org/beps/bep_0003.html#trackers
//! [BEP 7]: https://www.bittorrent.org/beps/bep_0007.html
//! [BEP 23]: https://www.bittorrent.org/beps/bep_0023.html

use super::{Event, ReplyError, RequestError, for_people, query};
use crate::bencode::{self, Dict};
use crate::compact;
use anatomic_core::{InfoHash, PeerId};
use serde::Serialize;
use serde_bytes::ByteBuf;
use std::net::{IpAddr, SocketAddr};

/// The most addresses that are read from one reply.
const MAX_PEERS: usize = 1000;
/// What is announced as left while the length is unknown (a magnet without metadata): not zero, which means a seed.
const UNKNOWN_LEFT: u64 = 16 * 1024;

/// A peer's announce.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnnounceRequest {
    /// Which swarm.
    pub info_hash: InfoHash,
    /// Who announces; some old clients leave it out.
    pub peer_id: Option<PeerId>,
    /// TCP port on which the peer listens; 0 if it cannot be dialled.
    pub port: u16,
    /// Bytes sent to other peers since `started`.
    pub uploaded: u64,
    /// Bytes received from other peers since `started`.
    pub downloaded: u64,
    /// Bytes still missing; 0 for a seed, `None` if unknown.
    pub left: Option<u64>,
    /// Why now.
    pub event: Option<Event>,
    /// How many addresses the peer wants.
    pub want: Option<u32>,
    /// Proves to the tracker that a changed address is the same peer.
    pub key: Option<u32>,
    /// What the tracker gave in an earlier reply.
    pub tracker_id: Option<String>,
}

impl AnnounceRequest {
    /// The announce of a peer that has nothing to tell but where it listens: no bytes, no event, `left` unknown.
    #[must_use]
    pub const fn new(info_hash: InfoHash, port: u16) -> Self {
        Self {
            info_hash,
            peer_id: None,
            port,
            uploaded: 0,
            downloaded: 0,
            left: None,
            event: None,
            want: None,
            key: None,
            tracker_id: None,
        }
    }

    /// The URL to fetch: `announce` with this request as its query.
    #[must_use]
    pub fn to_url(&self, announce: &str) -> String {
        query::append(announce, &self.to_query())
    }

    /// The query.
    #[must_use]
    pub fn to_query(&self) -> String {
        let mut pairs = vec![("info_hash", query::encode(self.info_hash.as_bytes()))];
        if let Some(peer_id) = &self.peer_id {
            pairs.push(("peer_id", query::encode(peer_id.as_bytes())));
        }
        pairs.push(("port", self.port.to_string()));
        pairs.push(("uploaded", self.uploaded.to_string()));
        pairs.push(("downloaded", self.downloaded.to_string()));
        pairs.push(("left", self.left.unwrap_or(UNKNOWN_LEFT).to_string()));
        pairs.push(("compact", "1".into()));
        pairs.push(("no_peer_id", "1".into()));
        if let Some(event) = self.event {
            pairs.push(("event", event.as_str().into()));
        }
        if let Some(want) = self.want {
            pairs.push(("numwant", want.to_string()));
        }
        if let Some(key) = self.key {
            pairs.push(("key", format!("{key:08X}")));
        }
        if let Some(id) = &self.tracker_id {
            pairs.push(("trackerid", query::encode(id.as_bytes())));
        }
        pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
    }

    /// Reads the query of a request. `ip=` is ignored on purpose: a peer's address is where its packets come from.
    ///
    /// # Errors
    /// [`RequestError`] if the info-hash or the port is missing or malformed. Odd values of other fields count as absent.
    pub fn from_query(text: &str) -> Result<Self, RequestError> {
        let mut request = Self::new(InfoHash([0; 20]), 0);
        let (mut info_hash, mut port) = (None, None);
        for (key, value) in query::pairs(text) {
            match key.as_ref() {
                "info_hash" => info_hash = Some(value),
                "peer_id" => request.peer_id = value.as_ref().try_into().ok().map(PeerId),
                "port" => port = query::number(&value),
                "uploaded" => request.uploaded = query::number(&value).unwrap_or(0),
                "downloaded" => request.downloaded = query::number(&value).unwrap_or(0),
                "left" => request.left = query::number(&value),
                "event" => request.event = std::str::from_utf8(&value).ok().and_then(Event::parse),
                "numwant" => request.want = query::number(&value),
                "key" => {
                    request.key =
                        std::str::from_utf8(&value).ok().and_then(|hex| u32::from_str_radix(hex, 16).ok());
                }
                "trackerid" => request.tracker_id = String::from_utf8(value.into_owned()).ok(),
                _ => {}
            }
        }
        let info_hash = info_hash.ok_or(RequestError::InfoHash)?;
        request.info_hash = InfoHash(info_hash.as_ref().try_into().map_err(|_| RequestError::InfoHash)?);
        request.port = port.ok_or(RequestError::Port)?;
        Ok(request)
    }
}

/// A tracker's answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AnnounceReply {
    /// Seconds until the next regular announce.
    pub interval: u32,
    /// Seconds before which no announce is welcome.
    pub min_interval: Option<u32>,
    /// How many seeds the swarm has.
    pub complete: Option<u32>,
    /// How many leeches the swarm has.
    pub incomplete: Option<u32>,
    /// Addresses of peers.
    pub peers: Vec<SocketAddr>,
    /// To be repeated in later announces.
    pub tracker_id: Option<String>,
    /// Something for the person to know.
    pub warning: Option<String>,
    /// The client's address as the tracker sees it (BEP 24).
    pub external_ip: Option<IpAddr>,
}

#[derive(Serialize)]
struct Encoded {
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<u32>,
    #[serde(rename = "external ip", skip_serializing_if = "Option::is_none")]
    external_ip: Option<ByteBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<u32>,
    interval: u32,
    #[serde(rename = "min interval", skip_serializing_if = "Option::is_none")]
    min_interval: Option<u32>,
    peers: ByteBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    peers6: Option<ByteBuf>,
    #[serde(rename = "tracker id", skip_serializing_if = "Option::is_none")]
    tracker_id: Option<String>,
    #[serde(rename = "warning message", skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

#[derive(Serialize)]
struct Refusal<'a> {
    #[serde(rename = "failure reason")]
    reason: &'a str,
}

impl AnnounceReply {
    /// Reads the body of a reply.
    ///
    /// # Errors
    /// [`ReplyError::Refused`] with the tracker's reason, [`ReplyError::Malformed`] if there is neither reason nor interval
    /// nor peers.
    pub fn decode(body: &[u8]) -> Result<Self, ReplyError> {
        let mut dict = Dict::parse(body).ok_or(ReplyError::Malformed)?;
        if let Some(reason) = dict.text("failure reason") {
            return Err(ReplyError::Refused(for_people(&reason)));
        }
        let mut peers: Vec<SocketAddr> = Vec::new();
        let mut answered = dict.integer::<i64>("interval").is_some();
        if let Some(compact) = dict.bytes("peers") {
            answered = true;
            peers.extend(compact::read_v4(compact, MAX_PEERS));
        } else if let Some(list) = dict.take_dicts("peers") {
            answered = true;
            peers.extend(list.iter().take(MAX_PEERS).filter_map(|peer| {
                // A host name is possible here (BEP 3) but never looked up: names are how trackers reach inwards.
                let ip: IpAddr = peer.text("ip")?.parse().ok()?;
                Some(SocketAddr::new(ip, peer.integer("port")?))
            }));
        }
        if let Some(compact) = dict.bytes("peers6") {
            answered = true;
            peers.extend(compact::read_v6(compact, MAX_PEERS));
        }
        if !answered {
            return Err(ReplyError::Malformed);
        }
        peers.retain(|peer| peer.port() != 0);
        peers.truncate(MAX_PEERS);
        Ok(Self {
            interval: dict.integer("interval").unwrap_or(0),
            min_interval: dict.integer("min interval"),
            complete: dict.integer("complete"),
            incomplete: dict.integer("incomplete"),
            peers,
            tracker_id: dict.text("tracker id").filter(|id| id.len() <= 256),
            warning: dict.text("warning message").map(|text| for_people(&text)),
            external_ip: dict.bytes("external ip").and_then(compact::read_ip),
        })
    }

    /// The body of a reply.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for peer in &self.peers {
            compact::write(*peer, &mut v4, &mut v6);
        }
        bencode::to_bytes(&Encoded {
            complete: self.complete,
            external_ip: self.external_ip.map(|ip| ByteBuf::from(compact::write_ip(ip))),
            incomplete: self.incomplete,
            interval: self.interval,
            min_interval: self.min_interval,
            peers: ByteBuf::from(v4),
            peers6: (!v6.is_empty()).then(|| ByteBuf::from(v6)),
            tracker_id: self.tracker_id.clone(),
            warning: self.warning.clone(),
        })
    }

    /// The body of a refusal that a client can show.
    #[must_use]
    pub fn refusal(reason: &str) -> Vec<u8> {
        bencode::to_bytes(&Refusal { reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announce_comes_back_as_written() {
        let request = AnnounceRequest {
            info_hash: InfoHash(*b"\x00\x12 &=+%\xff\x80abcdefghijk"),
            peer_id: Some(PeerId::ours(*b"\x01\x02\x03&&&===+++")),
            port: 6881,
            uploaded: 1,
            downloaded: 2,
            left: Some(3),
            event: Some(Event::Started),
            want: Some(50),
            key: Some(0xdead_beef),
            tracker_id: Some("a&b".into()),
        };
        let url = request.to_url("http://tracker.example/announce?passkey=1");
        let (_, query) = url.split_once('?').unwrap();
        assert!(query.starts_with("passkey=1&info_hash=%00%12%20%26%3D%2B%25%FF%80abcdefghijk&"));
        assert_eq!(AnnounceRequest::from_query(query), Ok(request));
    }

    #[test]
    fn raw_unescaped_bytes_of_an_info_hash_are_accepted() {
        let request = AnnounceRequest::from_query(
            "info_hash=aaaaaaaaaaaaaaaaaaaa&port=1&left=&event=update&numwant=-1",
        )
        .unwrap();
        assert_eq!((request.left, request.event, request.want, request.peer_id), (None, None, None, None));
    }

    #[test]
    fn without_info_hash_or_port_the_reason_says_so() {
        for query in ["", "port=1", "info_hash=abc&port=1", "info_hash=%"] {
            assert_eq!(AnnounceRequest::from_query(query), Err(RequestError::InfoHash));
        }
        for port in ["", "&port=", "&port=65536", "&port=-1"] {
            let query = format!("info_hash=aaaaaaaaaaaaaaaaaaaa{port}");
            assert_eq!(AnnounceRequest::from_query(&query), Err(RequestError::Port));
        }
    }

    #[test]
    fn a_reply_comes_back_as_written() {
        let reply = AnnounceReply {
            interval: 1800,
            min_interval: Some(60),
            complete: Some(1),
            incomplete: Some(2),
            peers: vec!["1.2.3.4:5".parse().unwrap(), "[2001:db8::1]:6".parse().unwrap()],
            tracker_id: Some("x".into()),
            warning: Some("slow".into()),
            external_ip: Some("9.9.9.9".parse().unwrap()),
        };
        assert_eq!(AnnounceReply::decode(&reply.encode()), Ok(reply));
        assert_eq!(AnnounceReply::default().encode(), b"d8:intervali0e5:peers0:e");
    }

    #[test]
    fn dictionaries_of_peers_are_read_and_host_names_are_not() {
        let body = b"d8:intervali9e5:peersld2:ip7:1.2.3.44:porti5e7:peer id20:aaaaaaaaaaaaaaaaaaaaed2:ip9:localhost4:porti5eed2:ip3:::14:porti7eeee";
        let reply = AnnounceReply::decode(body).unwrap();
        assert_eq!(reply.peers, ["1.2.3.4:5".parse().unwrap(), "[::1]:7".parse().unwrap()]);
    }

    #[test]
    fn a_refusal_is_told_in_the_trackers_words() {
        let body = AnnounceReply::refusal("not\nplanted");
        assert_eq!(body, b"d14:failure reason11:not\nplantede");
        assert_eq!(AnnounceReply::decode(&body), Err(ReplyError::Refused("notplanted".into())));
        for body in [&b""[..], b"<html>", b"de", b"le", b"d5:peersi1ee"] {
            assert_eq!(AnnounceReply::decode(body), Err(ReplyError::Malformed));
        }
    }

    #[test]
    fn random_replies_never_panic() {
        let reply =
            b"d8:completei1e8:intervali9e5:peersld2:ip7:1.2.3.44:porti5eee6:peers618:aaaaaaaaaaaaaaaaaae";
        for seed in 0..2_000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut bytes = reply.to_vec();
            for _ in 0..rng.usize(1..6) {
                let at = rng.usize(..bytes.len());
                bytes[at] = rng.u8(..);
            }
            let _ = AnnounceReply::decode(&bytes);
            let _ = AnnounceRequest::from_query(&String::from_utf8_lossy(&bytes));
        }
    }
}
