//! One swarm: its classic peers and browsers, and the offers on their way between them.
//!
//! Bookkeeping only; who is let in, and under which lock, is [`super::swarms`]'s business.

use super::roster::Roster;
use super::swarms::{Socket, SocketId};
use anatomic_core::{InfoHash, PeerId};
use anatomic_wire::tracker::scrape::SwarmCounts;
use anatomic_wire::tracker::websocket::{Offer, OfferId, ServerMessage};
use fastrand::Rng;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How many unanswered offers are remembered for one browser in one swarm.
const MAX_OPEN_OFFERS: usize = 40;

/// A classic peer.
pub(super) struct Classic {
    pub(super) seed: bool,
    pub(super) seen: Instant,
}

/// A browser.
pub(super) struct Browser {
    pub(super) socket: Socket,
    pub(super) peer_id: PeerId,
    pub(super) seed: bool,
    pub(super) seen: Instant,
    /// Offers passed on and not answered: to whom, and when.
    pub(super) offers: HashMap<OfferId, (SocketId, Instant)>,
}

/// A swarm.
#[derive(Default)]
pub(super) struct Swarm {
    pub(super) classic: Roster<SocketAddr, Classic>,
    pub(super) browsers: Roster<SocketId, Browser>,
    pub(super) by_peer_id: HashMap<PeerId, SocketId>,
    pub(super) seeds: u32,
    pub(super) downloaded: u32,
}

impl Swarm {
    pub(super) fn counts(&self) -> SwarmCounts {
        let peers = u32::try_from(self.classic.len() + self.browsers.len()).unwrap_or(u32::MAX);
        SwarmCounts {
            complete: self.seeds,
            downloaded: self.downloaded,
            incomplete: peers.saturating_sub(self.seeds),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.classic.is_empty() && self.browsers.is_empty()
    }

    pub(super) fn recount(&mut self, was_seed: bool, is_seed: bool) {
        match (was_seed, is_seed) {
            (false, true) => self.seeds = self.seeds.saturating_add(1),
            (true, false) => self.seeds = self.seeds.saturating_sub(1),
            _ => {}
        }
    }

    pub(super) fn remove_classic(&mut self, address: &SocketAddr) -> bool {
        let Some(peer) = self.classic.remove(address) else { return false };
        self.recount(peer.seed, false);
        true
    }

    pub(super) fn remove_browser(&mut self, socket: &SocketId) -> bool {
        let Some(browser) = self.browsers.remove(socket) else { return false };
        self.recount(browser.seed, false);
        if self.by_peer_id.get(&browser.peer_id) == Some(socket) {
            self.by_peer_id.remove(&browser.peer_id);
        }
        true
    }

    pub(super) fn pass_offers(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        from: SocketId,
        info_hash: InfoHash,
        offers: Vec<Offer>,
        lifetime: Duration,
    ) {
        let Some(peer_id) = self.browsers.get(&from).map(|browser| browser.peer_id) else { return };
        let mut passed = Vec::with_capacity(offers.len());
        let others = self.browsers.draw(rng, offers.len(), Some(&from));
        for (offer, (to, browser)) in offers.into_iter().zip(others) {
            let id = offer.id;
            if browser.socket.outbox.try_send(ServerMessage::Offer { info_hash, peer_id, offer }).is_ok() {
                passed.push((id, *to));
            }
        }
        let Some(offerer) = self.browsers.get_mut(&from) else { return };
        offerer.offers.retain(|_, (_, at)| now.saturating_duration_since(*at) <= lifetime);
        for (id, to) in passed {
            if offerer.offers.len() < MAX_OPEN_OFFERS {
                offerer.offers.insert(id, (to, now));
            }
        }
    }
}
