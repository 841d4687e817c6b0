//! What sister nodes say, at every process of a fleet: the one that speaks to them hands it on, and passes on offers to them.
//!
//! Bookkeeping under the swarm's lock. What sisters are told of the fleet's peers is [`super::fleet`]'s; who speaks is decided by
//! `anatomic_mesh::fleet`.

use super::fleet::{Kind, ToMate};
use super::sharing::Abroad;
use super::swarm::Swarm;
use super::swarms::{Change, SwarmChange, Swarms, lock};
use anatomic_core::{InfoHash, PeerId, Time};
use anatomic_mesh::Key;
use anatomic_mesh::fleet::{ProcessId, Visit};
use anatomic_mesh::sharing::contact::Packed;
use anatomic_mesh::sharing::message::SwarmNews;
use anatomic_mesh::sharing::{Contact, SharedPeer};
use anatomic_wire::tracker::websocket::Offer;
use std::sync::PoisonError;
use std::time::Instant;

/// How many unanswered offers to sisters are remembered in one swarm for mates.
const MAX_OPEN_OFFERS: usize = 200;

impl Swarms {
    /// The process that speaks to sisters, if it is another one.
    #[must_use]
    pub fn speaker(&self) -> Option<ProcessId> {
        *self.speaker.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on offers to sisters go through that process; none: we speak to them ourselves, or nobody does.
    pub fn set_speaker(&self, speaker: Option<ProcessId>) {
        *self.speaker.write().unwrap_or_else(PoisonError::into_inner) = speaker;
    }

    /// No sister is reached for the moment: browsers that only sisters know are forgotten, and what they count. Classic
    /// peers stay until they are too old.
    pub fn forget_visits(&self) {
        for shard in &self.shards {
            for swarm in lock(shard).swarms.values_mut() {
                let Some(visiting) = &mut swarm.visiting else { continue };
                let sisters: Vec<Key> = visiting.guests.sisters().collect();
                sisters.into_iter().for_each(|sister| visiting.guests.sister_lost(sister));
            }
        }
    }

    /// What sisters said anew about swarms in one of the store's parts since the last call.
    #[must_use]
    pub fn take_visits(&self, now: Instant, part: usize) -> Vec<Visit> {
        let Some(shard) = self.shards.get(part) else { return Vec::new() };
        let mut shard = lock(shard);
        let visited = std::mem::take(&mut shard.visited);
        let visit = |(info_hash, sister): (InfoHash, Key)| {
            visit(self.time(now), info_hash, shard.swarms.get(&info_hash), sister)
        };
        visited.into_iter().map(visit).collect()
    }

    /// All that sisters say about swarms in one of the store's parts.
    #[must_use]
    pub fn recite_visits(&self, now: Instant, part: usize) -> Vec<Visit> {
        let Some(shard) = self.shards.get(part) else { return Vec::new() };
        let shard = lock(shard);
        let of = |(info_hash, swarm): (&InfoHash, &Swarm)| {
            let sisters = swarm.visiting.iter().flat_map(|visiting| visiting.guests.sisters());
            sisters.map(|sister| visit(self.time(now), *info_hash, Some(swarm), sister)).collect::<Vec<_>>()
        };
        shard.swarms.iter().flat_map(of).collect()
    }

    /// Takes note of what a mate hands on.
    pub fn learn_visit(&self, now: Instant, visit: &Visit) {
        let info_hash = visit.news.info_hash;
        let peers: Vec<SharedPeer> = visit.news.gained.gained().collect();
        let mut shard = self.shard(&info_hash);
        if peers.is_empty() && !shard.swarms.contains_key(&info_hash) {
            return;
        }
        let Ok(swarm) = self.swarm(&mut shard.swarms, info_hash) else { return };
        let guests = &mut swarm.visiting.get_or_insert_default().guests;
        let counts = visit.news.counts.unwrap_or_default();
        let new = guests.replace(self.time(now), visit.sister, &peers, counts);
        let known = |peer: &SharedPeer| peer.bridge || swarm.knows(&self.hasher, &peer.contact);
        let new: Vec<_> = new.into_iter().filter(|peer| !known(peer)).collect();
        drop(shard);
        for peer in new {
            if let Contact::Address(address) = peer.contact {
                let _ = self.changes.send(SwarmChange { info_hash, kind: Change::GuestCame(address) });
            }
        }
    }

    /// Passes offers for browsers of sisters to the process that speaks to them.
    pub(super) fn send_abroad_by(
        &self,
        speaker: ProcessId,
        info_hash: InfoHash,
        from: PeerId,
        offers: Vec<(Key, Offer)>,
    ) {
        let Some((_, outgoing)) = self.fleet.get() else { return };
        for (sister, offer) in offers {
            // Full queue: dropped. The browser makes new offers with its next announce.
            let _ = outgoing.try_send(ToMate {
                mate: speaker,
                info_hash,
                from,
                kind: Kind::Abroad(sister),
                offer,
            });
        }
    }

    /// Passes the offer of a mate's browser to a sister, and remembers who asked. Returns whether that could be done.
    pub fn abroad_for_mate(
        &self,
        now: Instant,
        mate: ProcessId,
        info_hash: InfoHash,
        from: PeerId,
        sister: Key,
        offer: Offer,
    ) -> bool {
        let Some(abroad) = self.abroad.get() else { return false };
        let mut shard = self.shard(&info_hash);
        let Some(swarm) = shard.swarms.get_mut(&info_hash) else { return false };
        let lent = &mut swarm.mates.get_or_insert_default().lent;
        let id = offer.id;
        if lent.len() >= MAX_OPEN_OFFERS
            || abroad.try_send(Abroad { sister, info_hash, from, to: None, offer }).is_err()
        {
            return false;
        }
        lent.insert((from, id), (mate, sister, now));
        true
    }
}

/// All that a sister says of a swarm.
fn visit(now: Time, info_hash: InfoHash, swarm: Option<&Swarm>, sister: Key) -> Visit {
    let visiting = swarm.and_then(|swarm| swarm.visiting.as_ref());
    let (peers, counts) = visiting.map(|visiting| visiting.guests.of(now, sister)).unwrap_or_default();
    let mut gained = Packed::default();
    peers.iter().for_each(|peer| gained.push_gained(peer));
    let news = SwarmNews { info_hash, gained, lost: Packed::default(), counts: Some(counts), waits: false };
    Visit { sister, news }
}
