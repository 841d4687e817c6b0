//! One torrent that this node holds a receipt for: the peers of its own that it tells of, and who else holds the torrent.
//!
//! Keeps what changed and in which order, so that each sister is told only what is new to her; sends nothing itself.

use super::contact::{Contact, SharedPeer};
use super::guests::{Counts, LIFETIME};
use super::message::SwarmNews;
use crate::identity::Key;
use anatomic_core::{InfoHash, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Losses that are remembered for sisters that are away; those forgotten expire by age at the sister.
const MAX_GONE: usize = 200;

#[derive(Clone, Copy, Debug)]
struct Own {
    seed: bool,
    bridge: bool,
    seen: Time,
    told: Time,
    changed: u64,
}

/// A torrent.
#[derive(Debug)]
pub(super) struct Torrent {
    /// Our receipt, to be shown.
    pub(super) receipt: Vec<u8>,
    /// The other nodes that its planter named.
    pub(super) named: BTreeSet<Key>,
    /// Nodes whose receipt we have seen.
    pub(super) holders: BTreeSet<Key>,
    /// What each of them says of her peers.
    pub(super) theirs: BTreeMap<Key, Counts>,
    /// Number of the last change.
    pub(super) changed: u64,
    /// Whether somebody waits for peers here.
    pub(super) waits: bool,
    /// When it was planted, or this process began.
    pub(super) since: Time,
    /// How often supernodes were asked in vain.
    pub(super) asked: u32,
    /// Since when it is known to lack nodes, if it does.
    pub(super) lacks: Option<Time>,
    /// For whom replacements were sought, and who was named since.
    pub(super) sought: BTreeSet<Key>,
    /// When replacements may be sought for the same again, and how often they were.
    pub(super) replace: (Time, u32),
    own: BTreeMap<Contact, Own>,
    gone: BTreeMap<Contact, u64>,
    counts: Counts,
    counts_changed: u64,
}

/// What a look at the swarm brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Observed {
    /// Something is to be told.
    pub(super) news: bool,
    /// A peer came, or became a seed: what waiting sisters wait for.
    pub(super) gain: bool,
    /// Whether somebody waits has changed.
    pub(super) waits: bool,
}

impl Torrent {
    pub(super) fn new(now: Time, receipt: Vec<u8>, named: BTreeSet<Key>) -> Self {
        Self {
            receipt,
            named,
            holders: BTreeSet::new(),
            theirs: BTreeMap::new(),
            changed: 0,
            waits: false,
            since: now,
            asked: 0,
            lacks: None,
            sought: BTreeSet::new(),
            replace: (now, 0),
            own: BTreeMap::new(),
            gone: BTreeMap::new(),
            counts: Counts::default(),
            counts_changed: 0,
        }
    }

    /// Compares the swarm with what was last known of it.
    pub(super) fn observe(
        &mut self,
        now: Time,
        seq: &mut u64,
        refresh: Duration,
        peers: &[SharedPeer],
        counts: Counts,
    ) -> Observed {
        let mut observed = Observed::default();
        let mut next = || {
            *seq += 1;
            *seq
        };
        let present: BTreeSet<Contact> = peers.iter().map(|peer| peer.contact).collect();
        let gone: Vec<_> = self.own.keys().filter(|contact| !present.contains(contact)).copied().collect();
        for contact in gone {
            self.own.remove(&contact);
            self.gone.insert(contact, next());
            observed.news = true;
        }
        while self.gone.len() > MAX_GONE {
            let oldest = self.gone.iter().min_by_key(|(_, seq)| **seq).map(|(contact, _)| *contact);
            oldest.map(|contact| self.gone.remove(&contact));
        }
        for peer in peers {
            let seen = now - Duration::from_secs(u64::from(peer.age));
            match self.own.get_mut(&peer.contact) {
                Some(own) => {
                    let news = own.seed != peer.seed || own.bridge != peer.bridge;
                    observed.gain |= peer.seed && !own.seed;
                    let again = seen > own.seen && now.since(own.told) >= refresh;
                    *own = Own { seed: peer.seed, bridge: peer.bridge, seen: seen.max(own.seen), ..*own };
                    if news || again {
                        (own.changed, own.told) = (next(), now);
                        observed.news = true;
                    }
                }
                None => {
                    let (seed, bridge) = (peer.seed, peer.bridge);
                    self.own.insert(peer.contact, Own { seed, bridge, seen, told: now, changed: next() });
                    self.gone.remove(&peer.contact);
                    (observed.news, observed.gain) = (true, true);
                }
            }
        }
        if counts != self.counts {
            self.counts = counts;
            self.counts_changed = next();
            observed.news = true;
        }
        if observed.news {
            self.changed = *seq;
        }
        observed.waits = self.judge();
        observed
    }

    /// Judges anew whether somebody waits; whether that has changed.
    pub(super) fn judge(&mut self) -> bool {
        let seeds = self.counts.seeds > 0 || self.theirs.values().any(|counts| counts.seeds > 0);
        let others = self.counts.peers() > 1 || self.theirs.values().any(|counts| counts.peers() > 0);
        let waits = self.counts.peers() > 0 && !(others && seeds);
        std::mem::replace(&mut self.waits, waits) != waits
    }

    /// What is new since number `since`, as it is told now.
    pub(super) fn news(&self, now: Time, info_hash: InfoHash, since: u64) -> SwarmNews {
        let mut news = SwarmNews {
            info_hash,
            gained: super::contact::Packed::default(),
            lost: super::contact::Packed::default(),
            counts: (self.counts_changed > since).then_some(self.counts),
            waits: self.waits,
        };
        for (contact, own) in self.own.iter().filter(|(_, own)| own.changed > since) {
            let age = now.since(own.seen);
            if age <= LIFETIME {
                let age = u16::try_from(age.as_secs()).unwrap_or(u16::MAX);
                let peer = SharedPeer { contact: *contact, seed: own.seed, bridge: own.bridge, age };
                news.gained.push_gained(&peer);
            }
        }
        // Whoever was told nothing knows none of the lost.
        for (contact, _) in self.gone.iter().filter(|(_, seq)| since > 0 && **seq > since) {
            news.lost.push_lost(contact);
        }
        news
    }
}
