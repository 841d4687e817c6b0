//! The 68 bytes with which both sides of a connection begin ([BEP 3]).
//!
//! Whether we want the torrent or the peer is the engine's decision; here are only the bytes.
//!
//! [BEP 3]: https://www.bittorrent.org/beps/bep_0003.html#peer-protocol

use anatomic_core::{InfoHash, PeerId};
use thiserror::Error;

/// Length of a handshake in bytes.
pub const HANDSHAKE_LEN: usize = 68;
/// The length byte and name with which every handshake begins.
pub const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

/// The eight reserved bytes: which extensions a peer speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reserved(pub [u8; 8]);

impl Reserved {
    /// What we speak: the extension protocol (BEP 10) and the fast extension (BEP 6).
    pub const OURS: Self = Self([0, 0, 0, 0, 0, 0x10, 0, 0x04]);

    /// Whether the peer speaks the extension protocol ([BEP 10]: bit 20 from the right).
    ///
    /// [BEP 10]: https://www.bittorrent.org/beps/bep_0010.html
    #[must_use]
    pub const fn extended(self) -> bool {
        self.0[5] & 0x10 != 0
    }

    /// Whether the peer speaks the fast extension ([BEP 6]: third bit from the right).
    ///
    /// [BEP 6]: https://www.bittorrent.org/beps/bep_0006.html
    #[must_use]
    pub const fn fast(self) -> bool {
        self.0[7] & 0x04 != 0
    }

    /// Whether the peer has a DHT node ([BEP 5]: last bit).
    ///
    /// [BEP 5]: https://www.bittorrent.org/beps/bep_0005.html
    #[must_use]
    pub const fn dht(self) -> bool {
        self.0[7] & 0x01 != 0
    }

    /// Whether the peer knows the v2 info-hash of a hybrid torrent ([BEP 52]: fifth bit from the right); a claim only.
    ///
    /// [BEP 52]: https://www.bittorrent.org/beps/bep_0052.html
    #[must_use]
    pub const fn v2(self) -> bool {
        self.0[7] & 0x10 != 0
    }
}

/// Both sides' first message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handshake {
    /// Which extensions the sender speaks.
    pub reserved: Reserved,
    /// Which swarm the connection is for.
    pub info_hash: InfoHash,
    /// Who the sender says it is. Over WebRTC it need not equal the peer id the tracker knows.
    pub peer_id: PeerId,
}

/// The first bytes are not those of a BitTorrent peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the first bytes are no BitTorrent handshake (BEP 3)")]
pub struct NotBitTorrent;

impl Handshake {
    /// A handshake of ours.
    #[must_use]
    pub const fn new(info_hash: InfoHash, peer_id: PeerId) -> Self {
        Self { reserved: Reserved::OURS, info_hash, peer_id }
    }

    /// Reads the 68 bytes.
    ///
    /// # Errors
    /// [`NotBitTorrent`] if they begin otherwise.
    pub fn decode(bytes: &[u8; HANDSHAKE_LEN]) -> Result<Self, NotBitTorrent> {
        let rest = bytes.strip_prefix(PROTOCOL.as_slice()).ok_or(NotBitTorrent)?;
        let (reserved, rest) = rest.split_first_chunk().ok_or(NotBitTorrent)?;
        let (info_hash, rest) = rest.split_first_chunk().ok_or(NotBitTorrent)?;
        let (peer_id, _) = rest.split_first_chunk().ok_or(NotBitTorrent)?;
        Ok(Self { reserved: Reserved(*reserved), info_hash: InfoHash(*info_hash), peer_id: PeerId(*peer_id) })
    }

    /// Appends the 68 bytes.
    pub fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(PROTOCOL);
        into.extend_from_slice(&self.reserved.0);
        into.extend_from_slice(self.info_hash.as_bytes());
        into.extend_from_slice(self.peer_id.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webtorrents_handshake_is_read() {
        // Reserved bytes as a WebTorrent page sends them.
        let mut bytes = Vec::from(*PROTOCOL);
        bytes.extend([0, 0, 0, 0, 0, 0x10, 0, 0x04]);
        bytes.extend([7; 20]);
        bytes.extend(b"-WW0300-abcdefghijkl");
        let handshake = Handshake::decode(bytes.as_slice().try_into().unwrap()).unwrap();
        assert!(handshake.reserved.extended() && handshake.reserved.fast() && !handshake.reserved.dht());
        assert_eq!((handshake.info_hash, handshake.peer_id.0), (InfoHash([7; 20]), *b"-WW0300-abcdefghijkl"));
        let mut again = Vec::new();
        handshake.encode(&mut again);
        assert_eq!(again, bytes);
    }

    #[test]
    fn another_protocol_is_refused() {
        let mut bytes = [0; HANDSHAKE_LEN];
        bytes[..14].copy_from_slice(b"GET / HTTP/1.1");
        assert_eq!(Handshake::decode(&bytes), Err(NotBitTorrent));
    }
}
