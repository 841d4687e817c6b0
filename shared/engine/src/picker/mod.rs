//! Decides which block is asked of whom next, and keeps the blocks of unfinished pieces.
//!
//! It sends nothing and hashes nothing. The order, as libtorrent's picker has taught the field: what a reader
//! waits for; the piece that the peer is at; pieces that nobody works on any more; the first few pieces at
//! random, then the rarest; in the end-game blocks that others were asked for. Slow peers share their pieces
//! with slow peers, peers on parole fetch whole pieces alone, snubbed peers take what is most common.
//!
//! Each piece is in one of these states: had; not wanted; listed in [`Rarity`]; begun (in `partials`).

mod partial;
mod rarity;
#[cfg(test)]
mod tests;

pub(crate) use partial::Speed;

use crate::add::PickOrder;
use crate::hash::FastMap;
use crate::keys::PeerKey;
use anatomic_core::{BLOCK_LEN, Bitfield, Block, BlockIndex, Geometry, PieceIndex, Time};
use bytes::Bytes;
use fastrand::Rng;
use partial::{Partial, Slot};
use rarity::Rarity;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

/// A block that was asked of somebody is not asked of others before this time: most are on their way, and a
/// download of many peers would otherwise fetch its end twice.
const LATE: Duration = Duration::from_secs(1);

/// The peer for which blocks are picked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picking<'a> {
    /// Now.
    pub now: Time,
    /// Who.
    pub peer: PeerKey,
    /// What it has.
    pub pieces: &'a Bitfield,
    /// How fast it delivers.
    pub speed: Speed,
    /// How it is trusted and whether it delivers.
    pub standing: Standing,
    /// It chokes us: only these pieces may be asked for (BEP 6).
    pub only: Option<&'a BTreeSet<PieceIndex>>,
    /// Pieces of which it refused a block a moment ago.
    pub refused: &'a BTreeSet<PieceIndex>,
    /// Requests outstanding to it already.
    pub outstanding: usize,
    /// The piece it is at.
    pub current: Option<PieceIndex>,
    /// Bytes that unfinished pieces may take.
    pub memory: u64,
    /// Connections of the torrent: more of them may have more pieces begun.
    pub peers: usize,
}

/// What limits a peer's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing.
    Good,
    /// It did not deliver in time.
    Snubbed,
    /// It had a part in a piece that failed.
    Parole,
}

/// What a block did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// It is kept. Others were asked for it too: cancel.
    Kept(Vec<PeerKey>),
    /// The same, and its piece is whole now: hash it.
    Whole(Vec<PeerKey>),
    /// It is not needed (any more).
    Unneeded,
}

/// The bytes of a whole piece, and who sent each block.
#[derive(Debug)]
pub(crate) struct WholePiece {
    /// In order.
    pub blocks: Vec<Bytes>,
    /// Of each block; `None` for padding.
    pub senders: Vec<Option<PeerKey>>,
}

/// What steers the choice of new pieces, from the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// Pieces picked at random before rarest-first.
    pub random_first: u32,
    /// Begun pieces a peer before no new ones are begun.
    pub partials_per_peer: f64,
    /// Blocks of begun pieces before no new ones are begun.
    pub max_partial_blocks: u32,
}

/// The picker of one torrent.
#[derive(Debug)]
pub(crate) struct Picker {
    geometry: Geometry,
    habits: Habits,
    have: Bitfield,
    /// Level of each piece; 0: not wanted.
    levels: Vec<u8>,
    rarity: Rarity,
    seeds: u32,
    partials: BTreeMap<PieceIndex, Partial>,
    /// Begun pieces with a free block.
    open: BTreeSet<PieceIndex>,
    partial_blocks: u32,
    partial_bytes: u64,
    /// Blocks that are padding and nothing else, by piece.
    pads: FastMap<PieceIndex, Vec<BlockIndex>>,
    /// Pieces that were whole the moment they were begun.
    whole: Vec<PieceIndex>,
    order: PickOrder,
    windows: BTreeMap<u64, Range<u32>>,
    /// No wanted piece before is missing.
    cursor: u32,
    wanted_bytes: u64,
    done_bytes: u64,
    /// Counts what may make a peer useful that had nothing to offer before.
    version: u64,
}

impl Picker {
    /// A picker that has `have`, wants everything at the normal level, and knows which byte ranges of the torrent
    /// are padding.
    pub(crate) fn new(
        geometry: Geometry,
        habits: Habits,
        have: Bitfield,
        pads: &[Range<u64>],
        rng: &mut Rng,
    ) -> Self {
        let pieces = geometry.pieces();
        let mut picker = Self {
            geometry,
            habits,
            have,
            levels: vec![0; pieces as usize],
            rarity: Rarity::new(pieces),
            seeds: 0,
            partials: BTreeMap::new(),
            open: BTreeSet::new(),
            partial_blocks: 0,
            partial_bytes: 0,
            pads: FastMap::default(),
            whole: Vec::new(),
            order: PickOrder::RarestFirst,
            windows: BTreeMap::new(),
            cursor: 0,
            wanted_bytes: 0,
            done_bytes: 0,
            version: 1,
        };
        for pad in pads {
            picker.mark_padding(pad);
        }
        let normal = crate::add::Priority::NORMAL.level();
        picker.set_levels(&vec![normal; pieces as usize], rng);
        picker
    }

    // ---- facts

    pub(crate) const fn have(&self) -> &Bitfield {
        &self.have
    }

    /// Whether the piece is wanted and missing.
    pub(crate) fn wants(&self, piece: PieceIndex) -> bool {
        self.level(piece) > 0 && !self.have.has(piece)
    }

    /// Whether nothing that is wanted is missing.
    pub(crate) const fn is_done(&self) -> bool {
        self.done_bytes == self.wanted_bytes
    }

    /// Bytes of wanted pieces, and of those that are had.
    pub(crate) const fn progress(&self) -> (u64, u64) {
        (self.wanted_bytes, self.done_bytes)
    }

    /// Bytes that the begun pieces take or will take.
    pub(crate) const fn held(&self) -> u64 {
        self.partial_bytes
    }

    /// Grows whenever a peer that had nothing to offer may have something now.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// Wanted pieces that are missing here and in `pieces`' set.
    pub(crate) fn count_wanted(&self, pieces: &Bitfield) -> u32 {
        let count = pieces.iter().filter(|piece| self.wants(*piece)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn level(&self, piece: PieceIndex) -> u8 {
        self.levels.get(piece.0 as usize).copied().unwrap_or(0)
    }

    // ---- what is wanted

    /// Sets the level of every piece, 0 to 7; 0 is not wanted.
    pub(crate) fn set_levels(&mut self, levels: &[u8], rng: &mut Rng) {
        (self.wanted_bytes, self.done_bytes, self.cursor) = (0, 0, 0);
        for number in 0..self.geometry.pieces() {
            let piece = PieceIndex(number);
            let level = levels.get(number as usize).copied().unwrap_or(0);
            if let Some(own) = self.levels.get_mut(number as usize) {
                *own = level;
            }
            let length = u64::from(self.geometry.length_of(piece));
            if level > 0 {
                self.wanted_bytes += length;
            }
            if self.have.has(piece) {
                self.done_bytes += if level > 0 { length } else { 0 };
            } else if !self.partials.contains_key(&piece) {
                // Begun pieces are finished whatever becomes of their level.
                self.rarity.list(piece, level, rng);
            }
        }
        self.version += 1;
    }

    pub(crate) const fn set_order(&mut self, order: PickOrder) {
        self.order = order;
    }

    /// Pieces that a reader waits for; `None` takes the reader away.
    pub(crate) fn set_window(&mut self, stream: u64, pieces: Option<Range<u32>>) {
        match pieces {
            Some(pieces) => self.windows.insert(stream, pieces),
            None => self.windows.remove(&stream),
        };
        self.version += 1;
    }

    // ---- who has what

    /// A peer that has everything came or went.
    pub(crate) fn seed_came(&mut self) {
        self.seeds += 1;
    }

    /// A peer that has everything went.
    pub(crate) fn seed_went(&mut self) {
        self.seeds = self.seeds.saturating_sub(1);
    }

    /// A peer that lacks something has this piece (now).
    pub(crate) fn more(&mut self, piece: PieceIndex) {
        self.rarity.more(piece);
    }

    /// A peer that lacks something does not have this piece any more, or is gone.
    pub(crate) fn fewer(&mut self, piece: PieceIndex) {
        self.rarity.fewer(piece);
    }

    /// Peers that have the piece.
    pub(crate) fn availability(&self, piece: PieceIndex) -> u32 {
        self.rarity.count(piece) + self.seeds
    }

    // ---- picking

    /// Picks up to `count` blocks for a peer; they count as requested from here on. Says how many of them others
    /// were asked for too.
    pub(crate) fn pick(
        &mut self,
        who: Picking<'_>,
        count: usize,
        rng: &mut Rng,
        into: &mut Vec<Block>,
    ) -> u64 {
        let most = into.len() + count;
        self.pick_windows(&who, most, rng, into);
        let mut current = who.current;
        while into.len() < most {
            let piece = current
                .take()
                .filter(|piece| self.may_continue(&who, *piece))
                .or_else(|| self.next_piece(&who, rng));
            let Some(piece) = piece else { break };
            if !self.begin(piece, &who, rng) {
                break;
            }
            self.take_from(piece, &who, most, into);
        }
        if into.is_empty() && who.outstanding == 0 {
            self.pick_busy(&who, rng, into);
            return into.len() as u64;
        }
        0
    }

    /// Whether picking for somebody would begin the end-game: every missing block was asked of somebody.
    pub(crate) fn is_end_game(&self) -> bool {
        self.open.is_empty() && self.rarity.is_empty() && !self.partials.is_empty()
    }

    /// Whether a peer with nothing to do may be asked for blocks that others were asked for.
    pub(crate) fn may_double(&self) -> bool {
        !self.windows.is_empty() || self.is_end_game()
    }

    fn allowed(who: &Picking<'_>, piece: PieceIndex) -> bool {
        who.pieces.has(piece)
            && who.only.is_none_or(|only| only.contains(&piece))
            && (who.refused.is_empty() || !who.refused.contains(&piece))
    }

    fn may_continue(&self, who: &Picking<'_>, piece: PieceIndex) -> bool {
        self.open.contains(&piece)
            && Self::allowed(who, piece)
            && self.partials.get(&piece).is_some_and(|partial| match partial.exclusive {
                Some(owner) => owner == who.peer,
                None => who.standing != Standing::Parole || partial.is_untouched(),
            })
    }

    fn pick_windows(&mut self, who: &Picking<'_>, most: usize, rng: &mut Rng, into: &mut Vec<Block>) {
        if self.windows.is_empty() || who.standing != Standing::Good {
            return;
        }
        let (have, levels) = (&self.have, &self.levels);
        for window in self.windows.values_mut() {
            // What is here at the front is never looked at again.
            while window.start < window.end
                && (have.has(PieceIndex(window.start))
                    || levels.get(window.start as usize).is_none_or(|level| *level == 0))
            {
                window.start += 1;
            }
        }
        let windows: Vec<Range<u32>> = self.windows.values().cloned().collect();
        for piece in windows.into_iter().flatten().map(PieceIndex) {
            if into.len() >= most {
                return;
            }
            let begun = self.partials.contains_key(&piece);
            let useful = Self::allowed(who, piece)
                && if begun { self.may_continue(who, piece) } else { self.rarity.is_listed(piece) };
            if useful && self.begin(piece, who, rng) {
                self.take_from(piece, who, most, into);
            }
        }
    }

    /// The next piece of which `who` should fetch.
    fn next_piece(&self, who: &Picking<'_>, rng: &mut Rng) -> Option<PieceIndex> {
        let crowded = self.is_crowded(who);
        let finish_first = crowded || self.have.count() < self.habits.random_first;
        let mut shared: Option<(PieceIndex, bool)> = None;
        for piece in &self.open {
            if !self.may_continue(who, *piece) {
                continue;
            }
            let Some(partial) = self.partials.get(piece) else { continue };
            // Left behind by a peer that is gone, or the cap says to finish; else only as the last resort, and
            // preferably with peers of the same speed.
            let orphaned = !partial.is_requested();
            if orphaned || partial.exclusive.is_some() || (finish_first && partial.speed == who.speed) {
                return Some(*piece);
            }
            if shared.is_none_or(|(_, same)| !same && partial.speed == who.speed) {
                shared = Some((*piece, partial.speed == who.speed));
            }
        }
        let shared = shared.map(|(piece, _)| piece);
        if crowded && shared.is_some() {
            return shared;
        }
        self.new_piece(who, rng).or(shared)
    }

    fn is_crowded(&self, who: &Picking<'_>) -> bool {
        #[expect(clippy::cast_precision_loss)]
        let too_many =
            self.open.len() as f64 > (who.peers.max(1) as f64 * self.habits.partials_per_peer).ceil();
        too_many || self.partial_blocks > self.habits.max_partial_blocks || self.partial_bytes > who.memory
    }

    fn new_piece(&self, who: &Picking<'_>, rng: &mut Rng) -> Option<PieceIndex> {
        let fits = |piece: &PieceIndex| {
            Self::allowed(who, *piece)
                && (self.partials.is_empty()
                    || self.partial_bytes + u64::from(self.geometry.length_of(*piece)) <= who.memory)
        };
        if let Some(only) = who.only {
            return only.iter().copied().find(|piece| self.rarity.is_listed(*piece) && fits(piece));
        }
        if who.standing == Standing::Snubbed {
            return self.rarity.most_common().find(fits);
        }
        if self.order == PickOrder::Sequential {
            return (self.cursor..self.geometry.pieces())
                .map(PieceIndex)
                .find(|piece| self.rarity.is_listed(*piece) && fits(piece));
        }
        if self.have.count() < self.habits.random_first {
            return self.rarity.random(rng).find(fits);
        }
        self.rarity.rarest().find(fits)
    }

    /// Makes sure that the piece is begun; false if nothing of it is free.
    fn begin(&mut self, piece: PieceIndex, who: &Picking<'_>, rng: &mut Rng) -> bool {
        if !self.partials.contains_key(&piece) {
            self.start(piece, who.speed, rng);
        }
        let Some(partial) = self.partials.get_mut(&piece) else { return false };
        if who.standing == Standing::Parole && partial.exclusive.is_none() {
            partial.exclusive = Some(who.peer);
        }
        partial.free > 0
    }

    fn start(&mut self, piece: PieceIndex, speed: Speed, _rng: &mut Rng) {
        let blocks = self.geometry.blocks_of(piece);
        let mut partial = Partial::new(blocks, speed);
        for pad in self.pads.get(&piece).into_iter().flatten() {
            if let Some(block) = self.geometry.block(piece, *pad) {
                partial.fill(*pad, zeros(block.length), None);
            }
        }
        self.rarity.unlist(piece);
        self.partial_blocks += blocks;
        self.partial_bytes += u64::from(self.geometry.length_of(piece));
        if partial.missing == 0 {
            partial.verifying = true;
            self.whole.push(piece);
        } else if partial.free > 0 {
            self.open.insert(piece);
        }
        self.partials.insert(piece, partial);
    }

    fn take_from(&mut self, piece: PieceIndex, who: &Picking<'_>, most: usize, into: &mut Vec<Block>) {
        let Some(partial) = self.partials.get_mut(&piece) else { return };
        while into.len() < most
            && let Some(index) = partial.take_free(who.now, who.peer)
        {
            into.extend(self.geometry.block(piece, index));
        }
        if partial.free == 0 {
            self.open.remove(&piece);
        }
    }

    /// End-game: one late block that others were asked for, for a peer that has nothing to do. Only when every
    /// remaining block was asked of somebody (or a reader waits for it), never on parole, never twice of one peer.
    fn pick_busy(&mut self, who: &Picking<'_>, rng: &mut Rng, into: &mut Vec<Block>) {
        let urgent = !self.windows.is_empty();
        if who.standing != Standing::Good || !(urgent || self.is_end_game()) {
            return;
        }
        let in_window = |piece: PieceIndex| self.windows.values().any(|window| window.contains(&piece.0));
        let mut best: Option<(usize, PieceIndex, BlockIndex)> = None;
        let mut ties = 0;
        let end_game = self.is_end_game();
        for (piece, partial) in &self.partials {
            if partial.verifying || partial.exclusive.is_some() || !Self::allowed(who, *piece) {
                continue;
            }
            if !end_game && !in_window(*piece) {
                continue;
            }
            for (at, slot) in partial.slots.iter().enumerate() {
                let (holders, asked) = match slot {
                    Slot::Requested(holder, asked) if *holder != who.peer => (1, *asked),
                    Slot::Shared(holders, asked) if !holders.contains(&who.peer) => (holders.len(), *asked),
                    _ => continue,
                };
                if who.now < asked + LATE {
                    continue;
                }
                let Ok(at) = u32::try_from(at) else { continue };
                let fewer = best.is_none_or(|(fewest, ..)| holders < fewest);
                let tie = best.is_some_and(|(fewest, ..)| holders == fewest);
                ties = if fewer { 1 } else { ties + usize::from(tie) };
                // Among equals at random, or all idle peers would fetch the same.
                if fewer || (tie && rng.usize(0..ties) == 0) {
                    best = Some((holders, *piece, BlockIndex(at)));
                }
            }
        }
        if let Some((_, piece, index)) = best
            && let Some(partial) = self.partials.get_mut(&piece)
            && partial.share(who.now, index, who.peer)
        {
            into.extend(self.geometry.block(piece, index));
        }
    }

    // ---- what becomes of requests

    /// A peer will not bring the block after all.
    pub(crate) fn release(&mut self, block: Block, peer: PeerKey) {
        if let Some(partial) = self.partials.get_mut(&block.piece)
            && !partial.verifying
        {
            partial.release(block.index(), peer);
            if partial.free > 0 {
                self.open.insert(block.piece);
                self.version += 1;
            }
        }
    }

    /// A peer is gone: what was reserved for it is open to all.
    pub(crate) fn release_reservations(&mut self, peer: PeerKey) {
        for partial in self.partials.values_mut() {
            if partial.exclusive == Some(peer) {
                partial.exclusive = None;
                self.version += 1;
            }
        }
    }

    /// How many blocks of the piece nobody was asked for.
    pub(crate) fn free_blocks(&self, piece: PieceIndex) -> u32 {
        self.partials.get(&piece).map_or(0, |partial| partial.free)
    }

    /// A block arrived from a peer.
    pub(crate) fn fill(&mut self, block: Block, data: Bytes, from: PeerKey) -> Filled {
        let unit = self.geometry.block(block.piece, block.index());
        let Some(partial) = self.partials.get_mut(&block.piece).filter(|_| unit == Some(block)) else {
            return Filled::Unneeded;
        };
        if partial.verifying {
            return Filled::Unneeded;
        }
        // A piece that one peer fetches alone to prove itself takes nothing from others.
        if partial.exclusive.is_some_and(|owner| owner != from) {
            return Filled::Unneeded;
        }
        let Some(others) = partial.fill(block.index(), data, Some(from)) else { return Filled::Unneeded };
        if partial.free == 0 {
            self.open.remove(&block.piece);
        }
        if partial.missing == 0 {
            partial.verifying = true;
            return Filled::Whole(others);
        }
        Filled::Kept(others)
    }

    /// Pieces that were whole when they were begun, because they are padding: hash them.
    pub(crate) fn take_whole(&mut self) -> Vec<PieceIndex> {
        std::mem::take(&mut self.whole)
    }

    /// The blocks of a piece that is being hashed.
    pub(crate) fn blocks(&self, piece: PieceIndex) -> WholePiece {
        let slots = self.partials.get(&piece).map_or(&[][..], |partial| &partial.slots);
        let (blocks, senders) = slots
            .iter()
            .filter_map(|slot| match slot {
                Slot::Here { data, from } => Some((data.clone(), *from)),
                _ => None,
            })
            .unzip();
        WholePiece { blocks, senders }
    }

    /// The piece passed its hash: it is had from here on. False if it was not being hashed.
    pub(crate) fn passed(&mut self, piece: PieceIndex) -> bool {
        if !self.forget(piece) {
            return false;
        }
        self.got(piece);
        true
    }

    /// The piece failed its hash: all of it is fetched again. False if it was not being hashed.
    pub(crate) fn failed(&mut self, piece: PieceIndex, rng: &mut Rng) -> bool {
        if !self.forget(piece) {
            return false;
        }
        self.rarity.list(piece, self.level(piece), rng);
        self.version += 1;
        true
    }

    /// The piece is in the store already.
    pub(crate) fn found(&mut self, piece: PieceIndex) {
        self.rarity.unlist(piece);
        self.got(piece);
    }

    /// The piece, thought to be had, is not there: it is fetched (again).
    pub(crate) fn missing(&mut self, piece: PieceIndex, rng: &mut Rng) {
        if self.have.remove(piece) {
            if self.level(piece) > 0 {
                self.done_bytes = self.done_bytes.saturating_sub(u64::from(self.geometry.length_of(piece)));
            }
            self.cursor = self.cursor.min(piece.0);
            self.rarity.list(piece, self.level(piece), rng);
            self.version += 1;
        }
    }

    fn got(&mut self, piece: PieceIndex) {
        if self.have.insert(piece) && self.level(piece) > 0 {
            self.done_bytes += u64::from(self.geometry.length_of(piece));
        }
        while self.cursor < self.geometry.pieces() && !self.wants(PieceIndex(self.cursor)) {
            self.cursor += 1;
        }
    }

    /// Ends a begun piece that is being hashed.
    fn forget(&mut self, piece: PieceIndex) -> bool {
        if !self.partials.get(&piece).is_some_and(|partial| partial.verifying) {
            return false;
        }
        self.partials.remove(&piece);
        self.open.remove(&piece);
        self.partial_blocks = self.partial_blocks.saturating_sub(self.geometry.blocks_of(piece));
        self.partial_bytes = self.partial_bytes.saturating_sub(u64::from(self.geometry.length_of(piece)));
        // Memory was freed: who waited for it may begin a piece.
        self.version += 1;
        true
    }

    /// Notes the blocks that lie wholly in a range of padding.
    fn mark_padding(&mut self, pad: &Range<u64>) {
        let length = u64::from(BLOCK_LEN);
        let mut at = pad.start;
        while at < pad.end
            && let Some(piece) = self.geometry.piece_at(at)
        {
            let start = self.geometry.start_of(piece);
            let in_piece = (at - start).div_ceil(length);
            let Some(block) =
                u32::try_from(in_piece).ok().and_then(|index| self.geometry.block(piece, BlockIndex(index)))
            else {
                at = start + u64::from(self.geometry.length_of(piece));
                continue;
            };
            let from = start + u64::from(block.offset);
            let to = from + u64::from(block.length);
            if from >= at && to <= pad.end {
                self.pads.entry(piece).or_default().push(block.index());
            }
            at = to.max(at + 1);
        }
    }
}

fn zeros(length: u32) -> Bytes {
    static ZEROS: [u8; BLOCK_LEN as usize] = [0; BLOCK_LEN as usize];
    Bytes::from_static(&ZEROS).slice(..length.min(BLOCK_LEN) as usize)
}
