//! A peer of a bridged torrent, and what it was told that we have.
//!
//! Offers are told in portions, as the peer's connection drains: a seed of a million pieces that appears
//! must not fill every tab's connection with a million messages at once.

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
}

impl Member {
    /// A peer that was told `offered` when the connection was opened.
    pub(super) const fn new(side: Side, offered: Bitfield) -> Self {
        Self { side, counted: false, snubbed: false, told: offered, outdated: false }
    }

    /// What we offer to its side changed.
    pub(super) const fn outdate(&mut self) {
        self.outdated = true;
    }

    /// Tells it the next portion of what changed; true if something was written.
    pub(super) fn tell(&mut self, peer: &mut Peer, offered: &Bitfield) -> bool {
        if !self.outdated || peer.has_control() {
            return false;
        }
        let changes = differences(&self.told, offered, PORTION);
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

/// The first `most` pieces in which two sets differ.
fn differences(left: &Bitfield, right: &Bitfield, most: usize) -> Vec<PieceIndex> {
    let bytes = (0u32..).zip(left.as_wire().iter().zip(right.as_wire()));
    bytes
        .filter(|(_, (left, right))| left != right)
        .flat_map(|(at, (left, right))| {
            let changed = left ^ right;
            (0..8u32).filter(move |bit| changed & (0x80 >> bit) != 0).map(move |bit| PieceIndex(at * 8 + bit))
        })
        .take(most)
        .collect()
}
