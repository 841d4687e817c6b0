//! What a driver says about a torrent: how it is added, what of it is wanted, in which order.
//!
//! Only values; they take effect in `torrent`.

use crate::keys::TorrentKey;
use anatomic_core::{Bitfield, InfoHash, Magnet, Metainfo};
use std::sync::Arc;

/// A torrent to be added to the engine.
#[derive(Clone, Debug)]
pub struct AddTorrent {
    /// What is known of it.
    pub source: TorrentSource,
    /// Whether to store it or to bridge it.
    pub mode: Mode,
    /// What the store holds already.
    pub start: Start,
    /// Whether to wait for `resume`.
    pub paused: bool,
    /// Picking order.
    pub order: PickOrder,
    /// Priority of each file; files beyond its end are normal.
    pub selection: Vec<Priority>,
    /// Trackers in tiers, besides those that the source names.
    pub trackers: Vec<Vec<String>>,
    /// Payload received in earlier sessions, for the counters.
    pub downloaded: u64,
    /// Payload sent in earlier sessions, for the counters.
    pub uploaded: u64,
}

impl AddTorrent {
    /// A torrent to be downloaded from the beginning.
    #[must_use]
    pub const fn new(source: TorrentSource) -> Self {
        Self {
            source,
            mode: Mode::Store,
            start: Start::Fresh,
            paused: false,
            order: PickOrder::RarestFirst,
            selection: Vec::new(),
            trackers: Vec::new(),
            downloaded: 0,
            uploaded: 0,
        }
    }
}

/// What is known of a torrent when it is added.
#[derive(Clone, Debug)]
pub enum TorrentSource {
    /// Everything.
    Metainfo(Arc<Metainfo>),
    /// Its info-hash and where to ask: the info dictionary comes from peers (BEP 9). `so=` becomes the selection
    /// unless one is given.
    Magnet(Box<Magnet>),
}

impl TorrentSource {
    /// The torrent's name on the wire.
    #[must_use]
    pub fn info_hash(&self) -> InfoHash {
        match self {
            Self::Metainfo(metainfo) => metainfo.info_hash(),
            Self::Magnet(magnet) => magnet.info_hash,
        }
    }
}

/// What to do with a torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// Download, verify, store, seed.
    #[default]
    Store,
    /// Pass blocks between classic peers and browsers; nothing is stored.
    #[cfg(feature = "bridge")]
    Bridge,
}

/// What the store holds when a torrent is added.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Start {
    /// Nothing.
    #[default]
    Fresh,
    /// Perhaps something: hash it all.
    Check,
    /// These pieces, verified and stored by an earlier session. A set of another size counts as empty.
    Trust(Bitfield),
}

/// How much a file is wanted: 0 not at all, 7 before all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// Not wanted. Its bytes are fetched only where they share a piece with a wanted file.
    pub const SKIP: Self = Self(0);
    /// After the others.
    pub const LOW: Self = Self(1);
    /// As most files are.
    pub const NORMAL: Self = Self(4);
    /// Before the others.
    pub const HIGH: Self = Self(7);

    /// The priority of that number; above 7 is 7.
    #[must_use]
    pub const fn new(level: u8) -> Self {
        Self(if level > 7 { 7 } else { level })
    }

    /// 0 to 7.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.0
    }

    /// Whether it is wanted at all.
    #[must_use]
    pub const fn is_wanted(self) -> bool {
        self.0 > 0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::NORMAL
    }
}

/// In which order pieces are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub enum PickOrder {
    /// The piece that fewest peers have first: best for the swarm.
    #[default]
    RarestFirst,
    /// From the first to the last: for looking at it while it comes.
    Sequential,
}

/// Limits of payload, in bytes a second; `None`: as fast as it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Limits {
    /// From peers.
    pub download: Option<u64>,
    /// To peers.
    pub upload: Option<u64>,
}

/// Who told us of a candidate, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The user, or the magnet (`x.pe`).
    User,
    /// A tracker.
    Tracker,
    /// Local service discovery.
    Lsd,
    /// Resume data.
    Resume,
    /// It connected to us before.
    Incoming,
    /// The DHT.
    Dht,
    /// Other peers.
    Pex,
}

/// What a caller did wrong; never caused by strangers' bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// The torrent is here already, under this key.
    #[error("this torrent has been added already")]
    AlreadyAdded(TorrentKey),
}
