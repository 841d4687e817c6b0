//! Which pieces a choked peer may fetch to get started ([BEP 6], "allowed fast set").
//!
//! Only the arithmetic: the set depends on the peer's address and the torrent, so that reconnecting brings
//! nothing new. What is done with it is the torrent's decision.
//!
//! [BEP 6]: https://www.bittorrent.org/beps/bep_0006.html

use anatomic_core::{InfoHash, PieceIndex};
use sha1::{Digest, Sha1};
use std::net::Ipv4Addr;

/// The first `count` pieces of the set for a peer at `address`; fewer if the torrent has fewer pieces.
pub(crate) fn allowed_fast_set(
    info_hash: InfoHash,
    address: Ipv4Addr,
    pieces: u32,
    count: usize,
) -> Vec<PieceIndex> {
    let count = count.min(pieces as usize);
    let mut set = Vec::with_capacity(count);
    // BEP 6: the three most significant bytes, so that a whole network has one set.
    let [a, b, c, _] = address.octets();
    let mut digest: [u8; 20] =
        Sha1::new_with_prefix([a, b, c, 0]).chain_update(info_hash.as_bytes()).finalize().into();
    while set.len() < count {
        for word in digest.as_chunks::<4>().0 {
            let piece = PieceIndex(u32::from_be_bytes(*word) % pieces);
            if set.len() < count && !set.contains(&piece) {
                set.push(piece);
            }
        }
        digest = Sha1::digest(digest).into();
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_bep_6() {
        let hash = InfoHash([0xaa; 20]);
        let address = Ipv4Addr::new(80, 4, 4, 200);
        let set = |count| {
            allowed_fast_set(hash, address, 1_313, count).iter().map(|piece| piece.0).collect::<Vec<_>>()
        };
        assert_eq!(set(7), [1059, 431, 808, 1217, 287, 376, 1188]);
        assert_eq!(set(9), [1059, 431, 808, 1217, 287, 376, 1188, 353, 508]);
        assert_eq!(allowed_fast_set(hash, address, 3, 9).len(), 3);
        assert!(allowed_fast_set(hash, address, 0, 9).is_empty());
    }
}
