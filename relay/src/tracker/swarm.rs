//! One swarm: its classic peers and browsers, and the offers on their way between them.
//!
//! Bookkeeping only; who is let in, and under which lock, is [`super::swarms`]'s business.

use super::families::Classic;
use super::mates::{Mates, share};
use super::peers::{Packed, Scope, State, pack};
use super::roster::Roster;
use super::sharing::Visiting;
use super::swarms::{Drawn, Socket, SocketId, Wish};
use anatomic_core::address::is_public;
use anatomic_core::{InfoHash, PeerId};
use anatomic_mesh::Key;
use anatomic_mesh::fleet::ProcessId;
use anatomic_mesh::sharing::{Contact, guests};
use anatomic_wire::tracker::scrape::SwarmCounts;
use anatomic_wire::tracker::websocket::{Offer, OfferId, ServerMessage};
use fastrand::Rng;
use hashbrown::{DefaultHashBuilder, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// How many unanswered offers are remembered for one browser in one swarm.
const MAX_OPEN_OFFERS: usize = 40;

/// A browser.
pub(super) struct Browser {
    pub(super) socket: Socket,
    pub(super) peer_id: PeerId,
    pub(super) seed: bool,
    pub(super) seen: Instant,
    /// Offers passed on and not answered, the oldest first.
    pub(super) offers: Vec<Passed>,
}

/// An offer that was passed on: forty bytes, since a browser has as many as it wants peers.
pub(super) struct Passed {
    id: OfferId,
    to: Target,
    /// By the store's clock.
    second: u32,
}

impl Browser {
    /// To whom an open offer was passed; it is then open no longer if that is `by`.
    pub(super) fn answered(&mut self, id: &OfferId, by: &Target) -> bool {
        let place = self.offers.iter().position(|passed| passed.id == *id && passed.to == *by);
        place.map(|place| self.offers.remove(place)).is_some()
    }

    /// How many more offers may be open once those from before `oldest` are forgotten.
    fn room_for_offers(&mut self, oldest: u32) -> usize {
        self.offers.retain(|open| open.second >= oldest);
        MAX_OPEN_OFFERS.saturating_sub(self.offers.len())
    }
}

/// To whom an offer was passed.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A browser of ours.
    Socket(SocketId),
    /// A sister node, which passes it to a browser of hers.
    Sister(Box<Key>),
    /// Another process of our fleet, likewise.
    Mate(ProcessId),
}

/// Offers that are not for browsers of ours, and what became of all.
#[derive(Default)]
pub(super) struct Elsewhere {
    /// For sisters.
    pub(super) sisters: Vec<(Key, Offer)>,
    /// For a browser of a mate each.
    pub(super) mates: Vec<(ProcessId, PeerId, Offer)>,
    /// How many offers found somebody, here or elsewhere.
    pub(super) passed: usize,
}

/// Offers that a browser hands in.
pub(super) struct Post {
    pub(super) from: SocketId,
    pub(super) info_hash: InfoHash,
    pub(super) offers: Vec<Offer>,
    /// The process that passes offers to sisters, if it is not ours.
    pub(super) speaker: Option<ProcessId>,
}

/// The browsers of a swarm.
#[derive(Default)]
pub(super) struct Browsers {
    pub(super) roster: Roster<SocketId, Browser>,
    pub(super) by_peer_id: HashMap<PeerId, SocketId>,
}

/// A swarm. Most have few peers, all of one kind: what they have not takes one word.
#[derive(Default)]
pub(super) struct Swarm {
    /// Our own.
    pub(super) classic: Classic,
    pub(super) browsers: Option<Box<Browsers>>,
    seeds: u32,
    downloaded: u32,
    /// What sister nodes say; nothing for most swarms.
    pub(super) visiting: Option<Box<Visiting>>,
    /// What is at other processes of our fleet.
    pub(super) mates: Option<Box<Mates>>,
}

impl Swarm {
    /// Our own peers, those of the fleet, and those that only sisters know.
    pub(super) fn counts(&self, hasher: &DefaultHashBuilder) -> SwarmCounts {
        let mut counts = self.fleet_counts();
        if let Some(visiting) = &self.visiting {
            let theirs = visiting.guests.counts(|contact| self.knows(hasher, contact));
            counts.complete = counts.complete.saturating_add(theirs.seeds);
            counts.incomplete = counts.incomplete.saturating_add(theirs.leeches);
        }
        counts
    }

    /// Our own peers and those of the fleet.
    pub(super) fn fleet_counts(&self) -> SwarmCounts {
        let mut counts = self.own_counts();
        if let Some(mates) = &self.mates {
            let (seeds, peers) = mates.counts();
            counts.complete = counts.complete.saturating_add(seeds);
            let leeches = u32::try_from(peers).unwrap_or(u32::MAX).saturating_sub(seeds);
            counts.incomplete = counts.incomplete.saturating_add(leeches);
        }
        counts
    }

    /// Whether a contact is a peer of our own, or of the fleet.
    pub(super) fn knows(&self, hasher: &DefaultHashBuilder, contact: &Contact) -> bool {
        match contact {
            Contact::Address(address) => {
                let mates = self.mates.as_ref();
                self.knows_classic(hasher, *address)
                    || mates.is_some_and(|mates| mates.knows_classic(hasher, &pack(*address)))
            }
            Contact::Browser(peer_id) => {
                self.browser_of(peer_id).is_some()
                    || self.mates.as_ref().is_some_and(|mates| mates.holder(peer_id).is_some())
            }
        }
    }

    /// How a classic peer of our own was last heard of.
    pub(super) fn classic_state(&self, hasher: &DefaultHashBuilder, address: &Packed) -> Option<State> {
        self.classic.get(hasher, address)
    }

    pub(super) fn knows_classic(&self, hasher: &DefaultHashBuilder, address: SocketAddr) -> bool {
        self.classic.get(hasher, &pack(address)).is_some()
    }

    /// The socket of the browser with that peer id.
    pub(super) fn browser_of(&self, peer_id: &PeerId) -> Option<SocketId> {
        self.browsers.as_ref()?.by_peer_id.get(peer_id).copied()
    }

    /// The peer id of the browser at that socket.
    pub(super) fn browser_at(&self, socket: &SocketId) -> Option<PeerId> {
        self.browsers.as_ref()?.roster.get(socket).map(|browser| browser.peer_id)
    }

    /// Draws classic peers without the asker: our own and the fleet's, and of the guests what [`guests::split`] leaves them.
    pub(super) fn draw_classic(
        &self,
        rng: &mut Rng,
        hasher: &DefaultHashBuilder,
        wish: Wish,
        asker: Option<&Packed>,
        drawn: &mut Drawn,
    ) {
        drawn.clear();
        let mut guests = Drawn::default();
        if let Some(visiting) = &self.visiting {
            let fleet = self.classic_len() + self.mates.as_ref().map_or(0, |mates| mates.classic_len());
            let own = fleet.saturating_sub(usize::from(asker.is_some()));
            let (_, most) = guests::split(wish.v4.max(wish.v6), own, visiting.guests.len());
            let stranger = |contact: &Contact, _| match contact {
                Contact::Address(address) => {
                    let wanted = if address.is_ipv4() { wish.v4 } else { wish.v6 } > 0;
                    let shown = wish.scope == Scope::All || is_public(address.ip());
                    wanted && shown && Some(&pack(*address)) != asker && !self.knows(hasher, contact)
                }
                Contact::Browser(_) => false,
            };
            for contact in visiting.guests.draw(rng, most, stranger) {
                if let Contact::Address(address) = contact {
                    guests.push(address);
                }
            }
        }
        let mut room =
            (wish.v4.saturating_sub(guests.v4.len() / 6), wish.v6.saturating_sub(guests.v6.len() / 18));
        if let Some(mates) = &self.mates {
            let wish = Wish { v4: room.0, v6: room.1, ..wish };
            room = mates.draw(rng, wish, self.classic.lens(), asker, drawn);
        }
        self.classic.draw(rng, room, asker, wish.scope, drawn);
        drawn.v4.extend_from_slice(&guests.v4);
        drawn.v6.extend_from_slice(&guests.v6);
    }

    pub(super) fn own_counts(&self) -> SwarmCounts {
        let peers = u32::try_from(self.classic_len() + self.browsers_len()).unwrap_or(u32::MAX);
        SwarmCounts {
            complete: self.seeds,
            downloaded: self.downloaded,
            incomplete: peers.saturating_sub(self.seeds),
        }
    }

    pub(super) fn classic_len(&self) -> usize {
        self.classic.len()
    }

    pub(super) fn browsers_len(&self) -> usize {
        self.browsers.as_ref().map_or(0, |browsers| browsers.roster.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.classic_len() == 0 && self.browsers_len() == 0 && self.visiting.is_none() && self.mates.is_none()
    }

    pub(super) fn recount(&mut self, was_seed: bool, is_seed: bool) {
        match (was_seed, is_seed) {
            (false, true) => self.seeds = self.seeds.saturating_add(1),
            (true, false) => self.seeds = self.seeds.saturating_sub(1),
            _ => {}
        }
    }

    pub(super) fn completed(&mut self) {
        self.downloaded = self.downloaded.saturating_add(1);
    }

    /// Takes note of a known classic peer and returns how it was; `None` if it is not known.
    pub(super) fn update_classic(
        &mut self,
        hasher: &DefaultHashBuilder,
        address: &Packed,
        state: State,
    ) -> Option<State> {
        let was = self.classic.update(hasher, address, state)?;
        self.recount(was.seed(), state.seed());
        Some(was)
    }

    /// Adds a classic peer that is not known.
    pub(super) fn add_classic(&mut self, hasher: &DefaultHashBuilder, address: Packed, state: State) {
        self.classic.add(hasher, address, state);
        self.recount(false, state.seed());
    }

    pub(super) fn remove_classic(&mut self, hasher: &DefaultHashBuilder, address: &Packed) -> bool {
        let Some(state) = self.classic.remove(hasher, address) else { return false };
        self.recount(state.seed(), false);
        true
    }

    /// Removes all classic peers of which `goes` says so.
    pub(super) fn sweep_classic(
        &mut self,
        hasher: &DefaultHashBuilder,
        goes: impl Fn(State) -> bool,
        mut gone: impl FnMut(SocketAddr),
    ) {
        let mut seeds = 0;
        self.classic.sweep(hasher, goes, |address, state| {
            seeds += u32::from(state.seed());
            gone(address);
        });
        self.seeds = self.seeds.saturating_sub(seeds);
    }

    /// How many classic peers are at one host.
    pub(super) fn classic_at(&self, ip: IpAddr) -> usize {
        self.classic.iter().filter(|(address, _)| address.ip() == ip).count()
    }

    pub(super) fn remove_browser(&mut self, socket: &SocketId) -> bool {
        let Some(browsers) = &mut self.browsers else { return false };
        let Some(browser) = browsers.roster.remove(socket) else { return false };
        if browsers.by_peer_id.get(&browser.peer_id) == Some(socket) {
            browsers.by_peer_id.remove(&browser.peer_id);
        }
        if browsers.roster.is_empty() {
            self.browsers = None;
        }
        self.recount(browser.seed, false);
        true
    }

    /// Passes the offer of a browser elsewhere to one of ours: the one that is meant, else one by chance, never itself, since
    /// a browser may hold sockets at both. Returns the socket that it was passed to.
    pub(super) fn offer_to_ours(
        &self,
        rng: &mut Rng,
        info_hash: InfoHash,
        from: PeerId,
        meant: Option<&PeerId>,
        offer: Offer,
    ) -> Option<SocketId> {
        let roster = &self.browsers.as_ref()?.roster;
        let itself = self.browser_of(&from);
        let (to, browser) = match meant.and_then(|meant| self.browser_of(meant)) {
            Some(socket) => (socket, roster.get(&socket)?),
            None => {
                let (socket, browser) = roster.draw(rng, 1, itself.as_ref()).next()?;
                (*socket, browser)
            }
        };
        browser.socket.pass(ServerMessage::Offer { info_hash, peer_id: from, offer }).then_some(to)
    }

    /// Passes an answer to the browser of ours that offered, if its offer went there and is open.
    pub(super) fn answer_to_ours(
        &mut self,
        asked: Target,
        info_hash: InfoHash,
        from: PeerId,
        to: &PeerId,
        answer: Offer,
    ) -> bool {
        let Some(browsers) = &mut self.browsers else { return false };
        let Some(offerer) = browsers.by_peer_id.get(to).and_then(|id| browsers.roster.get_mut(id)) else {
            return false;
        };
        if !offerer.answered(&answer.id, &asked) {
            return false;
        }
        offerer.socket.pass(ServerMessage::Answer { info_hash, peer_id: from, answer })
    }

    /// Passes offers to browsers of ours and returns those that are for browsers of mates and sisters.
    pub(super) fn pass_offers(
        &mut self,
        second: u32,
        rng: &mut Rng,
        hasher: &DefaultHashBuilder,
        post: Post,
        lifetime: u32,
    ) -> Elsewhere {
        let Post { from, info_hash, mut offers, speaker } = post;
        let mut elsewhere = Elsewhere::default();
        let offerer = self.browsers.as_mut().and_then(|browsers| browsers.roster.get_mut(&from));
        let Some(offerer) = offerer.filter(|_| !offers.is_empty()) else { return elsewhere };
        // The answer to one more could not come back: it would only trouble whoever is shown it.
        offers.truncate(offerer.room_for_offers(second.saturating_sub(lifetime)));
        let peer_id = offerer.peer_id;
        let (here, there) =
            (self.browsers_len().saturating_sub(1), self.mates.as_ref().map_or(0, |mates| mates.tabs_len()));
        if let Some(visiting) = &self.visiting {
            let mut sisters = visiting.guests.sisters_with_browsers(|contact| self.knows(hasher, contact));
            rng.shuffle(&mut sisters);
            let most = if sisters.is_empty() { 0 } else { offers.len() };
            let (_, abroad) = guests::split(offers.len(), here + there, most);
            let chosen = offers.split_off(offers.len().saturating_sub(abroad));
            elsewhere.sisters.extend(sisters.into_iter().cycle().zip(chosen));
        }
        if let Some(mates) = &self.mates {
            let most = share(rng, offers.len(), there, here + there);
            // What cannot be drawn stays for our own.
            let drawn = mates.draw_tabs(rng, most, Some(&peer_id));
            let chosen = offers.split_off(offers.len().saturating_sub(drawn.len()));
            let drawn = drawn.into_iter().zip(chosen);
            elsewhere.mates.extend(drawn.map(|((mate, to), offer)| (mate, to, offer)));
        }
        let Some(browsers) = &mut self.browsers else { return elsewhere };
        let passed = |id, to| Passed { id, to, second };
        let mut all = Vec::with_capacity(offers.len() + elsewhere.sisters.len() + elsewhere.mates.len());
        let sister = |(sister, offer): &(Key, Offer)| {
            passed(offer.id, speaker.map_or_else(|| Target::Sister(Box::new(*sister)), Target::Mate))
        };
        all.extend(elsewhere.sisters.iter().map(sister));
        all.extend(elsewhere.mates.iter().map(|(mate, _, offer)| passed(offer.id, Target::Mate(*mate))));
        let others = browsers.roster.draw(rng, offers.len(), Some(&from));
        for (offer, (to, browser)) in offers.into_iter().zip(others) {
            let id = offer.id;
            if browser.socket.pass(ServerMessage::Offer { info_hash, peer_id, offer }) {
                all.push(passed(id, Target::Socket(*to)));
            }
        }
        elsewhere.passed = all.len();
        if let Some(offerer) = browsers.roster.get_mut(&from) {
            offerer.offers.append(&mut all);
        }
        elsewhere
    }
}

/// The address as the rest of the tracker keeps it.
pub(super) fn canonical(address: SocketAddr) -> (Packed, SocketAddr) {
    (pack(address), SocketAddr::new(address.ip().to_canonical(), address.port()))
}
