//! The packets of [BEP 29]: a header of 20 bytes, extensions, payload. Reads and writes them; decides nothing.
//!
//! [BEP 29]: https://www.bittorrent.org/beps/bep_0029.html#header-format

/// Bytes of a header.
pub const HEADER: usize = 20;
/// Longest bitmask of a selective acknowledgement that is written or read, in bytes: 512 packets.
pub const MAX_SACK: usize = 64;
/// The selective acknowledgement.
const SACK: u8 = 1;
/// Eight unused bytes. libutp takes no packet whose first extension it does not know, but skips others.
const EXTENSION_BITS: u8 = 2;
/// Means nothing: what it holds only makes a packet longer.
const FILLER: u8 = 0x7f;
/// Fewest bytes that filler can have: the unused bytes and an empty extension, with their heads.
pub const MIN_FILLER: usize = 12;

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Payload.
    Data,
    /// The end of the sender's stream.
    Fin,
    /// Acknowledgement only; takes no sequence number.
    State,
    /// The connection is unknown or given up.
    Reset,
    /// The first packet.
    Syn,
}

impl Kind {
    const fn from_nibble(nibble: u8) -> Option<Self> {
        Some(match nibble {
            0 => Self::Data,
            1 => Self::Fin,
            2 => Self::State,
            3 => Self::Reset,
            4 => Self::Syn,
            _ => return None,
        })
    }

    const fn nibble(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Fin => 1,
            Self::State => 2,
            Self::Reset => 3,
            Self::Syn => 4,
        }
    }
}

/// The fields of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is for.
    pub kind: Kind,
    /// The connection, by the number that its receiver chose or was given.
    pub connection: u16,
    /// The sender's clock, in microseconds.
    pub timestamp: u32,
    /// How long the last packet took to come to the sender, by both clocks, in microseconds; 0: none came yet.
    pub difference: u32,
    /// Bytes that the sender takes beyond what it acknowledges.
    pub window: u32,
    /// Number of this packet; of one that takes none, the next one's.
    pub sequence: u16,
    /// Up to which number the sender has everything.
    pub acknowledged: u16,
}

/// A packet as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its fields.
    pub header: Header,
    /// Bitmask of packets received out of order, from `acknowledged + 2` on, lowest bit first; empty if there is none.
    pub sack: &'a [u8],
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Whether these bytes can be the beginning of a uTP packet: what tells uTP from its neighbours on a shared port.
    /// STUN with its magic cookie must be told apart before; DTLS begins with other bytes.
    #[must_use]
    pub fn is_likely(datagram: &[u8]) -> bool {
        datagram.len() >= HEADER
            && datagram
                .first()
                .is_some_and(|first| first & 0x0f == 1 && Kind::from_nibble(first >> 4).is_some())
    }

    /// Reads a datagram; `None` if it is no packet of version 1, or is cut off.
    #[must_use]
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (head, mut rest) = datagram.split_at_checked(HEADER)?;
        let head: &[u8; HEADER] = head.try_into().ok()?;
        let [first, mut extension, c0, c1, t0, t1, t2, t3, d0, d1, d2, d3, w0, w1, w2, w3, s0, s1, a0, a1] =
            *head;
        if first & 0x0f != 1 {
            return None;
        }
        let header = Header {
            kind: Kind::from_nibble(first >> 4)?,
            connection: u16::from_be_bytes([c0, c1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            difference: u32::from_be_bytes([d0, d1, d2, d3]),
            window: u32::from_be_bytes([w0, w1, w2, w3]),
            sequence: u16::from_be_bytes([s0, s1]),
            acknowledged: u16::from_be_bytes([a0, a1]),
        };
        let mut sack: &[u8] = &[];
        // Each takes at least two bytes, so this ends.
        while extension != 0 {
            let ([next, length], after) = rest.split_first_chunk::<2>()?;
            let (value, after) = after.split_at_checked(usize::from(*length))?;
            if extension == SACK {
                sack = value.get(..value.len().min(MAX_SACK))?;
            }
            (extension, rest) = (*next, after);
        }
        Some(Self { header, sack, payload: rest })
    }
}

/// Appends a header, with a selective acknowledgement if `sack` is not empty, and with `filler` bytes that mean nothing (0, or
/// at least [`MIN_FILLER`]). The payload follows.
pub fn write_header(header: &Header, sack: &[u8], filler: usize, into: &mut Vec<u8>) {
    let sack = sack.get(..sack.len().min(MAX_SACK)).unwrap_or_default();
    let after_sack = if filler >= MIN_FILLER { EXTENSION_BITS } else { 0 };
    into.push(header.kind.nibble() << 4 | 1);
    into.push(if sack.is_empty() { after_sack } else { SACK });
    into.extend_from_slice(&header.connection.to_be_bytes());
    into.extend_from_slice(&header.timestamp.to_be_bytes());
    into.extend_from_slice(&header.difference.to_be_bytes());
    into.extend_from_slice(&header.window.to_be_bytes());
    into.extend_from_slice(&header.sequence.to_be_bytes());
    into.extend_from_slice(&header.acknowledged.to_be_bytes());
    if !sack.is_empty() {
        into.push(after_sack);
        into.push(sack.len() as u8);
        into.extend_from_slice(sack);
    }
    if after_sack == EXTENSION_BITS {
        write_filler(filler, into);
    }
}

fn write_filler(filler: usize, into: &mut Vec<u8>) {
    into.extend_from_slice(&[FILLER, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut left = filler.saturating_sub(10);
    while left >= 2 {
        // What is left over must be nothing, or enough for another head.
        let mut value = (left - 2).min(255);
        if left - 2 - value == 1 {
            value -= 1;
        }
        left -= 2 + value;
        into.push(if left >= 2 { FILLER } else { 0 });
        into.push(value as u8);
        into.resize(into.len() + value, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            kind: Kind::Data,
            connection: 0x1234,
            timestamp: 0x0102_0304,
            difference: 0x0506_0708,
            window: 0x0010_0000,
            sequence: 0xfffe,
            acknowledged: 7,
        }
    }

    #[test]
    fn a_packet_reads_as_it_was_written() {
        for kind in [Kind::Data, Kind::Fin, Kind::State, Kind::Reset, Kind::Syn] {
            for (sack, filler) in [(&[][..], 0), (&[5, 0, 0, 128], 0), (&[], 300), (&[1, 2, 3, 4], 12)] {
                let written = Header { kind, ..header() };
                let mut bytes = Vec::new();
                write_header(&written, sack, filler, &mut bytes);
                let sack_bytes = if sack.is_empty() { 0 } else { 2 + sack.len() };
                assert_eq!(bytes.len(), HEADER + sack_bytes + filler);
                bytes.extend_from_slice(b"payload");
                let packet = Packet::parse(&bytes).unwrap();
                assert_eq!((packet.header, packet.sack, packet.payload), (written, sack, &b"payload"[..]));
                assert!(Packet::is_likely(&bytes));
            }
        }
    }

    #[test]
    fn filler_of_every_length_is_skipped() {
        for filler in MIN_FILLER..1_500 {
            let mut bytes = Vec::new();
            write_header(&header(), &[], filler, &mut bytes);
            assert_eq!(bytes.len(), HEADER + filler);
            assert_eq!(Packet::parse(&bytes).unwrap().payload, b"");
        }
    }

    #[test]
    fn the_first_extension_is_one_that_libutp_takes() {
        let mut bytes = Vec::new();
        write_header(&header(), &[], 40, &mut bytes);
        assert_eq!((bytes[1], bytes[21]), (2, 8));
    }

    #[test]
    fn the_bytes_are_those_of_the_bep() {
        let mut bytes = Vec::new();
        write_header(&Header { kind: Kind::Syn, ..header() }, &[], 0, &mut bytes);
        assert_eq!(bytes, [0x41, 0, 0x12, 0x34, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0x10, 0, 0, 0xff, 0xfe, 0, 7]);
    }

    #[test]
    fn what_is_cut_off_or_of_another_version_is_no_packet() {
        let mut bytes = Vec::new();
        write_header(&header(), &[1, 2, 3, 4], 0, &mut bytes);
        for length in 0..bytes.len() {
            assert_eq!(Packet::parse(&bytes[..length]), None, "{length}");
        }
        for first in [0x00, 0x02, 0x51, 0xf1] {
            bytes[0] = first;
            assert_eq!(Packet::parse(&bytes), None);
            assert!(!Packet::is_likely(&bytes));
        }
    }

    #[test]
    fn stun_and_dtls_do_not_look_like_utp() {
        for first in (20..=26).chain([0]) {
            assert!(!Packet::is_likely(&[&[first, 0xfe, 0xfd][..], &[0; 40]].concat()), "{first}");
        }
    }
}
