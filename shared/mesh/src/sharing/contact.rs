//! A peer as sister nodes speak of it: how it is reached, whether it is a seed, how long ago it was heard of.
//!
//! Values and their packed form; who may be spoken of is decided elsewhere.

use anatomic_core::PeerId;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How a peer is reached, and by that its name: what a stranger cannot choose.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Contact {
    /// A classic peer, at the address that it announced from and its port.
    Address(SocketAddr),
    /// A browser that holds a socket at the node: reached by an offer passed through it.
    Browser(PeerId),
}

/// What is said of a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SharedPeer {
    /// How it is reached.
    pub contact: Contact,
    /// Whether it has everything.
    pub seed: bool,
    /// Whether it is a node's bridge: other nodes do not dial it.
    pub bridge: bool,
    /// Seconds since the node heard of it. An age and not a time, so that nobody's clock matters.
    pub age: u16,
}

const SEED: u8 = 1;
const BRIDGE: u8 = 2;

/// The four packed lists of a torrent's news: IPv4, IPv6, browsers; each gained or lost.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Packed {
    /// 6 bytes of address and port, then age and flags where gained.
    pub v4: Vec<u8>,
    /// 18 bytes of address and port, then age and flags where gained.
    pub v6: Vec<u8>,
    /// 20 bytes of peer id, then age and flags where gained.
    pub browsers: Vec<u8>,
}

impl Packed {
    /// Bytes in all.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.v4.len() + self.v6.len() + self.browsers.len()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a peer that was lost.
    pub fn push_lost(&mut self, contact: &Contact) {
        match contact {
            Contact::Address(SocketAddr::V4(address)) => {
                self.v4.extend_from_slice(&address.ip().octets());
                self.v4.extend_from_slice(&address.port().to_be_bytes());
            }
            Contact::Address(SocketAddr::V6(address)) => {
                self.v6.extend_from_slice(&address.ip().octets());
                self.v6.extend_from_slice(&address.port().to_be_bytes());
            }
            Contact::Browser(peer_id) => self.browsers.extend_from_slice(peer_id.as_bytes()),
        }
    }

    /// Adds a peer that was gained or heard of again.
    pub fn push_gained(&mut self, peer: &SharedPeer) {
        self.push_lost(&peer.contact);
        let list = match peer.contact {
            Contact::Address(SocketAddr::V4(_)) => &mut self.v4,
            Contact::Address(SocketAddr::V6(_)) => &mut self.v6,
            Contact::Browser(_) => &mut self.browsers,
        };
        let [high, low] = peer.age.to_be_bytes();
        let flags = if peer.seed { SEED } else { 0 } | if peer.bridge { BRIDGE } else { 0 };
        list.extend_from_slice(&[high, low, flags]);
    }

    /// The peers gained; bytes that make no whole peer are left out. Unknown flags mean nothing to us.
    pub fn gained(&self) -> impl Iterator<Item = SharedPeer> {
        let read = |(contact, rest): (Contact, &[u8])| {
            let [high, low, flags] = rest.try_into().ok()?;
            let age = u16::from_be_bytes([high, low]);
            Some(SharedPeer { contact, seed: flags & SEED != 0, bridge: flags & BRIDGE != 0, age })
        };
        self.read(3).filter_map(read)
    }

    /// The peers lost.
    pub fn lost(&self) -> impl Iterator<Item = Contact> {
        self.read(0).map(|(contact, _)| contact)
    }

    /// Whether every list is made of whole peers with `tail` bytes behind each.
    #[must_use]
    pub const fn is_whole(&self, tail: usize) -> bool {
        self.v4.len().is_multiple_of(6 + tail)
            && self.v6.len().is_multiple_of(18 + tail)
            && self.browsers.len().is_multiple_of(20 + tail)
    }

    fn read(&self, tail: usize) -> impl Iterator<Item = (Contact, &[u8])> {
        let v4 = self.v4.chunks_exact(6 + tail).filter_map(|bytes| {
            let (ip, rest) = bytes.split_first_chunk::<4>()?;
            let (port, rest) = rest.split_first_chunk::<2>()?;
            Some((address(Ipv4Addr::from(*ip).into(), *port), rest))
        });
        let v6 = self.v6.chunks_exact(18 + tail).filter_map(|bytes| {
            let (ip, rest) = bytes.split_first_chunk::<16>()?;
            let (port, rest) = rest.split_first_chunk::<2>()?;
            Some((address(Ipv6Addr::from(*ip).into(), *port), rest))
        });
        let browsers = self.browsers.chunks_exact(20 + tail).filter_map(|bytes| {
            let (peer_id, rest) = bytes.split_first_chunk::<20>()?;
            Some((Contact::Browser(PeerId(*peer_id)), rest))
        });
        v4.chain(v6).chain(browsers)
    }
}

const fn address(ip: IpAddr, port: [u8; 2]) -> Contact {
    Contact::Address(SocketAddr::new(ip, u16::from_be_bytes(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_peers_are_read_back_as_they_were() {
        let peer = |contact, seed, age| SharedPeer { contact, seed, bridge: !seed, age };
        let peers = [
            peer(Contact::Address("8.8.4.4:6881".parse().unwrap()), true, 0),
            peer(Contact::Address("[2a00::1]:1".parse().unwrap()), false, 65_535),
            peer(Contact::Browser(PeerId([7; 20])), true, 300),
        ];
        let (mut gained, mut lost) = (Packed::default(), Packed::default());
        for peer in &peers {
            gained.push_gained(peer);
            lost.push_lost(&peer.contact);
        }
        assert!(gained.is_whole(3) && lost.is_whole(0));
        assert_eq!((gained.len(), lost.len()), (9 + 21 + 23, 6 + 18 + 20));
        assert_eq!(gained.gained().collect::<Vec<_>>(), peers);
        assert_eq!(lost.lost().collect::<Vec<_>>(), peers.map(|peer| peer.contact));
        gained.v4.pop();
        assert!(!gained.is_whole(3));
        assert_eq!(gained.gained().count(), 2);
    }
}
