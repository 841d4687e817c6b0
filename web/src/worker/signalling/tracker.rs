//! One WebSocket tracker: the state of its socket, and the torrents announced through it.
//!
//! One socket serves all torrents of a tracker; a reply finds its torrent by info-hash.

use crate::protocol::view::TrackerStatus;
use anatomic_core::collections::BTreeMap;
use anatomic_core::{InfoHash, PeerId, Time};
use anatomic_engine::{AnnounceKey, AnnounceRequest};
use anatomic_wire::tracker::Event;
use std::time::Duration;

/// Wait after the first loss of a socket; doubled with each further one. A node restarts in seconds.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest wait: the person is looking at a page that does nothing.
const LAST_RETRY: Duration = Duration::from_secs(30);

/// The state of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// Being opened.
    Connecting,
    /// Open.
    Open,
    /// Not open until `retry`.
    Lost {
        /// When to try again.
        retry: Time,
    },
}

/// A tracker with at least one torrent.
pub(super) struct Tracker {
    pub(super) url: String,
    /// Who we are on this socket.
    pub(super) peer_id: PeerId,
    link: Link,
    losses: u32,
    swarms: BTreeMap<InfoHash, Swarm>,
}

/// A torrent announced through a tracker.
struct Swarm {
    /// The engine's last wish, repeated when the socket comes back.
    request: AnnounceRequest,
    /// The engine waits for this announce's answer.
    key: Option<AnnounceKey>,
    /// When the announce was sent that is not answered yet.
    sent: Option<Time>,
    status: TrackerStatus,
    /// A node behind the tracker has answered.
    has_node: bool,
}

impl Tracker {
    /// A tracker whose socket was never open.
    pub(super) fn new(url: &str, peer_id: PeerId) -> Self {
        let link = Link::Lost { retry: Time::ZERO };
        Self { url: url.to_owned(), peer_id, link, losses: 0, swarms: BTreeMap::new() }
    }

    pub(super) const fn link(&self) -> Link {
        self.link
    }

    pub(super) fn has(&self, info_hash: InfoHash) -> bool {
        self.swarms.contains_key(&info_hash)
    }

    /// Whether nothing is announced through it.
    pub(super) fn is_idle(&self) -> bool {
        self.swarms.is_empty()
    }

    pub(super) fn status(&self, info_hash: InfoHash) -> TrackerStatus {
        self.swarms.get(&info_hash).map_or(TrackerStatus::Waiting, |swarm| swarm.status.clone())
    }

    pub(super) fn want(&self, info_hash: InfoHash) -> u32 {
        self.swarms.get(&info_hash).map_or(0, |swarm| swarm.request.want)
    }

    /// Takes the engine's wish.
    pub(super) fn remember(&mut self, request: AnnounceRequest, key: AnnounceKey) {
        let info_hash = request.info_hash;
        let (status, has_node) = (self.status(info_hash), self.has_node(info_hash));
        self.swarms.insert(info_hash, Swarm { request, key: Some(key), sent: None, status, has_node });
    }

    /// A node behind the tracker answered for a torrent.
    pub(super) fn found_node(&mut self, info_hash: InfoHash) {
        if let Some(swarm) = self.swarms.get_mut(&info_hash) {
            swarm.has_node = true;
        }
    }

    /// Whether a node behind the tracker has ever answered for a torrent.
    pub(super) fn has_node(&self, info_hash: InfoHash) -> bool {
        self.swarms.get(&info_hash).is_some_and(|swarm| swarm.has_node)
    }

    /// Forgets a torrent; true if it was the last one.
    pub(super) fn forget(&mut self, info_hash: InfoHash) -> bool {
        self.swarms.remove(&info_hash);
        self.swarms.is_empty()
    }

    pub(super) const fn connecting(&mut self) {
        self.link = Link::Connecting;
    }

    /// The socket is open: what to announce now.
    pub(super) fn opened(&mut self, peer_id: PeerId) -> Vec<(InfoHash, Option<Event>)> {
        self.link = Link::Open;
        self.losses = 0;
        self.peer_id = peer_id;
        // A tracker that restarted, or never heard of us, must hear `started`, whatever the engine last wished.
        self.swarms.keys().map(|info_hash| (*info_hash, Some(Event::Started))).collect()
    }

    /// The socket is gone: the announces that will not be answered.
    pub(super) fn lost(&mut self, now: Time, jitter: u32) -> Vec<AnnounceKey> {
        let wait = FIRST_RETRY.saturating_mul(1 << self.losses.min(10)).min(LAST_RETRY) * jitter / 100;
        self.link = Link::Lost { retry: now + wait };
        self.losses += 1;
        self.swarms
            .values_mut()
            .filter_map(|swarm| {
                swarm.sent = None;
                swarm.status = TrackerStatus::Failed("it cannot be reached".into());
                swarm.key.take()
            })
            .collect()
    }

    /// Whether a lost socket is to be opened again.
    pub(super) fn is_due(&self, now: Time) -> bool {
        matches!(self.link, Link::Lost { retry } if retry <= now) && !self.swarms.is_empty()
    }

    /// An announce is being sent: what the engine wished to say.
    pub(super) fn announcing(&mut self, now: Time, info_hash: InfoHash) -> Option<&AnnounceRequest> {
        if self.link != Link::Open {
            return None;
        }
        let swarm = self.swarms.get_mut(&info_hash)?;
        swarm.sent.get_or_insert(now);
        Some(&swarm.request)
    }

    /// The tracker answered; the engine's announce, if it waits for this.
    pub(super) fn answered(&mut self, info_hash: InfoHash, seeds: u32, leeches: u32) -> Option<AnnounceKey> {
        let swarm = self.swarms.get_mut(&info_hash)?;
        swarm.sent = None;
        swarm.status = TrackerStatus::Working { seeds, leeches };
        swarm.key.take()
    }

    /// The tracker refused one torrent, or did not say which: then those that it has not answered.
    pub(super) fn refused(&mut self, info_hash: Option<InfoHash>, reason: &str) -> Vec<InfoHash> {
        let mut refused = Vec::new();
        for (hash, swarm) in &mut self.swarms {
            if info_hash.map_or(swarm.sent.is_some(), |info_hash| info_hash == *hash) {
                swarm.sent = None;
                swarm.status = TrackerStatus::Failed(reason.to_owned());
                refused.push(*hash);
            }
        }
        refused
    }

    /// The engine's announce of a torrent, if it still waits.
    pub(super) fn take_key(&mut self, info_hash: InfoHash) -> Option<AnnounceKey> {
        self.swarms.get_mut(&info_hash)?.key.take()
    }

    /// Announces that waited too long for their answer.
    pub(super) fn overdue(&mut self, now: Time, limit: Duration) -> Vec<AnnounceKey> {
        self.swarms
            .values_mut()
            .filter(|swarm| swarm.sent.is_some_and(|sent| now.since(sent) > limit))
            .filter_map(|swarm| {
                swarm.sent = None;
                swarm.status = TrackerStatus::Failed("it did not answer in time".into());
                swarm.key.take()
            })
            .collect()
    }
}
