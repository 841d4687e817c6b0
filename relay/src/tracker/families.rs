//! The classic peers of one place, of both families: a swarm's own, or those at a mate.
//!
//! Counts no seeds: whoever owns it does, together with its browsers. How one family is kept is [`super::peers`]'s part.

use super::drawn::Drawn;
use super::peers::{Address as _, Packed, Peers, Scope, State, V4, V6};
use fastrand::Rng;
use hashbrown::DefaultHashBuilder;
use std::net::SocketAddr;

/// Classic peers. Most places have none over IPv6: those take one word.
#[derive(Default)]
pub(super) struct Classic {
    pub(super) v4: Peers<V4>,
    v6: Option<Box<Peers<V6>>>,
}

impl Classic {
    /// Those over IPv6, if there are any.
    pub(super) fn v6(&self) -> Option<&Peers<V6>> {
        self.v6.as_deref()
    }

    /// How many there are over IPv4, and over IPv6.
    pub(super) fn lens(&self) -> (usize, usize) {
        (self.v4.len(), self.v6.as_ref().map_or(0, |peers| peers.len()))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        let (v4, v6) = self.lens();
        v4 + v6
    }

    /// How a peer was last heard of, if it is here.
    pub(super) fn get(&self, hasher: &DefaultHashBuilder, address: &Packed) -> Option<State> {
        match address {
            Packed::V4(address) => self.v4.get(hasher, address),
            Packed::V6(address) => self.v6.as_ref()?.get(hasher, address),
        }
    }

    /// Takes note of a known peer and returns how it was; `None` if it is not known.
    pub(super) fn update(
        &mut self,
        hasher: &DefaultHashBuilder,
        address: &Packed,
        state: State,
    ) -> Option<State> {
        match address {
            Packed::V4(address) => self.v4.update(hasher, address, state),
            Packed::V6(address) => self.v6.as_mut()?.update(hasher, address, state),
        }
    }

    /// Adds a peer that is not known.
    pub(super) fn add(&mut self, hasher: &DefaultHashBuilder, address: Packed, state: State) {
        match address {
            Packed::V4(address) => self.v4.add(hasher, address, state),
            Packed::V6(address) => self.v6.get_or_insert_default().add(hasher, address, state),
        }
    }

    /// Removes a peer and returns how it was, if it was here.
    pub(super) fn remove(&mut self, hasher: &DefaultHashBuilder, address: &Packed) -> Option<State> {
        let state = match address {
            Packed::V4(address) => self.v4.remove(hasher, address),
            Packed::V6(address) => self.v6.as_mut().and_then(|peers| peers.remove(hasher, address)),
        };
        self.tidy();
        state
    }

    /// Removes all peers of which `goes` says so.
    pub(super) fn sweep(
        &mut self,
        hasher: &DefaultHashBuilder,
        goes: impl Fn(State) -> bool,
        mut gone: impl FnMut(SocketAddr, State),
    ) {
        self.v4.sweep(hasher, &goes, |address, state| gone(address.unpack(), state));
        if let Some(peers) = &mut self.v6 {
            peers.sweep(hasher, &goes, |address, state| gone(address.unpack(), state));
        }
        self.tidy();
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SocketAddr, State)> {
        let v6 = self.v6.iter().flat_map(|peers| peers.iter());
        let v6 = v6.map(|(address, state)| (address.unpack(), state));
        self.v4.iter().map(|(address, state)| (address.unpack(), state)).chain(v6)
    }

    /// Draws so many of each family by chance, without the asker.
    pub(super) fn draw(
        &self,
        rng: &mut Rng,
        (most4, most6): (usize, usize),
        asker: Option<&Packed>,
        scope: Scope,
        drawn: &mut Drawn,
    ) {
        let (own4, own6) = match asker {
            Some(Packed::V4(own)) => (Some(own), None),
            Some(Packed::V6(own)) => (None, Some(own)),
            None => (None, None),
        };
        self.v4.draw(rng, most4, own4, scope, |address| drawn.v4.extend_from_slice(address.bytes()));
        if let Some(v6) = &self.v6 {
            v6.draw(rng, most6, own6, scope, |address| drawn.v6.extend_from_slice(address.bytes()));
        }
    }

    fn tidy(&mut self) {
        if self.v6.as_ref().is_some_and(|peers| peers.is_empty()) {
            self.v6 = None;
        }
    }
}
