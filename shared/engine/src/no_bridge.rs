//! What stands in for bridges where there are none: a page stores torrents and bridges nothing.
//!
//! Compiled instead of `bridge` without the feature of that name. No bridge can be made, so all that a torrent would do
//! with one costs no code.

#[path = "bridge/action.rs"]
#[expect(dead_code, reason = "only the counters are needed")]
mod action;
#[path = "bridge/trial.rs"]
mod trial;

pub use action::SwitchCounters;
pub(crate) use trial::{Trials, Verdict};

use crate::keys::{PeerKey, TorrentKey};
use crate::link::Transport;
use crate::output::CloseReason;
use crate::peer::{Peer, PeerEvent};
use anatomic_core::{Bitfield, PieceIndex, Time};
use bytes::Bytes;

/// The connections of the engine, as far as a bridge needs them.
#[expect(dead_code, reason = "there is no bridge")]
pub(crate) trait Peers {
    /// The connection of that key, if it lives.
    fn peer(&mut self, key: PeerKey) -> Option<&mut Peer>;
}

/// What the owner must do for a bridge.
#[expect(dead_code, reason = "there is no bridge")]
pub(crate) enum Demand {
    Transmit(PeerKey),
    Hash { piece: PieceIndex, blocks: Vec<Bytes> },
    Ban { peer: PeerKey, piece: PieceIndex },
    Close(PeerKey, CloseReason),
}

/// The memory that all bridges share: none.
pub(crate) struct Cache;

impl Cache {
    pub(crate) const fn new(_capacity: usize) -> Self {
        Self
    }

    pub(crate) const fn used(&self) -> usize {
        0
    }

    pub(crate) const fn forget_torrent(&mut self, _torrent: TorrentKey) {}
}

/// A bridged torrent: there is none.
pub(crate) enum Bridge {}

impl Bridge {
    pub(crate) const fn counters(&self) -> &SwitchCounters {
        match *self {}
    }

    pub(crate) const fn opening(&self, _transport: Transport) -> &Bitfield {
        match *self {}
    }

    pub(crate) const fn opened(&mut self, _peers: &mut impl Peers, _key: PeerKey) {
        match *self {}
    }

    pub(crate) const fn closed(
        &mut self,
        _now: Time,
        _peers: &mut impl Peers,
        _cache: &mut Cache,
        _key: PeerKey,
    ) {
        match *self {}
    }

    pub(crate) fn handle(
        &mut self,
        _now: Time,
        _peers: &mut impl Peers,
        _cache: &mut Cache,
        _key: PeerKey,
        _event: PeerEvent,
    ) {
        match *self {}
    }

    pub(crate) const fn drained(
        &mut self,
        _now: Time,
        _peers: &mut impl Peers,
        _cache: &mut Cache,
        _key: PeerKey,
    ) {
        match *self {}
    }

    pub(crate) const fn digested(
        &mut self,
        _now: Time,
        _peers: &mut impl Peers,
        _cache: &mut Cache,
        _piece: PieceIndex,
        _verdict: Verdict,
    ) {
        match *self {}
    }

    pub(crate) const fn tick(&mut self, _now: Time, _peers: &mut impl Peers, _cache: &mut Cache) {
        match *self {}
    }

    pub(crate) fn poll(&mut self, _peers: &mut impl Peers) -> Option<Demand> {
        match *self {}
    }
}
