//! One swarm: its classic peers and browsers, and the offers on their way between them.
//!
//! Bookkeeping only; who is let in, and under which lock, is [`super::swarms`]'s business.

use super::roster::Roster;
use super::sharing::Visiting;
use super::swarms::{Socket, SocketId};
use anatomic_core::{InfoHash, PeerId};
use anatomic_mesh::Key;
use anatomic_mesh::sharing::{Contact, guests};
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
    pub(super) offers: HashMap<OfferId, (Target, Instant)>,
}

/// To whom an offer was passed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// A browser of ours.
    Socket(SocketId),
    /// A sister node, which passes it to a browser of hers.
    Sister(Key),
}

/// A swarm.
#[derive(Default)]
pub(super) struct Swarm {
    pub(super) classic: Roster<SocketAddr, Classic>,
    pub(super) browsers: Roster<SocketId, Browser>,
    pub(super) by_peer_id: HashMap<PeerId, SocketId>,
    pub(super) seeds: u32,
    pub(super) downloaded: u32,
    /// What sister nodes say; nothing for most swarms.
    pub(super) visiting: Option<Box<Visiting>>,
}

impl Swarm {
    /// Our own peers and those that only sisters know.
    pub(super) fn counts(&self) -> SwarmCounts {
        let mut counts = self.own_counts();
        if let Some(visiting) = &self.visiting {
            let theirs = visiting.guests.counts(|contact| self.knows(contact));
            counts.complete = counts.complete.saturating_add(theirs.seeds);
            counts.incomplete = counts.incomplete.saturating_add(theirs.leeches);
        }
        counts
    }

    /// Whether a contact is a peer of our own.
    pub(super) fn knows(&self, contact: &Contact) -> bool {
        match contact {
            Contact::Address(address) => self.classic.get(address).is_some(),
            Contact::Browser(peer_id) => self.by_peer_id.contains_key(peer_id),
        }
    }

    /// Draws up to `want` classic peers without the asker: our own, and of the guests what [`guests::split`] leaves them.
    pub(super) fn draw_classic(
        &self,
        rng: &mut Rng,
        want: usize,
        asker: Option<&SocketAddr>,
    ) -> Vec<SocketAddr> {
        let own = self.classic.len().saturating_sub(usize::from(asker.is_some()));
        let mut drawn = Vec::new();
        if let Some(visiting) = &self.visiting {
            let (_, most) = guests::split(want, own, visiting.guests.len());
            let stranger = |contact: &Contact, _| match contact {
                Contact::Address(address) => Some(address) != asker && self.classic.get(address).is_none(),
                Contact::Browser(_) => false,
            };
            drawn.extend(visiting.guests.draw(rng, most, stranger).iter().filter_map(
                |contact| match contact {
                    Contact::Address(address) => Some(*address),
                    Contact::Browser(_) => None,
                },
            ));
        }
        let own = self.classic.draw(rng, want.saturating_sub(drawn.len()), asker);
        drawn.splice(0..0, own.into_iter().map(|(address, _)| *address));
        drawn
    }

    pub(super) fn own_counts(&self) -> SwarmCounts {
        let peers = u32::try_from(self.classic.len() + self.browsers.len()).unwrap_or(u32::MAX);
        SwarmCounts {
            complete: self.seeds,
            downloaded: self.downloaded,
            incomplete: peers.saturating_sub(self.seeds),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.classic.is_empty() && self.browsers.is_empty() && self.visiting.is_none()
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

    /// Passes offers to browsers of ours and returns those that are for browsers of sisters, with the sister of each.
    pub(super) fn pass_offers(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        from: SocketId,
        info_hash: InfoHash,
        mut offers: Vec<Offer>,
        lifetime: Duration,
    ) -> Vec<(Key, Offer)> {
        let Some(peer_id) = self.browsers.get(&from).map(|browser| browser.peer_id) else {
            return Vec::new();
        };
        let mut abroad = Vec::new();
        if let Some(visiting) = &self.visiting {
            let mut sisters = visiting.guests.sisters_with_browsers(|contact| self.knows(contact));
            rng.shuffle(&mut sisters);
            let here = self.browsers.len().saturating_sub(1);
            let most = if sisters.is_empty() { 0 } else { offers.len() };
            let (_, there) = guests::split(offers.len(), here, most);
            let chosen = offers.split_off(offers.len() - there);
            abroad.extend(sisters.into_iter().cycle().zip(chosen));
        }
        let mut passed: Vec<_> =
            abroad.iter().map(|(sister, offer)| (offer.id, Target::Sister(*sister))).collect();
        let others = self.browsers.draw(rng, offers.len(), Some(&from));
        for (offer, (to, browser)) in offers.into_iter().zip(others) {
            let id = offer.id;
            if browser.socket.outbox.try_send(ServerMessage::Offer { info_hash, peer_id, offer }).is_ok() {
                passed.push((id, Target::Socket(*to)));
            }
        }
        let Some(offerer) = self.browsers.get_mut(&from) else { return Vec::new() };
        offerer.offers.retain(|_, (_, at)| now.saturating_duration_since(*at) <= lifetime);
        for (id, to) in passed {
            if offerer.offers.len() < MAX_OPEN_OFFERS {
                offerer.offers.insert(id, (to, now));
            }
        }
        abroad
    }
}
