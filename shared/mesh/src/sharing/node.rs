//! The state machine of one node's peer-sharing: its commands, its outputs and its clock.
//!
//! What messages mean is in [`super::session`], what goes out when in [`super::news`], who is looked for and replaced in
//! [`super::healing`].

use super::agenda::Agenda;
use super::config::{Config, Counters};
use super::contact::{Contact, SharedPeer};
use super::guests::Counts;
use super::handshake::Side;
use super::message::{Hello, Message};
use super::sister::{ConnectionId, Sister};
use super::torrent::Torrent;
use crate::identity::{Identity, Key};
use crate::receipt::Receipt;
use crate::signed::{Signed, UnixTime};
use anatomic_core::{InfoHash, PeerId, Time};
use anatomic_wire::tracker::websocket::Offer;
use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// What the driver is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Open a connection to a sister; answer with [`Sharing::handle_connected`] or [`Sharing::handle_dial_failed`].
    Dial {
        /// Who is expected there.
        sister: Key,
        /// Scheme and host.
        url: String,
    },
    /// Send a message.
    Send {
        /// Over which connection.
        connection: ConnectionId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Close a connection once what was sent has gone; its number is dead.
    Close {
        /// Which one.
        connection: ConnectionId,
        /// For the log.
        reason: &'static str,
    },
    /// A sister says something of a swarm.
    Learned {
        /// Which one.
        info_hash: InfoHash,
        /// Who says it.
        sister: Key,
        /// Peers that came or were heard of again.
        gained: Vec<SharedPeer>,
        /// Peers that went.
        lost: Vec<Contact>,
        /// How many she has, if that changed.
        counts: Option<Counts>,
    },
    /// A sister is lost or took her leave: in these swarms nothing reaches her.
    Lost {
        /// Who.
        sister: Key,
        /// Which swarms.
        swarms: Vec<InfoHash>,
    },
    /// A sister's browser offers; pass it to one of ours.
    Offer {
        /// Which swarm.
        info_hash: InfoHash,
        /// Through whom; the answer goes there.
        sister: Key,
        /// Who offers.
        from: PeerId,
        /// The offer.
        offer: Offer,
    },
    /// A sister's browser answers one of ours.
    Answer {
        /// Which swarm.
        info_hash: InfoHash,
        /// Through whom.
        sister: Key,
        /// Who answers.
        from: PeerId,
        /// Who offered.
        to: PeerId,
        /// The answer.
        answer: Offer,
    },
    /// Ask supernodes who holds this torrent, and [`Sharing::introduce`] what they say.
    Find(InfoHash),
    /// Nodes of this torrent are lost: have others track it, and [`Sharing::plant`] the receipts that name them.
    Replace {
        /// Which torrent.
        info_hash: InfoHash,
        /// Which nodes.
        lost: Vec<Key>,
    },
    /// Others have taken the place of lost nodes: name them in our receipts, and [`Sharing::plant`] those.
    Rename {
        /// Which torrent.
        info_hash: InfoHash,
        /// The nodes that hold it now, this one not included.
        sisters: Vec<Key>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Timer {
    Connection(ConnectionId),
    Sister(Key),
    Torrent(InfoHash),
}

/// What a connection awaits.
#[derive(Debug)]
pub(super) enum Phase {
    /// The other side's hello. Who is expected, where we dialled; what we said, where we spoke first.
    AwaitHello { expected: Option<Key>, said: Option<Hello> },
    /// The other side's proof.
    AwaitProof { ours: Hello, theirs: Hello },
    /// Nothing: the key is proven.
    Active { sister: Key },
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) side: Side,
    pub(super) phase: Phase,
}

/// A sister, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SisterView {
    /// Who.
    pub key: Key,
    /// Where.
    pub url: Option<String>,
    /// Whether there is a proven connection.
    pub connected: bool,
    /// Torrents that both hold.
    pub torrents: usize,
    /// Seconds since something was heard of her.
    pub heard: Option<u64>,
}

/// One node's peer-sharing.
///
/// Call any command or `handle_*`, then [`Self::poll_output`] until `None`, then sleep until [`Self::poll_timeout`] and call
/// [`Self::handle_timeout`]. Time is monotonic; the wall clock is asked once, for leases, and may be wrong by hours.
#[derive(Debug)]
pub struct Sharing {
    pub(super) config: Config,
    pub(super) identity: Identity,
    pub(super) key: Key,
    pub(super) url: String,
    pub(super) rng: Rng,
    pub(super) wall: UnixTime,
    pub(super) begun: Time,
    pub(super) epoch: u64,
    pub(super) seq: u64,
    pub(super) torrents: BTreeMap<InfoHash, Torrent>,
    pub(super) sisters: BTreeMap<Key, Sister>,
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    pub(super) agenda: Agenda<Timer>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) counters: Counters,
}

impl Sharing {
    /// A node that is reached at `url` and holds nothing. `seed` is random and secret: nonces follow from it.
    #[must_use]
    pub fn new(
        config: Config,
        identity: Identity,
        url: String,
        seed: u64,
        now: Time,
        wall: UnixTime,
    ) -> Self {
        let mut rng = Rng::with_seed(seed);
        // Small enough for a signed integer, and never 0, which means none.
        let epoch = rng.u64(1..1 << 62);
        Self {
            config,
            key: identity.key(),
            identity,
            url,
            rng,
            wall,
            begun: now,
            epoch,
            seq: 0,
            torrents: BTreeMap::new(),
            sisters: BTreeMap::new(),
            connections: BTreeMap::new(),
            agenda: Agenda::default(),
            outputs: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// The next thing for the driver to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called, unless there is an input before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.agenda.next()
    }

    /// What happened since the start.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Who is known, in the order of keys.
    #[must_use]
    pub fn sisters(&self, now: Time) -> Vec<SisterView> {
        let view = |(key, sister): (&Key, &Sister)| SisterView {
            key: *key,
            url: sister.url.clone(),
            connected: sister.session.is_some(),
            torrents: sister.shares.keys().filter(|hash| sister.shares(hash)).count(),
            heard: sister.heard.map(|heard| now.since(heard).as_secs()),
        };
        self.sisters.iter().map(view).collect()
    }

    /// The nodes besides this one that hold a torrent, with whether each lives.
    #[must_use]
    pub fn holders(&self, now: Time, info_hash: &InfoHash) -> Vec<(Key, bool)> {
        let Some(torrent) = self.torrents.get(info_hash) else { return Vec::new() };
        let lives = |key: &Key| self.sisters.get(key).is_some_and(|sister| sister.lives(now, &self.config));
        torrent.holders.iter().map(|key| (*key, lives(key))).collect()
    }

    /// Receipts of sisters, as they were shown: kept by a driver, they bring the mesh together again after a restart without any
    /// supernode.
    pub fn shown(&self) -> impl Iterator<Item = &[u8]> {
        let receipts = self.sisters.values().flat_map(|sister| sister.shares.values());
        receipts.filter_map(|share| share.receipt.as_ref().map(|receipt| receipt.bytes.as_slice()))
    }

    /// A receipt of each sister with a proven connection, as she showed it: with one of them another process finds her.
    pub fn introductions(&self) -> impl Iterator<Item = &[u8]> {
        let connected = self.sisters.values().filter(|sister| sister.session.is_some());
        connected.filter_map(|sister| {
            let mut receipts = sister.shares.values().filter_map(|share| share.receipt.as_ref());
            receipts.next().map(|receipt| receipt.bytes.as_slice())
        })
    }

    /// This node holds a torrent, by these receipts of its own, one of each planter; to be called again when they change. Receipts of
    /// other nodes or torrents than the first one's are left out.
    pub fn plant(&mut self, now: Time, receipts: &[Signed<Receipt>]) {
        let own = receipts.iter().filter(|receipt| receipt.node == self.key);
        let Some(info_hash) = own.clone().map(|receipt| receipt.info_hash).next() else { return };
        let own = own.filter(|receipt| receipt.info_hash == info_hash);
        let Some(longest) = own.clone().max_by_key(|receipt| receipt.expires) else { return };
        let longest = longest.as_bytes().to_vec();
        let others = own.flat_map(|receipt| receipt.sisters.iter().copied()).filter(|key| *key != self.key);
        let named: BTreeSet<Key> = others.take(self.config.sisters_per_torrent).collect();
        let torrent =
            self.torrents.entry(info_hash).or_insert_with(|| Torrent::new(now, Vec::new(), BTreeSet::new()));
        let news = torrent.receipt != longest;
        torrent.receipt = longest;
        // Who is named anew has time to appear.
        torrent.sought.extend(named.difference(&torrent.named));
        torrent.sought.retain(|key| named.contains(key));
        torrent.named.clone_from(&named);
        let involved: BTreeSet<Key> = torrent.holders.union(&named).copied().collect();
        for key in involved {
            if let Some(sister) = self.sister(now, key) {
                let share = sister.shares.entry(info_hash).or_default();
                (share.said, share.declined) = (share.said && !news, false);
                self.show(now, key);
            }
        }
        let pause = Duration::from_millis(self.rng.u64(500..1_500));
        self.agenda.set(Timer::Torrent(info_hash), now + pause);
    }

    /// This node holds a torrent no longer.
    pub fn unplant(&mut self, now: Time, info_hash: &InfoHash) {
        if self.torrents.remove(info_hash).is_none() {
            return;
        }
        self.agenda.set(Timer::Torrent(*info_hash), Time::NEVER);
        let involved: Vec<Key> = self
            .sisters
            .iter()
            .filter(|(_, sister)| sister.shares.contains_key(info_hash))
            .map(|(key, _)| *key)
            .collect();
        for key in involved {
            let Some(sister) = self.sisters.get_mut(&key) else { continue };
            let said = sister.shares.remove(info_hash).is_some_and(|share| share.said);
            // A moment for other torrents to come up.
            sister.since = now;
            sister.dirty.remove(info_hash);
            if let Some(connection) = sister.session.filter(|_| said) {
                self.send(now, connection, &Message::Drop(vec![*info_hash]));
            }
            self.outputs.push_back(Output::Lost { sister: key, swarms: vec![*info_hash] });
            self.set_timer(key);
        }
    }

    /// How a swarm of this node looks now: its own peers (at most [`super::guests::MAX_PER_SISTER`], the same ones as long as
    /// they stay) and all counted. To be called when something happened, and from time to time for the peers' ages.
    pub fn observe(&mut self, now: Time, info_hash: &InfoHash, peers: &[SharedPeer], counts: Counts) {
        let Some(torrent) = self.torrents.get_mut(info_hash) else { return };
        let observed = torrent.observe(now, &mut self.seq, self.config.refresh, peers, counts);
        if !observed.news && !observed.waits {
            return;
        }
        let (holders, waits) = (torrent.holders.clone(), torrent.waits);
        for key in holders {
            let eager = self
                .sisters
                .get(&key)
                .and_then(|sister| sister.shares.get(info_hash))
                .is_some_and(|share| share.waits && observed.gain);
            self.soil(now, key, *info_hash, eager || (observed.waits && waits));
        }
    }

    /// Passes on what one of our browsers sends to a browser at a sister: an offer, or with `to` an answer.
    pub fn forward(
        &mut self,
        now: Time,
        key: Key,
        info_hash: InfoHash,
        from: PeerId,
        to: Option<PeerId>,
        offer: Offer,
    ) {
        let Some(sister) = self.sisters.get_mut(&key).filter(|sister| sister.shares(&info_hash)) else {
            return;
        };
        let Some(connection) = sister.session else { return };
        if to.is_none() && !sister.quotas.offers_out.take(now, 1.0) {
            self.counters.offers_dropped += 1;
            return;
        }
        let message = match to {
            None => Message::Offer { info_hash, from, offer },
            Some(to) => Message::Answer { info_hash, from, to, answer: offer },
        };
        self.send(now, connection, &message);
    }

    /// Takes leave of all sisters; the process ends.
    pub fn leave(&mut self, now: Time) {
        let open: Vec<ConnectionId> = self.sisters.values().filter_map(|sister| sister.session).collect();
        for connection in open {
            self.send(now, connection, &Message::Bye("the node is shut down".into()));
            self.close(now, connection, "taking leave");
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some(timer) = self.agenda.pop(now) {
            match timer {
                Timer::Connection(connection) => self.close(now, connection, "no proof in time"),
                Timer::Sister(key) => self.attend(now, key),
                Timer::Torrent(info_hash) => self.check(now, info_hash),
            }
        }
    }

    /// The sister of that key, made known if there is room.
    pub(super) fn sister(&mut self, now: Time, key: Key) -> Option<&mut Sister> {
        if key == self.key || (!self.sisters.contains_key(&key) && self.sisters.len() >= self.config.sisters)
        {
            return None;
        }
        Some(self.sisters.entry(key).or_insert_with(|| Sister::new(now, &self.config)))
    }

    pub(super) fn send(&mut self, now: Time, connection: ConnectionId, message: &Message) {
        let bytes = message.encode();
        self.counters.sent += 1;
        self.counters.sent_bytes += bytes.len() as u64;
        if let Some(Phase::Active { sister }) = self.connections.get(&connection).map(|open| &open.phase) {
            let key = *sister;
            if let Some(sister) = self.sisters.get_mut(&key) {
                sister.sent = now;
            }
            self.set_timer(key);
        }
        self.outputs.push_back(Output::Send { connection, bytes });
    }

    /// Now by a wall clock that may be wrong.
    pub(super) fn wall(&self, now: Time) -> u64 {
        self.wall.plus(now.since(self.begun).as_secs()).0
    }

    /// A pause of about that long: half of it at least, one and a half at most.
    pub(super) fn about(&mut self, pause: Duration) -> Duration {
        pause.mul_f64(0.5 + self.rng.f64())
    }

    pub(super) fn set_timer(&mut self, key: Key) {
        let at = self.sisters.get(&key).map_or(Time::NEVER, |sister| sister.next(&self.config));
        self.agenda.set(Timer::Sister(key), at);
    }
}
