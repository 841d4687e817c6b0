//! Peer exchange: `ut_pex` ([BEP 11]).
//!
//! Whether the addresses may be dialled, and how often a peer may send them, is the engine's business.
//!
//! [BEP 11]: https://www.bittorrent.org/beps/bep_0011.html

use super::Malformed;
use crate::bencode::{Dict, bytes, dict};
use crate::compact;
use std::net::SocketAddr;

/// How many added and how many dropped addresses of one message are read. BEP 11 allows 50, old clients send up to 200.
const MAX_PEERS: usize = 200;

/// What a peer says about an address it adds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PexFlags(pub u8);

impl PexFlags {
    /// It prefers encryption.
    pub const ENCRYPTION: Self = Self(0x01);
    /// It is a seed or downloads nothing.
    pub const SEED: Self = Self(0x02);
    /// It speaks uTP.
    pub const UTP: Self = Self(0x04);
    /// It speaks `ut_holepunch`.
    pub const HOLEPUNCH: Self = Self(0x08);
    /// The sender dialled it: it can be reached.
    pub const REACHABLE: Self = Self(0x10);

    /// These flags and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all flags of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// An added address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PexPeer {
    /// Where it listens.
    pub address: SocketAddr,
    /// What is said about it.
    pub flags: PexFlags,
}

/// Addresses that a peer met or lost since its last message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pex {
    /// Met.
    pub added: Vec<PexPeer>,
    /// Lost.
    pub dropped: Vec<SocketAddr>,
}

impl Pex {
    /// Reads the payload of a `ut_pex` message: at most 200 added and 200 dropped addresses.
    ///
    /// # Errors
    /// [`Malformed`] if it is no bencoded dictionary.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let dict = Dict::parse(payload).ok_or(Malformed { message: "ut_pex", source_document: "BEP 11" })?;
        let bytes = |key| dict.bytes(key).unwrap_or_default();
        let flags = |key| bytes(key).iter().copied().chain(std::iter::repeat(0)).map(PexFlags);
        let v4 = compact::read_v4(bytes("added"), MAX_PEERS).zip(flags("added.f"));
        let v6 = compact::read_v6(bytes("added6"), MAX_PEERS).zip(flags("added6.f"));
        let added = v4.chain(v6).take(MAX_PEERS).map(|(address, flags)| PexPeer { address, flags }).collect();
        let dropped = compact::read_v4(bytes("dropped"), MAX_PEERS)
            .chain(compact::read_v6(bytes("dropped6"), MAX_PEERS))
            .take(MAX_PEERS)
            .collect();
        Ok(Self { added, dropped })
    }

    /// The payload of a `ut_pex` message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (mut added, mut added6, mut flags, mut flags6) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for peer in &self.added {
            compact::write(peer.address, &mut added, &mut added6);
            let is_v4 = peer.address.ip().to_canonical().is_ipv4();
            if is_v4 { &mut flags } else { &mut flags6 }.push(peer.flags.0);
        }
        let (mut dropped, mut dropped6) = (Vec::new(), Vec::new());
        for address in &self.dropped {
            compact::write(*address, &mut dropped, &mut dropped6);
        }
        dict([
            ("added", bytes(Some(added))),
            ("added.f", bytes(Some(flags))),
            ("added6", bytes(Some(added6))),
            ("added6.f", bytes(Some(flags6))),
            ("dropped", bytes(Some(dropped))),
            ("dropped6", bytes(Some(dropped6))),
        ])
        .to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_flags_come_back_as_written() {
        let peer =
            |address: &str, flags| PexPeer { address: address.parse().unwrap(), flags: PexFlags(flags) };
        let pex = Pex {
            added: vec![peer("1.2.3.4:5", 0x12), peer("4.3.2.1:80", 0), peer("[2001:db8::1]:6881", 2)],
            dropped: vec!["9.9.9.9:9".parse().unwrap(), "[2001:db8::2]:1".parse().unwrap()],
        };
        assert_eq!(Pex::decode(&pex.encode()).unwrap(), pex);
        assert!(pex.added[0].flags.has(PexFlags::SEED) && pex.added[0].flags.has(PexFlags::REACHABLE));
    }

    #[test]
    fn missing_flags_are_none_and_a_flood_is_cut() {
        let flood = [vec![b'd'], b"5:added6000:".to_vec(), vec![1; 6000], vec![b'e']].concat();
        let pex = Pex::decode(&flood).unwrap();
        assert_eq!((pex.added.len(), pex.added[0].flags), (MAX_PEERS, PexFlags(0)));
    }
}
