//! Who is in which swarm: classic peers by address, browsers by socket.
//!
//! In memory only; the doors ([`super::http`], [`super::socket`]) speak, this remembers. Bounded: beyond the ceiling newcomers
//! are refused. Keys are what a stranger cannot choose: the address a request came from, the socket it came over.

pub use super::drawn::{Drawn, Wish};
pub use super::limits::{Full, Limits};
use super::peers::{Scope, State};

use super::sharing::Abroad;
use super::snapshot::KeptPeer;
use super::swarm::{Browser, Post, Swarm, Target, canonical};
use anatomic_core::{InfoHash, PeerId};
use anatomic_wire::tracker::Event;
use anatomic_wire::tracker::announce::AnnounceRequest;
use anatomic_wire::tracker::scrape::SwarmCounts;
use anatomic_wire::tracker::websocket::{Offer, ServerMessage, WsAnnounce};
use fastrand::Rng;
use hashbrown::hash_map::Entry;
use hashbrown::{DefaultHashBuilder, HashMap};
use std::collections::HashSet;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc};

/// How many parts the store has, each under its own lock.
const SHARDS: usize = 64;
/// Counters of peers by host in each part.
const TALLIES: usize = 4_096;
/// Where the store's clock begins, so that peers older than the store can be put back: a day.
const BEFORE: u32 = 86_400;

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
    pub outbox: mpsc::Sender<Box<ServerMessage>>,
}

impl Socket {
    /// Puts a message into the queue if there is room; whether there was.
    pub fn pass(&self, message: ServerMessage) -> bool {
        // Looked at first: most of what is dropped is dropped here, and costs no memory.
        self.outbox.capacity() > 0 && self.outbox.try_send(Box::new(message)).is_ok()
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

pub(super) struct Shard {
    pub(super) swarms: HashMap<InfoHash, Swarm>,
    pub(super) rng: Rng,
    /// Swarms in which something happened since sisters were told; nothing is noted where there are none.
    pub(super) touched: Option<HashSet<InfoHash>>,
    /// How many classic peers there are about whose swarm and host the hash falls on this counter: never too few, so that
    /// a low one spares looking at each peer.
    tallies: Vec<u32>,
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
    pub(super) hasher: DefaultHashBuilder,
    peers: AtomicUsize,
    swarms: AtomicUsize,
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
        let hasher = DefaultHashBuilder::default();
        let shard = |number: usize| {
            Mutex::new(Shard {
                swarms: HashMap::with_hasher(hasher.clone()),
                rng: Rng::with_seed(seed ^ (number as u64 + 1)),
                touched: None,
                tallies: vec![0; TALLIES],
            })
        };
        Self {
            limits,
            shards: (0..SHARDS).map(shard).collect(),
            hasher,
            peers: AtomicUsize::new(0),
            swarms: AtomicUsize::new(0),
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
        let Some(swarm) = swarms.get(info_hash) else { return Vec::new() };
        let mut drawn = Drawn::default();
        swarm.draw_classic(rng, &self.hasher, Wish::both(count, Scope::All), None, &mut drawn);
        let mut peers: Vec<_> = drawn.addresses().collect();
        rng.shuffle(&mut peers);
        peers.truncate(count);
        peers
    }

    /// Seeds, completed downloads and leeches of a swarm, both kinds together, those that sisters know included.
    #[must_use]
    pub fn counts(&self, info_hash: &InfoHash) -> SwarmCounts {
        let shard = self.shard(info_hash);
        shard.swarms.get(info_hash).map_or_else(SwarmCounts::default, |swarm| swarm.counts(&self.hasher))
    }

    /// How many classic peers and how many browsers of our own a swarm has.
    #[must_use]
    pub fn sizes(&self, info_hash: &InfoHash) -> (usize, usize) {
        self.shard(info_hash)
            .swarms
            .get(info_hash)
            .map_or((0, 0), |swarm| (swarm.classic_len(), swarm.browsers_len()))
    }

    /// How many swarms and how many peers there are.
    #[must_use]
    pub fn totals(&self) -> (usize, usize) {
        (self.swarms.load(Ordering::Relaxed), self.peers.load(Ordering::Relaxed))
    }

    /// All classic peers, by swarm.
    #[must_use]
    pub fn classic_by_swarm(&self, now: Instant) -> Vec<(InfoHash, Vec<KeptPeer>)> {
        let mut all = Vec::new();
        let now = self.second(now);
        for shard in &self.shards {
            for (info_hash, swarm) in &lock(shard).swarms {
                let kept = |(address, state): (SocketAddr, State)| KeptPeer {
                    address,
                    seed: state.seed(),
                    age: now.saturating_sub(state.second()).into(),
                };
                let peers: Vec<_> = swarm.classic().map(kept).collect();
                if !peers.is_empty() {
                    all.push((*info_hash, peers));
                }
            }
        }
        all
    }

    /// Puts a classic peer back that was known before a restart, if it is not too old and there is room.
    pub fn restore(&self, now: Instant, info_hash: InfoHash, peer: KeptPeer) {
        if Duration::from_secs(peer.age) > self.limits.classic_lifetime {
            return;
        }
        let age = u32::try_from(peer.age).unwrap_or(u32::MAX);
        let state = State::new(self.second(now).saturating_sub(age), peer.seed);
        let (packed, address) = canonical(peer.address);
        let mut shard = self.shard(&info_hash);
        if let Some(swarm) = shard.swarms.get_mut(&info_hash)
            && let Some(was) = swarm.update_classic(&self.hasher, &packed, state)
        {
            // It was quicker than the snapshot.
            if was.second() > state.second() {
                swarm.update_classic(&self.hasher, &packed, was);
            }
            return;
        }
        let Ok(swarm) = self.swarm(&mut shard.swarms, info_hash) else { return };
        swarm.add_classic(&self.hasher, packed, state);
        self.tally(&mut shard, &info_hash, address.ip(), 1);
        shard.touch(&info_hash);
        self.note(&info_hash, 1, Change::ClassicCame(address));
    }

    /// Takes note of a classic peer at `ip` and draws others of its swarm into `drawn`, which is emptied first.
    ///
    /// # Errors
    /// [`Full`] if it is a newcomer and there is no room.
    pub fn announce_classic(
        &self,
        now: Instant,
        ip: IpAddr,
        request: &AnnounceRequest,
        wish: Wish,
        drawn: &mut Drawn,
    ) -> Result<SwarmCounts, Full> {
        drawn.clear();
        let info_hash = request.info_hash;
        let (packed, address) = canonical(SocketAddr::new(ip, request.port));
        let mut shard = self.shard(&info_hash);
        shard.touch(&info_hash);
        if request.event == Some(Event::Stopped) {
            // One that we never knew is not inserted to be removed.
            let Some(swarm) = shard.swarms.get_mut(&info_hash) else { return Ok(SwarmCounts::default()) };
            let removed = swarm.remove_classic(&self.hasher, &packed);
            let counts = swarm.counts(&self.hasher);
            if removed {
                self.tally(&mut shard, &info_hash, address.ip(), -1);
                self.note(&info_hash, -1, Change::ClassicWent(address));
            }
            return Ok(counts);
        }
        let state = State::new(self.second(now), request.left == Some(0));
        let mut known = shard.swarms.get_mut(&info_hash);
        if let Some(was) = known.as_mut().and_then(|swarm| swarm.update_classic(&self.hasher, &packed, state))
        {
            if request.event == Some(Event::Completed)
                && !was.seed()
                && let Some(swarm) = known
            {
                swarm.completed();
            }
        } else if request.port != 0 {
            // One that cannot be dialled gets addresses but is not listed.
            self.admit_classic(&shard, &info_hash, address.ip())?;
            self.swarm(&mut shard.swarms, info_hash)?.add_classic(&self.hasher, packed, state);
            self.tally(&mut shard, &info_hash, address.ip(), 1);
            self.note(&info_hash, 1, Change::ClassicCame(address));
        }
        let Shard { swarms, rng, .. } = &mut *shard;
        let Some(swarm) = swarms.get(&info_hash) else { return Ok(SwarmCounts::default()) };
        swarm.draw_classic(rng, &self.hasher, wish, Some(&packed), drawn);
        Ok(swarm.counts(&self.hasher))
    }

    /// Whether one more classic peer of a host may enter a swarm.
    fn admit_classic(&self, shard: &Shard, info_hash: &InfoHash, ip: IpAddr) -> Result<(), Full> {
        let most = self.limits.peers_per_ip;
        let tally = shard.tallies.get(self.tally_at(info_hash, ip)).copied().unwrap_or(u32::MAX);
        if ip.is_loopback() || (tally as usize) < most {
            return Ok(());
        }
        // Others may have counted on the same counter: now it is worth looking.
        let here = shard.swarms.get(info_hash).map_or(0, |swarm| swarm.classic_at(ip));
        if here >= most { Err(Full::Address) } else { Ok(()) }
    }

    /// The swarm, made if there is room for one more peer and, if it is new, one more swarm.
    pub(super) fn swarm<'a>(
        &self,
        swarms: &'a mut HashMap<InfoHash, Swarm>,
        info_hash: InfoHash,
    ) -> Result<&'a mut Swarm, Full> {
        if self.peers.load(Ordering::Relaxed) >= self.limits.peers {
            return Err(Full::Store);
        }
        match swarms.entry(info_hash) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(_) if self.swarms.load(Ordering::Relaxed) >= self.limits.swarms => Err(Full::Store),
            Entry::Vacant(place) => {
                self.swarms.fetch_add(1, Ordering::Relaxed);
                Ok(place.insert(Swarm::default()))
            }
        }
    }

    fn tally_at(&self, info_hash: &InfoHash, ip: IpAddr) -> usize {
        usize::try_from(self.hasher.hash_one((info_hash, ip))).unwrap_or(0) % TALLIES
    }

    fn tally(&self, shard: &mut Shard, info_hash: &InfoHash, ip: IpAddr, change: i32) {
        if ip.is_loopback() {
            return;
        }
        if let Some(tally) = shard.tallies.get_mut(self.tally_at(info_hash, ip)) {
            *tally = tally.saturating_add_signed(change);
        }
    }

    /// Seconds since shortly before the store began.
    pub(super) fn second(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.begun).as_secs())
            .unwrap_or(u32::MAX)
            .saturating_add(BEFORE)
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
            let Some(swarm) = swarms.get_mut(&info_hash) else { return Ok(SwarmCounts::default()) };
            if swarm.remove_browser(&socket.id) {
                self.note(&info_hash, -1, Change::BrowserWent);
            }
            return Ok(swarm.counts(&self.hasher));
        }
        let seed = announce.left == Some(0);
        self.take_over(now, swarms.get_mut(&info_hash), socket, announce)?;
        let known = swarms.get_mut(&info_hash).filter(|swarm| {
            swarm.browsers.as_ref().is_some_and(|browsers| browsers.roster.get(&socket.id).is_some())
        });
        let swarm = match known {
            Some(swarm) => {
                let was = swarm.browsers.as_mut().and_then(|browsers| {
                    let browser = browsers.roster.get_mut(&socket.id)?;
                    browser.seen = now;
                    let old_id = std::mem::replace(&mut browser.peer_id, announce.peer_id);
                    let was = std::mem::replace(&mut browser.seed, seed);
                    if old_id != announce.peer_id {
                        browsers.by_peer_id.remove(&old_id);
                        browsers.by_peer_id.insert(announce.peer_id, socket.id);
                    }
                    Some(was)
                });
                swarm.recount(was.unwrap_or(false), seed);
                if announce.event == Some(Event::Completed) && was == Some(false) {
                    swarm.completed();
                }
                swarm
            }
            None => {
                let swarm = self.swarm(swarms, info_hash)?;
                let browser = Browser {
                    socket: socket.clone(),
                    peer_id: announce.peer_id,
                    seed,
                    seen: now,
                    offers: std::collections::HashMap::new(),
                };
                let browsers = swarm.browsers.get_or_insert_default();
                browsers.roster.insert(socket.id, browser);
                browsers.by_peer_id.insert(announce.peer_id, socket.id);
                swarm.recount(false, seed);
                self.note(&info_hash, 1, Change::BrowserCame);
                swarm
            }
        };
        let lifetime = self.limits.offer_lifetime;
        let post = Post { from: socket.id, info_hash, offers };
        let abroad = swarm.pass_offers(now, rng, &self.hasher, post, lifetime);
        self.send_abroad(info_hash, announce.peer_id, abroad);
        Ok(swarm.counts(&self.hasher))
    }

    /// Removes another socket with the peer id of this announce, if this one may take its place.
    fn take_over(
        &self,
        now: Instant,
        swarm: Option<&mut Swarm>,
        socket: &Socket,
        announce: &WsAnnounce,
    ) -> Result<(), Full> {
        let Some(swarm) = swarm else { return Ok(()) };
        let Some(browsers) = &swarm.browsers else { return Ok(()) };
        let Some(other) = browsers.by_peer_id.get(&announce.peer_id).copied() else { return Ok(()) };
        let Some(old) = browsers.roster.get(&other).filter(|_| other != socket.id) else { return Ok(()) };
        let silent = now.saturating_duration_since(old.seen) > self.limits.silent;
        if old.socket.ip != socket.ip && !silent && !old.socket.outbox.is_closed() {
            return Err(Full::Address);
        }
        swarm.remove_browser(&other);
        self.note(&announce.info_hash, -1, Change::BrowserWent);
        Ok(())
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
        let Some(Swarm { browsers: Some(browsers), visiting, .. }) = shard.swarms.get_mut(&info_hash) else {
            return false;
        };
        let Some(answerer) = browsers.roster.get_mut(&from) else { return false };
        answerer.seen = now;
        let peer_id = answerer.peer_id;
        if let Some(sister) = visiting.as_mut().and_then(|visiting| visiting.answered(from, to, &answer)) {
            return self.answer_abroad(sister, info_hash, *to, peer_id, answer);
        }
        let Some(offerer) = browsers.by_peer_id.get(to).and_then(|id| browsers.roster.get_mut(id)) else {
            return false;
        };
        if offerer.offers.get(&answer.id).is_none_or(|(asked, _)| *asked != Target::Socket(from)) {
            return false;
        }
        offerer.offers.remove(&answer.id);
        offerer.socket.pass(ServerMessage::Answer { info_hash, peer_id, answer })
    }

    /// Forgets a closed socket in a swarm, if it is still the one that is known there.
    pub fn disconnect(&self, socket: SocketId, info_hash: &InfoHash) {
        let mut shard = self.shard(info_hash);
        if let Some(swarm) = shard.swarms.get_mut(info_hash)
            && swarm.remove_browser(&socket)
        {
            if swarm.is_empty() {
                shard.swarms.remove(info_hash);
                self.swarms.fetch_sub(1, Ordering::Relaxed);
            }
            shard.touch(info_hash);
            self.note(info_hash, -1, Change::BrowserWent);
        }
    }

    /// Forgets peers that have not been heard of for their lifetime, and swarms without peers.
    pub fn expire(&self, now: Instant) {
        (0..SHARDS).for_each(|part| self.expire_part(now, part));
    }

    /// The same in one of the store's [`Self::PARTS`] parts, so that nobody waits long for its lock.
    pub fn expire_part(&self, now: Instant, part: usize) {
        let Some(shard) = self.shards.get(part) else { return };
        let lifetime = u32::try_from(self.limits.classic_lifetime.as_secs()).unwrap_or(u32::MAX);
        let oldest = self.second(now).saturating_sub(lifetime);
        let mut shard = lock(shard);
        let Shard { swarms, tallies, touched, .. } = &mut *shard;
        let before = swarms.len();
        let (guests_time, offer_lifetime) = (self.time(now), self.limits.offer_lifetime);
        swarms.retain(|info_hash, swarm| {
            let (classic, browsers) = (swarm.classic_len(), swarm.browsers_len());
            swarm.sweep_classic(
                &self.hasher,
                |state| state.second() < oldest,
                |address| {
                    if let Some(tally) = tallies.get_mut(self.tally_at(info_hash, address.ip())) {
                        *tally = tally.saturating_sub(u32::from(!address.ip().is_loopback()));
                    }
                    self.note(info_hash, -1, Change::ClassicWent(address));
                },
            );
            let gone: Vec<_> = swarm
                .browsers
                .iter()
                .flat_map(|browsers| browsers.roster.iter())
                .filter(|(_, peer)| {
                    now.saturating_duration_since(peer.seen) > self.limits.browser_lifetime
                        || peer.socket.outbox.is_closed()
                })
                .map(|(socket, _)| *socket)
                .collect();
            for socket in gone {
                swarm.remove_browser(&socket);
                self.note(info_hash, -1, Change::BrowserWent);
            }
            swarm.expire_visiting(guests_time, |at| now.saturating_duration_since(at) > offer_lifetime);
            if (swarm.classic_len(), swarm.browsers_len()) != (classic, browsers)
                && let Some(touched) = touched
            {
                touched.insert(*info_hash);
            }
            !swarm.is_empty()
        });
        self.swarms.fetch_sub(before - swarms.len(), Ordering::Relaxed);
        if swarms.capacity() > 64 && swarms.len() < swarms.capacity() / 4 {
            swarms.shrink_to(swarms.len() * 2);
        }
    }

    /// How many parts the store has.
    pub const PARTS: usize = SHARDS;

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
