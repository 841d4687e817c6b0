//! What a store asks of its peers, and the blocks that come back.
//!
//! Which block is next is the picker's choice; how many, the window's. What becomes of whole pieces: `verdict`.

use super::store::Store;
use super::swarm::Swarm;
use super::trade::speed;
use crate::keys::PeerKey;
use crate::output::Job;
use crate::peer::Standing;
use crate::picker::{Filled, Picking, Standing as PickStanding};
use crate::shared::{Shared, Task};
use anatomic_core::collections::BTreeSet;
use anatomic_core::{Block, PieceIndex};
use bytes::Bytes;

/// Requests are asked for so many at a time where many are under way: one message and one packet for all of them.
const REFILL: usize = 16;

impl Store {
    pub(super) fn on_block(
        &mut self,
        swarm: &mut Swarm,
        shared: &mut Shared,
        key: PeerKey,
        block: Block,
        data: Bytes,
        standing: Standing,
    ) {
        let now = shared.now;
        let length = u64::from(block.length);
        swarm.counters.downloaded += length;
        swarm.down.add(now, length);
        if standing == Standing::Unrequested {
            swarm.counters.wasted += length;
            return;
        }
        swarm.counters.blocks += 1;
        if let (Some(trader), Some(member)) = (self.traders.get_mut(&key), swarm.members.get(key)) {
            let (_, rate) = member.peer.downloaded(now);
            trader.window.block(now, rate);
            trader.snubbed = false;
        }
        let (others, whole) = match self.picker.fill(block, data, key) {
            Filled::Unneeded => {
                swarm.counters.wasted += length;
                return;
            }
            Filled::Kept(others) => (others, false),
            Filled::Whole(others) => (others, true),
        };
        for other in others {
            if let Some(peer) = swarm.members.tell(other) {
                peer.cancel(block);
            }
            self.refill(swarm, shared, other);
        }
        if whole {
            self.verify(swarm, shared, block.piece);
        }
    }

    pub(super) fn verify(&self, swarm: &Swarm, shared: &mut Shared, piece: PieceIndex) {
        let blocks = self.picker.blocks(piece).blocks;
        shared.job(swarm.key, Task::Verify(piece), Job::Hash { blocks });
    }

    /// Pieces of nothing but padding are whole without a peer.
    pub(super) fn verify_whole(&mut self, swarm: &Swarm, shared: &mut Shared) {
        for piece in self.picker.take_whole() {
            self.verify(swarm, shared, piece);
        }
    }

    /// Asks as many peers as have room for more.
    pub(super) fn refill_all(&mut self, swarm: &mut Swarm, shared: &mut Shared) {
        for key in self.traders.keys().copied().collect::<Vec<_>>() {
            self.refill(swarm, shared, key);
        }
    }

    /// Asks a peer for as many blocks as it should have under way.
    pub(super) fn refill(&mut self, swarm: &mut Swarm, shared: &mut Shared, key: PeerKey) {
        let now = shared.now;
        let peers = swarm.members.len();
        let (Some(trader), Some(member)) = (self.traders.get_mut(&key), swarm.members.get_mut(key)) else {
            return;
        };
        let peer = &mut member.peer;
        let only = peer.is_choking().then(|| peer.allowed_fast());
        if !swarm.running
            || self.checking.is_some()
            || trader.interesting == 0
            || only.is_some_and(BTreeSet::is_empty)
        {
            return;
        }
        // Nothing was there for it and nothing has changed; an idle one may still help in the end-game.
        let idle = peer.outstanding() == 0 && self.picker.may_double();
        if trader.nothing_at == self.picker.version() && !idle {
            return;
        }
        let room = trader.room(&shared.config, peer, now);
        if room == 0 || room < (peer.outstanding() / 4).min(REFILL) {
            return;
        }
        let room = room.min(swarm.request_allowance(shared));
        let Some(member) = swarm.members.get_mut(key) else { return };
        let peer = &mut member.peer;
        let Some(pieces) = peer.pieces() else { return };
        if room == 0 {
            return;
        }
        let standing = if self.distrust && self.trials.is_on_parole(key) {
            PickStanding::Parole
        } else if trader.snubbed {
            PickStanding::Snubbed
        } else {
            PickStanding::Good
        };
        let picking = Picking {
            now,
            peer: key,
            pieces,
            speed: speed(peer, now, self.geometry.piece_length()),
            standing,
            only: peer.is_choking().then(|| peer.allowed_fast()),
            refused: &trader.refused,
            outstanding: peer.outstanding(),
            current: trader.current,
            memory: shared.config.max_unfinished.saturating_sub(self.unwritten_bytes),
            peers,
        };
        let mut picked = std::mem::take(&mut self.scratch);
        picked.clear();
        let doubled = self.picker.pick(picking, room, &mut shared.rng, &mut picked);
        if picked.is_empty() {
            trader.nothing_at = self.picker.version();
        }
        if let Some(last) = picked.last() {
            trader.current = Some(last.piece);
            let bytes = picked.iter().map(|block| u64::from(block.length)).sum();
            for block in &picked {
                peer.request(*block);
            }
            swarm.counters.doubled += doubled;
            swarm.requested(shared, bytes);
            swarm.members.touch(key);
        }
        self.scratch = picked;
        self.verify_whole(swarm, shared);
    }

    /// Takes back what a peer was asked for and did not bring; others are asked first.
    pub(super) fn snub(&mut self, swarm: &mut Swarm, shared: &mut Shared, key: PeerKey) {
        let Some(trader) = self.traders.get_mut(&key) else { return };
        if !trader.snubbed {
            trader.snubbed = true;
            swarm.counters.snubbed += 1;
        }
        trader.window.snubbed();
        trader.current = None;
        let Some(peer) = swarm.members.tell(key) else { return };
        for block in peer.cancel_all() {
            self.picker.release(block, key);
        }
        for other in self.traders.keys().copied().filter(|other| *other != key).collect::<Vec<_>>() {
            self.refill(swarm, shared, other);
        }
        self.refill(swarm, shared, key);
    }
}
