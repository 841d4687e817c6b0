//! The switch for blocks: who waits for which block, who is asked for it, where it goes when it comes.
//!
//! Pure: it sends nothing and knows no connection; the bridge carries out the [`Action`]s. Many peers that
//! wait for one block cost one fetch. A block is passed on the moment it arrives (cut-through), unless its
//! sender is on parole: then the piece is held until its digest is known.

use super::action::{Action, Side, SwitchCounters};
use super::cache::{BlockCache, Inserted};
use super::trial::{Trials, Verdict};
use anatomic_core::collections::{BTreeMap, BTreeSet};
use anatomic_core::{Bitfield, Block, BlockIndex, Geometry, PieceIndex};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// How many waiting blocks one round looks at: more would be work without effect on a crowded bridge.
const ASSIGN_SCAN: usize = 512;

type BlockId = (PieceIndex, BlockIndex);

/// The switch of one bridged torrent. `T` names the torrent in the cache, `P` a peer.
#[derive(Debug)]
pub(crate) struct Switch<T, P> {
    torrent: T,
    geometry: Geometry,
    wants: HashMap<BlockId, Want<P>>,
    classic: VecDeque<BlockId>,
    browser: VecDeque<BlockId>,
    upstreams: BTreeMap<P, Upstream>,
    /// Who was last asked for a block of a piece: whole pieces from one peer make the culprit certain.
    owners: HashMap<PieceIndex, P>,
    /// Pieces with a block from a peer on parole, and who waits for what of them.
    held: BTreeMap<PieceIndex, Vec<(P, Block)>>,
    trials: Trials<P>,
    counters: SwitchCounters,
}

/// A block that somebody waits for.
#[derive(Debug)]
struct Want<P> {
    /// The side that has it.
    from: Side,
    /// Who was asked.
    asked: Option<P>,
    /// Who refused it.
    refused: Vec<P>,
    /// Who waits, and the range each asked for.
    waiters: Vec<(P, Block)>,
}

#[derive(Debug)]
struct Upstream {
    side: Side,
    has: Bitfield,
    /// It does not choke us.
    ready: bool,
    /// It let a request wait too long: asked only for what nobody else has.
    slow: bool,
}

impl<T: Copy + Eq + Hash, P: Copy + Eq + Ord + Hash> Switch<T, P> {
    /// A switch with no peers.
    pub(crate) fn new(torrent: T, geometry: Geometry) -> Self {
        Self {
            torrent,
            geometry,
            wants: HashMap::new(),
            classic: VecDeque::new(),
            browser: VecDeque::new(),
            upstreams: BTreeMap::new(),
            owners: HashMap::new(),
            held: BTreeMap::new(),
            trials: Trials::default(),
            counters: SwitchCounters::default(),
        }
    }

    /// What the switch did so far.
    pub(crate) const fn counters(&self) -> &SwitchCounters {
        &self.counters
    }

    fn queue(&mut self, side: Side) -> &mut VecDeque<BlockId> {
        match side {
            Side::Classic => &mut self.classic,
            Side::Browser => &mut self.browser,
        }
    }

    // ---- upstream: who has what

    /// A peer that may be asked appears, with what it has.
    pub(crate) fn join(&mut self, peer: P, side: Side, has: Bitfield) {
        self.upstreams.insert(peer, Upstream { side, has, ready: false, slow: false });
    }

    /// What the peer has; `None` if it never joined.
    pub(crate) fn pieces_of(&self, peer: P) -> Option<&Bitfield> {
        self.upstreams.get(&peer).map(|upstream| &upstream.has)
    }

    /// The peer got a piece; true if it lacked it.
    pub(crate) fn gained(&mut self, peer: P, piece: PieceIndex) -> bool {
        self.upstreams.get_mut(&peer).is_some_and(|upstream| upstream.has.insert(piece))
    }

    /// The peer lost a piece; true if it had it.
    pub(crate) fn lost(&mut self, peer: P, piece: PieceIndex) -> bool {
        self.upstreams.get_mut(&peer).is_some_and(|upstream| upstream.has.remove(piece))
    }

    /// The peer unchoked or choked us. What it will not send after a choke comes back by [`returned`](Self::returned).
    pub(crate) fn set_ready(&mut self, peer: P, ready: bool) {
        if let Some(upstream) = self.upstreams.get_mut(&peer) {
            upstream.ready = ready;
        }
    }

    /// A block that was asked of `peer` will not come (reject, choke, time-out): ask another.
    pub(crate) fn returned(&mut self, peer: P, block: Block) {
        let id = (block.piece, block.index());
        let Some(want) = self.wants.get_mut(&id) else { return };
        if want.asked == Some(peer) {
            want.asked = None;
            want.refused.push(peer);
            self.owners.remove(&id.0);
            let side = want.from;
            self.queue(side).push_front(id);
        }
    }

    /// The peer let a request wait too long: what others have is asked of them.
    pub(crate) fn snubbed(&mut self, peer: P, actions: &mut Vec<Action<P>>) {
        let Some(upstream) = self.upstreams.get_mut(&peer) else { return };
        upstream.slow = true;
        let side = upstream.side;
        self.owners.retain(|_, owner| *owner != peer);
        let mut moved: Vec<BlockId> = Vec::new();
        for (id, want) in &mut self.wants {
            let elsewhere = self.upstreams.iter().any(|(other, up)| {
                *other != peer && up.side == side && up.ready && !up.slow && up.has.has(id.0)
            });
            if want.asked == Some(peer) && elsewhere {
                want.asked = None;
                moved.push(*id);
            }
        }
        moved.sort_unstable();
        for id in moved.into_iter().rev() {
            if let Some(block) = self.geometry.block(id.0, id.1) {
                actions.push(Action::Cancel { from: peer, block });
            }
            self.queue(side).push_front(id);
        }
    }

    /// A peer is gone: nobody waits on it, nothing is sent to it.
    pub(crate) fn leave(&mut self, peer: P, actions: &mut Vec<Action<P>>) {
        let side = self.upstreams.remove(&peer).map(|upstream| upstream.side);
        let mut orphaned = Vec::new();
        for (id, want) in &mut self.wants {
            want.waiters.retain(|(waiter, _)| *waiter != peer);
            if want.asked == Some(peer) {
                want.asked = None;
                orphaned.push(*id);
            }
        }
        if let Some(side) = side {
            orphaned.sort_unstable();
            for id in orphaned.into_iter().rev() {
                self.queue(side).push_front(id);
            }
        }
        self.held.values_mut().for_each(|waiters| waiters.retain(|(waiter, _)| *waiter != peer));
        self.owners.retain(|_, owner| *owner != peer);
        self.trials.forget_peer(peer);
        self.drop_unwanted(actions);
    }

    // ---- downstream: who wants what

    /// `peer` of `side` asks for `range`: served from memory, joined to a running fetch, or queued.
    pub(crate) fn requested(
        &mut self,
        cache: &mut BlockCache<T, P>,
        peer: P,
        side: Side,
        range: Block,
        actions: &mut Vec<Action<P>>,
    ) {
        if let Some(waiters) = self.held.get_mut(&range.piece) {
            waiters.push((peer, range));
            return;
        }
        if let Some(data) = cache.read(self.torrent, range) {
            self.counters.cache_hits += 1;
            self.counters.forwarded += 1;
            actions.push(Action::Send { to: peer, block: range, data });
            return;
        }
        let from = side.other();
        if !self.upstreams.values().any(|upstream| upstream.side == from && upstream.has.has(range.piece)) {
            self.counters.rejected += 1;
            actions.push(Action::Reject { to: peer, block: range });
            return;
        }
        for index in blocks_of(range) {
            if cache.has(self.torrent, range.piece, index) {
                continue;
            }
            self.want(from, (range.piece, index), Some((peer, range)));
        }
    }

    fn want(&mut self, from: Side, id: BlockId, waiter: Option<(P, Block)>) {
        if let Some(want) = self.wants.get_mut(&id) {
            if let Some(waiter) = waiter
                && !want.waiters.contains(&waiter)
            {
                want.waiters.push(waiter);
                self.counters.joined += 1;
            }
            return;
        }
        self.wants.insert(
            id,
            Want { from, asked: None, refused: Vec::new(), waiters: waiter.into_iter().collect() },
        );
        self.queue(from).push_back(id);
    }

    /// `peer` no longer wants `range`.
    pub(crate) fn cancelled(&mut self, peer: P, range: Block, actions: &mut Vec<Action<P>>) {
        if let Some(waiters) = self.held.get_mut(&range.piece) {
            waiters.retain(|waiter| *waiter != (peer, range));
        }
        for index in blocks_of(range) {
            let id = (range.piece, index);
            let Some(want) = self.wants.get_mut(&id) else { continue };
            want.waiters.retain(|waiter| *waiter != (peer, range));
            self.drop_if_unwanted(id, actions);
        }
    }

    fn drop_unwanted(&mut self, actions: &mut Vec<Action<P>>) {
        let mut idle: Vec<BlockId> =
            self.wants.iter().filter(|(_, want)| want.waiters.is_empty()).map(|(id, _)| *id).collect();
        idle.sort_unstable();
        for id in idle {
            self.drop_if_unwanted(id, actions);
        }
    }

    fn drop_if_unwanted(&mut self, id: BlockId, actions: &mut Vec<Action<P>>) {
        if self.held.contains_key(&id.0) || self.wants.get(&id).is_none_or(|want| !want.waiters.is_empty()) {
            return;
        }
        let Some(want) = self.wants.remove(&id) else { return };
        if let Some(from) = want.asked
            && let Some(block) = self.geometry.block(id.0, id.1)
        {
            actions.push(Action::Cancel { from, block });
        }
    }

    // ---- blocks and digests

    /// `data` of `block` came from `from`: passed on to everyone who waits, and kept.
    pub(crate) fn arrived(
        &mut self,
        cache: &mut BlockCache<T, P>,
        from: P,
        block: Block,
        data: Bytes,
        actions: &mut Vec<Action<P>>,
    ) {
        let id = (block.piece, block.index());
        let Some(want) = self.wants.remove(&id) else {
            self.counters.unwanted += 1;
            return;
        };
        self.counters.fetched += 1;
        if let Some(upstream) = self.upstreams.get_mut(&from) {
            upstream.slow = false;
        }
        if let Some(other) = want.asked
            && other != from
        {
            actions.push(Action::Cancel { from: other, block });
        }
        let inserted = cache.insert(self.torrent, &self.geometry, block, data.clone(), from);
        if self.trials.is_on_parole(from) || self.held.contains_key(&block.piece) {
            self.hold(cache, block.piece, want);
        } else {
            for (to, range) in want.waiters {
                let bytes = if range == block { Some(data.clone()) } else { cache.read(self.torrent, range) };
                if let Some(data) = bytes {
                    self.counters.forwarded += 1;
                    actions.push(Action::Send { to, block: range, data });
                }
            }
        }
        if let Inserted::Whole(blocks) = inserted {
            self.owners.remove(&block.piece);
            actions.push(Action::Hash { piece: block.piece, blocks });
        }
    }

    /// Keeps the waiters of a piece until its digest is known, and fetches what is missing of it.
    fn hold(&mut self, cache: &BlockCache<T, P>, piece: PieceIndex, want: Want<P>) {
        self.held.entry(piece).or_default().extend(want.waiters);
        for index in 0..self.geometry.blocks_of(piece) {
            if !cache.has(self.torrent, piece, BlockIndex(index)) {
                self.want(want.from, (piece, BlockIndex(index)), None);
            }
        }
    }

    /// The digest of a whole piece is known: `Ok` if it is the right one.
    pub(crate) fn digested(
        &mut self,
        cache: &mut BlockCache<T, P>,
        piece: PieceIndex,
        verdict: Verdict,
        actions: &mut Vec<Action<P>>,
    ) {
        let blocks = cache.contributions(self.torrent, piece);
        let liars = self.trials.judge(piece, verdict, &blocks);
        match verdict {
            Verdict::Right => cache.verified(self.torrent, piece),
            Verdict::Wrong => {
                self.counters.failed_pieces += 1;
                cache.forget(self.torrent, piece);
            }
        }
        let waiting = self.held.remove(&piece).unwrap_or_default();
        for (peer, range) in waiting {
            match cache.read(self.torrent, range) {
                Some(data) if verdict == Verdict::Right => {
                    self.counters.forwarded += 1;
                    actions.push(Action::Send { to: peer, block: range, data });
                }
                _ => {
                    // Whoever waited is of the side that does not have it: find out which by its absence upstream.
                    let side = self.upstreams.get(&peer).map_or(Side::Browser, |upstream| upstream.side);
                    self.requested(cache, peer, side, range, actions);
                }
            }
        }
        actions.extend(liars.into_iter().map(|peer| Action::Ban { peer, piece }));
    }

    // ---- handing out work

    /// Asks ready peers for waiting blocks. `room` tells how many more requests a peer takes now.
    pub(crate) fn assign(&mut self, mut room: impl FnMut(P) -> usize, actions: &mut Vec<Action<P>>) {
        for side in [Side::Classic, Side::Browser] {
            if self.queue(side).is_empty() {
                continue;
            }
            let mut free: BTreeMap<P, usize> = self
                .upstreams
                .iter()
                .filter(|(_, upstream)| upstream.side == side && upstream.ready)
                .map(|(peer, _)| (*peer, room(*peer)))
                .filter(|(_, room)| *room > 0)
                .collect();
            let mut passed = VecDeque::new();
            for _ in 0..ASSIGN_SCAN {
                if free.is_empty() {
                    break;
                }
                let Some(id) = self.queue(side).pop_front() else { break };
                let Some(want) = self.wants.get(&id).filter(|want| want.asked.is_none()) else { continue };
                let Some(peer) = self.choose(id, want, &free) else {
                    passed.push_back(id);
                    continue;
                };
                let Some(block) = self.geometry.block(id.0, id.1) else { continue };
                if let Some(want) = self.wants.get_mut(&id) {
                    want.asked = Some(peer);
                }
                self.owners.insert(id.0, peer);
                if let Some(left) = free.get_mut(&peer) {
                    *left -= 1;
                    if *left == 0 {
                        free.remove(&peer);
                    }
                }
                actions.push(Action::Fetch { from: peer, block });
            }
            let queue = self.queue(side);
            passed.append(queue);
            *queue = passed;
        }
    }

    /// The peer to ask: who already sends this piece, else the trusted one with the most room.
    fn choose(&self, id: BlockId, want: &Want<P>, free: &BTreeMap<P, usize>) -> Option<P> {
        let able = |peer: &P| {
            self.upstreams.get(peer).is_some_and(|upstream| upstream.has.has(id.0))
                && (!want.refused.contains(peer) || want.refused.len() >= self.upstreams.len())
        };
        if let Some(owner) = self.owners.get(&id.0)
            && free.contains_key(owner)
            && able(owner)
        {
            return Some(*owner);
        }
        free.iter()
            .filter(|(peer, _)| able(peer))
            .max_by_key(|(peer, room)| {
                let slow = self.upstreams.get(peer).is_some_and(|upstream| upstream.slow);
                (!self.trials.is_on_parole(**peer), !slow, **room)
            })
            .map(|(peer, _)| *peer)
    }

    /// Rejects what nobody can send any more: blocks of pieces whose last source is gone.
    pub(crate) fn reject_orphans(&mut self, actions: &mut Vec<Action<P>>) {
        let mut gone: Vec<BlockId> = self
            .wants
            .iter()
            .filter(|(id, want)| {
                !self.upstreams.values().any(|upstream| upstream.side == want.from && upstream.has.has(id.0))
            })
            .map(|(id, _)| *id)
            .collect();
        gone.sort_unstable();
        let mut rejected: BTreeSet<(P, Block)> = BTreeSet::new();
        for id in gone {
            rejected.extend(self.wants.remove(&id).into_iter().flat_map(|want| want.waiters));
            rejected.extend(self.held.remove(&id.0).unwrap_or_default());
        }
        self.counters.rejected += rejected.len() as u64;
        actions.extend(rejected.into_iter().map(|(to, block)| Action::Reject { to, block }));
    }
}

/// The 16 KiB units that a range touches.
fn blocks_of(range: Block) -> impl Iterator<Item = BlockIndex> {
    let last = range.offset.saturating_add(range.length.saturating_sub(1)) / anatomic_core::BLOCK_LEN;
    (range.index().0..=last).map(BlockIndex)
}

#[cfg(test)]
mod tests;
