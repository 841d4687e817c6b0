//! Who is in which swarm: classic peers by address, browsers by socket.
//!
//! In memory only; the doors ([`super::http`], [`super::socket`]) speak, this remembers. Bounded: beyond the ceiling newcomers
//! are refused. Keys are what a stranger cannot choose: the address a request came from, the socket it came over.

pub use super::drawn::{Drawn, Wish};
use super::fleet::ToMate;
pub use super::limits::{Full, Limits};
use super::peers::Scope;
use super::sharing::Abroad;
use super::swarm::Swarm;
use anatomic_core::InfoHash;
use anatomic_mesh::Key;
use anatomic_mesh::fleet::ProcessId;
use anatomic_mesh::sharing::Contact;
use anatomic_wire::tracker::scrape::SwarmCounts;
use anatomic_wire::tracker::websocket::ServerMessage;
use fastrand::Rng;
use hashbrown::hash_map::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Instant;
use tokio::sync::{broadcast, mpsc};

/// How many parts the store has, each under its own lock.
const SHARDS: usize = 64;
/// Counters of peers by host in each part.
pub(super) const TALLIES: usize = 4_096;
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
    /// Peers of which the other processes of our fleet have not been told how they are now.
    pub(super) changed: Option<HashMap<InfoHash, HashSet<Contact>>>,
    /// What sisters say that the other processes of our fleet have not been told.
    pub(super) visited: HashSet<(InfoHash, Key)>,
    /// How many classic peers there are about whose swarm and host the hash falls on this counter: never too few, so that
    /// a low one spares looking at each peer.
    pub(super) tallies: Vec<u32>,
}

impl Shard {
    pub(super) fn touch(&mut self, info_hash: &InfoHash) {
        if let Some(touched) = &mut self.touched {
            touched.insert(*info_hash);
        }
    }

    /// A peer came, went, or was heard of again.
    pub(super) fn changed(&mut self, info_hash: &InfoHash, contact: Contact) {
        if let Some(changed) = &mut self.changed {
            changed.entry(*info_hash).or_default().insert(contact);
        }
    }

    /// A sister said something.
    pub(super) fn visited(&mut self, info_hash: &InfoHash, sister: Key) {
        if self.changed.is_some() {
            self.visited.insert((*info_hash, sister));
        }
    }
}

/// All swarms.
pub struct Swarms {
    pub(super) limits: Limits,
    pub(super) shards: Vec<Mutex<Shard>>,
    pub(super) hasher: DefaultHashBuilder,
    pub(super) peers: AtomicUsize,
    pub(super) swarms: AtomicUsize,
    pub(super) changes: broadcast::Sender<SwarmChange>,
    /// Takes what goes to browsers of sister nodes.
    pub(super) abroad: OnceLock<mpsc::Sender<Abroad>>,
    /// Our name in the fleet, and who takes what goes to browsers of its other processes.
    pub(super) fleet: OnceLock<(ProcessId, mpsc::Sender<ToMate>)>,
    /// The process that speaks to sisters, if it is another one.
    pub(super) speaker: RwLock<Option<ProcessId>>,
    /// How many peers are at other processes.
    pub(super) at_mates: AtomicUsize,
    /// Where the clock of the guests begins.
    pub(super) begun: Instant,
    /// Offers of browsers that found somebody, and those that did not.
    pub(super) offers: [AtomicU64; 2],
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
                changed: None,
                visited: HashSet::new(),
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
            fleet: OnceLock::new(),
            speaker: RwLock::new(None),
            at_mates: AtomicUsize::new(0),
            begun: Instant::now(),
            offers: Default::default(),
        }
    }

    /// How many offers of browsers were passed to others since the start, and how many were not: there was nobody, or the
    /// browser had too many that nobody has answered.
    #[must_use]
    pub fn offers(&self) -> (u64, u64) {
        let [passed, dropped] = &self.offers;
        (passed.load(Ordering::Relaxed), dropped.load(Ordering::Relaxed))
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

    /// Whether a classic peer is known in a swarm.
    #[must_use]
    pub fn knows_classic(&self, info_hash: &InfoHash, address: SocketAddr) -> bool {
        let shard = self.shard(info_hash);
        shard.swarms.get(info_hash).is_some_and(|swarm| swarm.knows_classic(&self.hasher, address))
    }

    /// Its ceilings and lifetimes.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many swarms and how many peers there are.
    #[must_use]
    pub fn totals(&self) -> (usize, usize) {
        (self.swarms.load(Ordering::Relaxed), self.peers.load(Ordering::Relaxed))
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

    /// Seconds since shortly before the store began.
    pub(super) fn second(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.begun).as_secs())
            .unwrap_or(u32::MAX)
            .saturating_add(BEFORE)
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
        let Shard { swarms, tallies, touched, changed, .. } = &mut *shard;
        let browsers_oldest = self.second(now).saturating_sub(self.browser_lifetime_seconds());
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
                if let (Some(changed), Some(peer_id)) = (changed.as_mut(), swarm.browser_at(&socket)) {
                    changed.entry(*info_hash).or_default().insert(Contact::Browser(peer_id));
                }
                swarm.remove_browser(&socket);
                self.note(info_hash, -1, Change::BrowserWent);
            }
            self.expire_mates(swarm, (oldest, browsers_oldest), |at| {
                now.saturating_duration_since(at) > offer_lifetime
            });
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

    pub(super) fn note(&self, info_hash: &InfoHash, peers: isize, kind: Change) {
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
