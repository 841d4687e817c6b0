//! When one connection with a node is not enough: *stripes* are several data channels that carry one transfer.
//!
//! A browser's socket holds about 64 KiB, so the rate of one connection is that by the time of the loop; another has a
//! socket of its own. It costs the node memory, so only what is fast already gets it.

use super::{Driver, clock};
use anatomic_core::PeerId;
use anatomic_engine::{PeerKey, PeerView, Role, TorrentView, Transport};

/// Connections of one tab with one node in one torrent: a fourth brought nothing.
const MOST: usize = 3;
/// A connection that carries so many bytes a second is held back by its socket rather than by the network. Each further
/// one brings less than the last, so two must carry four times as much.
const FAST: u64 = 4_000_000;
/// What is over in so many seconds needs no second connection.
const SOON_OVER: u64 = 1;

/// A connection of ours with a node.
#[derive(Clone, Copy)]
struct Stripe<K> {
    key: K,
    node: PeerId,
    /// Payload bytes a second, the busier way.
    rate: u64,
}

/// A connection that should get another beside it, if there may be more: those that just opened are in nobody's view yet,
/// so it is `Signalling::widen` that counts them.
fn to_widen<K: Copy>(stripes: &[Stripe<K>]) -> Option<K> {
    let wants = |stripe: &&Stripe<K>| {
        let beside = stripes.iter().filter(|other| other.node == stripe.node);
        let (count, rate) = beside.fold((0, 0), |(count, rate), other| (count + 1, rate + other.rate));
        rate >= FAST * count * count
    };
    stripes.iter().find(wants).map(|stripe| stripe.key)
}

/// The connection of a torrent that should get another beside it: one is not enough.
pub(super) fn narrow(view: &TorrentView) -> Option<PeerKey> {
    if view.wanted.saturating_sub(view.done) < SOON_OVER * view.download_rate {
        return None;
    }
    let is_stripe = |peer: &&PeerView| peer.role == Role::Node && peer.transport == Transport::WebRtc;
    let stripe = |peer: &PeerView| {
        let rate = peer.download_rate.max(peer.upload_rate);
        peer.peer_id.map(|node| Stripe { key: peer.peer, node, rate })
    };
    let stripes: Vec<Stripe<PeerKey>> = view.peers.iter().filter(is_stripe).filter_map(stripe).collect();
    to_widen(&stripes)
}

impl Driver {
    /// Asks for another connection beside that one.
    pub(super) fn widen(&self, peer: PeerKey) {
        if let Some(conn) = self.peers.conn_of(peer) {
            self.signalling.borrow_mut().widen(clock::now(), conn, MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripe(key: u8, node: u8, rate: u64) -> Stripe<u8> {
        Stripe { key, node: PeerId([node; 20]), rate }
    }

    #[test]
    fn only_a_fast_node_gets_another_connection() {
        let slow = stripe(1, 1, FAST - 1);
        assert_eq!(to_widen(&[slow]), None);
        assert_eq!(to_widen(&[slow, stripe(2, 2, FAST)]), Some(2));
        assert_eq!(to_widen(&[stripe(1, 1, 2 * FAST), stripe(3, 1, 2 * FAST - 1)]), None);
        assert_eq!(to_widen(&[stripe(1, 1, 2 * FAST), stripe(3, 1, 2 * FAST)]), Some(1));
    }
}
