//! What all torrents of an engine share: the queue of outputs, open questions to the driver, limits, chance.
//!
//! Torrents borrow it for the length of one input; it decides nothing.

use crate::config::Config;
use crate::hash::FastSet;
use crate::keys::{AnnounceKey, DialKey, IntroductionKey, JobKey, PeerKey, Slab, TorrentKey};
use crate::limiter::Buckets;
use crate::link::Encryption;
use crate::output::{AnnounceRequest, CloseReason, Event, Job, Output, Step};
use crate::peer::Peer;
use anatomic_core::{PeerId, Time};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Addresses banned by all torrents are remembered up to this many; the oldest are forgiven first.
const MAX_BANNED: usize = 4_096;

/// Shared by all torrents.
pub(crate) struct Shared {
    /// The time of the present input.
    pub now: Time,
    pub config: Arc<Config>,
    pub us: PeerId,
    pub rng: fastrand::Rng,
    pub outputs: VecDeque<Output>,
    pub routes: Slab<PeerKey, Place>,
    pub jobs: Slab<JobKey, Ticket<Task>>,
    pub dials: Slab<DialKey, Ticket<SocketAddr>>,
    pub announces: Slab<AnnounceKey, Ticket<usize>>,
    pub introductions: Slab<IntroductionKey, TorrentKey>,
    /// The memory of all bridges.
    pub cache: crate::bridge::Cache,
    pub limits: Buckets,
    /// Dials allowed: a bucket of dials.
    pub dial_tokens: f64,
    pub dial_refill: Time,
    banned: FastSet<IpAddr>,
    banned_order: VecDeque<IpAddr>,
}

/// Where a peer is.
pub(crate) enum Place {
    /// It has not said yet for which torrent it came.
    Lobby(Box<Peer>),
    /// With that torrent.
    In(TorrentKey),
}

/// An open question to the driver.
#[derive(Clone, Debug)]
pub(crate) struct Ticket<T> {
    pub torrent: TorrentKey,
    pub about: T,
}

/// What a job is for; its owner gives it a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// The digest of a whole piece that was fetched.
    Verify(anatomic_core::PieceIndex),
    /// A verified piece to be stored.
    Write(anatomic_core::PieceIndex),
    /// A block for a peer.
    Read(PeerKey, anatomic_core::Block),
    /// A piece to be hashed where it lies.
    Check(anatomic_core::PieceIndex),
}

impl Shared {
    pub(crate) fn new(config: Config, us: PeerId, seed: u64) -> Self {
        Self {
            now: Time::ZERO,
            us,
            rng: fastrand::Rng::with_seed(seed),
            outputs: VecDeque::new(),
            routes: Slab::new(),
            jobs: Slab::new(),
            dials: Slab::new(),
            announces: Slab::new(),
            introductions: Slab::new(),
            cache: crate::bridge::Cache::new(usize::try_from(config.bridge_cache).unwrap_or(usize::MAX)),
            limits: Buckets::default(),
            dial_tokens: 0.0,
            dial_refill: Time::ZERO,
            banned: FastSet::default(),
            banned_order: VecDeque::new(),
            config: Arc::new(config),
        }
    }

    pub(crate) fn event(&mut self, torrent: TorrentKey, event: Event) {
        self.outputs.push_back(Output::Event { torrent, event });
    }

    /// Puts a job to the driver.
    pub(crate) fn job(&mut self, torrent: TorrentKey, about: Task, work: Job) {
        let job = self.jobs.insert(Ticket { torrent, about });
        self.outputs.push_back(Output::Job { job, torrent, work });
    }

    pub(crate) fn announce(&mut self, tracker: usize, request: AnnounceRequest) {
        let announce = self.announces.insert(Ticket { torrent: request.torrent, about: tracker });
        self.outputs.push_back(Output::Announce { announce, request });
    }

    /// Begins an introduction.
    pub(crate) fn introduce(&mut self, torrent: TorrentKey, step: Step) -> IntroductionKey {
        let introduction = self.introductions.insert(torrent);
        self.outputs.push_back(Output::Introduce { introduction, torrent, step });
        introduction
    }

    /// Ends an introduction, one way or the other; the key is dead.
    pub(crate) fn end_introduction(&mut self, introduction: IntroductionKey, step: Step) {
        if let Some(torrent) = self.introductions.remove(introduction) {
            self.outputs.push_back(Output::Introduce { introduction, torrent, step });
        }
    }

    /// Whether one more dial may be begun now; if so it counts as begun.
    pub(crate) fn may_dial(&mut self) -> bool {
        if self.routes.len() + self.dials.len() >= self.config.max_peers_total {
            return false;
        }
        let rate = f64::from(self.config.dials_per_second);
        let passed = self.now.since(self.dial_refill).as_secs_f64();
        self.dial_refill = self.now;
        // A burst of a second's worth, so that the first reply of a tracker is used at once.
        self.dial_tokens = (self.dial_tokens + passed * rate).min(rate.max(1.0));
        if self.dial_tokens < 1.0 {
            return false;
        }
        self.dial_tokens -= 1.0;
        true
    }

    pub(crate) fn dial(&mut self, torrent: TorrentKey, address: SocketAddr, encryption: Encryption) {
        let dial = self.dials.insert(Ticket { torrent, about: address });
        self.outputs.push_back(Output::Dial { dial, torrent, address, encryption });
    }

    /// Tells the driver to close a connection; the key is dead.
    pub(crate) fn close(&mut self, peer: PeerKey, reason: CloseReason) {
        if self.routes.remove(peer).is_some() {
            self.outputs.push_back(Output::Close { peer, reason });
        }
    }

    pub(crate) fn ban(&mut self, address: IpAddr) {
        if self.banned.insert(address) {
            self.banned_order.push_back(address);
            if self.banned_order.len() > MAX_BANNED
                && let Some(oldest) = self.banned_order.pop_front()
            {
                self.banned.remove(&oldest);
            }
        }
    }

    pub(crate) fn is_banned(&self, address: IpAddr) -> bool {
        self.banned.contains(&address)
    }
}
