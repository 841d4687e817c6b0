//! Decides which block is asked of whom next, and keeps the blocks of unfinished pieces.
//!
//! It sends nothing and hashes nothing. The order, as libtorrent's picker has taught the field: what a reader
//! waits for; the piece that the peer is at; pieces that nobody works on any more; the first few pieces at
//! random, then the rarest; in the end-game blocks that others were asked for. Slow peers share their pieces
//! with slow peers, peers on parole fetch whole pieces alone, snubbed peers take what is most common.
//!
//! Each piece is in one of these states: had; not wanted; listed in [`Rarity`]; begun (in `partials`).

mod choice;
mod partial;
mod rarity;
#[cfg(test)]
mod tests;

pub(crate) use partial::Speed;

use crate::add::PickOrder;
use crate::hash::FastMap;
use crate::keys::PeerKey;
use anatomic_core::collections::{BTreeMap, BTreeSet};
use anatomic_core::{BLOCK_LEN, Bitfield, Block, BlockIndex, Geometry, PieceIndex, Time};
use bytes::Bytes;
use fastrand::Rng;
use partial::{Partial, Slot};
use rarity::Rarity;
use std::ops::Range;

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
    #[cfg(test)]
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
