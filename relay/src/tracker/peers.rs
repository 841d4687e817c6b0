//! Classic peers of one swarm and one family, packed: 12 bytes a peer over IPv4, 24 over IPv6, and 5 for finding it.
//!
//! Knows addresses as they travel (compact, BEP 23 and BEP 7), so that a reply is copied and not written anew. Who is
//! let in is [`super::swarms`]'s business.

use anatomic_core::address::is_public;
use fastrand::Rng;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Up to so many peers are found by looking at each; beyond it there is an index.
const FEW: usize = 12;

/// An address as it travels.
pub(super) trait Address: Copy + Eq + std::hash::Hash {
    /// The address as the rest of the program knows it.
    fn unpack(&self) -> SocketAddr;
    /// Its bytes.
    fn bytes(&self) -> &[u8];
    /// Its host.
    fn ip(&self) -> IpAddr {
        self.unpack().ip()
    }
}

/// IPv4: 4 bytes and a port.
pub(super) type V4 = [u8; 6];
/// IPv6: 16 bytes and a port.
pub(super) type V6 = [u8; 18];

impl Address for V4 {
    fn unpack(&self) -> SocketAddr {
        let [a, b, c, d, high, low] = *self;
        SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low]))
    }

    fn bytes(&self) -> &[u8] {
        self
    }
}

impl Address for V6 {
    fn unpack(&self) -> SocketAddr {
        let (ip, port) = self.split_at(16);
        let ip: [u8; 16] = ip.try_into().unwrap_or_default();
        let port: [u8; 2] = port.try_into().unwrap_or_default();
        SocketAddr::new(Ipv6Addr::from(ip).into(), u16::from_be_bytes(port))
    }

    fn bytes(&self) -> &[u8] {
        self
    }
}

/// An address of either family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Packed {
    V4(V4),
    V6(V6),
}

/// Packs an address; an IPv4 address in IPv6 clothes becomes IPv4.
pub(super) fn pack(address: SocketAddr) -> Packed {
    let [high, low] = address.port().to_be_bytes();
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            Packed::V4([a, b, c, d, high, low])
        }
        IpAddr::V6(ip) => {
            let mut bytes = [0; 18];
            let (host, port) = bytes.split_at_mut(16);
            host.copy_from_slice(&ip.octets());
            port.copy_from_slice(&[high, low]);
            Packed::V6(bytes)
        }
    }
}

/// When a peer was heard of (seconds since the store began), and whether it is a seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State(u32);

impl State {
    pub(super) const fn new(second: u32, seed: bool) -> Self {
        Self(second << 1 | seed as u32)
    }

    /// As one number.
    pub(super) const fn bits(self) -> u32 {
        self.0
    }

    pub(super) const fn second(self) -> u32 {
        self.0 >> 1
    }

    pub(super) const fn seed(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Who may be in a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Everybody: the client is in our own network.
    All,
    /// Public addresses only: those of our own network are of no use out there, and nobody's business.
    Public,
}

/// The peers.
pub(super) struct Peers<A> {
    row: Vec<(A, State)>,
    index: Option<Box<HashTable<u32>>>,
}

impl<A> Default for Peers<A> {
    fn default() -> Self {
        Self { row: Vec::new(), index: None }
    }
}

impl<A: Address> Peers<A> {
    pub(super) const fn len(&self) -> usize {
        self.row.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&A, State)> {
        self.row.iter().map(|(address, state)| (address, *state))
    }

    fn place(&self, hasher: &DefaultHashBuilder, address: &A) -> Option<usize> {
        match &self.index {
            None => self.row.iter().position(|(other, _)| other == address),
            Some(index) => {
                let same =
                    |place: &u32| self.row.get(*place as usize).is_some_and(|(other, _)| other == address);
                index.find(hasher.hash_one(address), same).map(|place| *place as usize)
            }
        }
    }

    /// A peer's state; `None` if it is not here.
    pub(super) fn get(&self, hasher: &DefaultHashBuilder, address: &A) -> Option<State> {
        self.row.get(self.place(hasher, address)?).map(|(_, state)| *state)
    }

    /// Changes a peer's state and returns the old one; `None` if it is not here.
    pub(super) fn update(&mut self, hasher: &DefaultHashBuilder, address: &A, state: State) -> Option<State> {
        let place = self.place(hasher, address)?;
        self.row.get_mut(place).map(|(_, old)| std::mem::replace(old, state))
    }

    /// Adds a peer that is not here.
    pub(super) fn add(&mut self, hasher: &DefaultHashBuilder, address: A, state: State) {
        let Ok(place) = u32::try_from(self.row.len()) else { return };
        self.row.push((address, state));
        match &mut self.index {
            Some(index) => {
                let row = &self.row;
                index.insert_unique(hasher.hash_one(address), place, |place| hash_of(row, hasher, *place));
            }
            None if self.row.len() > FEW => self.build_index(hasher),
            None => {}
        }
    }

    /// Removes a peer and returns its state.
    pub(super) fn remove(&mut self, hasher: &DefaultHashBuilder, address: &A) -> Option<State> {
        let place = self.place(hasher, address)?;
        if let Some(index) = &mut self.index {
            let last = u32::try_from(self.row.len().saturating_sub(1)).ok()?;
            if let Ok(entry) = index.find_entry(hasher.hash_one(address), |other| *other as usize == place) {
                entry.remove();
            }
            // The last takes the place of the one that goes.
            if last as usize != place
                && let Some(moved) = index.find_mut(hash_of(&self.row, hasher, last), |other| *other == last)
            {
                *moved = u32::try_from(place).ok()?;
            }
        }
        let (_, state) = self.row.swap_remove(place);
        self.shrink(hasher);
        Some(state)
    }

    /// Removes all that `goes` says and tells each to `gone`.
    pub(super) fn sweep(
        &mut self,
        hasher: &DefaultHashBuilder,
        goes: impl Fn(State) -> bool,
        mut gone: impl FnMut(&A, State),
    ) {
        let before = self.row.len();
        self.row.retain(|(address, state)| {
            let goes = goes(*state);
            if goes {
                gone(address, *state);
            }
            !goes
        });
        if self.row.len() == before {
            return;
        }
        self.row.shrink_to(self.row.len() + self.row.len() / 4);
        self.index = None;
        if self.row.len() > FEW {
            self.build_index(hasher);
        }
    }

    fn build_index(&mut self, hasher: &DefaultHashBuilder) {
        let row = &self.row;
        let mut index = HashTable::with_capacity(row.len());
        for (place, (address, _)) in (0u32..).zip(row) {
            index.insert_unique(hasher.hash_one(address), place, |place| hash_of(row, hasher, *place));
        }
        self.index = Some(Box::new(index));
    }

    fn shrink(&mut self, hasher: &DefaultHashBuilder) {
        if self.row.capacity() > 16 && self.row.len() < self.row.capacity() / 4 {
            self.row.shrink_to(self.row.len() * 2);
            self.index = None;
            if self.row.len() > FEW {
                self.build_index(hasher);
            }
        }
    }

    /// Gives up to `count` different peers to `take`, all with the same chance, never `except`.
    ///
    /// The row is cut into as many parts as peers are wanted, beginning anywhere, and each part gives one of its own: no
    /// peer comes twice and nothing need be remembered.
    pub(super) fn draw(
        &self,
        rng: &mut Rng,
        count: usize,
        except: Option<&A>,
        scope: Scope,
        mut take: impl FnMut(&A),
    ) {
        let all = self.row.len();
        let parts = count.saturating_add(1).min(all);
        if parts == 0 || count == 0 {
            return;
        }
        let begin = rng.usize(..all);
        let mut taken = 0;
        let mut part_end = 0;
        for part in 1..=parts {
            let part_begin = part_end;
            part_end = part * all / parts;
            let within = part_end - part_begin;
            let place = part_begin + if within > 1 { rng.usize(..within) } else { 0 };
            let place = if begin + place >= all { begin + place - all } else { begin + place };
            let Some((address, _)) = self.row.get(place) else { continue };
            if Some(address) == except || (scope == Scope::Public && !is_public(address.ip())) {
                continue;
            }
            take(address);
            taken += 1;
            if taken == count {
                return;
            }
        }
    }
}

fn hash_of<A: Address>(row: &[(A, State)], hasher: &DefaultHashBuilder, place: u32) -> u64 {
    row.get(place as usize).map_or(0, |(address, _)| hasher.hash_one(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn address(number: u16) -> V4 {
        let [high, low] = number.to_be_bytes();
        [1, 1, high, low, 0, 9]
    }

    fn peers(hasher: &DefaultHashBuilder, count: u16) -> Peers<V4> {
        let mut peers = Peers::default();
        for number in 0..count {
            peers.add(hasher, address(number), State::new(u32::from(number), false));
        }
        peers
    }

    #[test]
    fn removal_keeps_every_other_peer_findable() {
        let hasher = DefaultHashBuilder::default();
        for count in [5, 13, 1_000] {
            let mut peers = peers(&hasher, count);
            for number in (0..count).step_by(3) {
                assert!(peers.remove(&hasher, &address(number)).is_some());
                assert!(peers.remove(&hasher, &address(number)).is_none());
            }
            for number in 0..count {
                let state = State::new(u32::from(number), true);
                let found = peers.update(&hasher, &address(number), state);
                assert_eq!(found, (number % 3 != 0).then(|| State::new(u32::from(number), false)));
            }
            peers.sweep(&hasher, |state| state.second() % 3 == 1, |_, state| assert!(state.seed()));
            for number in 0..count {
                assert_eq!(peers.remove(&hasher, &address(number)).is_some(), number % 3 == 2, "{number}");
            }
            assert!(peers.is_empty());
        }
    }

    #[test]
    fn a_draw_never_repeats_and_never_has_the_excepted() {
        let hasher = DefaultHashBuilder::default();
        let peers = peers(&hasher, 50);
        let mut rng = Rng::with_seed(1);
        for count in [0, 1, 2, 48, 49, 50, 80] {
            for _ in 0..50 {
                let mut drawn = Vec::new();
                peers.draw(&mut rng, count, Some(&address(7)), Scope::All, |address| drawn.push(*address));
                let different: HashSet<V4> = drawn.iter().copied().collect();
                assert_eq!(
                    (drawn.len(), different.len(), different.contains(&address(7))),
                    (count.min(49), count.min(49), false)
                );
            }
        }
    }

    #[test]
    fn everyone_is_drawn_about_equally_often() {
        let hasher = DefaultHashBuilder::default();
        let peers = peers(&hasher, 20);
        let mut rng = Rng::with_seed(2);
        let mut times = [0; 20];
        for _ in 0..4_000 {
            peers.draw(&mut rng, 5, None, Scope::All, |address| times[usize::from(address[3])] += 1);
        }
        assert!(times.iter().all(|count| (800..1_200).contains(count)), "{times:?}");
    }

    #[test]
    fn addresses_are_packed_as_they_travel() {
        for text in ["1.2.3.4:5", "[2001:db8::1]:65535"] {
            let address: SocketAddr = text.parse().unwrap();
            let unpacked = match pack(address) {
                Packed::V4(packed) => packed.unpack(),
                Packed::V6(packed) => packed.unpack(),
            };
            assert_eq!(unpacked, address);
        }
        assert!(matches!(pack("[::ffff:1.2.3.4]:5".parse().unwrap()), Packed::V4([1, 2, 3, 4, 0, 5])));
        assert_eq!((size_of::<(V4, State)>(), size_of::<(V6, State)>()), (12, 24));
    }
}
