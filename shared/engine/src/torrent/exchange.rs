//! Peer exchange ([BEP 11]): peers tell each other whom they are connected with, so that who knows one soon knows all.
//!
//! Only peers that have addresses: no browser's is told, and a page leaves this out. Nothing is told or believed in a
//! private torrent (BEP 27), and what is told are candidates like any others: judged by the address filter, and last in line.
//!
//! [BEP 11]: https://www.bittorrent.org/beps/bep_0011.html

use super::Torrent;
use super::member::Member;
use crate::add::Source;
use crate::keys::PeerKey;
use crate::link::Transport;
use crate::output::CloseReason;
use crate::peer::Misbehaviour;
use crate::shared::Shared;
use anatomic_core::Time;
use anatomic_core::address::{Policy, is_public};
use anatomic_wire::extended::{Pex, PexFlags, PexPeer};
use std::net::SocketAddr;
use std::time::Duration;

/// Between two messages to one peer: BEP 11 allows one a minute.
const EVERY: Duration = Duration::from_secs(60);
/// How soon to look again at a peer for which there was no news.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long a newcomer is named only to those who came after it. It calls the others, who are named to it at once; were
/// they told of it in the same moment, both would call, and libtorrent then closes both connections for a minute.
const HEAD_START: Duration = Duration::from_secs(30);
/// Addresses added, and dropped, by one message: what BEP 11 allows to send, and what is taken.
const MOST: usize = 50;
/// A message more is heard from a peer every so often; clients do not keep the minute to the second.
const HEARD_EVERY: Duration = Duration::from_secs(30);
/// Messages beyond that are only skipped.
const MAX_EXCESS: u32 = 32;

/// What one connection and we told each other.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Addresses that it was told and that were not dropped again; sorted.
    told: Vec<SocketAddr>,
    /// Nothing more is told before.
    next: Time,
    /// Nothing more is heard before.
    heard_until: Time,
    excess: u32,
}

impl Exchange {
    /// What the peer is to be told now that `live` are connected; counts as told.
    fn news(&mut self, live: &[PexPeer]) -> Pex {
        let is_live = |address: &SocketAddr| live.iter().any(|peer| peer.address == *address);
        let mut pex = Pex::default();
        pex.dropped.extend(self.told.iter().copied().filter(|address| !is_live(address)).take(MOST));
        pex.added.extend(
            live.iter().filter(|peer| self.told.binary_search(&peer.address).is_err()).take(MOST).copied(),
        );
        self.told.retain(|address| !pex.dropped.contains(address));
        self.told.extend(pex.added.iter().map(|peer| peer.address));
        self.told.sort_unstable();
        pex
    }
}

impl Torrent {
    /// About a second passed: tells the news to whoever may be told some.
    pub(super) fn exchange(&mut self, shared: &Shared) {
        let now = shared.now;
        // Whether it is private is known with the metadata only.
        if self.swarm.private || self.metainfo.is_none() {
            return;
        }
        let due = |(_, member): &(PeerKey, &Member)| member.exchange.next <= now && member.peer.exchanges();
        let due: Vec<PeerKey> = self.swarm.members.iter().filter(due).map(|(key, _)| key).collect();
        if due.is_empty() {
            return;
        }
        let live: Vec<(Time, PexPeer)> =
            self.swarm.members.iter().filter_map(|(_, member)| describe(member)).collect();
        for key in due {
            let Some(member) = self.swarm.members.get_mut(key) else { continue };
            let policy = policy_with(member, shared.config.addresses);
            let came = member.peer.created();
            let may_hear = |(since, peer): &&(Time, PexPeer)| {
                (*since < came || now >= *since + HEAD_START)
                    && Some(peer.address) != member.dialled
                    && policy.allows(peer.address)
            };
            let others: Vec<PexPeer> = live.iter().filter(may_hear).map(|(_, peer)| *peer).collect();
            let news = member.exchange.news(&others);
            if news == Pex::default() {
                member.exchange.next = now + LOOK_AGAIN;
                continue;
            }
            member.exchange.next = now + EVERY;
            if let Some(peer) = self.swarm.members.tell(key) {
                peer.exchange(&news);
            }
        }
    }

    pub(super) fn on_exchange(&mut self, shared: &mut Shared, key: PeerKey, news: &Pex) {
        let Some(member) = self.swarm.members.get_mut(key) else { return };
        let exchange = &mut member.exchange;
        if shared.now < exchange.heard_until {
            exchange.excess += 1;
            if exchange.excess > MAX_EXCESS {
                self.close(shared, key, CloseReason::Misbehaved(Misbehaviour::ExchangeRepeated));
            }
            return;
        }
        exchange.heard_until = shared.now + HEARD_EVERY;
        let policy = policy_with(member, shared.config.addresses);
        // A seed has no use for seeds.
        let only_leeches = !self.wants_seeds();
        let wanted = news
            .added
            .iter()
            .take(MOST)
            .filter(|peer| policy.allows(peer.address))
            .filter(|peer| !(only_leeches && peer.flags.has(PexFlags::SEED)))
            .map(|peer| peer.address);
        let wanted: Vec<SocketAddr> = wanted.collect();
        self.swarm.add_candidates(shared, Source::Pex, &wanted);
    }
}

/// Which addresses a peer may tell and be told: whoever is outside of our network, none inside of it.
fn policy_with(member: &Member, ours: Policy) -> Policy {
    match member.peer.link().address {
        Some(address) if is_public(address.ip()) => Policy::Public,
        _ => ours,
    }
}

/// Since when a peer is connected and what others are told of it; `None` if it cannot be called.
fn describe(member: &Member) -> Option<(Time, PexPeer)> {
    let (peer, link) = (&member.peer, member.peer.link());
    let address = member.dialled.filter(|_| peer.is_open())?;
    let upload_only = peer.extensions().and_then(|extensions| extensions.upload_only) == Some(true);
    let flags = [
        (PexFlags::ENCRYPTION, link.encrypted),
        (PexFlags::SEED, peer.is_seed() || upload_only),
        (PexFlags::UTP, link.transport == Transport::Utp),
        (PexFlags::REACHABLE, link.direction.is_ours()),
    ];
    let set = flags.into_iter().filter(|(_, is_set)| *is_set);
    let flags = set.fold(PexFlags::default(), |all, (flag, _)| all.with(flag));
    Some((peer.created(), PexPeer { address, flags }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(ports: std::ops::Range<u16>) -> Vec<PexPeer> {
        let address = |port| SocketAddr::from(([9, 9, 9, 9], port));
        ports.map(|port| PexPeer { address: address(port), flags: PexFlags::default() }).collect()
    }

    #[test]
    fn news_are_what_changed_and_at_most_fifty_of_a_kind() {
        let mut exchange = Exchange::default();
        let first = exchange.news(&peers(1..121));
        assert_eq!((first.added.len(), first.dropped.len()), (50, 0));
        assert_eq!(exchange.news(&peers(1..121)).added, peers(51..101), "the rest follows");
        assert_eq!(exchange.news(&peers(1..121)).added, peers(101..121));
        assert_eq!(exchange.news(&peers(1..121)), Pex::default());
        let changed = exchange.news(&peers(61..122));
        assert_eq!((changed.added, changed.dropped.len()), (peers(121..122), 50));
        assert_eq!(exchange.news(&peers(61..122)).dropped.len(), 10);
        assert_eq!(exchange.news(&peers(61..122)), Pex::default());
    }
}
