//! The peers of one swarm that are at other processes of our fleet: as good as our own, kept by process.
//!
//! Bookkeeping under the swarm's lock. A classic peer stands in one place only, where it was heard of last: here, with one
//! mate, or among the swarm's own peers. Who lives is decided by `anatomic_mesh::fleet`, and the bus is [`crate::fleet`]'s.

use super::drawn::Drawn;
use super::families::Classic;
use super::peers::{Packed, Scope, State};
use super::roster::Roster;
use super::swarms::{SocketId, Wish};
use anatomic_core::PeerId;
use anatomic_mesh::Key;
use anatomic_mesh::fleet::ProcessId;
use anatomic_wire::tracker::websocket::{Offer, OfferId};
use fastrand::Rng;
use hashbrown::DefaultHashBuilder;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

/// Two processes that heard of a classic peer within so many seconds agree by their names on who keeps it.
const AT_ONCE: u32 = 2;
/// Most bridges of mates in one reply.
const BRIDGES: usize = 3;

/// A browser at a mate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tab {
    pub(super) seed: bool,
    second: u32,
    recital: u64,
}

/// What is at one mate.
pub(super) struct Mate {
    pub(super) id: ProcessId,
    classic: Classic,
    classic_seeds: u32,
    pub(super) tabs: Roster<PeerId, Tab>,
    tab_seeds: u32,
    bridge: Option<SocketAddr>,
}

/// Our browser that a mate's offer was passed to, the mate, and when.
pub(super) type Asked = (SocketId, ProcessId, Instant);

/// What is at all mates.
#[derive(Default)]
pub(super) struct Mates {
    pub(super) list: Vec<Mate>,
    /// Offers of their browsers that ours have not answered.
    pub(super) offers: HashMap<(PeerId, OfferId), Asked>,
    /// Offers of sisters' browsers that were passed on to a mate, and not answered.
    pub(super) relayed: HashMap<(PeerId, OfferId), (ProcessId, Key, Instant)>,
    /// Offers of mates' browsers that were passed on to a sister, and not answered.
    pub(super) lent: HashMap<(PeerId, OfferId), (ProcessId, Key, Instant)>,
}

impl Mate {
    fn new(id: ProcessId) -> Self {
        Self {
            id,
            classic: Classic::default(),
            classic_seeds: 0,
            tabs: Roster::default(),
            tab_seeds: 0,
            bridge: None,
        }
    }

    fn is_empty(&self) -> bool {
        self.classic.len() == 0 && self.tabs.is_empty() && self.bridge.is_none()
    }

    fn remove_classic(&mut self, hasher: &DefaultHashBuilder, address: &Packed) -> bool {
        let Some(state) = self.classic.remove(hasher, address) else { return false };
        self.classic_seeds = self.classic_seeds.saturating_sub(state.seed().into());
        true
    }

    fn add_classic(&mut self, hasher: &DefaultHashBuilder, address: Packed, state: State) {
        self.classic_seeds = self.classic_seeds.saturating_add(state.seed().into());
        self.classic.add(hasher, address, state);
    }

    fn remove_tab(&mut self, peer_id: &PeerId) -> bool {
        let Some(tab) = self.tabs.remove(peer_id) else { return false };
        self.tab_seeds = self.tab_seeds.saturating_sub(tab.seed.into());
        true
    }

    fn keep_tabs(&mut self, stays: impl Fn(&Tab) -> bool) {
        let gone: Vec<PeerId> =
            self.tabs.iter().filter(|(_, tab)| !stays(tab)).map(|(peer_id, _)| *peer_id).collect();
        for peer_id in &gone {
            self.remove_tab(peer_id);
        }
    }
}

/// Whether what `other` heard of at `theirs` replaces what `own` heard of at `ours`.
pub(super) const fn replaces(other: ProcessId, theirs: u32, own: ProcessId, ours: u32) -> bool {
    if theirs.abs_diff(ours) <= AT_ONCE { other.0 <= own.0 } else { theirs > ours }
}

impl Mates {
    fn mate(&mut self, id: ProcessId) -> &mut Mate {
        let place = self.list.iter().position(|mate| mate.id == id).unwrap_or(self.list.len());
        if place == self.list.len() {
            self.list.push(Mate::new(id));
        }
        #[expect(clippy::indexing_slicing, reason = "it was found or just pushed")]
        &mut self.list[place]
    }

    /// Whether nothing is here.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.offers.is_empty() && self.relayed.is_empty() && self.lent.is_empty()
    }

    /// The mate whose browser's offer this answers, if it was passed to that socket; it is then answered.
    pub(super) fn answered(&mut self, by: SocketId, to: &PeerId, answer: &Offer) -> Option<ProcessId> {
        let key = (*to, answer.id);
        let (asked, mate, _) = self.offers.get(&key).copied()?;
        (asked == by).then(|| self.offers.remove(&key)).flatten().map(|_| mate)
    }

    /// The mate whose browser's offer that sister's browser answers; it is then answered.
    pub(super) fn lent_by(&mut self, sister: Key, to: &PeerId, answer: &Offer) -> Option<ProcessId> {
        let key = (*to, answer.id);
        let (_, asked, _) = self.lent.get(&key)?;
        (*asked == sister).then(|| self.lent.remove(&key)).flatten().map(|(mate, _, _)| mate)
    }

    /// Seeds and all peers.
    pub(super) fn counts(&self) -> (u32, usize) {
        self.list.iter().fold((0, 0), |(seeds, peers), mate| {
            let own = mate.classic_seeds.saturating_add(mate.tab_seeds);
            (seeds + own, peers + mate.classic.len() + mate.tabs.len())
        })
    }

    /// Browsers with everything, all browsers, classic peers with everything, all classic peers.
    pub(super) fn kinds(&self) -> (usize, usize, usize, usize) {
        self.list.iter().fold((0, 0, 0, 0), |(a, b, c, d), mate| {
            (
                a + mate.tab_seeds as usize,
                b + mate.tabs.len(),
                c + mate.classic_seeds as usize,
                d + mate.classic.len(),
            )
        })
    }

    /// How many classic peers there are.
    pub(super) fn classic_len(&self) -> usize {
        self.list.iter().map(|mate| mate.classic.len()).sum()
    }

    /// How many browsers there are.
    pub(super) fn tabs_len(&self) -> usize {
        self.list.iter().map(|mate| mate.tabs.len()).sum()
    }

    /// Whether a classic peer is here.
    pub(super) fn knows_classic(&self, hasher: &DefaultHashBuilder, address: &Packed) -> bool {
        self.list.iter().any(|mate| mate.classic.get(hasher, address).is_some())
    }

    /// The mate that has a browser.
    pub(super) fn holder(&self, peer_id: &PeerId) -> Option<ProcessId> {
        self.list.iter().find(|mate| mate.tabs.get(peer_id).is_some()).map(|mate| mate.id)
    }

    /// A mate heard of a classic peer. Returns by how many there are more, or `None` if another mate heard of it later.
    pub(super) fn classic_came(
        &mut self,
        hasher: &DefaultHashBuilder,
        id: ProcessId,
        address: Packed,
        state: State,
    ) -> Option<isize> {
        let other = self.list.iter_mut().find_map(|mate| Some((mate.classic.get(hasher, &address)?, mate)));
        let mut more = 1;
        if let Some((known, mate)) = other {
            if mate.id != id && !replaces(id, state.second(), mate.id, known.second()) {
                return None;
            }
            mate.remove_classic(hasher, &address);
            more = 0;
        }
        self.mate(id).add_classic(hasher, address, state);
        Some(more)
    }

    /// A classic peer said goodbye, or is one of our own now. Returns whether it was here.
    pub(super) fn classic_went(&mut self, hasher: &DefaultHashBuilder, address: &Packed) -> bool {
        let went = self.list.iter_mut().any(|mate| mate.remove_classic(hasher, address));
        self.list.retain(|mate| !mate.is_empty());
        went
    }

    /// A mate has a browser; the last that says so keeps it. Returns by how many there are more.
    pub(super) fn tab_came(
        &mut self,
        id: ProcessId,
        peer_id: PeerId,
        seed: bool,
        second: u32,
        recital: u64,
    ) -> isize {
        let known = self.tab_went(None, &peer_id);
        let mate = self.mate(id);
        mate.tabs.insert(peer_id, Tab { seed, second, recital });
        mate.tab_seeds = mate.tab_seeds.saturating_add(seed.into());
        isize::from(!known)
    }

    /// A browser is no longer at that mate, or at none. Returns whether it was.
    pub(super) fn tab_went(&mut self, id: Option<ProcessId>, peer_id: &PeerId) -> bool {
        let meant = self.list.iter_mut().filter(|mate| id.is_none_or(|id| mate.id == id));
        let went = meant.map(|mate| mate.remove_tab(peer_id)).filter(|went| *went).count() > 0;
        self.list.retain(|mate| !mate.is_empty());
        went
    }

    /// A mate's own peer in this swarm, or that it has none.
    pub(super) fn set_bridge(&mut self, id: ProcessId, bridge: Option<SocketAddr>) {
        if bridge.is_some() || self.list.iter().any(|mate| mate.id == id) {
            self.mate(id).bridge = bridge;
        }
        self.list.retain(|mate| !mate.is_empty());
    }

    /// A mate's bridge in this swarm.
    pub(super) fn bridge(&self, id: ProcessId) -> Option<SocketAddr> {
        self.list.iter().find(|mate| mate.id == id)?.bridge
    }

    /// A mate is gone: her browsers cannot be reached. Her classic peers are out there still, until they are too old.
    pub(super) fn gone(&mut self, id: ProcessId) {
        for mate in self.list.iter_mut().filter(|mate| mate.id == id) {
            mate.keep_tabs(|_| false);
            mate.bridge = None;
        }
        self.list.retain(|mate| !mate.is_empty());
        self.offers.retain(|_, (_, mate, _)| *mate != id);
        self.relayed.retain(|_, (mate, _, _)| *mate != id);
        self.lent.retain(|_, (mate, _, _)| *mate != id);
    }

    /// A mate has recited everything: browsers that were not in it are gone.
    pub(super) fn settled(&mut self, id: ProcessId, recital: u64) {
        for mate in self.list.iter_mut().filter(|mate| mate.id == id) {
            mate.keep_tabs(|tab| tab.recital >= recital);
        }
        self.list.retain(|mate| !mate.is_empty());
    }

    /// Forgets who was not heard of since these seconds, and offers that are `old`.
    pub(super) fn expire(
        &mut self,
        hasher: &DefaultHashBuilder,
        classic: u32,
        browsers: u32,
        old: impl Fn(Instant) -> bool,
    ) {
        for mate in &mut self.list {
            let mut seeds = 0;
            let gone = |_, state: State| seeds += u32::from(state.seed());
            mate.classic.sweep(hasher, |state| state.second() < classic, gone);
            mate.classic_seeds = mate.classic_seeds.saturating_sub(seeds);
            mate.keep_tabs(|tab| tab.second >= browsers);
        }
        self.list.retain(|mate| !mate.is_empty());
        self.offers.retain(|_, (_, _, at)| !old(*at));
        self.relayed.retain(|_, (_, _, at)| !old(*at));
        self.lent.retain(|_, (_, _, at)| !old(*at));
    }

    /// All classic peers.
    pub(super) fn all_classic(&self) -> impl Iterator<Item = (SocketAddr, State)> {
        self.list.iter().flat_map(|mate| mate.classic.iter())
    }

    /// All browsers, with whether each is a seed and when it was spoken of.
    pub(super) fn all_tabs(&self) -> impl Iterator<Item = (PeerId, bool, u32)> {
        let tabs = self.list.iter().flat_map(|mate| mate.tabs.iter());
        tabs.map(|(peer_id, tab)| (*peer_id, tab.seed, tab.second))
    }

    /// Draws classic peers of the mates, `own4` and `own6` being how many of our own each family has: of each place so many
    /// as its share is. Returns how many of either family are left for our own.
    pub(super) fn draw(
        &self,
        rng: &mut Rng,
        wish: Wish,
        own: (usize, usize),
        asker: Option<&Packed>,
        drawn: &mut Drawn,
    ) -> (usize, usize) {
        let lens = self.list.iter().map(|mate| mate.classic.lens());
        let (mut rest4, mut rest6) = lens.fold(own, |(v4, v6), (more4, more6)| (v4 + more4, v6 + more6));
        let (mut left4, mut left6) = (wish.v4, wish.v6);
        for bridge in self.list.iter().filter_map(|mate| mate.bridge).take(BRIDGES) {
            let left = if bridge.is_ipv4() { &mut left4 } else { &mut left6 };
            let shown = wish.scope == Scope::All || anatomic_core::address::is_public(bridge.ip());
            if *left > 0 && shown {
                *left -= 1;
                drawn.push(bridge);
            }
        }
        for mate in &self.list {
            let (before4, before6) = (drawn.v4.len(), drawn.v6.len());
            let (len4, len6) = mate.classic.lens();
            let counts = (share(rng, left4, len4, rest4), share(rng, left6, len6, rest6));
            mate.classic.draw(rng, counts, asker, wish.scope, drawn);
            (left4, rest4) = (left4 - (drawn.v4.len() - before4) / 6, rest4 - len4);
            (left6, rest6) = (left6 - (drawn.v6.len() - before6) / 18, rest6 - len6);
        }
        (left4, left6)
    }

    /// Draws up to `count` browsers and the mate of each, never `except`.
    pub(super) fn draw_tabs(
        &self,
        rng: &mut Rng,
        count: usize,
        except: Option<&PeerId>,
    ) -> Vec<(ProcessId, PeerId)> {
        let (mut left, mut rest, mut drawn) = (count, self.tabs_len(), Vec::new());
        for mate in &self.list {
            let share = share(rng, left, mate.tabs.len(), rest);
            let before = drawn.len();
            drawn.extend(mate.tabs.draw(rng, share, except).map(|(peer_id, _)| (mate.id, *peer_id)));
            left -= drawn.len() - before;
            rest -= mate.tabs.len();
        }
        drawn
    }
}

/// How many of `want` fall to a part of `len` out of `all`, the fraction by chance.
pub(super) fn share(rng: &mut Rng, want: usize, len: usize, all: usize) -> usize {
    if all <= want || all == 0 {
        return len.min(want);
    }
    let exact = want * len;
    let (whole, rest) = (exact / all, exact % all);
    (whole + usize::from(rng.usize(..all) < rest)).min(len).min(want)
}
