//! The store's side of peer-sharing: what sister nodes are told of a swarm, and what they tell of it.
//!
//! Bookkeeping under the swarm's lock; who is a sister and what she may say is decided by `anatomic_mesh::sharing`, and the
//! connections are [`crate::mesh`]'s.

use super::swarm::{Swarm, Target};
use super::swarms::{Change, Shard, SocketId, SwarmChange, Swarms, lock};
use anatomic_core::{InfoHash, PeerId, Time};
use anatomic_mesh::Key;
use anatomic_mesh::sharing::guests::MAX_PER_SISTER;
use anatomic_mesh::sharing::{Contact, Counts, Guests, SharedPeer};
use anatomic_wire::tracker::websocket::{Offer, OfferId};
use hashbrown::HashSet;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;
use tokio::sync::mpsc;

/// How many unanswered offers of sisters are remembered in one swarm.
const MAX_OPEN_OFFERS: usize = 200;

/// Something for a browser at a sister node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Abroad {
    /// Which sister.
    pub sister: Key,
    /// Which swarm.
    pub info_hash: InfoHash,
    /// Our browser: the offerer, or the answerer.
    pub from: PeerId,
    /// Whose offer is answered; `None` for an offer, which is for any browser of hers.
    pub to: Option<PeerId>,
    /// The session description, with the offer's id.
    pub offer: Offer,
}

/// What sisters say of a swarm.
#[derive(Default)]
pub(super) struct Visiting {
    pub(super) guests: Guests,
    /// Offers of their browsers that ours have not answered: to whom, for whom, and when.
    offers: HashMap<(PeerId, OfferId), (SocketId, Key, Instant)>,
}

impl Visiting {
    /// The sister whose browser's offer this answers, if it was passed to that socket; it is then answered.
    pub(super) fn answered(&mut self, by: SocketId, to: &PeerId, answer: &Offer) -> Option<Key> {
        let key = (*to, answer.id);
        let (asked, sister, _) = self.offers.get(&key).copied()?;
        (asked == by).then(|| self.offers.remove(&key)).flatten().map(|_| sister)
    }
}

impl Swarm {
    fn visiting(&mut self) -> &mut Visiting {
        self.visiting.get_or_insert_default()
    }

    pub(super) fn expire_visiting(&mut self, now: Time, old: impl Fn(Instant) -> bool) {
        let Some(visiting) = &mut self.visiting else { return };
        visiting.guests.expire(now);
        visiting.offers.retain(|_, (_, _, at)| !old(*at));
        if visiting.guests.is_forgotten() && visiting.offers.is_empty() {
            self.visiting = None;
        }
    }
}

/// What sisters are told of a swarm.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Present {
    /// Its peers, at most [`MAX_PER_SISTER`], ever the same ones as long as they stay.
    pub peers: Vec<SharedPeer>,
    /// How many there are.
    pub counts: Counts,
}

impl Swarms {
    /// From now on notes which swarms change, and gives `abroad` what is for browsers of sisters. Only the first call counts.
    pub fn share(&self, abroad: mpsc::Sender<Abroad>) {
        if self.abroad.set(abroad).is_err() {
            return;
        }
        for shard in &self.shards {
            let Shard { swarms, touched, .. } = &mut *lock(shard);
            *touched = Some(swarms.keys().copied().collect());
        }
    }

    /// The guests' clock.
    #[must_use]
    pub fn time(&self, now: Instant) -> Time {
        let micros = now.saturating_duration_since(self.begun).as_micros();
        Time::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// The swarms in which something happened since the last call.
    #[must_use]
    pub fn take_touched(&self) -> HashSet<InfoHash> {
        let mut all = HashSet::new();
        for shard in &self.shards {
            if let Some(touched) = &mut lock(shard).touched {
                all.extend(touched.drain());
            }
        }
        all
    }

    /// What sisters are told of a swarm.
    #[must_use]
    pub fn present(&self, now: Instant, info_hash: &InfoHash) -> Present {
        let shard = self.shard(info_hash);
        let Some(swarm) = shard.swarms.get(info_hash) else { return Present::default() };
        let age = |seen| u16::try_from(now.saturating_duration_since(seen).as_secs()).unwrap_or(u16::MAX);
        let peer = |contact, seed, seen| SharedPeer { contact, seed, bridge: false, age: age(seen) };
        let browsers = swarm
            .browsers
            .iter()
            .flat_map(|browsers| browsers.roster.iter())
            .map(|(_, browser)| peer(Contact::Browser(browser.peer_id), browser.seed, browser.seen));
        let second = self.second(now);
        let classic = swarm.classic.iter().map(|(address, state)| SharedPeer {
            contact: Contact::Address(address),
            seed: state.seed(),
            bridge: false,
            age: u16::try_from(second.saturating_sub(state.second())).unwrap_or(u16::MAX),
        });
        // Half of the places for either kind, and what one leaves for the other.
        let (half, most) = (MAX_PER_SISTER / 2, MAX_PER_SISTER);
        let browsers_most = half.max(most.saturating_sub(swarm.classic_len()));
        let mut peers: Vec<_> = browsers.take(browsers_most).collect();
        peers.extend(classic.take(most.saturating_sub(peers.len())));
        peers.extend(self.present_of_mates(now, swarm, most.saturating_sub(peers.len())));
        let counts = swarm.fleet_counts();
        let browsers = swarm.browsers_len() + swarm.mates.as_ref().map_or(0, |mates| mates.tabs_len());
        let browsers = u32::try_from(browsers).unwrap_or(u32::MAX);
        Present { peers, counts: Counts { seeds: counts.complete, leeches: counts.incomplete, browsers } }
    }

    /// Takes note of what a sister says. Returns how many peers were beyond her quota.
    pub fn learn(
        &self,
        now: Instant,
        info_hash: InfoHash,
        sister: Key,
        gained: &[SharedPeer],
        lost: &[Contact],
        counts: Option<Counts>,
    ) -> usize {
        let time = self.time(now);
        let mut shard = self.shard(&info_hash);
        if gained.is_empty() && !shard.swarms.contains_key(&info_hash) {
            return 0;
        }
        // Where there is no room for a peer of our own there is none for guests.
        let Ok(swarm) = self.swarm(&mut shard.swarms, info_hash) else { return gained.len() };
        let mut refused = 0;
        let mut came: Vec<SocketAddr> = Vec::new();
        let visiting = swarm.visiting.get_or_insert_default();
        for contact in lost {
            visiting.guests.lose(sister, contact);
        }
        for peer in gained {
            match (visiting.guests.learn(time, sister, peer), peer.contact) {
                (Ok(true), Contact::Address(address)) if !peer.bridge => came.push(address),
                (Ok(_), _) => {}
                (Err(_), _) => refused += 1,
            }
        }
        if let Some(counts) = counts {
            visiting.guests.set_counts(sister, counts);
        }
        came.retain(|address| !swarm.knows_classic(&self.hasher, *address));
        shard.visited(&info_hash, sister);
        drop(shard);
        for address in came {
            let _ = self.changes.send(SwarmChange { info_hash, kind: Change::GuestCame(address) });
        }
        refused
    }

    /// A sister is lost: in these swarms nothing goes to her any more.
    pub fn sister_lost(&self, sister: Key, swarms: &[InfoHash]) {
        for info_hash in swarms {
            let mut shard = self.shard(info_hash);
            if let Some(visiting) = shard.swarms.get_mut(info_hash).and_then(|swarm| swarm.visiting.as_mut())
            {
                visiting.guests.sister_lost(sister);
                visiting.offers.retain(|_, (_, from, _)| *from != sister);
                shard.visited(info_hash, sister);
            }
        }
    }

    /// Passes the offer of a sister's browser to one of ours, drawn at random. Returns whether there was one.
    pub fn offer_from_sister(
        &self,
        now: Instant,
        sister: Key,
        info_hash: InfoHash,
        from: PeerId,
        offer: Offer,
    ) -> bool {
        let mut shard = self.shard(&info_hash);
        let Shard { swarms, rng, .. } = &mut *shard;
        let Some(swarm) = swarms.get_mut(&info_hash) else { return false };
        let here = swarm.browsers_len();
        let there = swarm.mates.as_ref().map_or(0, |mates| mates.tabs_len());
        if there > 0 && rng.usize(..here + there) >= here {
            return self.relay_to_mate(now, &mut shard, sister, info_hash, from, &offer);
        }
        let id = offer.id;
        let Some(to) = swarm.offer_to_ours(rng, info_hash, from, None, offer) else { return false };
        let offers = &mut swarm.visiting().offers;
        if offers.len() < MAX_OPEN_OFFERS {
            offers.insert((from, id), (to, sister, now));
        }
        true
    }

    /// Passes the answer of a sister's browser to ours that offered, if its offer went to that sister and is open.
    pub fn answer_from_sister(
        &self,
        sister: Key,
        info_hash: InfoHash,
        from: PeerId,
        to: &PeerId,
        answer: Offer,
    ) -> bool {
        let mut shard = self.shard(&info_hash);
        let Some(swarm) = shard.swarms.get_mut(&info_hash) else { return false };
        if let Some(mate) = swarm.mates.as_mut().and_then(|mates| mates.lent_by(sister, to, &answer)) {
            return self.answer_to_mate(mate, info_hash, *to, from, answer);
        }
        swarm.answer_to_ours(Target::Sister(Box::new(sister)), info_hash, from, to, answer)
    }

    pub(super) fn send_abroad(&self, info_hash: InfoHash, from: PeerId, offers: Vec<(Key, Offer)>) {
        let Some(abroad) = self.abroad.get() else { return };
        for (sister, offer) in offers {
            // Full queue: dropped. The browser makes new offers with its next announce.
            let _ = abroad.try_send(Abroad { sister, info_hash, from, to: None, offer });
        }
    }

    pub(super) fn answer_abroad(
        &self,
        sister: Key,
        info_hash: InfoHash,
        to: PeerId,
        from: PeerId,
        offer: Offer,
    ) -> bool {
        let answer = Abroad { sister, info_hash, from, to: Some(to), offer };
        self.abroad.get().is_some_and(|abroad| abroad.try_send(answer).is_ok())
    }
}

#[cfg(test)]
#[path = "sharing_tests.rs"]
mod tests;
