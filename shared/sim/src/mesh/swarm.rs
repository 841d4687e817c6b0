//! A node's swarm in the simulation: its own peers and the guests.
//!
//! The real one is the relay's store; this one has no limits but those of [`Guests`].

use anatomic_core::Time;
use anatomic_mesh::Key;
use anatomic_mesh::sharing::guests::MAX_PER_SISTER;
use anatomic_mesh::sharing::{Contact, Counts, Guests, SharedPeer};
use std::collections::BTreeMap;

/// A swarm.
#[derive(Debug, Default)]
pub struct SimSwarm {
    /// The node's own peers: whether they are seeds, and when they were heard of.
    pub own: BTreeMap<Contact, (bool, Time)>,
    /// Those of its sisters.
    pub guests: Guests,
    /// When a seed was first known here, its own or a guest.
    pub seed_known: Option<Time>,
    /// Peers beyond a sister's quota.
    pub over_quota: usize,
}

impl SimSwarm {
    /// A peer came or was heard of again.
    pub fn come(&mut self, now: Time, contact: Contact, seed: bool) {
        self.own.insert(contact, (seed, now));
        if seed {
            self.seed_known.get_or_insert(now);
        }
    }

    /// A peer went.
    pub fn go(&mut self, contact: &Contact) {
        self.own.remove(contact);
    }

    /// What sisters are told.
    #[must_use]
    pub fn present(&self, now: Time) -> Vec<SharedPeer> {
        let peer = |(contact, (seed, seen)): (&Contact, &(bool, Time))| SharedPeer {
            contact: *contact,
            seed: *seed,
            bridge: false,
            age: u16::try_from(now.since(*seen).as_secs()).unwrap_or(u16::MAX),
        };
        self.own.iter().map(peer).take(MAX_PER_SISTER).collect()
    }

    /// The node's own peers, counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let seeds = self.own.values().filter(|(seed, _)| *seed).count();
        let browsers = self.own.keys().filter(|contact| matches!(contact, Contact::Browser(_))).count();
        Counts { seeds: count(seeds), leeches: count(self.own.len() - seeds), browsers: count(browsers) }
    }

    /// A sister said something; with `keep` her peers are kept.
    pub fn learn(
        &mut self,
        now: Time,
        sister: Key,
        gained: &[SharedPeer],
        lost: &[Contact],
        counts: Option<Counts>,
        keep: bool,
    ) {
        if gained.iter().any(|peer| peer.seed) {
            self.seed_known.get_or_insert(now);
        }
        if !keep {
            return;
        }
        for contact in lost {
            self.guests.lose(sister, contact);
        }
        self.over_quota += gained.iter().filter(|peer| self.guests.learn(now, sister, peer).is_err()).count();
        if let Some(counts) = counts {
            self.guests.set_counts(sister, counts);
        }
    }
}
