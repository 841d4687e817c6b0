//! A peer of a bridged torrent, and what it was told that we have.
//!
//! Offers are told in portions, as the peer's connection drains: a seed of a million pieces that appears
//! must not fill every tab's connection with a million messages at once. A classic peer is told only of pieces
//! that it lacks: who believes that we have everything takes us for a seed, and Transmission never again sends
//! anything to an address that it once took for one.

use super::action::Side;
use crate::peer::Peer;
use anatomic_core::{Bitfield, PieceIndex};

/// `have` and `lt_donthave` messages written to a peer at a time.
const PORTION: usize = 2_048;

/// What the bridge knows of one open connection.
#[derive(Debug)]
pub(super) struct Member {
    pub side: Side,
    /// Its pieces count as sources: it has said whether it is a node, and it is none.
    pub counted: bool,
    /// It let requests wait too long, and has sent nothing since.
    pub snubbed: bool,
    /// What it believes that we have.
    told: Bitfield,
    /// What it believes differs from what we offer.
    outdated: bool,
    /// It has had time to say what it has.
    settled: bool,
}

impl Member {
    /// A peer that was told `told` when the connection was opened.
    pub(super) const fn new(side: Side, told: Bitfield) -> Self {
        let settled = matches!(side, Side::Browser);
        Self { side, counted: false, snubbed: false, told, outdated: true, settled }
    }

    /// About a second passed.
    pub(super) const fn tick(&mut self) {
        self.settled = self.settled || self.counted;
    }

    /// What we offer to its side changed.
    pub(super) const fn outdate(&mut self) {
        self.outdated = true;
    }

    /// Tells it the next portion of what changed; true if something was written.
    pub(super) fn tell(&mut self, peer: &mut Peer, offered: &Bitfield) -> bool {
        if !self.outdated || !self.settled || peer.has_control() {
            return false;
        }
        let needless =
            |piece: PieceIndex| self.side == Side::Classic && offered.has(piece) && peer.has(piece);
        let changes: Vec<PieceIndex> =
            differences(&self.told, offered).filter(|piece| !needless(*piece)).take(PORTION).collect();
        for piece in &changes {
            if offered.has(*piece) {
                peer.have(*piece);
                self.told.insert(*piece);
            } else {
                // Who does not know BEP 54 goes on believing; its requests are rejected.
                peer.dont_have(*piece);
                self.told.remove(*piece);
            }
        }
        self.outdated = changes.len() == PORTION;
        !changes.is_empty()
    }
}

/// The pieces in which two sets differ, ascending.
fn differences(left: &Bitfield, right: &Bitfield) -> impl Iterator<Item = PieceIndex> {
    let bytes = (0u32..).zip(left.as_wire().iter().zip(right.as_wire()));
    bytes.filter(|(_, (left, right))| left != right).flat_map(|(at, (left, right))| {
        let changed = left ^ right;
        (0..8u32).filter(move |bit| changed & (0x80 >> bit) != 0).map(move |bit| PieceIndex(at * 8 + bit))
    })
}
