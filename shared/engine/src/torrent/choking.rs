//! Whom a store serves, and the time-outs of trade: unchoking, snubbing, leaving.
//!
//! Who is best is `choker`'s judgement; this carries it out.

use super::store::Store;
use super::swarm::Swarm;
use crate::choker::{Rank, Rotation, Sample, Slots, choose};
use crate::config::Role;
use crate::keys::PeerKey;
use crate::output::CloseReason;
use crate::shared::Shared;
use anatomic_core::Time;
use anatomic_core::collections::BTreeSet;

/// When choking is decided next, and who was lucky last time.
#[derive(Debug)]
pub(super) struct Choking {
    next_round: Time,
    next_rotation: Time,
    optimistic: BTreeSet<PeerKey>,
}

impl Choking {
    pub(super) const fn new(now: Time) -> Self {
        Self { next_round: now, next_rotation: now, optimistic: BTreeSet::new() }
    }
}

impl Store {
    /// A peer wants something: it is served at once while there are slots, not only at the next round.
    pub(super) fn welcome(&mut self, swarm: &mut Swarm, shared: &mut Shared, key: PeerKey) {
        let serving =
            swarm.members.iter().filter(|(_, m)| !m.peer.am_choking() && m.peer.is_interested()).count();
        if serving < shared.config.unchoke_slots || self.nodes(swarm, shared).contains(&key) {
            self.unchoke(swarm, shared.now, key);
        }
    }

    /// Interested nodes, which have slots of their own: behind each wait many. As anybody may call himself a node,
    /// there are few.
    fn nodes(&self, swarm: &Swarm, shared: &Shared) -> BTreeSet<PeerKey> {
        swarm
            .members
            .iter()
            .filter(|(_, member)| member.peer.role() == Role::Node && member.peer.is_interested())
            .map(|(key, _)| key)
            .take(shared.config.stripes)
            .collect()
    }

    fn unchoke(&mut self, swarm: &mut Swarm, now: Time, key: PeerKey) {
        let Some((trader, peer)) = self.both(swarm, key) else { return };
        if peer.am_choking() {
            trader.had_turn = true;
            trader.turned_at = now;
            trader.sent_at_turn = peer.uploaded(now).0;
            peer.unchoke();
            swarm.members.touch(key);
        }
    }

    fn choke(&mut self, swarm: &mut Swarm, now: Time, key: PeerKey) {
        let Some((trader, peer)) = self.both(swarm, key) else { return };
        if !peer.am_choking() {
            trader.turned_at = now;
            peer.choke(now);
            swarm.members.touch(key);
        }
    }

    /// A second has passed. Gives the connections that should be closed.
    pub(super) fn tick(&mut self, swarm: &mut Swarm, shared: &mut Shared) -> Vec<(PeerKey, CloseReason)> {
        let now = shared.now;
        if now >= self.choking.next_round {
            self.choking.next_round = now + shared.config.unchoke_interval;
            self.round(swarm, shared);
        }
        let mut leaving = Vec::new();
        let keys: Vec<PeerKey> = self.traders.keys().copied().collect();
        for key in keys {
            let Some((trader, peer)) = self.both(swarm, key) else { continue };
            if peer.am_interested() || peer.is_interested() {
                trader.interest_at = now;
            } else if now >= trader.interest_at + shared.config.no_interest_timeout
                && peer.role() != Role::Node
            {
                leaving.push((key, CloseReason::NoInterest));
                continue;
            }
            let forgiven = trader.forgive(now);
            let late = peer.waiting_since().is_some_and(|since| now >= since + shared.config.request_timeout);
            let idle = peer.outstanding() == 0;
            if late {
                self.snub(swarm, shared, key);
            } else if forgiven || idle {
                self.refill(swarm, shared, key);
            }
        }
        leaving
    }

    fn round(&mut self, swarm: &mut Swarm, shared: &mut Shared) {
        let now = shared.now;
        let rotation = if now >= self.choking.next_rotation { Rotation::Due } else { Rotation::NotDue };
        if rotation == Rotation::Due {
            self.choking.next_rotation = now + shared.config.optimistic_interval;
        }
        let rank = if self.is_done() { Rank::Seeding } else { Rank::Leeching };
        let nodes = self.nodes(swarm, shared);
        let mut samples = Vec::new();
        for (key, trader) in &mut self.traders {
            let Some(member) = swarm.members.get(*key) else { continue };
            let (received, sent) = (member.peer.downloaded(now).0, member.peer.uploaded(now).0);
            let before = std::mem::replace(&mut trader.at_round, (received, sent));
            // Whoever let us wait has earned nothing.
            let received = if trader.snubbed { 0 } else { received - before.0 };
            if member.peer.is_interested() && !nodes.contains(key) {
                samples.push(Sample {
                    peer: *key,
                    received,
                    sent: sent - before.1,
                    sent_this_turn: sent - trader.sent_at_turn,
                    since: now.since(trader.turned_at),
                    unchoked: !member.peer.am_choking(),
                    is_new: !trader.had_turn,
                });
            }
        }
        let slots = Slots {
            total: shared.config.unchoke_slots,
            piece_length: u64::from(self.geometry.piece_length()),
        };
        let chosen = choose(&samples, slots, rank, rotation, &mut self.choking.optimistic, &mut shared.rng);
        let keys: Vec<PeerKey> = self.traders.keys().copied().collect();
        for key in keys {
            if chosen.contains(&key) || nodes.contains(&key) {
                self.unchoke(swarm, now, key);
            } else {
                self.choke(swarm, now, key);
            }
        }
    }
}
