//! A torrent that is downloaded, verified, stored and seeded: what is asked of whom, served to whom.
//!
//! Connections come and go in the swarm; jobs are done by the driver. Pieces are kept in memory until they are
//! verified and written; nothing unverified is ever written.

use super::member::Member;
use super::swarm::Swarm;
use super::trade::Trader;
use crate::add::{PickOrder, Priority, Start};
use crate::bridge::Trials;
use crate::keys::PeerKey;
use crate::output::Job;
use crate::peer::{Peer, PeerEvent, allowed_fast_set};
use crate::picker::{Habits, Picker};
use crate::shared::{Shared, Task};
use anatomic_core::collections::{BTreeMap, BTreeSet};
use anatomic_core::metainfo::FileKind;
use anatomic_core::{Bitfield, Block, Geometry, Metainfo, PeerId, PieceIndex, Time};
use bytes::Bytes;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

/// Suspects whose address is remembered after they left.
pub(super) const MAX_SUSPECTS: usize = 512;
/// Blocks that cannot be read, one after the other, before the torrent stops.
pub(super) const MAX_READ_FAILURES: u32 = 3;

/// Pieces that a newcomer may fetch though it is choked, as in libtorrent.
const ALLOWED_FAST: usize = 5;
/// Bad pieces that are forgiven a node.
pub(super) const MAX_NODE_FAILURES: u32 = 20;

/// A stored torrent.
pub(super) struct Store {
    pub(super) metainfo: Arc<Metainfo>,
    pub(super) geometry: Geometry,
    pub(super) picker: Picker,
    pub(super) stored: Bitfield,
    pub(super) traders: BTreeMap<PeerKey, Trader>,
    pub(super) trials: Trials<PeerKey>,
    /// Some piece failed: from then on the books of trust are kept.
    pub(super) distrust: bool,
    pub(super) suspects: BTreeMap<PeerKey, (Option<PeerId>, Option<SocketAddr>)>,
    pub(super) culprits: VecDeque<Culprit>,
    /// Verified pieces that are not stored yet.
    pub(super) unwritten: BTreeMap<PieceIndex, Vec<Bytes>>,
    pub(super) unwritten_bytes: u64,
    /// Of these, those whose job failed: written again on `retry`.
    pub(super) failed_writes: BTreeSet<PieceIndex>,
    pub(super) checking: Option<Checking>,
    pub(super) check_ended: bool,
    /// Pieces of each file that are not stored.
    pub(super) file_pieces: Vec<u32>,
    pub(super) complete_told: bool,
    /// Something was downloaded in this session, so that `completed` is true.
    pub(super) fetched: bool,
    pub(super) read_failures: u32,
    pub(super) choking: super::choking::Choking,
    pub(super) scratch: Vec<Block>,
}

/// A peer that must go.
pub(super) struct Culprit {
    pub(super) peer: PeerKey,
    pub(super) peer_id: Option<PeerId>,
    pub(super) address: Option<SocketAddr>,
    pub(super) piece: PieceIndex,
}

/// How far the check of the store has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checking {
    pub(super) next: u32,
    pub(super) under_way: u32,
    pub(super) done: u32,
}

impl Store {
    pub(super) fn new(metainfo: &Arc<Metainfo>, start: Start, order: PickOrder, shared: &mut Shared) -> Self {
        let geometry = metainfo.geometry();
        let habits = Habits {
            random_first: shared.config.random_first_pieces,
            partials_per_peer: shared.config.partials_per_peer,
            max_partial_blocks: shared.config.max_partial_blocks,
        };
        let checking = (start == Start::Check && geometry.pieces() > 0).then_some(Checking {
            next: 0,
            under_way: 0,
            done: 0,
        });
        let stored = match start {
            Start::Trust(pieces) if pieces.pieces() == geometry.pieces() => pieces,
            _ => Bitfield::empty(geometry.pieces()),
        };
        let pads: Vec<Range<u64>> = metainfo
            .files()
            .iter()
            .filter(|file| file.kind == FileKind::Pad)
            .map(|file| file.offset..file.offset + file.length)
            .collect();
        let mut picker = Picker::new(geometry, habits, stored.clone(), &pads, &mut shared.rng);
        picker.set_order(order);
        let mut store = Self {
            metainfo: metainfo.clone(),
            geometry,
            picker,
            traders: BTreeMap::new(),
            trials: Trials::default(),
            distrust: false,
            suspects: BTreeMap::new(),
            culprits: VecDeque::new(),
            unwritten: BTreeMap::new(),
            unwritten_bytes: 0,
            failed_writes: BTreeSet::new(),
            checking,
            check_ended: false,
            file_pieces: Vec::new(),
            complete_told: false,
            fetched: false,
            read_failures: 0,
            choking: super::choking::Choking::new(shared.now),
            scratch: Vec::new(),
            stored,
        };
        store.file_pieces =
            metainfo.files().iter().map(|file| store.count_missing(file.offset, file.length)).collect();
        store
    }

    // ---- facts

    pub(super) const fn have(&self) -> &Bitfield {
        self.picker.have()
    }

    pub(super) const fn stored(&self) -> &Bitfield {
        &self.stored
    }

    /// Whether nothing wanted is missing.
    pub(super) const fn is_done(&self) -> bool {
        self.picker.is_done()
    }

    /// Pieces checked and pieces to check.
    pub(super) fn checking(&self) -> Option<(u32, u32)> {
        self.checking.map(|checking| (checking.done, self.geometry.pieces()))
    }

    /// Bytes of the whole torrent that are missing.
    pub(super) fn left_bytes(&self) -> u64 {
        let have = self.picker.have();
        let missing = u64::from(have.pieces() - have.count()) * u64::from(self.geometry.piece_length());
        let last = PieceIndex(have.pieces().saturating_sub(1));
        let short = u64::from(self.geometry.piece_length() - self.geometry.length_of(last));
        if missing == 0 || have.has(last) { missing } else { missing - short }
    }

    fn pieces_of(&self, offset: u64, length: u64) -> Range<u32> {
        let piece = |at: u64| self.geometry.piece_at(at).map_or(self.geometry.pieces(), |piece| piece.0);
        if length == 0 { 0..0 } else { piece(offset)..piece(offset + length - 1) + 1 }
    }

    fn count_missing(&self, offset: u64, length: u64) -> u32 {
        let missing =
            self.pieces_of(offset, length).filter(|piece| !self.stored.has(PieceIndex(*piece))).count();
        u32::try_from(missing).unwrap_or(u32::MAX)
    }

    // ---- commands

    /// Levels of the pieces from those of the files: the highest of the files that share a piece.
    pub(super) fn select(&mut self, swarm: &mut Swarm, shared: &mut Shared, selection: &[Priority]) {
        let mut levels = vec![0u8; self.geometry.pieces() as usize];
        let files = self.metainfo.clone();
        for (index, file) in files.files().iter().enumerate() {
            let priority = selection.get(index).copied().unwrap_or_default();
            // Padding is wanted for its own sake by nobody, but a piece of nothing else must not stay missing.
            let level = match file.kind {
                FileKind::Content => priority.level(),
                FileKind::Pad => u8::from(selection.iter().all(|priority| priority.is_wanted())),
            };
            for piece in self.pieces_of(file.offset, file.length) {
                if let Some(own) = levels.get_mut(piece as usize) {
                    *own = (*own).max(level);
                }
            }
        }
        self.picker.set_levels(&levels, &mut shared.rng);
        self.complete_told &= self.picker.is_done();
        for key in self.traders.keys().copied().collect::<Vec<_>>() {
            self.recount(swarm, shared.now, key);
        }
        self.refill_all(swarm, shared);
        self.verify_whole(swarm, shared);
    }

    pub(super) const fn set_order(&mut self, order: PickOrder) {
        self.picker.set_order(order);
    }

    pub(super) fn set_window(
        &mut self,
        swarm: &mut Swarm,
        shared: &mut Shared,
        stream: u64,
        window: Option<Range<u64>>,
    ) {
        let pieces = window.map(|bytes| self.pieces_of(bytes.start, bytes.end.saturating_sub(bytes.start)));
        self.picker.set_window(stream, pieces.filter(|pieces| !pieces.is_empty()));
        self.refill_all(swarm, shared);
    }

    // ---- peers

    /// A connection is open.
    pub(super) fn opened(&mut self, swarm: &mut Swarm, shared: &mut Shared, key: PeerKey) {
        self.traders.insert(key, Trader::new(shared.now));
        let Some(member) = swarm.members.get(key) else { return };
        let pieces = member.peer.pieces().cloned();
        let interested = member.peer.is_interested();
        if let Some(pieces) = pieces {
            self.count_in(key, &pieces);
            self.recount(swarm, shared.now, key);
        }
        self.offer_start(swarm, key);
        // They may have spoken before the metadata was known.
        if interested {
            self.welcome(swarm, shared, key);
        }
        self.refill(swarm, shared, key);
    }

    /// Lets a newcomer with nothing fetch a few pieces though it is choked (BEP 6), so that it can trade.
    fn offer_start(&self, swarm: &mut Swarm, key: PeerKey) {
        let Some(peer) = swarm.members.tell(key) else { return };
        let Some(SocketAddr::V4(address)) = peer.link().address else { return };
        // Who can hold several pieces anyway needs no such help.
        if peer.pieces().is_none_or(|pieces| !pieces.is_empty()) {
            return;
        }
        let info_hash = self.metainfo.info_hash();
        let pieces = self.geometry.pieces();
        let mut set = allowed_fast_set(info_hash, *address.ip(), pieces, ALLOWED_FAST);
        set.retain(|piece| self.picker.have().has(*piece));
        peer.allow_fast(&set);
    }

    /// A connection is gone.
    pub(super) fn left(&mut self, swarm: &mut Swarm, shared: &mut Shared, key: PeerKey, mut member: Member) {
        let Some(trader) = self.traders.remove(&key) else { return };
        if let Some(pieces) = member.peer.pieces() {
            if trader.is_seed {
                self.picker.seed_went();
            } else {
                pieces.iter().for_each(|piece| self.picker.fewer(piece));
            }
        }
        let version = self.picker.version();
        for block in member.peer.abandon_requests() {
            self.picker.release(block, key);
        }
        self.picker.release_reservations(key);
        self.trials.forget_peer(key);
        if version != self.picker.version() {
            self.refill_all(swarm, shared);
        }
    }

    fn count_in(&mut self, key: PeerKey, pieces: &Bitfield) {
        let Some(trader) = self.traders.get_mut(&key) else { return };
        trader.is_seed = pieces.is_full();
        if trader.is_seed {
            self.picker.seed_came();
        } else {
            pieces.iter().for_each(|piece| self.picker.more(piece));
        }
    }

    fn count_out(&mut self, key: PeerKey, pieces: &Bitfield) {
        let Some(trader) = self.traders.get_mut(&key) else { return };
        if std::mem::take(&mut trader.is_seed) {
            self.picker.seed_went();
        } else {
            pieces.iter().for_each(|piece| self.picker.fewer(piece));
        }
    }

    /// Counts anew what a peer has that we want, and says so.
    pub(super) fn recount(&mut self, swarm: &mut Swarm, now: Time, key: PeerKey) {
        let Some(pieces) = swarm.members.get(key).and_then(|member| member.peer.pieces()) else { return };
        let count = self.picker.count_wanted(pieces);
        if let Some(trader) = self.traders.get_mut(&key) {
            trader.interesting = count;
            trader.nothing_at = 0;
        }
        self.update_interest(swarm, now, key);
    }

    pub(super) fn update_interest(&mut self, swarm: &mut Swarm, now: Time, key: PeerKey) {
        let (Some(trader), Some(member)) = (self.traders.get_mut(&key), swarm.members.get_mut(key)) else {
            return;
        };
        let interested = trader.interesting > 0;
        if interested == member.peer.am_interested() {
            return;
        }
        if interested {
            member.peer.express_interest();
        } else {
            trader.interest_at = now;
            member.peer.withdraw_interest();
        }
        swarm.members.touch(key);
    }

    pub(super) fn on_event(
        &mut self,
        swarm: &mut Swarm,
        shared: &mut Shared,
        key: PeerKey,
        event: PeerEvent,
    ) {
        match event {
            PeerEvent::Bitfield { before } => {
                self.count_out(key, &before);
                let pieces = swarm.members.get(key).and_then(|member| member.peer.pieces().cloned());
                if let Some(pieces) = pieces {
                    self.count_in(key, &pieces);
                }
                self.recount(swarm, shared.now, key);
            }
            PeerEvent::Have(piece) => self.on_have(swarm, shared.now, key, piece),
            PeerEvent::DontHave(piece) => self.on_dont_have(swarm, shared.now, key, piece),
            PeerEvent::Choked { void } => {
                let version = self.picker.version();
                void.into_iter().for_each(|block| self.picker.release(block, key));
                if version != self.picker.version() {
                    self.refill_all(swarm, shared);
                }
            }
            PeerEvent::Unchoked => {
                if let (Some(trader), Some(member)) = (self.traders.get_mut(&key), swarm.members.get(key)) {
                    trader.nothing_at = 0;
                    trader.refused.clear();
                    if member.peer.outstanding() == 0 {
                        trader.window.unchoked();
                    }
                }
            }
            PeerEvent::Interested => self.welcome(swarm, shared, key),
            PeerEvent::NotInterested => {
                if let Some(trader) = self.traders.get_mut(&key) {
                    trader.interest_at = shared.now;
                }
            }
            PeerEvent::Block { block, data, standing } => {
                self.on_block(swarm, shared, key, block, data, standing);
            }
            PeerEvent::Rejected(block) => {
                self.picker.release(block, key);
                // BEP 6: a peer that chokes rejects all that was asked; that says nothing about the piece.
                let chokes = swarm.members.get(key).is_some_and(|member| member.peer.is_choking());
                if let Some(trader) = self.traders.get_mut(&key).filter(|_| !chokes) {
                    trader.refuses(shared.now, block.piece);
                }
                self.refill_all(swarm, shared);
            }
            PeerEvent::Requested => self.serve(swarm, shared, key),
            PeerEvent::AllowedFast(_) => {
                if let Some(trader) = self.traders.get_mut(&key) {
                    trader.nothing_at = 0;
                }
            }
            _ => {}
        }
    }

    /// All that came in one go was understood: ask for more at once.
    pub(super) fn after_events(&mut self, swarm: &mut Swarm, shared: &mut Shared, key: PeerKey) {
        self.refill(swarm, shared, key);
    }

    fn on_have(&mut self, swarm: &mut Swarm, now: Time, key: PeerKey, piece: PieceIndex) {
        let Some(trader) = self.traders.get_mut(&key) else { return };
        let pieces = swarm.members.get(key).and_then(|member| member.peer.pieces());
        if let Some(full) = pieces.filter(|pieces| pieces.is_full()) {
            // A leech became a seed: it is counted once from here on.
            full.iter().filter(|other| *other != piece).for_each(|other| self.picker.fewer(other));
            self.picker.seed_came();
            trader.is_seed = true;
        } else {
            self.picker.more(piece);
        }
        if self.picker.wants(piece) {
            trader.interesting += 1;
            trader.nothing_at = 0;
            self.update_interest(swarm, now, key);
        }
    }

    fn on_dont_have(&mut self, swarm: &mut Swarm, now: Time, key: PeerKey, piece: PieceIndex) {
        let Some(trader) = self.traders.get_mut(&key) else { return };
        if std::mem::take(&mut trader.is_seed) {
            self.picker.seed_went();
            if let Some(pieces) = swarm.members.get(key).and_then(|member| member.peer.pieces()) {
                pieces.iter().for_each(|other| self.picker.more(other));
            }
        } else {
            self.picker.fewer(piece);
        }
        if self.picker.wants(piece) {
            trader.interesting = trader.interesting.saturating_sub(1);
            self.update_interest(swarm, now, key);
        }
    }

    // ---- serving

    /// Has blocks read for a peer, as far ahead as it keeps up.
    pub(super) fn serve(&mut self, swarm: &mut Swarm, shared: &mut Shared, key: PeerKey) {
        let Some(member) = swarm.members.get_mut(key) else { return };
        let peer = &mut member.peer;
        let mut supplied = false;
        while peer.backlog() < shared.config.read_ahead
            && let Some(block) = peer.take_request()
        {
            if !self.picker.have().has(block.piece) {
                peer.refuse(block);
                supplied = true;
            } else if let Some(data) = self.in_memory(block) {
                peer.supply(block, data);
                supplied = true;
            } else {
                shared.job(swarm.key, Task::Read(key, block), Job::Read { block });
            }
        }
        if supplied {
            swarm.members.touch(key);
        }
    }

    /// A block of a piece that is verified and not stored yet.
    fn in_memory(&self, block: Block) -> Option<Bytes> {
        let unit = self.geometry.block(block.piece, block.index())?;
        let blocks = self.unwritten.get(&block.piece)?;
        (unit == block).then(|| blocks.get(block.index().0 as usize).cloned()).flatten()
    }

    /// The peer's machine and books, if both live.
    pub(super) fn both<'a>(
        &'a mut self,
        swarm: &'a mut Swarm,
        key: PeerKey,
    ) -> Option<(&'a mut Trader, &'a mut Peer)> {
        Some((self.traders.get_mut(&key)?, &mut swarm.members.get_mut(key)?.peer))
    }
}
