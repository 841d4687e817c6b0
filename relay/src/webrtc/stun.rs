//! Recognises STUN messages on the shared UDP port and answers plain binding requests.
//!
//! Not an ICE agent: connectivity checks carry a USERNAME of ours and go to their connection's core unread. What is
//! answered here is what a browser asks a STUN server: "which address do you see?" ([RFC 8489]).
//!
//! [RFC 8489]: https://www.rfc-editor.org/rfc/rfc8489

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Instant;

const MAGIC: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const USERNAME: u16 = 0x0006;
const USE_CANDIDATE: u16 = 0x0025;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;

/// Transaction id of a STUN message.
pub(super) type Transaction = [u8; 12];

/// What a datagram is, as far as routing needs to know.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stun<'a> {
    /// A check of some connection: the first half of its USERNAME is the receiver's ufrag (RFC 8445, section 7.2.2).
    Check {
        /// Our user name fragment.
        ufrag: &'a str,
        /// It has USE-CANDIDATE: the controlling side chooses this path.
        nominates: bool,
    },
    /// A binding request from somebody who only wants to know its address.
    Service(Transaction),
    /// The answer to a request that carried this transaction id.
    Response(Transaction),
    /// A request that a check sender made, seen on its way out.
    OtherRequest(Transaction),
    /// Well-formed, but nothing we act on.
    Ignored,
}

/// Reads a datagram as STUN; `None` if it is not STUN at all.
///
/// Every byte count is checked against the datagram: the length field must name exactly the bytes that follow.
pub(super) fn parse(datagram: &[u8]) -> Option<Stun<'_>> {
    let (header, body) = datagram.split_first_chunk::<20>()?;
    let [t0, t1, l0, l1, m0, m1, m2, m3, transaction @ ..] = *header;
    if t0 & 0xC0 != 0 || [m0, m1, m2, m3] != MAGIC {
        return None;
    }
    if usize::from(u16::from_be_bytes([l0, l1])) != body.len() || body.len() % 4 != 0 {
        return None;
    }
    Some(match u16::from_be_bytes([t0, t1]) {
        BINDING_REQUEST => match attributes(body) {
            Some(Attributes { username: Some(name), nominates, .. }) => match name.split_once(':') {
                Some((ufrag, _)) => Stun::Check { ufrag, nominates },
                None => Stun::OtherRequest(transaction),
            },
            Some(Attributes { username: None, required: false, .. }) => Stun::Service(transaction),
            _ => Stun::OtherRequest(transaction),
        },
        BINDING_SUCCESS | BINDING_ERROR => Stun::Response(transaction),
        _ => Stun::Ignored,
    })
}

/// Transaction id of a binding request that one of our cores sends.
pub(super) fn outgoing_request(datagram: &[u8]) -> Option<Transaction> {
    let (header, _) = datagram.split_first_chunk::<20>()?;
    let [t0, t1, _, _, m0, m1, m2, m3, transaction @ ..] = *header;
    (u16::from_be_bytes([t0, t1]) == BINDING_REQUEST && [m0, m1, m2, m3] == MAGIC).then_some(transaction)
}

struct Attributes<'a> {
    username: Option<&'a str>,
    nominates: bool,
    /// An attribute that must be understood, other than USERNAME: CHANGE-REQUEST, MESSAGE-INTEGRITY and so on.
    required: bool,
}

fn attributes(mut body: &[u8]) -> Option<Attributes<'_>> {
    let mut found = Attributes { username: None, nominates: false, required: false };
    while let Some((head, rest)) = body.split_first_chunk::<4>() {
        let [k0, k1, l0, l1] = *head;
        let kind = u16::from_be_bytes([k0, k1]);
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let value = rest.get(..length)?;
        if kind == USERNAME {
            found.username = Some(std::str::from_utf8(value).ok()?);
        } else if kind < 0x8000 {
            found.nominates |= kind == USE_CANDIDATE;
            found.required = true;
        }
        body = rest.get(length.next_multiple_of(4)..)?;
    }
    body.is_empty().then_some(found)
}

/// Writes a success response with XOR-MAPPED-ADDRESS: 32 bytes for IPv4, 44 for IPv6, to a request of at least 20.
pub(super) fn binding_success(transaction: &Transaction, seen: SocketAddr) -> Vec<u8> {
    let mut key = [0_u8; 16];
    for (to, from) in key.iter_mut().zip(MAGIC.iter().chain(transaction)) {
        *to = *from;
    }
    let mut value = Vec::with_capacity(20);
    let port = seen.port() ^ 0x2112;
    match seen.ip() {
        IpAddr::V4(ip) => {
            value.extend([0, 1]);
            value.extend(port.to_be_bytes());
            value.extend(ip.octets().iter().zip(key).map(|(a, b)| a ^ b));
        }
        IpAddr::V6(ip) => {
            value.extend([0, 2]);
            value.extend(port.to_be_bytes());
            value.extend(ip.octets().iter().zip(key).map(|(a, b)| a ^ b));
        }
    }
    let length = u16::try_from(value.len()).unwrap_or_default();
    let mut out = Vec::with_capacity(24 + value.len());
    out.extend(BINDING_SUCCESS.to_be_bytes());
    out.extend((length + 4).to_be_bytes());
    out.extend(MAGIC);
    out.extend(transaction);
    out.extend(XOR_MAPPED_ADDRESS.to_be_bytes());
    out.extend(length.to_be_bytes());
    out.extend(value);
    out
}

/// Allows each source address so many answers a second, so that the server is no use for flooding a third party.
pub(super) struct RateLimit {
    per_second: f64,
    burst: f64,
    sources: HashMap<IpAddr, Bucket>,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

/// Sources remembered at once; beyond it idle ones are forgotten, and while all are busy newcomers get no answer.
const MAX_SOURCES: usize = 8192;

impl RateLimit {
    /// `per_second` answers to one IPv4 address or one IPv6 /64, with a burst of twice as many.
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self { per_second, burst: per_second * 2.0, sources: HashMap::new() }
    }

    /// Whether this source may be answered now; takes one token if so.
    pub(super) fn allow(&mut self, now: Instant, source: IpAddr) -> bool {
        let source = network(source);
        let (per_second, burst) = (self.per_second, self.burst);
        let refill = |bucket: &Bucket| {
            (bucket.tokens + now.saturating_duration_since(bucket.at).as_secs_f64() * per_second).min(burst)
        };
        if !self.sources.contains_key(&source) && self.sources.len() >= MAX_SOURCES {
            self.sources.retain(|_, bucket| refill(bucket) < burst);
            if self.sources.len() >= MAX_SOURCES {
                return false;
            }
        }
        let bucket = self.sources.entry(source).or_insert(Bucket { tokens: burst, at: now });
        bucket.tokens = refill(bucket);
        bucket.at = now;
        let allowed = bucket.tokens >= 1.0;
        if allowed {
            bucket.tokens -= 1.0;
        }
        allowed
    }
}

fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn request(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend(kind.to_be_bytes());
            body.extend((value.len() as u16).to_be_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut out = vec![0, 1];
        out.extend((body.len() as u16).to_be_bytes());
        out.extend(MAGIC);
        out.extend([7; 12]);
        out.extend(body);
        out
    }

    #[test]
    fn a_check_is_told_from_a_question() {
        assert_eq!(parse(&request(&[])), Some(Stun::Service([7; 12])));
        assert_eq!(parse(&request(&[(0x8022, b"agent")])), Some(Stun::Service([7; 12])));
        assert_eq!(
            parse(&request(&[(USERNAME, b"ours:theirs")])),
            Some(Stun::Check { ufrag: "ours", nominates: false })
        );
        assert_eq!(
            parse(&request(&[(USERNAME, b"ours:theirs"), (USE_CANDIDATE, b"")])),
            Some(Stun::Check { ufrag: "ours", nominates: true })
        );
        assert_eq!(parse(&request(&[(0x0003, &[0, 0, 0, 6])])), Some(Stun::OtherRequest([7; 12])));
    }

    #[test]
    fn a_wrong_length_is_not_stun() {
        let mut bytes = request(&[]);
        bytes.push(0);
        assert_eq!(parse(&bytes), None);
        assert_eq!(parse(&[]), None);
    }

    #[test]
    fn the_answer_holds_the_address_seen() {
        let answer = binding_success(&[7; 12], "192.0.2.1:32853".parse().unwrap());
        assert_eq!(answer.len(), 32);
        assert_eq!(&answer[26..28], &(32853_u16 ^ 0x2112).to_be_bytes());
        assert_eq!(&answer[28..32], &[192 ^ 0x21, 0x12, 2 ^ 0xA4, 1 ^ 0x42]);
        assert_eq!(parse(&answer), Some(Stun::Response([7; 12])));
    }

    #[test]
    fn one_source_cannot_ask_without_end() {
        let mut limit = RateLimit::new(10);
        let start = Instant::now();
        let source = IpAddr::V4([192, 0, 2, 1].into());
        let allowed = (0..100).filter(|_| limit.allow(start, source)).count();
        assert_eq!(allowed, 20);
        assert!(limit.allow(start, IpAddr::V4([192, 0, 2, 2].into())));
        assert!(limit.allow(start + Duration::from_secs(1), source));
    }
}
