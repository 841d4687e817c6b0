//! The store's side of a fleet: what other processes are told of our swarms, and what they tell of theirs.
//!
//! Bookkeeping under the swarm's lock; [`super::mates`] keeps what is at other processes, the bus is [`crate::fleet`]'s.

use super::mates::replaces;
use super::peers::{Packed, State};
use super::swarm::{Swarm, Target, canonical};
use super::swarms::{Change, Shard, SwarmChange, Swarms, lock};
use anatomic_core::{InfoHash, PeerId};
use anatomic_mesh::Key;
use anatomic_mesh::fleet::ProcessId;
use anatomic_mesh::sharing::contact::Packed as PackedNews;
use anatomic_mesh::sharing::message::SwarmNews;
use anatomic_mesh::sharing::{Contact, SharedPeer};
use anatomic_wire::tracker::websocket::Offer;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::sync::mpsc;

/// How many unanswered offers of mates are remembered in one swarm.
const MAX_OPEN_OFFERS: usize = 400;
/// Peers in one piece of news of a swarm; more come in another.
const MAX_PEERS: usize = 4_000;

/// Something for a browser at another process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToMate {
    /// Which process.
    pub mate: ProcessId,
    /// Which swarm.
    pub info_hash: InfoHash,
    /// The offerer, or the answerer.
    pub from: PeerId,
    /// What it is, and for whom.
    pub kind: Kind,
    /// The session description, with the offer's id.
    pub offer: Offer,
}

/// What is for a browser at another process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An offer for that browser.
    Offer(PeerId),
    /// The answer to that browser's offer.
    Answer(PeerId),
    /// An offer for any browser of that sister node, to whom the other process speaks.
    Abroad(Key),
}

impl Swarms {
    /// From now on notes which peers change, and gives `outgoing` what is for browsers of other processes. Only the first
    /// call counts.
    pub fn join_fleet(&self, id: ProcessId, outgoing: mpsc::Sender<ToMate>) {
        if self.fleet.set((id, outgoing)).is_ok() {
            for shard in &self.shards {
                lock(shard).changed = Some(hashbrown::HashMap::new());
            }
        }
    }

    /// How many peers are at other processes.
    #[must_use]
    pub fn at_mates(&self) -> usize {
        self.at_mates.load(Ordering::Relaxed)
    }

    /// What changed in one of the store's [`Self::PARTS`] parts since the last call.
    #[must_use]
    pub fn take_changed(&self, now: Instant, part: usize) -> Vec<SwarmNews> {
        let Some(shard) = self.shards.get(part) else { return Vec::new() };
        let mut shard = lock(shard);
        let Shard { swarms, changed, .. } = &mut *shard;
        let Some(changed) = changed.as_mut().filter(|changed| !changed.is_empty()) else {
            return Vec::new();
        };
        let mut news = Vec::new();
        for (info_hash, contacts) in std::mem::take(changed) {
            let swarm = swarms.get(&info_hash);
            let mut peers = Vec::new();
            for contact in contacts {
                peers.push(swarm.and_then(|swarm| self.shared(now, swarm, &contact)).ok_or(contact));
            }
            pieces(info_hash, &peers, &mut news);
        }
        news
    }

    /// All peers of our own in one of the store's parts.
    #[must_use]
    pub fn recite(&self, now: Instant, part: usize) -> Vec<SwarmNews> {
        let Some(shard) = self.shards.get(part) else { return Vec::new() };
        let shard = lock(shard);
        let mut news = Vec::new();
        for (info_hash, swarm) in &shard.swarms {
            let classic = swarm.classic.iter().map(|(address, _)| Contact::Address(address));
            let browsers = swarm.browsers.iter().flat_map(|browsers| browsers.roster.iter());
            let browsers = browsers.map(|(_, browser)| Contact::Browser(browser.peer_id));
            let peers: Vec<_> = classic
                .chain(browsers)
                .filter_map(|contact| self.shared(now, swarm, &contact).map(Ok))
                .collect();
            pieces(*info_hash, &peers, &mut news);
        }
        news
    }

    /// How a peer of our own is; `None` if it is not one.
    fn shared(&self, now: Instant, swarm: &Swarm, contact: &Contact) -> Option<SharedPeer> {
        let (seed, age) = match contact {
            Contact::Address(address) => {
                let state = swarm.classic_state(&self.hasher, &canonical(*address).0)?;
                (state.seed(), self.second(now).saturating_sub(state.second()))
            }
            Contact::Browser(peer_id) => {
                let socket = swarm.browser_of(peer_id)?;
                let browser = swarm.browsers.as_ref()?.roster.get(&socket)?;
                let age = now.saturating_duration_since(browser.seen).as_secs();
                (browser.seed, u32::try_from(age).unwrap_or(u32::MAX))
            }
        };
        let age = u16::try_from(age).unwrap_or(u16::MAX);
        Some(SharedPeer { contact: *contact, seed, bridge: false, age })
    }

    /// Takes note of what a mate says of one swarm.
    pub fn learn_of_mate(&self, now: Instant, mate: ProcessId, recital: u64, news: &SwarmNews) {
        let Some((own, _)) = self.fleet.get() else { return };
        let info_hash = news.info_hash;
        let mut shard = self.shard(&info_hash);
        let mut came: Vec<SocketAddr> = Vec::new();
        let (mut went, mut retell): (Vec<SocketAddr>, HashSet<Contact>) = Default::default();
        if let Some(swarm) = shard.swarms.get_mut(&info_hash) {
            for contact in news.lost.lost() {
                match contact {
                    Contact::Address(address) => {
                        let (packed, address) = canonical(address);
                        let bridge = swarm.mates.as_ref().and_then(|mates| mates.bridge(mate));
                        if bridge == Some(address) {
                            swarm.mates.get_or_insert_default().set_bridge(mate, None);
                        }
                        // It said goodbye there.
                        self.gone_from_mates(swarm, &packed);
                        if swarm.remove_classic(&self.hasher, &packed) {
                            went.push(address);
                        }
                    }
                    Contact::Browser(peer_id) => {
                        let mates = swarm.mates.as_mut();
                        if mates.is_some_and(|mates| mates.tab_went(Some(mate), &peer_id)) {
                            self.at_mates.fetch_sub(1, Ordering::Relaxed);
                        }
                        // One that holds sockets at both of us is still here.
                        if swarm.browser_of(&peer_id).is_some() {
                            retell.insert(contact);
                        }
                    }
                }
            }
        }
        for peer in news.gained.gained() {
            if self.at_mates() >= self.limits.peers.saturating_mul(4) {
                break;
            }
            let Ok(swarm) = self.swarm(&mut shard.swarms, info_hash) else { break };
            let second = self.second(now).saturating_sub(peer.age.into());
            let more = match peer.contact {
                Contact::Address(address) if peer.bridge => {
                    swarm.mates.get_or_insert_default().set_bridge(mate, Some(canonical(address).1));
                    0
                }
                Contact::Address(address) => {
                    let (packed, address) = canonical(address);
                    if let Some(ours) = swarm.classic_state(&self.hasher, &packed) {
                        if !replaces(mate, second, *own, ours.second()) {
                            continue;
                        }
                        swarm.remove_classic(&self.hasher, &packed);
                        went.push(address);
                    }
                    let mates = swarm.mates.get_or_insert_default();
                    let state = State::new(second, peer.seed);
                    let more = mates.classic_came(&self.hasher, mate, packed, state).unwrap_or(0);
                    if more > 0 {
                        came.push(address);
                    }
                    more
                }
                // Ours is nearer.
                Contact::Browser(peer_id) if swarm.browser_of(&peer_id).is_some() => 0,
                Contact::Browser(peer_id) => {
                    let mates = swarm.mates.get_or_insert_default();
                    mates.tab_came(mate, peer_id, peer.seed, second, recital)
                }
            };
            self.at_mates.fetch_add(usize::try_from(more).unwrap_or(0), Ordering::Relaxed);
        }
        for contact in retell {
            shard.changed(&info_hash, contact);
        }
        if let Some(changed) = shard.changed.as_mut().and_then(|changed| changed.get_mut(&info_hash)) {
            // They moved: nobody is told that they are gone.
            for address in &went {
                changed.remove(&Contact::Address(*address));
            }
        }
        for address in &went {
            self.tally(&mut shard, &info_hash, address.ip(), -1);
            self.note(&info_hash, -1, Change::ClassicWent(*address));
        }
        self.tidy(&mut shard, &info_hash);
        // What sisters are told is the fleet's, if we speak for it.
        shard.touch(&info_hash);
        drop(shard);
        for address in came {
            let _ = self.changes.send(SwarmChange { info_hash, kind: Change::GuestCame(address) });
        }
    }

    /// A swarm in which nobody is left goes.
    fn tidy(&self, shard: &mut Shard, info_hash: &InfoHash) {
        let Some(swarm) = shard.swarms.get_mut(info_hash) else { return };
        if swarm.mates.as_ref().is_some_and(|mates| mates.is_empty()) {
            swarm.mates = None;
        }
        if swarm.is_empty() {
            shard.swarms.remove(info_hash);
            self.swarms.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A mate has recited everything: browsers that were not in it are gone.
    pub fn mate_settled(&self, mate: ProcessId, recital: u64) {
        self.of_mates(|swarm| swarm.settled(mate, recital));
    }

    /// A mate is gone, and nobody is reached through her.
    pub fn mate_gone(&self, mate: ProcessId) {
        self.of_mates(|swarm| swarm.gone(mate));
    }

    fn of_mates(&self, act: impl Fn(&mut super::mates::Mates)) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            let mut lonely = Vec::new();
            for (info_hash, swarm) in &mut shard.swarms {
                let Some(mates) = &mut swarm.mates else { continue };
                let before = mates.counts();
                act(mates);
                let after = mates.counts();
                self.at_mates.fetch_sub(before.1.saturating_sub(after.1), Ordering::Relaxed);
                if before != after || mates.is_empty() {
                    lonely.push(*info_hash);
                }
            }
            for info_hash in lonely {
                shard.touch(&info_hash);
                self.tidy(&mut shard, &info_hash);
            }
        }
    }

    /// A peer that is our own now, or nobody's, is at no mate.
    pub(super) fn gone_from_mates(&self, swarm: &mut Swarm, address: &Packed) {
        if let Some(mates) = &mut swarm.mates
            && mates.classic_went(&self.hasher, address)
        {
            self.at_mates.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(super) fn browser_lifetime_seconds(&self) -> u32 {
        // Their process forgets them, and says so; this is for one that said it to nobody.
        u32::try_from(self.limits.browser_lifetime.as_secs()).unwrap_or(u32::MAX).saturating_mul(2)
    }

    pub(super) fn expire_mates(
        &self,
        swarm: &mut Swarm,
        (classic, browsers): (u32, u32),
        old: impl Fn(Instant) -> bool,
    ) {
        let Some(mates) = &mut swarm.mates else { return };
        let before = mates.counts().1;
        mates.expire(&self.hasher, classic, browsers, old);
        self.at_mates.fetch_sub(before.saturating_sub(mates.counts().1), Ordering::Relaxed);
        if mates.is_empty() {
            swarm.mates = None;
        }
    }

    /// Passes the offer of a mate's browser to the one of ours that it is for, or to another if that has gone.
    pub fn offer_from_mate(
        &self,
        now: Instant,
        mate: ProcessId,
        info_hash: InfoHash,
        from: PeerId,
        to: &PeerId,
        offer: Offer,
    ) -> bool {
        let mut shard = self.shard(&info_hash);
        let Shard { swarms, rng, .. } = &mut *shard;
        let Some(swarm) = swarms.get_mut(&info_hash) else { return false };
        let id = offer.id;
        let Some(socket) = swarm.offer_to_ours(rng, info_hash, from, Some(to), offer) else { return false };
        let offers = &mut swarm.mates.get_or_insert_default().offers;
        if offers.len() < MAX_OPEN_OFFERS {
            offers.insert((from, id), (socket, mate, now));
        }
        true
    }

    /// Passes the answer of a mate's browser to ours that offered, or to the sister whose browser did, if the offer went
    /// to that mate and is open.
    pub fn answer_from_mate(
        &self,
        mate: ProcessId,
        info_hash: InfoHash,
        from: PeerId,
        to: &PeerId,
        answer: Offer,
    ) -> bool {
        let mut shard = self.shard(&info_hash);
        let Some(swarm) = shard.swarms.get_mut(&info_hash) else { return false };
        if let Some(mates) = &mut swarm.mates
            && let Some((asked, sister, _)) = mates.relayed.get(&(*to, answer.id)).copied()
            && asked == mate
        {
            mates.relayed.remove(&(*to, answer.id));
            return self.answer_abroad(sister, info_hash, *to, from, answer);
        }
        swarm.answer_to_ours(Target::Mate(mate), info_hash, from, to, answer)
    }

    /// Passes the offer of a sister's browser on to a browser at a mate, if there is one. Returns whether there was.
    pub(super) fn relay_to_mate(
        &self,
        now: Instant,
        shard: &mut Shard,
        sister: Key,
        info_hash: InfoHash,
        from: PeerId,
        offer: &Offer,
    ) -> bool {
        let Shard { swarms, rng, .. } = shard;
        let Some(mates) = swarms.get_mut(&info_hash).and_then(|swarm| swarm.mates.as_mut()) else {
            return false;
        };
        let Some((mate, to)) = mates.draw_tabs(rng, 1, Some(&from)).into_iter().next() else {
            return false;
        };
        if mates.relayed.len() < MAX_OPEN_OFFERS {
            mates.relayed.insert((from, offer.id), (mate, sister, now));
        }
        self.send_to_mates(info_hash, from, vec![(mate, to, offer.clone())]);
        true
    }

    pub(super) fn send_to_mates(
        &self,
        info_hash: InfoHash,
        from: PeerId,
        offers: Vec<(ProcessId, PeerId, Offer)>,
    ) {
        let Some((_, outgoing)) = self.fleet.get() else { return };
        for (mate, to, offer) in offers {
            // Full queue: dropped. The browser makes new offers with its next announce.
            let _ = outgoing.try_send(ToMate { mate, info_hash, from, kind: Kind::Offer(to), offer });
        }
    }

    pub(super) fn answer_to_mate(
        &self,
        mate: ProcessId,
        info_hash: InfoHash,
        to: PeerId,
        from: PeerId,
        offer: Offer,
    ) -> bool {
        let answer = ToMate { mate, info_hash, from, kind: Kind::Answer(to), offer };
        self.fleet.get().is_some_and(|(_, outgoing)| outgoing.try_send(answer).is_ok())
    }
}

/// What sisters are told of besides our own peers: the fleet's.
impl Swarms {
    /// Peers at mates, as sisters are told of them.
    pub(super) fn present_of_mates(&self, now: Instant, swarm: &Swarm, most: usize) -> Vec<SharedPeer> {
        let Some(mates) = &swarm.mates else { return Vec::new() };
        let second = self.second(now);
        let age = |then: u32| u16::try_from(second.saturating_sub(then)).unwrap_or(u16::MAX);
        let tabs = mates.all_tabs().map(|(peer_id, seed, seen)| SharedPeer {
            contact: Contact::Browser(peer_id),
            seed,
            bridge: false,
            age: age(seen),
        });
        let classic = mates.all_classic().map(|(address, state)| SharedPeer {
            contact: Contact::Address(address),
            seed: state.seed(),
            bridge: false,
            age: age(state.second()),
        });
        tabs.chain(classic).take(most).collect()
    }
}

/// Packs peers (`Err`: that are no longer there) into pieces of news.
fn pieces(info_hash: InfoHash, peers: &[Result<SharedPeer, Contact>], into: &mut Vec<SwarmNews>) {
    for some in peers.chunks(MAX_PEERS) {
        let (mut gained, mut lost) = (PackedNews::default(), PackedNews::default());
        for peer in some {
            match peer {
                Ok(peer) => gained.push_gained(peer),
                Err(contact) => lost.push_lost(contact),
            }
        }
        into.push(SwarmNews { info_hash, gained, lost, counts: None, waits: false });
    }
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
