//! Bridge mode: a torrent as a switch for blocks between classic peers and browsers.
//!
//! Stores nothing and picks nothing: it offers each side what the other has, fetches only what somebody
//! downstream asked for, and passes blocks on as they arrive. Finding peers is the candidates' business,
//! their wire protocol [`Peer`]'s. The owner calls the method for what happened, then [`Bridge::poll`].

mod action;
mod availability;
mod cache;
mod member;
mod report;
mod switch;
mod trial;

#[cfg(test)]
mod tests;

pub use action::SwitchCounters;
pub(crate) use action::{Action, Side};
pub(crate) use trial::{Trials, Verdict};

use crate::config::{Config, Role};
use crate::keys::{PeerKey, TorrentKey};
use crate::link::Transport;
use crate::output::CloseReason;
use crate::peer::{Peer, PeerEvent, Standing};
use anatomic_core::collections::{BTreeMap, BTreeSet};
use anatomic_core::{BLOCK_LEN, Bitfield, Block, Geometry, PieceIndex, Time};
use anatomic_wire::extended::BridgeReport;
use availability::Availability;
use bytes::Bytes;
use member::Member;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use switch::Switch;

/// The memory that all bridges of an engine share.
pub(crate) type Cache = cache::BlockCache<TorrentKey, PeerKey>;

/// Fewest bytes that may be on their way to a peer downstream: enough to get going.
const MIN_BACKLOG: usize = 512 * 1024;
/// Most: a fast tab drains this in a tenth of a second, and a hundred slow ones do not fill the memory.
const MAX_BACKLOG: usize = 4 * 1024 * 1024;
/// A peer upstream that owes a block for so long is snubbed: somebody is waiting for it.
const PATIENCE: Duration = Duration::from_secs(15);

/// The connections of the engine, as far as a bridge needs them.
pub(crate) trait Peers {
    /// The connection of that key, if it lives.
    fn peer(&mut self, key: PeerKey) -> Option<&mut Peer>;
}

/// What the owner must do for a bridge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// The peer may have something to send now.
    Transmit(PeerKey),
    /// Hash the blocks one after the other and call [`Bridge::digested`].
    Hash {
        /// Which piece.
        piece: PieceIndex,
        /// All its bytes.
        blocks: Vec<Bytes>,
    },
    /// Ban the peer: it sent bad data in this piece.
    Ban {
        /// Who.
        peer: PeerKey,
        /// Where.
        piece: PieceIndex,
    },
    /// Close the connection.
    Close(PeerKey, CloseReason),
}

/// One bridged torrent.
pub(crate) struct Bridge {
    config: Arc<Config>,
    geometry: Geometry,
    nothing: Bitfield,
    availability: Availability,
    switch: Switch<TorrentKey, PeerKey>,
    members: BTreeMap<PeerKey, Member>,
    demands: VecDeque<Demand>,
    /// Peers that were given something to send since the last poll.
    touched: BTreeSet<PeerKey>,
    /// Who should be interesting to us may have changed.
    interest_outdated: bool,
    reported: Option<BridgeReport>,
    report_at: Time,
}

impl Bridge {
    /// A bridge without peers.
    pub(crate) fn new(config: Arc<Config>, torrent: TorrentKey, geometry: Geometry) -> Self {
        Self {
            config,
            geometry,
            nothing: Bitfield::empty(geometry.pieces()),
            availability: Availability::new(geometry.pieces()),
            switch: Switch::new(torrent, geometry),
            members: BTreeMap::new(),
            demands: VecDeque::new(),
            touched: BTreeSet::new(),
            interest_outdated: false,
            reported: None,
            report_at: Time::ZERO,
        }
    }

    /// What it did so far.
    pub(crate) const fn counters(&self) -> &SwitchCounters {
        self.switch.counters()
    }

    /// What a peer of this transport is told that we have when its connection is opened. A classic peer learns
    /// later, when it is known what it lacks.
    pub(crate) const fn opening(&self, transport: Transport) -> &Bitfield {
        match Side::of(transport) {
            Side::Classic => &self.nothing,
            Side::Browser => self.availability.offered_to(Side::Browser),
        }
    }

    // ---- what happened

    /// The peer's connection was opened, with [`opening`](Self::opening) as our pieces.
    pub(crate) fn opened(&mut self, peers: &mut impl Peers, key: PeerKey) {
        let Some(peer) = peers.peer(key) else { return };
        let transport = peer.link().transport;
        let side = Side::of(transport);
        let speaks_extensions = peer.handshake().is_some_and(|handshake| handshake.reserved.extended());
        self.members.insert(key, Member::new(side, self.opening(transport).clone()));
        self.switch.join(key, side, Bitfield::empty(self.geometry.pieces()));
        if !speaks_extensions || peer.extensions().is_some() {
            self.introduced(peer, key);
        }
    }

    /// The peer's connection is gone.
    pub(crate) fn closed(&mut self, now: Time, peers: &mut impl Peers, cache: &mut Cache, key: PeerKey) {
        let Some(member) = self.members.remove(&key) else { return };
        let pieces: Vec<PieceIndex> =
            self.switch.pieces_of(key).into_iter().flat_map(Bitfield::iter).collect();
        for piece in pieces {
            self.availability.remove(now, member.side, piece);
        }
        let mut actions = Vec::new();
        self.switch.leave(key, &mut actions);
        self.switch.reject_orphans(&mut actions);
        self.interest_outdated = true;
        self.touched.remove(&key);
        self.carry_out(now, peers, cache, actions);
    }

    /// Something came from the peer.
    pub(crate) fn handle(
        &mut self,
        now: Time,
        peers: &mut impl Peers,
        cache: &mut Cache,
        key: PeerKey,
        event: PeerEvent,
    ) {
        let Some(member) = self.members.get_mut(&key) else { return };
        let (side, counted) = (member.side, member.counted);
        let mut actions = Vec::new();
        match event {
            PeerEvent::Extended if !counted => {
                if let Some(peer) = peers.peer(key) {
                    self.introduced(peer, key);
                }
            }
            PeerEvent::Bitfield { .. } if counted => self.recount(now, peers, key),
            PeerEvent::Have(piece) if counted => self.gained(side, key, piece),
            PeerEvent::DontHave(piece) if counted => self.lost(now, side, key, piece),
            PeerEvent::Choked { void } => {
                self.switch.set_ready(key, false);
                void.into_iter().for_each(|block| self.switch.returned(key, block));
            }
            PeerEvent::Unchoked => self.switch.set_ready(key, true),
            PeerEvent::Interested | PeerEvent::NotInterested => {
                self.interest_outdated = true;
                self.unchoke_waiting(peers);
            }
            PeerEvent::Block { block, data, standing } if standing != Standing::Unrequested => {
                member.snubbed = false;
                if self.geometry.block(block.piece, block.index()) == Some(block) {
                    self.switch.arrived(cache, key, block, data, &mut actions);
                }
            }
            PeerEvent::Rejected(block) => self.switch.returned(key, block),
            PeerEvent::Requested => self.take_requests(now, peers, cache, key, &mut actions),
            PeerEvent::Cancelled(block) => self.switch.cancelled(key, block, &mut actions),
            _ => {}
        }
        self.carry_out(now, peers, cache, actions);
    }

    /// The peer's connection took bytes: there may be room for more of its requests, and for news.
    pub(crate) fn drained(&mut self, now: Time, peers: &mut impl Peers, cache: &mut Cache, key: PeerKey) {
        let mut actions = Vec::new();
        self.take_requests(now, peers, cache, key, &mut actions);
        if !actions.is_empty() {
            self.carry_out(now, peers, cache, actions);
        }
        self.tell(peers, key);
    }

    /// The digest of a piece that was to be hashed is known.
    pub(crate) fn digested(
        &mut self,
        now: Time,
        peers: &mut impl Peers,
        cache: &mut Cache,
        piece: PieceIndex,
        verdict: Verdict,
    ) {
        let mut actions = Vec::new();
        self.switch.digested(cache, piece, verdict, &mut actions);
        self.carry_out(now, peers, cache, actions);
    }

    /// Time passed: about once a second.
    pub(crate) fn tick(&mut self, now: Time, peers: &mut impl Peers, cache: &mut Cache) {
        let mut actions = Vec::new();
        let withdrawn = self.availability.withdraw(now);
        for (side, _) in &withdrawn {
            self.outdate(*side);
        }
        if !withdrawn.is_empty() {
            self.switch.reject_orphans(&mut actions);
        }
        let keys: Vec<PeerKey> = self.members.keys().copied().collect();
        for key in &keys {
            let Some(peer) = peers.peer(*key) else { continue };
            let late = peer.waiting_since().is_some_and(|since| now >= since + PATIENCE);
            if let Some(member) = self.members.get_mut(key)
                && late
                && !member.snubbed
            {
                member.snubbed = true;
                self.switch.snubbed(*key, &mut actions);
            }
        }
        self.unchoke_waiting(peers);
        self.report(now, peers);
        self.carry_out(now, peers, cache, actions);
        for key in keys {
            self.tell(peers, key);
            if let Some(member) = self.members.get_mut(&key) {
                member.tick();
            }
        }
    }

    /// What the owner must do next; `None` when there is nothing more.
    pub(crate) fn poll(&mut self, peers: &mut impl Peers) -> Option<Demand> {
        if self.interest_outdated {
            self.interest_outdated = false;
            self.update_interest(peers);
        }
        self.demands.pop_front().or_else(|| self.touched.pop_first().map(Demand::Transmit))
    }

    // ---- sources and offers

    /// The peer has said what it is: its pieces count from here on, unless it is a node itself.
    fn introduced(&mut self, peer: &mut Peer, key: PeerKey) {
        if peer.role() == Role::Node {
            // Two nodes have nothing for each other: each dials classic peers itself, and tabs meet directly.
            self.demands.push_back(Demand::Close(key, CloseReason::NoInterest));
            return;
        }
        let Some(member) = self.members.get_mut(&key) else { return };
        member.counted = true;
        let side = member.side;
        let pieces = peer.pieces().cloned();
        for piece in pieces.iter().flat_map(Bitfield::iter) {
            self.gained(side, key, piece);
        }
        self.interest_outdated = true;
        // Newcomers learn at the next tick what lies behind us.
        self.reported = None;
    }

    fn gained(&mut self, side: Side, key: PeerKey, piece: PieceIndex) {
        if !self.switch.gained(key, piece) {
            return;
        }
        if self.availability.add(side, piece) {
            self.outdate(side.other());
        }
        self.interest_outdated = true;
    }

    fn lost(&mut self, now: Time, side: Side, key: PeerKey, piece: PieceIndex) {
        if self.switch.lost(key, piece) {
            self.availability.remove(now, side, piece);
            self.interest_outdated = true;
        }
    }

    /// The peer said all its pieces anew.
    fn recount(&mut self, now: Time, peers: &mut impl Peers, key: PeerKey) {
        let Some(side) = self.members.get(&key).map(|member| member.side) else { return };
        let Some(pieces) = peers.peer(key).and_then(|peer| peer.pieces().cloned()) else { return };
        let before: Vec<PieceIndex> =
            self.switch.pieces_of(key).into_iter().flat_map(Bitfield::iter).collect();
        for piece in before.into_iter().filter(|piece| !pieces.has(*piece)) {
            self.lost(now, side, key, piece);
        }
        for piece in pieces.iter() {
            self.gained(side, key, piece);
        }
    }

    /// What we offer to `side` changed.
    fn outdate(&mut self, side: Side) {
        for (key, member) in self.members.iter_mut().filter(|(_, member)| member.side == side) {
            member.outdate();
            self.touched.insert(*key);
        }
    }

    fn tell(&mut self, peers: &mut impl Peers, key: PeerKey) {
        if let Some(member) = self.members.get_mut(&key)
            && let Some(peer) = peers.peer(key)
            && member.tell(peer, self.availability.offered_to(member.side))
        {
            self.touched.insert(key);
        }
    }

    /// We want something of whoever has pieces while somebody across is interested.
    fn update_interest(&mut self, peers: &mut impl Peers) {
        let mut wanted = BTreeSet::new();
        for (key, member) in &self.members {
            if peers.peer(*key).is_some_and(|peer| peer.is_interested()) {
                wanted.insert(member.side.other());
            }
        }
        for (key, member) in &self.members {
            let Some(peer) = peers.peer(*key) else { continue };
            let has_some = self.switch.pieces_of(*key).is_some_and(|pieces| !pieces.is_empty());
            let interested = member.counted && has_some && wanted.contains(&member.side);
            if interested != peer.am_interested() {
                if interested {
                    peer.express_interest();
                } else {
                    peer.withdraw_interest();
                }
                self.touched.insert(*key);
            }
        }
    }

    // ---- serving

    /// Unchokes whoever is interested, while there are slots: a bridge has no tit for tat, its sides have.
    fn unchoke_waiting(&mut self, peers: &mut impl Peers) {
        let mut slots = self.config.bridge_slots;
        let mut waiting = Vec::new();
        for key in self.members.keys() {
            let Some(peer) = peers.peer(*key) else { continue };
            match (peer.am_choking(), peer.is_interested()) {
                (false, true) => slots = slots.saturating_sub(1),
                (true, true) => waiting.push(*key),
                _ => {}
            }
        }
        for key in waiting.into_iter().take(slots) {
            if let Some(peer) = peers.peer(key) {
                peer.unchoke();
                self.touched.insert(key);
            }
        }
    }

    /// Takes the peer's requests as far as its connection keeps up.
    fn take_requests(
        &mut self,
        now: Time,
        peers: &mut impl Peers,
        cache: &mut Cache,
        key: PeerKey,
        actions: &mut Vec<Action<PeerKey>>,
    ) {
        let Some(side) = self.members.get(&key).map(|member| member.side) else { return };
        let Some(peer) = peers.peer(key) else { return };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let a_second = peer.uploaded(now).1 as usize;
        let most = a_second.clamp(MIN_BACKLOG, MAX_BACKLOG);
        while peer.backlog() < most {
            let Some(block) = peer.take_request() else { break };
            self.switch.requested(cache, key, side, block, actions);
        }
    }

    /// Does what the switch wants, then hands out work.
    fn carry_out(
        &mut self,
        now: Time,
        peers: &mut impl Peers,
        cache: &mut Cache,
        mut actions: Vec<Action<PeerKey>>,
    ) {
        let config = &self.config;
        let room = |key: PeerKey| peers.peer(key).map_or(0, |peer| room_for_requests(config, now, peer));
        self.switch.assign(room, &mut actions);
        for action in actions {
            self.carry_out_one(now, peers, cache, action);
        }
    }

    fn carry_out_one(
        &mut self,
        now: Time,
        peers: &mut impl Peers,
        cache: &mut Cache,
        action: Action<PeerKey>,
    ) {
        match action {
            Action::Fetch { from, block } => {
                if let Some(peer) = peers.peer(from) {
                    peer.request(block);
                    self.touched.insert(from);
                }
            }
            Action::Cancel { from, block } => {
                if let Some(peer) = peers.peer(from) {
                    peer.cancel(block);
                    self.touched.insert(from);
                }
            }
            Action::Send { to, block, data } => {
                if let Some(peer) = peers.peer(to) {
                    peer.supply(block, data);
                    self.touched.insert(to);
                }
            }
            Action::Reject { to, block } => self.reject(now, peers, cache, to, block),
            Action::Hash { piece, blocks } => self.demands.push_back(Demand::Hash { piece, blocks }),
            Action::Ban { peer, piece } => self.demands.push_back(Demand::Ban { peer, piece }),
        }
    }

    /// Refuses a request: by `reject`, else by a choke, which drops all requests of a peer without BEP 6.
    fn reject(&mut self, now: Time, peers: &mut impl Peers, cache: &mut Cache, key: PeerKey, block: Block) {
        let Some(peer) = peers.peer(key) else { return };
        peer.refuse(block);
        self.touched.insert(key);
        if peer.is_fast() {
            return;
        }
        let fallen = peer.choke(now);
        let mut actions = Vec::new();
        for block in fallen {
            self.switch.cancelled(key, block, &mut actions);
        }
        for action in actions {
            if !matches!(action, Action::Reject { .. }) {
                self.carry_out_one(now, peers, cache, action);
            }
        }
    }
}

/// How many more requests the peer should have: what keeps it busy for the configured time, growing from a start
/// that suits an unknown path.
fn room_for_requests(config: &Config, now: Time, peer: &Peer) -> usize {
    let (received, rate) = peer.downloaded(now);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let steady = (rate * config.request_queue_time.as_secs_f64() / f64::from(BLOCK_LEN)) as usize;
    // Slow start: one more for every block that came, until the rate knows better.
    let started = usize::try_from(received / u64::from(BLOCK_LEN)).unwrap_or(usize::MAX);
    let start = started.saturating_add(INITIAL_REQUESTS).min(SLOW_START_END);
    let window = steady.max(start).max(config.min_requests).min(config.max_requests).min(peer.reqq());
    window.saturating_sub(peer.outstanding())
}

/// Requests to a peer that has sent nothing yet.
const INITIAL_REQUESTS: usize = 16;
/// Where slow start leaves the window to the measured rate.
const SLOW_START_END: usize = 64;
