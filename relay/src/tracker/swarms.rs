//! Who is in which swarm: classic peers by address, browsers by socket.
//!
//! In memory only; the doors ([`super::http`], [`super::socket`]) speak, this remembers. Bounded: beyond the ceiling newcomers
//! are refused. Keys are what a stranger cannot choose: the address a request came from, the socket it came over.

use super::sharing::Abroad;
use super::snapshot::KeptPeer;
use super::swarm::{Browser, Classic, Swarm, Target};
use anatomic_core::{InfoHash, PeerId};
use anatomic_wire::tracker::Event;
use anatomic_wire::tracker::announce::AnnounceRequest;
use anatomic_wire::tracker::scrape::SwarmCounts;
use anatomic_wire::tracker::websocket::{Offer, ServerMessage, WsAnnounce};
use fastrand::Rng;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc};

/// How many parts the store has, each under its own lock.
const SHARDS: usize = 16;

/// One WebSocket, numbered since the start of the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SocketId(pub u64);

/// A browser's socket, as the store needs it.
#[derive(Clone, Debug)]
pub struct Socket {
    /// Its number.
    pub id: SocketId,
    /// Where it comes from.
    pub ip: IpAddr,
    /// Its outgoing queue: bounded, and what does not fit is dropped.
    pub outbox: mpsc::Sender<ServerMessage>,
}

/// Lifetimes and ceilings.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A classic peer not heard of for this long is forgotten.
    pub classic_lifetime: Duration,
    /// A browser that announced nothing for this long is forgotten, whatever its socket does.
    pub browser_lifetime: Duration,
    /// An offer not answered for this long is forgotten.
    pub offer_lifetime: Duration,
    /// A socket that another with the same peer id, from another address, may replace: silent for this long.
    pub silent: Duration,
    /// Peers in all swarms together.
    pub peers: usize,
    /// Peers of one address in one swarm (loopback is exempt).
    pub peers_per_ip: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A peer told to come back after 30 minutes may be a quarter late.
            classic_lifetime: Duration::from_secs(40 * 60),
            browser_lifetime: Duration::from_secs(20 * 60),
            offer_lifetime: Duration::from_secs(120),
            silent: Duration::from_secs(60),
            peers: 500_000,
            peers_per_ip: 100,
        }
    }
}

/// Something that others in this process may want to know about a swarm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SwarmChange {
    /// Which swarm.
    pub info_hash: InfoHash,
    /// What happened.
    pub kind: Change,
}

/// What happened in a swarm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// A classic peer came.
    ClassicCame(SocketAddr),
    /// A classic peer said goodbye or was not heard of any more.
    ClassicWent(SocketAddr),
    /// A browser came.
    BrowserCame,
    /// A browser went.
    BrowserWent,
    /// A sister node spoke of a classic peer that we did not know, no bridge of a node.
    GuestCame(SocketAddr),
}

/// The store holds as many peers as it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Full {
    /// In all swarms together.
    #[error("this tracker is full, try another")]
    Store,
    /// From one address in one swarm.
    #[error("too many peers of your address in this swarm")]
    Address,
}

pub(super) struct Shard {
    pub(super) swarms: HashMap<InfoHash, Swarm>,
    pub(super) rng: Rng,
    /// Swarms in which something happened since sisters were told; nothing is noted where there are none.
    pub(super) touched: Option<HashSet<InfoHash>>,
}

impl Shard {
    pub(super) fn touch(&mut self, info_hash: &InfoHash) {
        if let Some(touched) = &mut self.touched {
            touched.insert(*info_hash);
        }
    }
}

/// All swarms.
pub struct Swarms {
    pub(super) limits: Limits,
    pub(super) shards: Vec<Mutex<Shard>>,
    peers: AtomicUsize,
    pub(super) changes: broadcast::Sender<SwarmChange>,
    /// Takes what goes to browsers of sister nodes.
    pub(super) abroad: OnceLock<mpsc::Sender<Abroad>>,
    /// Where the clock of the guests begins.
    pub(super) begun: Instant,
}

impl Swarms {
    /// An empty store whose draws follow from `seed`.
    #[must_use]
    pub fn new(limits: Limits, seed: u64) -> Self {
        let shard = |number: usize| {
            let rng = Rng::with_seed(seed ^ (number as u64 + 1));
            Mutex::new(Shard { swarms: HashMap::new(), rng, touched: None })
        };
        Self {
            limits,
            shards: (0..SHARDS).map(shard).collect(),
            peers: AtomicUsize::new(0),
            changes: broadcast::channel(1_024).0,
            abroad: OnceLock::new(),
            begun: Instant::now(),
        }
    }

    /// Tells of every change from now on; a slow listener loses the oldest.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<SwarmChange> {
        self.changes.subscribe()
    }

    /// Up to `count` addresses of classic peers, those that sisters know included, drawn at random.
    #[must_use]
    pub fn classic_peers(&self, info_hash: &InfoHash, count: usize) -> Vec<SocketAddr> {
        let mut shard = self.shard(info_hash);
        let Shard { swarms, rng, .. } = &mut *shard;
        swarms.get(info_hash).map_or_else(Vec::new, |swarm| swarm.draw_classic(rng, count, None))
    }

    /// Seeds, completed downloads and leeches of a swarm, both kinds together, those that sisters know included.
    #[must_use]
    pub fn counts(&self, info_hash: &InfoHash) -> SwarmCounts {
        self.shard(info_hash).swarms.get(info_hash).map_or_else(SwarmCounts::default, Swarm::counts)
    }

    /// How many classic peers and how many browsers of our own a swarm has.
    #[must_use]
    pub fn sizes(&self, info_hash: &InfoHash) -> (usize, usize) {
        self.shard(info_hash)
            .swarms
            .get(info_hash)
            .map_or((0, 0), |swarm| (swarm.classic.len(), swarm.browsers.len()))
    }

    /// How many swarms and how many peers there are.
    #[must_use]
    pub fn totals(&self) -> (usize, usize) {
        let swarms = self.shards.iter().map(|shard| lock(shard).swarms.len()).sum();
        (swarms, self.peers.load(Ordering::Relaxed))
    }

    /// All classic peers, by swarm.
    #[must_use]
    pub fn classic_by_swarm(&self, now: Instant) -> Vec<(InfoHash, Vec<KeptPeer>)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            for (info_hash, swarm) in &lock(shard).swarms {
                let kept = |(address, peer): &(SocketAddr, Classic)| KeptPeer {
                    address: *address,
                    seed: peer.seed,
                    age: now.saturating_duration_since(peer.seen).as_secs(),
                };
                let peers: Vec<_> = swarm.classic.iter().map(kept).collect();
                if !peers.is_empty() {
                    all.push((*info_hash, peers));
                }
            }
        }
        all
    }

    /// Puts a classic peer back that was known before a restart, if it is not too old and there is room.
    pub fn restore(&self, now: Instant, info_hash: InfoHash, peer: KeptPeer) {
        let age = Duration::from_secs(peer.age);
        let Some(seen) = now.checked_sub(age).filter(|_| age <= self.limits.classic_lifetime) else { return };
        let mut shard = self.shard(&info_hash);
        if self.room().is_err() {
            return;
        }
        let swarm = shard.swarms.entry(info_hash).or_default();
        if swarm.classic.get(&peer.address).is_none() {
            swarm.classic.insert(peer.address, Classic { seed: peer.seed, seen });
            swarm.recount(false, peer.seed);
            shard.touch(&info_hash);
            self.note(&info_hash, 1, Change::ClassicCame(peer.address));
        }
    }

    /// Takes note of a classic peer at `ip` and draws up to `want` others of its swarm.
    ///
    /// # Errors
    /// [`Full`] if it is a newcomer and there is no room.
    pub fn announce_classic(
        &self,
        now: Instant,
        ip: IpAddr,
        request: &AnnounceRequest,
        want: usize,
    ) -> Result<(SwarmCounts, Vec<SocketAddr>), Full> {
        let info_hash = request.info_hash;
        let address = SocketAddr::new(ip.to_canonical(), request.port);
        let mut shard = self.shard(&info_hash);
        shard.touch(&info_hash);
        let Shard { swarms, rng, .. } = &mut *shard;
        if request.event == Some(Event::Stopped) {
            // One that we never knew is not inserted to be removed.
            if let Some(swarm) = swarms.get_mut(&info_hash)
                && swarm.remove_classic(&address)
            {
                self.note(&info_hash, -1, Change::ClassicWent(address));
            }
            return Ok((swarms.get(&info_hash).map_or_else(SwarmCounts::default, Swarm::counts), Vec::new()));
        }
        let swarm = swarms.entry(info_hash).or_default();
        let seed = request.left == Some(0);
        if let Some(peer) = swarm.classic.get_mut(&address) {
            peer.seen = now;
            let was = std::mem::replace(&mut peer.seed, seed);
            swarm.recount(was, seed);
            if request.event == Some(Event::Completed) && !was {
                swarm.downloaded = swarm.downloaded.saturating_add(1);
            }
        } else if request.port != 0 {
            // One that cannot be dialled gets addresses but is not listed.
            self.room()?;
            if !ip.is_loopback()
                && swarm.classic.len() >= self.limits.peers_per_ip
                && swarm.classic.iter().filter(|(other, _)| other.ip() == address.ip()).count()
                    >= self.limits.peers_per_ip
            {
                return Err(Full::Address);
            }
            swarm.classic.insert(address, Classic { seed, seen: now });
            swarm.recount(false, seed);
            self.note(&info_hash, 1, Change::ClassicCame(address));
        }
        let peers = swarm.draw_classic(rng, want, Some(&address));
        let counts = swarm.counts();
        if swarm.is_empty() {
            swarms.remove(&info_hash);
        }
        Ok((counts, peers))
    }

    /// Takes note of a browser and passes each of its `offers` to another one, drawn at random.
    ///
    /// A peer id that another socket has is taken over if that socket comes from the same address or has long been
    /// silent: a tab that lost its socket comes back before the old one is known to be dead.
    ///
    /// # Errors
    /// [`Full`] if it is a newcomer and there is no room.
    pub fn announce_browser(
        &self,
        now: Instant,
        socket: &Socket,
        announce: &WsAnnounce,
        offers: Vec<Offer>,
    ) -> Result<SwarmCounts, Full> {
        let info_hash = announce.info_hash;
        let mut shard = self.shard(&info_hash);
        shard.touch(&info_hash);
        let Shard { swarms, rng, .. } = &mut *shard;
        if announce.event == Some(Event::Stopped) {
            if let Some(swarm) = swarms.get_mut(&info_hash)
                && swarm.remove_browser(&socket.id)
            {
                self.note(&info_hash, -1, Change::BrowserWent);
            }
            return Ok(swarms.get(&info_hash).map_or_else(SwarmCounts::default, Swarm::counts));
        }
        let swarm = swarms.entry(info_hash).or_default();
        let seed = announce.left == Some(0);
        if let Some(other) = swarm.by_peer_id.get(&announce.peer_id).copied()
            && other != socket.id
            && let Some(old) = swarm.browsers.get(&other)
        {
            let silent = now.saturating_duration_since(old.seen) > self.limits.silent;
            if old.socket.ip != socket.ip && !silent && !old.socket.outbox.is_closed() {
                return Err(Full::Address);
            }
            swarm.remove_browser(&other);
            self.note(&info_hash, -1, Change::BrowserWent);
        }
        if let Some(browser) = swarm.browsers.get_mut(&socket.id) {
            browser.seen = now;
            let was = std::mem::replace(&mut browser.seed, seed);
            let old_id = std::mem::replace(&mut browser.peer_id, announce.peer_id);
            if old_id != announce.peer_id {
                swarm.by_peer_id.remove(&old_id);
                swarm.by_peer_id.insert(announce.peer_id, socket.id);
            }
            swarm.recount(was, seed);
            if announce.event == Some(Event::Completed) && !was {
                swarm.downloaded = swarm.downloaded.saturating_add(1);
            }
        } else {
            self.room()?;
            let browser = Browser {
                socket: socket.clone(),
                peer_id: announce.peer_id,
                seed,
                seen: now,
                offers: HashMap::new(),
            };
            swarm.browsers.insert(socket.id, browser);
            swarm.by_peer_id.insert(announce.peer_id, socket.id);
            swarm.recount(false, seed);
            self.note(&info_hash, 1, Change::BrowserCame);
        }
        let abroad = swarm.pass_offers(now, rng, socket.id, info_hash, offers, self.limits.offer_lifetime);
        self.send_abroad(info_hash, announce.peer_id, abroad);
        Ok(swarm.counts())
    }

    /// Passes an answer to whoever made the offer, if that offer was passed to this socket and is still open.
    /// Returns whether it was.
    pub fn answer(
        &self,
        now: Instant,
        from: SocketId,
        info_hash: InfoHash,
        to: &PeerId,
        answer: Offer,
    ) -> bool {
        let mut shard = self.shard(&info_hash);
        let Some(swarm) = shard.swarms.get_mut(&info_hash) else { return false };
        let Some(answerer) = swarm.browsers.get_mut(&from) else { return false };
        answerer.seen = now;
        let peer_id = answerer.peer_id;
        if let Some(sister) =
            swarm.visiting.as_mut().and_then(|visiting| visiting.answered(from, to, &answer))
        {
            return self.answer_abroad(sister, info_hash, *to, peer_id, answer);
        }
        let Some(offerer) = swarm.by_peer_id.get(to).and_then(|id| swarm.browsers.get_mut(id)) else {
            return false;
        };
        if offerer.offers.get(&answer.id).is_none_or(|(asked, _)| *asked != Target::Socket(from)) {
            return false;
        }
        offerer.offers.remove(&answer.id);
        offerer.socket.outbox.try_send(ServerMessage::Answer { info_hash, peer_id, answer }).is_ok()
    }

    /// Forgets a closed socket in a swarm, if it is still the one that is known there.
    pub fn disconnect(&self, socket: SocketId, info_hash: &InfoHash) {
        let mut shard = self.shard(info_hash);
        if let Some(swarm) = shard.swarms.get_mut(info_hash)
            && swarm.remove_browser(&socket)
        {
            if swarm.is_empty() {
                shard.swarms.remove(info_hash);
            }
            shard.touch(info_hash);
            self.note(info_hash, -1, Change::BrowserWent);
        }
    }

    /// Forgets peers that have not been heard of for their lifetime, and swarms without peers.
    pub fn expire(&self, now: Instant) {
        let old = |seen: Instant, lifetime| now.saturating_duration_since(seen) > lifetime;
        for shard in &self.shards {
            let Shard { swarms, touched, .. } = &mut *lock(shard);
            swarms.retain(|info_hash, swarm| {
                let before = (swarm.classic.len(), swarm.browsers.len());
                let gone: Vec<_> = swarm
                    .classic
                    .iter()
                    .filter(|(_, peer)| old(peer.seen, self.limits.classic_lifetime))
                    .map(|(address, _)| *address)
                    .collect();
                for address in gone {
                    swarm.remove_classic(&address);
                    self.note(info_hash, -1, Change::ClassicWent(address));
                }
                let gone: Vec<_> = swarm
                    .browsers
                    .iter()
                    .filter(|(_, peer)| {
                        old(peer.seen, self.limits.browser_lifetime) || peer.socket.outbox.is_closed()
                    })
                    .map(|(socket, _)| *socket)
                    .collect();
                for socket in gone {
                    swarm.remove_browser(&socket);
                    self.note(info_hash, -1, Change::BrowserWent);
                }
                swarm.expire_visiting(self.time(now), |at| old(at, self.limits.offer_lifetime));
                if (swarm.classic.len(), swarm.browsers.len()) != before
                    && let Some(touched) = touched
                {
                    touched.insert(*info_hash);
                }
                !swarm.is_empty()
            });
        }
    }

    fn room(&self) -> Result<(), Full> {
        if self.peers.load(Ordering::Relaxed) >= self.limits.peers { Err(Full::Store) } else { Ok(()) }
    }

    fn note(&self, info_hash: &InfoHash, peers: isize, kind: Change) {
        if peers > 0 {
            self.peers.fetch_add(1, Ordering::Relaxed);
        } else {
            self.peers.fetch_sub(1, Ordering::Relaxed);
        }
        // Nobody listening is no error.
        let _ = self.changes.send(SwarmChange { info_hash: *info_hash, kind });
    }

    pub(super) fn shard(&self, info_hash: &InfoHash) -> MutexGuard<'_, Shard> {
        // The last byte: the first few are what people mine for vanity. `SHARDS` locks exist, so one is always found.
        let [.., last] = info_hash.as_bytes();
        let number = usize::from(*last) % self.shards.len().max(1);
        #[expect(clippy::indexing_slicing, reason = "a remainder is below the length, which is never zero")]
        lock(&self.shards[number])
    }
}

/// A lock is held only for bookkeeping that cannot fail half-way, so a poisoned one is still good.
pub(super) fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "swarms_tests.rs"]
mod tests;
