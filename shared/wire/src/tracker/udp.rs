//! Announce and scrape over UDP ([BEP 15], with the URL of [BEP 41]).
//!
//! Packets only: the connection id's secret, time-outs and repeats belong to whoever owns the socket.
//!
//! [BEP 15]: https://www.bittorrent.org/beps/bep_0015.html
//! [BEP 41]: https://www.bittorrent.org/beps/bep_0041.html

use super::Event;
use super::announce::AnnounceRequest;
use super::scrape::SwarmCounts;
use crate::compact;
use anatomic_core::{InfoHash, PeerId};
use std::net::{IpAddr, SocketAddr};

/// What a connect request begins with instead of a connection id.
const MAGIC: u64 = 0x0417_2710_1980;
/// Most swarms in one scrape (BEP 15: "up to about 74").
const MAX_SCRAPE: usize = 74;

/// Longest URL data that is read or written, in bytes: it has to fit a packet.
const MAX_URL_DATA: usize = 1_000;

/// A client's packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UdpRequest {
    /// Asks for a connection id, which proves that the sender's address is its own.
    Connect {
        /// Chosen by the client, repeated in the reply.
        transaction: u32,
    },
    /// An announce.
    Announce {
        /// As the tracker gave it.
        connection: u64,
        /// Chosen by the client, repeated in the reply.
        transaction: u32,
        /// The announce.
        request: AnnounceRequest,
        /// Path and query of the tracker's URL (BEP 41), empty if the client sent none. They carry passkeys.
        url_data: String,
    },
    /// A scrape.
    Scrape {
        /// As the tracker gave it.
        connection: u64,
        /// Chosen by the client, repeated in the reply.
        transaction: u32,
        /// Which swarms, at most 74.
        hashes: Vec<InfoHash>,
    },
}

/// A tracker's packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UdpReply {
    /// A connection id, good for a minute or two.
    Connected {
        /// As in the request.
        transaction: u32,
        /// To be sent in the next requests.
        connection: u64,
    },
    /// Reply to an announce.
    Announced {
        /// As in the request.
        transaction: u32,
        /// Seconds until the next announce.
        interval: u32,
        /// Leeches.
        incomplete: u32,
        /// Seeds.
        complete: u32,
        /// Addresses, all of the family over which the packet came.
        peers: Vec<SocketAddr>,
    },
    /// Reply to a scrape, in the order of the request.
    Scraped {
        /// As in the request.
        transaction: u32,
        /// Figures of each swarm.
        counts: Vec<SwarmCounts>,
    },
    /// The request could not be served.
    Refused {
        /// As in the request.
        transaction: u32,
        /// For the client's person.
        reason: String,
    },
}

/// Takes big-endian numbers off the front of a packet.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }
}

impl UdpRequest {
    /// Reads a packet; `None` if it is none: to be dropped in silence. The `ip` field is ignored on purpose, and so
    /// are options of an announce that are unknown or cut off.
    #[must_use]
    pub fn decode(packet: &[u8]) -> Option<Self> {
        let mut reader = Reader(packet);
        let (connection, action, transaction) = (reader.u64()?, reader.u32()?, reader.u32()?);
        match action {
            0 if connection == MAGIC => Some(Self::Connect { transaction }),
            1 => {
                let (info_hash, peer_id) = (InfoHash(reader.take()?), PeerId(reader.take()?));
                let (downloaded, left, uploaded) = (reader.u64()?, reader.u64()?, reader.u64()?);
                let event = match reader.u32()? {
                    1 => Some(Event::Completed),
                    2 => Some(Event::Started),
                    3 => Some(Event::Stopped),
                    4 => Some(Event::Paused),
                    _ => None,
                };
                let (_ip, key, want, port) = (reader.u32()?, reader.u32()?, reader.u32()?, reader.u16()?);
                let request = AnnounceRequest {
                    info_hash,
                    peer_id: Some(peer_id),
                    port,
                    uploaded,
                    downloaded,
                    left: Some(left),
                    event,
                    // -1 means "as many as you like".
                    want: (want <= i32::MAX.unsigned_abs()).then_some(want),
                    key: Some(key),
                    tracker_id: None,
                };
                let url_data = url_data(reader.0);
                Some(Self::Announce { connection, transaction, request, url_data })
            }
            2 => {
                let hashes: Vec<_> =
                    std::iter::from_fn(|| reader.take().map(InfoHash)).take(MAX_SCRAPE).collect();
                (!hashes.is_empty()).then_some(Self::Scrape { connection, transaction, hashes })
            }
            _ => None,
        }
    }

    /// The packet.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut packet = Vec::with_capacity(98);
        match self {
            Self::Connect { transaction } => head(&mut packet, MAGIC, 0, *transaction),
            Self::Announce { connection, transaction, request, url_data } => {
                head(&mut packet, *connection, 1, *transaction);
                packet.extend(request.info_hash.as_bytes());
                packet.extend(request.peer_id.map_or([0; 20], |id| id.0));
                packet.extend(request.downloaded.to_be_bytes());
                packet.extend(request.left.unwrap_or(16 * 1024).to_be_bytes());
                packet.extend(request.uploaded.to_be_bytes());
                let event: u32 = match request.event {
                    None => 0,
                    Some(Event::Completed) => 1,
                    Some(Event::Started) => 2,
                    Some(Event::Stopped) => 3,
                    Some(Event::Paused) => 4,
                };
                packet.extend(event.to_be_bytes());
                packet.extend([0; 4]);
                packet.extend(request.key.unwrap_or(0).to_be_bytes());
                packet.extend(request.want.unwrap_or(u32::MAX).to_be_bytes());
                packet.extend(request.port.to_be_bytes());
                let url_data = url_data.as_bytes();
                for part in url_data.get(..MAX_URL_DATA).unwrap_or(url_data).chunks(255) {
                    packet.push(2);
                    packet.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
                    packet.extend(part);
                }
            }
            Self::Scrape { connection, transaction, hashes } => {
                head(&mut packet, *connection, 2, *transaction);
                hashes.iter().take(MAX_SCRAPE).for_each(|hash| packet.extend(hash.as_bytes()));
            }
        }
        packet
    }
}

impl UdpReply {
    /// Reads a packet that came from a tracker at `from`, whose family says how long its addresses are; `None` if it is
    /// no reply.
    #[must_use]
    pub fn decode(packet: &[u8], from: IpAddr) -> Option<Self> {
        let mut reader = Reader(packet);
        let (action, transaction) = (reader.u32()?, reader.u32()?);
        match action {
            0 => Some(Self::Connected { transaction, connection: reader.u64()? }),
            1 => {
                let (interval, incomplete, complete) = (reader.u32()?, reader.u32()?, reader.u32()?);
                let mut peers: Vec<_> = match from.to_canonical() {
                    IpAddr::V4(_) => compact::read_v4(reader.0, usize::MAX).collect(),
                    IpAddr::V6(_) => compact::read_v6(reader.0, usize::MAX).collect(),
                };
                peers.retain(|peer| peer.port() != 0);
                Some(Self::Announced { transaction, interval, incomplete, complete, peers })
            }
            2 => {
                let counts = std::iter::from_fn(|| {
                    let (complete, downloaded, incomplete) = (reader.u32()?, reader.u32()?, reader.u32()?);
                    Some(SwarmCounts { complete, downloaded, incomplete })
                });
                Some(Self::Scraped { transaction, counts: counts.take(MAX_SCRAPE).collect() })
            }
            3 => {
                let reason = super::for_people(&String::from_utf8_lossy(reader.0));
                Some(Self::Refused { transaction, reason })
            }
            _ => None,
        }
    }

    /// The packet to a client at `to`: addresses of the other family are left out.
    #[must_use]
    pub fn encode(&self, to: IpAddr) -> Vec<u8> {
        let mut packet = Vec::new();
        self.write(to, &mut packet);
        packet
    }

    /// Appends the packet to a client at `to`: addresses of the other family are left out.
    pub fn write(&self, to: IpAddr, packet: &mut Vec<u8>) {
        let mut numbers =
            |numbers: &[u32]| numbers.iter().for_each(|number| packet.extend(number.to_be_bytes()));
        match self {
            Self::Connected { transaction, connection } => {
                numbers(&[0, *transaction]);
                packet.extend(connection.to_be_bytes());
            }
            Self::Announced { transaction, interval, incomplete, complete, peers } => {
                numbers(&[1, *transaction, *interval, *incomplete, *complete]);
                let (mut v4, mut v6) = (Vec::new(), Vec::new());
                peers.iter().for_each(|peer| compact::write(*peer, &mut v4, &mut v6));
                packet.extend(if to.to_canonical().is_ipv4() { v4 } else { v6 });
            }
            Self::Scraped { transaction, counts } => {
                numbers(&[2, *transaction]);
                counts
                    .iter()
                    .for_each(|swarm| numbers(&[swarm.complete, swarm.downloaded, swarm.incomplete]));
            }
            Self::Refused { transaction, reason } => {
                numbers(&[3, *transaction]);
                packet.extend(reason.bytes());
            }
        }
    }
}

/// The URL data among the options behind an announce: type 0 ends them, 1 is padding, 2 is URL data, others are skipped.
fn url_data(mut options: &[u8]) -> String {
    let mut data = Vec::new();
    while let [kind, rest @ ..] = options {
        options = match (kind, rest) {
            (0, _) => break,
            (1, _) => rest,
            (_, [length, rest @ ..]) => {
                let Some((value, rest)) = rest.split_at_checked(usize::from(*length)) else { break };
                if *kind == 2 && data.len() + value.len() <= MAX_URL_DATA {
                    data.extend_from_slice(value);
                }
                rest
            }
            _ => break,
        };
    }
    String::from_utf8(data).unwrap_or_default()
}

fn head(packet: &mut Vec<u8>, connection: u64, action: u32, transaction: u32) {
    packet.extend(connection.to_be_bytes());
    packet.extend(action.to_be_bytes());
    packet.extend(transaction.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> AnnounceRequest {
        AnnounceRequest {
            info_hash: InfoHash([1; 20]),
            peer_id: Some(PeerId([2; 20])),
            port: 6881,
            uploaded: 3,
            downloaded: 4,
            left: Some(5),
            event: Some(Event::Started),
            want: Some(50),
            key: Some(6),
            tracker_id: None,
        }
    }

    fn announce(url_data: &str) -> UdpRequest {
        UdpRequest::Announce { connection: 8, transaction: 9, request: request(), url_data: url_data.into() }
    }

    #[test]
    fn options_are_skipped_joined_and_never_a_reason_to_fail() {
        let read = |options: &[u8]| {
            let mut packet = announce("").encode();
            packet.extend_from_slice(options);
            match UdpRequest::decode(&packet) {
                Some(UdpRequest::Announce { url_data, .. }) => url_data,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(read(b"\x01\x02\x02/a\x09\x01x\x02\x01b\x00\x02\x01c"), "/ab");
        for odd in [&b"\x02"[..], b"\x02\x05ab", b"\x07", b"\x00", b"\x02\x01\xff"] {
            assert_eq!(read(odd), "");
        }
    }

    #[test]
    fn requests_come_back_as_written() {
        for (request, length) in [
            (UdpRequest::Connect { transaction: 9 }, 16),
            (announce(""), 98),
            (announce("/announce?key=1"), 98 + 2 + 15),
            (announce(&"x".repeat(600)), 98 + 3 * 2 + 600),
            (UdpRequest::Scrape { connection: 8, transaction: 9, hashes: vec![InfoHash([7; 20])] }, 36),
        ] {
            let packet = request.encode();
            assert_eq!(packet.len(), length);
            assert_eq!(UdpRequest::decode(&packet), Some(request));
            for cut in 0..16 {
                assert_eq!(UdpRequest::decode(&packet[..cut]), None);
            }
        }
    }

    #[test]
    fn replies_come_back_as_written_in_the_family_of_the_client() {
        let (v4, v6): (IpAddr, IpAddr) = ("1.1.1.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        let peers = vec!["1.2.3.4:5".parse().unwrap()];
        for reply in [
            UdpReply::Connected { transaction: 1, connection: 2 },
            UdpReply::Announced { transaction: 1, interval: 2, incomplete: 3, complete: 4, peers },
            UdpReply::Scraped {
                transaction: 1,
                counts: vec![SwarmCounts { complete: 1, downloaded: 2, incomplete: 3 }],
            },
            UdpReply::Refused { transaction: 1, reason: "no".into() },
        ] {
            assert_eq!(UdpReply::decode(&reply.encode(v4), v4), Some(reply.clone()));
            if let UdpReply::Announced { .. } = reply {
                assert_eq!(reply.encode(v6).len(), 20);
            }
        }
    }

    /// The packets of PROTOCOL.md's test vectors.
    fn vectors() -> String {
        let v4: IpAddr = "203.0.113.5".parse().unwrap();
        let v6: IpAddr = "2001:db8::5".parse().unwrap();
        let peers: Vec<SocketAddr> =
            vec!["198.51.100.7:6881".parse().unwrap(), "[2001:db8::7]:51413".parse().unwrap()];
        let announced =
            UdpReply::Announced { transaction: 9, interval: 1800, incomplete: 3, complete: 4, peers };
        let counts = vec![SwarmCounts { complete: 4, downloaded: 0, incomplete: 3 }];
        let hashes = vec![InfoHash([1; 20])];
        let packets: [(&str, Vec<u8>); 10] = [
            ("> connect", UdpRequest::Connect { transaction: 9 }.encode()),
            ("< connect", UdpReply::Connected { transaction: 9, connection: 8 }.encode(v4)),
            ("> announce", announce("").encode()),
            ("> announce with URL data", announce("/announce?key=1").encode()),
            ("< announce over IPv4", announced.encode(v4)),
            ("< announce over IPv6", announced.encode(v6)),
            ("> scrape", UdpRequest::Scrape { connection: 8, transaction: 9, hashes }.encode()),
            ("< scrape", UdpReply::Scraped { transaction: 9, counts }.encode(v4)),
            ("< error", UdpReply::Refused { transaction: 9, reason: "not planted".into() }.encode(v4)),
            ("> connect without the magic number, dropped", vec![0; 16]),
        ];
        let hex = |packet: &[u8]| packet.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        packets.iter().map(|(name, packet)| format!("{name}: {}\n", hex(packet))).collect()
    }

    #[test]
    fn packets_are_those_of_the_protocol_s_vectors() {
        let made = vectors();
        assert!(include_str!("../../../../PROTOCOL.md").contains(&made), "\n{made}");
    }

    #[test]
    fn a_connect_without_the_magic_number_is_dropped() {
        let mut packet = UdpRequest::Connect { transaction: 9 }.encode();
        packet[7] ^= 1;
        assert_eq!(UdpRequest::decode(&packet), None);
    }
}
