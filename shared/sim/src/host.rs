//! A host: an engine and everything a driver would give it, simulated.
//!
//! Carries out outputs; the network between hosts is the world's.

use crate::content::Content;
use crate::store::MemoryStore;
use anatomic_core::{InfoHash, Time};
use anatomic_engine::{CloseReason, Config, Engine, Event, PeerKey, Step, TorrentKey};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// A host of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub usize);

/// How a host misbehaves on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fault {
    /// It does not.
    #[default]
    None,
    /// Every n-th block that it serves is wrong.
    Liar(u64),
    /// It takes requests and never answers.
    Mute,
}

/// What a host is made of.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// The engine's settings.
    pub engine: Config,
    /// Bytes a second it can send in all; `None`: no limit.
    pub up: Option<u64>,
    /// One-way delay between it and the middle of the network.
    pub latency: Duration,
    /// Bytes that its sockets take ahead, each.
    pub send_buffer: usize,
    /// Time that a job takes.
    pub job_time: Duration,
    /// How it misbehaves.
    pub fault: Fault,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            engine: Config {
                listen_port: Some(6881),
                addresses: anatomic_core::address::Policy::PrivateNetwork,
                ..Config::default()
            },
            up: Some(5_000_000),
            latency: Duration::from_millis(5),
            send_buffer: 128 * 1024,
            job_time: Duration::from_micros(500),
            fault: Fault::None,
        }
    }
}

/// A host.
pub struct Host {
    /// Its engine; commands may be given directly, then call `World::poke`.
    pub engine: Engine,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its stores.
    pub stores: BTreeMap<TorrentKey, MemoryStore>,
    /// All events so far.
    pub events: Vec<(Time, Event)>,
    /// Connections that its engine closed, and why.
    pub closed: Vec<CloseReason>,
    /// What its engine wanted done for introductions.
    pub steps: Vec<Step>,
    /// Bytes that it sent in all.
    pub sent: u64,
    /// Writes that carried them: messages on a data channel, or calls to a socket.
    pub writes: u64,
    pub(crate) config: HostConfig,
    pub(crate) up: bool,
    pub(crate) sockets: BTreeMap<PeerKey, usize>,
    pub(crate) busy_until: Time,
    pub(crate) wake: Time,
    pub(crate) served: u64,
    pub(crate) dirty: bool,
}

impl Host {
    /// The torrent's key.
    #[must_use]
    pub fn torrent(&self, info_hash: InfoHash) -> Option<TorrentKey> {
        self.engine.find(info_hash)
    }

    /// Whether everything is stored and right.
    #[must_use]
    pub fn is_complete(&self, content: &Content) -> bool {
        let Some(key) = self.torrent(content.info_hash()) else { return false };
        let Some(store) = self.stores.get(&key) else { return false };
        let geometry = content.metainfo.geometry();
        let stored = self.engine.view(key).and_then(|view| view.stored);
        stored.is_some_and(|stored| stored.is_full())
            && (0..geometry.pieces())
                .filter_map(|piece| geometry.piece(piece))
                .all(|piece| store.piece(piece).is_some_and(|data| *data == content.piece(piece)))
    }
}
