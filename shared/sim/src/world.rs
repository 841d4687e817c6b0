//! The world: clock, hosts, and the connections between them.
//!
//! Events happen in the order of their time, those of one moment in the order they were made. Nothing is left to
//! the machine it runs on.

mod introductions;
mod network;

use crate::content::Content;
use crate::host::{Host, HostConfig, HostId};
use crate::tracker::Tracker;
use anatomic_core::{Magnet, PeerId, PieceIndex, Time};
use anatomic_engine::{
    AddTorrent, AnnounceEvent, Counters, DialKey, Direction, Done, Engine, IntroductionKey, JobKey, Link,
    Mode, PeerKey, Source, Start, TorrentKey, TorrentSource, TorrentView, Transport,
};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::Duration;

/// When outputs are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Draining {
    /// After each input.
    #[default]
    EachInput,
    /// When all inputs of one moment were given: several inputs in a row.
    EachMoment,
}

/// A simulated network of engines.
pub struct World {
    seed: u64,
    /// The present.
    pub now: Time,
    /// For tests that leave something to chance.
    pub rng: fastrand::Rng,
    /// When outputs are carried out.
    pub draining: Draining,
    hosts: Vec<Host>,
    sockets: Vec<Socket>,
    tracker: Tracker,
    queue: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
    /// Events that happened so far.
    pub steps: u64,
}

/// One end of a connection.
struct Socket {
    host: HostId,
    peer: PeerKey,
    other: usize,
    open: bool,
    /// Bytes taken from the engine that have not left yet.
    queued: usize,
    /// The other end has been closed: bytes on the way still arrive before.
    last_arrival: Time,
}

struct Entry {
    at: Time,
    sequence: u64,
    event: Happening,
}

enum Happening {
    Wake(HostId),
    Arrive {
        socket: usize,
        bytes: Bytes,
    },
    Left {
        socket: usize,
        bytes: usize,
    },
    Closed {
        socket: usize,
    },
    DialArrives {
        from: HostId,
        dial: DialKey,
        torrent: TorrentKey,
        address: SocketAddr,
    },
    Dialled {
        from: HostId,
        dial: DialKey,
        torrent: TorrentKey,
        to: HostId,
    },
    DialFailed {
        host: HostId,
        dial: DialKey,
    },
    Done {
        host: HostId,
        job: JobKey,
        done: Done,
    },
    Described {
        host: HostId,
        introduction: IntroductionKey,
        sdp: Option<String>,
    },
    Announced {
        host: HostId,
        announce: anatomic_engine::AnnounceKey,
        request: anatomic_engine::AnnounceRequest,
    },
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the world's seed was {}, its time {:?}", self.seed, self.now);
        }
    }
}

#[expect(clippy::indexing_slicing, reason = "a HostId or socket number is only made for what exists")]
impl World {
    /// An empty world.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            now: Time::from_secs(1),
            rng: fastrand::Rng::with_seed(seed),
            draining: Draining::EachInput,
            hosts: Vec::new(),
            sockets: Vec::new(),
            tracker: Tracker::default(),
            queue: BinaryHeap::new(),
            sequence: 0,
            steps: 0,
        }
    }

    // ---- hosts

    /// Adds a host, with an address of its own.
    pub fn host(&mut self, config: HostConfig) -> HostId {
        let id = HostId(self.hosts.len());
        let number = u16::try_from(id.0 + 1).unwrap_or(u16::MAX).to_be_bytes();
        let mut tail = [0; 12];
        self.rng.fill(&mut tail);
        let engine = Engine::new(config.engine.clone(), PeerId::ours(tail), self.rng.u64(..));
        self.hosts.push(Host {
            engine,
            address: SocketAddr::from(([10, 0, number[0], number[1]], 6881)),
            stores: std::collections::BTreeMap::new(),
            events: Vec::new(),
            closed: Vec::new(),
            steps: Vec::new(),
            sent: 0,
            writes: 0,
            config,
            up: true,
            sockets: std::collections::BTreeMap::new(),
            busy_until: Time::ZERO,
            wake: Time::NEVER,
            served: 0,
            dirty: false,
        });
        id
    }

    /// A host, to be looked at.
    #[must_use]
    pub fn at(&self, host: HostId) -> &Host {
        &self.hosts[host.0]
    }

    /// Gives commands to a host's engine.
    pub fn with<R>(&mut self, host: HostId, act: impl FnOnce(Time, &mut Host) -> R) -> R {
        let result = act(self.now, &mut self.hosts[host.0]);
        self.drain(host);
        result
    }

    /// Adds a torrent of which the host has everything.
    pub fn seed(&mut self, host: HostId, content: &Content) -> TorrentKey {
        let pieces = content.metainfo.geometry().pieces();
        let full = anatomic_core::Bitfield::full(pieces);
        let add = AddTorrent {
            start: Start::Trust(full),
            ..AddTorrent::new(TorrentSource::Metainfo(content.metainfo.clone()))
        };
        let key = self.add(host, add);
        let store = self.hosts[host.0].stores.entry(key).or_default();
        for piece in (0..pieces).map(PieceIndex) {
            // A store without a fault takes everything.
            let _ = store.write(piece, &[content.piece(piece)]);
        }
        store.writes = 0;
        key
    }

    /// Adds a torrent of which the host has nothing.
    pub fn leech(&mut self, host: HostId, content: &Content) -> TorrentKey {
        self.add(host, AddTorrent::new(TorrentSource::Metainfo(content.metainfo.clone())))
    }

    /// Adds a torrent of which the host knows the magnet.
    pub fn magnet(&mut self, host: HostId, content: &Content) -> TorrentKey {
        let magnet = Box::new(Magnet::of(&content.metainfo));
        self.add(host, AddTorrent::new(TorrentSource::Magnet(magnet)))
    }

    /// Adds a torrent that the host bridges.
    pub fn bridge(&mut self, host: HostId, content: &Content) -> TorrentKey {
        let add = AddTorrent {
            mode: Mode::Bridge,
            ..AddTorrent::new(TorrentSource::Metainfo(content.metainfo.clone()))
        };
        self.add(host, add)
    }

    /// Adds a torrent.
    ///
    /// # Panics
    /// If it was added before: a mistake in a test.
    pub fn add(&mut self, host: HostId, add: AddTorrent) -> TorrentKey {
        #[expect(clippy::expect_used)]
        let key = self.hosts[host.0].engine.add(self.now, add).expect("the torrent is new");
        self.hosts[host.0].stores.entry(key).or_default();
        self.drain(host);
        key
    }

    /// Tells a host of another's address.
    pub fn introduce(&mut self, host: HostId, torrent: TorrentKey, other: HostId) {
        let address = self.hosts[other.0].address;
        self.with(host, |now, host| host.engine.add_candidates(now, torrent, Source::User, &[address]));
    }

    /// Opens a data channel between two hosts; `a` made the offer. Each names its own torrent.
    pub fn join(&mut self, a: (HostId, TorrentKey), b: (HostId, TorrentKey)) {
        let channel = |direction, torrent| Link {
            transport: Transport::WebRtc,
            direction,
            torrent: Some(torrent),
            address: None,
            encrypted: true,
        };
        self.connect((a.0, channel(Direction::Offered, a.1)), (b.0, channel(Direction::Accepted, b.1)));
    }

    /// What a host's torrent is doing.
    ///
    /// # Panics
    /// If it does not have it: a mistake in a test.
    #[must_use]
    #[expect(clippy::expect_used)]
    pub fn view(&self, host: HostId, content: &Content) -> TorrentView {
        let host = &self.hosts[host.0];
        let key = host.torrent(content.info_hash()).expect("the host has the torrent");
        host.engine.view(key).expect("the key lives")
    }

    /// The counters of a host's torrent.
    #[must_use]
    pub fn counters(&self, host: HostId, content: &Content) -> Counters {
        self.view(host, content).counters
    }

    /// Whether a host has all of a torrent, and right.
    #[must_use]
    pub fn is_complete(&self, host: HostId, content: &Content) -> bool {
        self.hosts[host.0].is_complete(content)
    }

    /// How often a host announced this event.
    #[must_use]
    pub fn announces(&self, host: HostId, event: AnnounceEvent) -> usize {
        let address = self.hosts[host.0].address;
        self.tracker.log.iter().filter(|entry| **entry == (address, event)).count()
    }

    /// Connections that a host has open.
    #[must_use]
    pub fn connections(&self, host: HostId) -> usize {
        self.hosts[host.0].sockets.len()
    }

    // ---- accidents

    /// Breaks a connection of the host, chosen at random; false if it has none.
    pub fn break_one(&mut self, host: HostId) -> bool {
        let open: Vec<usize> = self.hosts[host.0].sockets.values().copied().collect();
        let Some(socket) = self.rng.choice(&open).copied() else { return false };
        let other = self.sockets[socket].other;
        for end in [socket, other] {
            self.push(self.now, Happening::Closed { socket: end });
        }
        true
    }

    /// Switches a host off, or on again: its connections break, it takes no dials.
    pub fn set_up(&mut self, host: HostId, up: bool) {
        self.hosts[host.0].up = up;
        if !up {
            while self.break_one(host) {
                self.step();
            }
        }
    }

    // ---- running

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Lets time pass until something holds; false if it did not come to hold in time.
    pub fn run_until(&mut self, most: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        // Looking may be costly: not after each event.
        let interval = Duration::from_millis(20);
        let end = self.now + most;
        let mut look_at = self.now;
        loop {
            if self.now >= look_at {
                if holds(self) {
                    return true;
                }
                look_at = self.now + interval;
            }
            if self.queue.peek().is_none_or(|Reverse(next)| next.at > end) {
                self.now = end;
                return holds(self);
            }
            self.step();
        }
    }

    /// Lets the next event happen, and with [`Draining::EachMoment`] all of the same moment.
    fn step(&mut self) {
        let Some(Reverse(entry)) = self.queue.pop() else { return };
        self.now = entry.at;
        self.happen(entry.event);
        if self.draining == Draining::EachMoment {
            while self.queue.peek().is_some_and(|Reverse(next)| next.at == self.now) {
                let Some(Reverse(entry)) = self.queue.pop() else { break };
                self.happen(entry.event);
            }
            for host in 0..self.hosts.len() {
                if std::mem::take(&mut self.hosts[host].dirty) {
                    self.carry_out(HostId(host));
                }
            }
        }
    }

    fn push(&mut self, at: Time, event: Happening) {
        self.sequence += 1;
        self.queue.push(Reverse(Entry { at, sequence: self.sequence, event }));
    }
}
