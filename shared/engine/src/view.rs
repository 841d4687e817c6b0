//! Snapshots for people and tests: what a torrent and its peers are doing.
//!
//! Read only; taking one changes nothing.

use crate::add::{PickOrder, Priority};
use crate::bridge::SwitchCounters;
use crate::config::Role;
use crate::keys::PeerKey;
use crate::link::Transport;
use crate::output::State;
use anatomic_core::metainfo::Metainfo;
use anatomic_core::{Bitfield, InfoHash, PeerId};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a torrent is doing.
#[derive(Clone, Debug)]
pub struct TorrentView {
    /// Its name on the wire.
    pub info_hash: InfoHash,
    /// Its name for people: of the metainfo, else of the magnet, else the info-hash.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// Why it stands in [`State::Error`].
    pub error: Option<String>,
    /// The metainfo, once known.
    pub metainfo: Option<Arc<Metainfo>>,
    /// Verified pieces; `None` while the metadata is unknown.
    pub have: Option<Bitfield>,
    /// Pieces safe in the store; `None` while the metadata is unknown.
    pub stored: Option<Bitfield>,
    /// Priorities of the files; empty means all normal.
    pub selection: Vec<Priority>,
    /// Picking order.
    pub order: PickOrder,
    /// Bytes wanted.
    pub wanted: u64,
    /// Bytes of those that are verified.
    pub done: u64,
    /// Pieces hashed and pieces to hash while checking.
    pub checked: Option<(u32, u32)>,
    /// Payload received, bytes/s.
    pub download_rate: u64,
    /// Payload sent, bytes/s.
    pub upload_rate: u64,
    /// Exact counts since the torrent was added.
    pub counters: Counters,
    /// Connections.
    pub peers: Vec<PeerView>,
    /// Known addresses that are not connected.
    pub candidates: usize,
    /// Trackers and how they answered.
    pub trackers: Vec<TrackerView>,
    /// What a bridge did so far; `None` for a stored torrent.
    pub bridge: Option<SwitchCounters>,
}

impl TorrentView {
    /// Verified part of what is wanted, 0 to 1. A torrent that wants nothing is complete; one without metadata is at 0.
    #[must_use]
    pub fn progress(&self) -> f64 {
        if self.metainfo.is_none() {
            return 0.0;
        }
        if self.wanted == 0 {
            return 1.0;
        }
        #[expect(clippy::cast_precision_loss)]
        let part = self.done as f64 / self.wanted as f64;
        part.min(1.0)
    }

    /// Time to completion at the present rate; `None` if nothing arrives or nothing is missing.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.wanted.saturating_sub(self.done);
        if left == 0 {
            return None;
        }
        left.checked_div(self.download_rate).map(Duration::from_secs)
    }
}

/// What a peer is doing.
#[derive(Clone, Debug)]
pub struct PeerView {
    /// Its connection.
    pub peer: PeerKey,
    /// Its id, after the handshake.
    pub peer_id: Option<PeerId>,
    /// Its client, as it calls itself, else as its peer id says.
    pub client: Option<String>,
    /// What carries it.
    pub transport: Transport,
    /// Whether it is a node.
    pub role: Role,
    /// Where it is.
    pub address: Option<SocketAddr>,
    /// Whether we began the connection.
    pub dialled: bool,
    /// Part of the pieces that it has, 0 to 1.
    pub progress: f64,
    /// Payload from it, bytes/s.
    pub download_rate: u64,
    /// Payload to it, bytes/s.
    pub upload_rate: u64,
    /// Payload bytes from it.
    pub downloaded: u64,
    /// Payload bytes to it.
    pub uploaded: u64,
    /// We choke it.
    pub choking: bool,
    /// It chokes us.
    pub choked: bool,
    /// We want something of it.
    pub interested: bool,
    /// It wants something of us.
    pub interesting: bool,
    /// It has not answered requests for long.
    pub snubbed: bool,
    /// Requests under way to it.
    pub requests: usize,
    /// Its requests that we have yet to serve.
    pub incoming_requests: usize,
    /// For a node: what lies behind it.
    pub behind: Option<Behind>,
}

/// How many peers and seeds a node bridges to, as it reports itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Behind {
    /// Over TCP.
    pub tcp: u32,
    /// Over uTP.
    pub utp: u32,
    /// Over data channels.
    pub webrtc: u32,
    /// Of these, seeds.
    pub seeds: u32,
    /// Of these, leeches.
    pub leeches: u32,
}

/// How a tracker answered.
#[derive(Clone, Debug)]
pub struct TrackerView {
    /// Its URL.
    pub url: String,
    /// Its tier, 0 first.
    pub tier: usize,
    /// What went wrong last time.
    pub error: Option<String>,
    /// Seeds it knows.
    pub seeds: Option<u32>,
    /// Leeches it knows.
    pub leeches: Option<u32>,
    /// Announces it answered.
    pub answered: u32,
}

/// Exact counts of a torrent, since it was added (or since the resume data's torrent was).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counters {
    /// Payload bytes received, wasted ones included.
    pub downloaded: u64,
    /// Payload bytes sent.
    pub uploaded: u64,
    /// Requests written to peers.
    pub requests: u64,
    /// Blocks received that were asked for.
    pub blocks: u64,
    /// Payload bytes that were thrown away: came twice, came unasked, or failed their hash.
    pub wasted: u64,
    /// Requests for a block that was requested elsewhere at the same time (end-game).
    pub doubled: u64,
    /// Blocks sent.
    pub served: u64,
    /// Pieces that passed their hash.
    pub verified: u64,
    /// Pieces that failed it.
    pub failed: u64,
    /// Peers banned.
    pub banned: u64,
    /// Peers that were snubbed, each time counted.
    pub snubbed: u64,
    /// Dials begun.
    pub dials: u64,
    /// Offers that a peer was asked to pass on.
    pub introductions_asked: u64,
    /// Offers that were passed on for others.
    pub introductions_made: u64,
    /// Offers, passed on by a peer, that were answered.
    pub introductions_answered: u64,
}
