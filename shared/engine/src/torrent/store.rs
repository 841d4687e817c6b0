//! A torrent that is downloaded, verified, stored and seeded: what is asked of whom, served to whom.
//!
//! Connections come and go in the swarm; jobs are done by the driver. Pieces are kept in memory until they are
//! verified and written; nothing unverified is ever written.

use super::member::Member;
use super::swarm::Swarm;
use super::trade::{Trader, speed};
use crate::add::{PickOrder, Priority, Start};
use crate::bridge::{Trials, Verdict};
use crate::config::Role;
use crate::keys::PeerKey;
use crate::output::{Done, Event, Job};
use crate::peer::{Peer, PeerEvent, Standing};
use crate::picker::{Filled, Habits, Picker, Picking, Standing as PickStanding};
use crate::shared::{Shared, Task};
use anatomic_core::metainfo::FileKind;
use anatomic_core::{Bitfield, Block, BlockIndex, FileIndex, Geometry, Metainfo, PeerId, PieceIndex, Time};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

/// Suspects whose address is remembered after they left.
const MAX_SUSPECTS: usize = 512;
/// Blocks that cannot be read, one after the other, before the torrent stops.
const MAX_READ_FAILURES: u32 = 3;

/// Bad pieces that are forgiven a node.
const MAX_NODE_FAILURES: u32 = 20;

/// A stored torrent.
pub(super) struct Store {
    pub(super) metainfo: Arc<Metainfo>,
    pub(super) geometry: Geometry,
    pub(super) picker: Picker,
    stored: Bitfield,
    pub(super) traders: BTreeMap<PeerKey, Trader>,
    trials: Trials<PeerKey>,
    /// Some piece failed: from then on the books of trust are kept.
    distrust: bool,
    suspects: BTreeMap<PeerKey, (Option<PeerId>, Option<SocketAddr>)>,
    culprits: VecDeque<Culprit>,
    /// Verified pieces that are not stored yet.
    unwritten: BTreeMap<PieceIndex, Vec<Bytes>>,
    unwritten_bytes: u64,
    /// Of these, those whose job failed: written again on `retry`.
    failed_writes: BTreeSet<PieceIndex>,
    checking: Option<Checking>,
    check_ended: bool,
    /// Pieces of each file that are not stored.
    file_pieces: Vec<u32>,
    complete_told: bool,
    /// Something was downloaded in this session, so that `completed` is true.
    fetched: bool,
    read_failures: u32,
    pub(super) choking: super::choking::Choking,
    scratch: Vec<Block>,
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
struct Checking {
    next: u32,
    under_way: u32,
    done: u32,
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

    /// Tries again what the store failed to write.
    pub(super) fn retry(&mut self, swarm: &Swarm, shared: &mut Shared) {
        self.read_failures = 0;
        for piece in std::mem::take(&mut self.failed_writes) {
            if let Some(blocks) = self.unwritten.get(&piece) {
                let blocks = blocks.clone();
                shared.job(swarm.key, Task::Write(piece), Job::Write { piece, blocks });
            }
        }
    }

    /// Keeps the check of the store going.
    pub(super) fn check_more(&mut self, swarm: &Swarm, shared: &mut Shared) {
        let Some(checking) = &mut self.checking else { return };
        while (checking.under_way as usize) < shared.config.max_checks
            && let Some(piece) = self.geometry.piece(checking.next)
        {
            checking.next += 1;
            checking.under_way += 1;
            shared.job(swarm.key, Task::Check(piece), Job::Check { piece });
        }
    }

    /// Whether the check of the store has just ended.
    pub(super) const fn check_ended(&mut self) -> bool {
        std::mem::replace(&mut self.check_ended, false)
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
        // They may have spoken before the metadata was known.
        if interested {
            self.welcome(swarm, shared, key);
        }
        self.refill(swarm, shared, key);
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
    fn recount(&mut self, swarm: &mut Swarm, now: Time, key: PeerKey) {
        let Some(pieces) = swarm.members.get(key).and_then(|member| member.peer.pieces()) else { return };
        let count = self.picker.count_wanted(pieces);
        if let Some(trader) = self.traders.get_mut(&key) {
            trader.interesting = count;
            trader.nothing_at = 0;
        }
        self.update_interest(swarm, now, key);
    }

    fn update_interest(&mut self, swarm: &mut Swarm, now: Time, key: PeerKey) {
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
                if let Some(trader) = self.traders.get_mut(&key) {
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

    // ---- fetching

    fn on_block(
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

    fn verify(&self, swarm: &Swarm, shared: &mut Shared, piece: PieceIndex) {
        let blocks = self.picker.blocks(piece).blocks;
        shared.job(swarm.key, Task::Verify(piece), Job::Hash { blocks });
    }

    /// Pieces of nothing but padding are whole without a peer.
    fn verify_whole(&mut self, swarm: &Swarm, shared: &mut Shared) {
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
        if !swarm.running || trader.interesting == 0 || only.is_some_and(BTreeSet::is_empty) {
            return;
        }
        // Nothing was there for it and nothing has changed; an idle one may still help in the end-game.
        let idle = peer.outstanding() == 0 && self.picker.may_double();
        if trader.nothing_at == self.picker.version() && !idle {
            return;
        }
        let room = trader.room(&shared.config, peer, now);
        if room == 0 {
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

    // ---- answers of the driver

    /// A job is done.
    ///
    /// # Errors
    /// Why the torrent must stop, for people.
    pub(super) fn done(
        &mut self,
        swarm: &mut Swarm,
        shared: &mut Shared,
        task: Task,
        done: Done,
    ) -> Result<(), String> {
        match (task, done) {
            (Task::Verify(piece), Done::Digest(digest)) => {
                self.digested(swarm, shared, piece, self.metainfo.piece_hash(piece) == Some(digest));
                Ok(())
            }
            (Task::Verify(piece), done) => {
                // It could not be hashed: fetched again, nobody's fault.
                self.picker.failed(piece, &mut shared.rng);
                self.refill_all(swarm, shared);
                Err(failure("could not hash a piece", &done))
            }
            (Task::Write(piece), Done::Written) => {
                if let Some(blocks) = self.unwritten.remove(&piece) {
                    self.unwritten_bytes -= blocks.iter().map(|block| block.len() as u64).sum::<u64>();
                }
                self.store(swarm, shared, piece);
                if self.picker.is_done() { Ok(()) } else { Ok(self.refill_all(swarm, shared)) }
            }
            (Task::Write(piece), done) => {
                self.failed_writes.insert(piece);
                Err(failure("could not store a piece", &done))
            }
            (Task::Read(key, block), Done::Read(data)) => {
                self.read_failures = 0;
                if let Some(peer) = swarm.members.tell(key)
                    && !peer.supply(block, data)
                {
                    peer.refuse(block);
                }
                Ok(())
            }
            (Task::Read(key, block), done) => {
                if let Some(peer) = swarm.members.tell(key) {
                    peer.refuse(block);
                }
                self.read_failures += 1;
                if self.read_failures > MAX_READ_FAILURES {
                    return Err(failure("could not read what was stored", &done));
                }
                shared.event(swarm.key, Event::Warning(failure("could not read a block", &done)));
                Ok(())
            }
            (Task::Check(piece), done) => self.checked(swarm, shared, piece, done),
        }
    }

    fn digested(&mut self, swarm: &mut Swarm, shared: &mut Shared, piece: PieceIndex, right: bool) {
        let whole = self.picker.blocks(piece);
        if right {
            if !self.picker.passed(piece) {
                return;
            }
            swarm.counters.verified += 1;
            self.fetched = true;
            if self.distrust {
                self.judge(swarm, piece, Verdict::Right, &whole.senders, &whole.blocks);
            }
            shared.event(swarm.key, Event::PieceVerified(piece));
            self.announce_piece(swarm, shared.now, piece);
            self.unwritten_bytes += u64::from(self.geometry.length_of(piece));
            self.unwritten.insert(piece, whole.blocks.clone());
            shared.job(swarm.key, Task::Write(piece), Job::Write { piece, blocks: whole.blocks });
        } else {
            if !self.picker.failed(piece, &mut shared.rng) {
                return;
            }
            swarm.counters.failed += 1;
            swarm.counters.wasted += u64::from(self.geometry.length_of(piece));
            shared.event(swarm.key, Event::PieceFailed(piece));
            self.distrust = true;
            let senders: BTreeSet<PeerKey> = whole.senders.iter().flatten().copied().collect();
            for sender in senders {
                if let Some(trader) = self.traders.get_mut(&sender) {
                    trader.failed += 1;
                }
                if let Some(member) = swarm.members.get(sender)
                    && self.suspects.len() < MAX_SUSPECTS
                {
                    let facts = (member.peer.peer_id(), member.peer.link().address);
                    self.suspects.insert(sender, facts);
                }
            }
            self.judge(swarm, piece, Verdict::Wrong, &whole.senders, &whole.blocks);
        }
        self.refill_all(swarm, shared);
    }

    fn judge(
        &mut self,
        swarm: &Swarm,
        piece: PieceIndex,
        verdict: Verdict,
        senders: &[Option<PeerKey>],
        blocks: &[Bytes],
    ) {
        let evidence: Vec<(BlockIndex, Bytes, PeerKey)> = (0..)
            .map(BlockIndex)
            .zip(blocks.iter().zip(senders))
            .filter_map(|(index, (data, sender))| Some((index, data.clone(), (*sender)?)))
            .collect();
        for peer in self.trials.judge(piece, verdict, &evidence) {
            // A node passes blocks on before it can verify them, and finds the liar behind it by itself: it is
            // banned only when it does not.
            let is_node = swarm.members.get(peer).is_some_and(|member| member.peer.role() == Role::Node);
            if is_node && self.traders.get(&peer).is_some_and(|trader| trader.failed < MAX_NODE_FAILURES) {
                continue;
            }
            let (peer_id, address) = self.suspects.remove(&peer).unwrap_or_default();
            self.culprits.push_back(Culprit { peer, peer_id, address, piece });
        }
    }

    /// The next peer that was found guilty.
    pub(super) fn next_culprit(&mut self) -> Option<Culprit> {
        self.culprits.pop_front()
    }

    /// Tells all peers that we have a piece, and looks whether they are still of interest.
    fn announce_piece(&mut self, swarm: &mut Swarm, now: Time, piece: PieceIndex) {
        let keys: Vec<PeerKey> = self.traders.keys().copied().collect();
        for key in keys {
            let Some(peer) = swarm.members.tell(key) else { continue };
            peer.have(piece);
            if peer.has(piece)
                && let Some(trader) = self.traders.get_mut(&key)
            {
                trader.interesting = trader.interesting.saturating_sub(1);
            }
            self.update_interest(swarm, now, key);
        }
    }

    /// A piece is safe.
    fn store(&mut self, swarm: &Swarm, shared: &mut Shared, piece: PieceIndex) {
        if !self.stored.insert(piece) {
            return;
        }
        shared.event(swarm.key, Event::PieceStored(piece));
        let block = Block { piece, offset: 0, length: self.geometry.length_of(piece) };
        let files: Vec<FileIndex> = self.metainfo.spans(block).map(|span| span.file).collect();
        for file in files {
            if let Some(left) = self.file_pieces.get_mut(file.0 as usize) {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    shared.event(swarm.key, Event::FileComplete(file));
                }
            }
        }
    }

    fn checked(
        &mut self,
        swarm: &mut Swarm,
        shared: &mut Shared,
        piece: PieceIndex,
        done: Done,
    ) -> Result<(), String> {
        if let Some(checking) = &mut self.checking {
            checking.under_way -= 1;
            checking.done += 1;
        }
        let found = match done {
            Done::Checked(digest) => digest.is_some() && digest == self.metainfo.piece_hash(piece),
            // What cannot be read is fetched again; if it cannot be written either, that will be told.
            _ => false,
        };
        if found {
            self.picker.found(piece);
            self.store(swarm, shared, piece);
        }
        self.check_more(swarm, shared);
        if self.checking.is_some_and(|checking| checking.done >= self.geometry.pieces()) {
            self.checking = None;
            self.check_ended = true;
        }
        Ok(())
    }

    /// Tells once that everything wanted is stored. True if trackers must be told too: the whole torrent is here,
    /// and part of it came in this session (BEP 3).
    pub(super) fn tell_completion(&mut self, swarm: &Swarm, shared: &mut Shared) -> bool {
        let complete = self.picker.is_done() && self.unwritten.is_empty() && self.checking.is_none();
        if !complete || std::mem::replace(&mut self.complete_told, true) {
            return false;
        }
        shared.event(swarm.key, Event::Complete);
        self.fetched && self.picker.have().is_full()
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

fn failure(what: &str, done: &Done) -> String {
    match done {
        Done::Failed(why) => format!("{what}: {why}"),
        _ => format!("{what}: the answer does not fit the job"),
    }
}
