//! What a client wishes and what it is given: addresses as they travel.
//!
//! Who is in a swarm is not known here.

use super::peers::{Address as _, Packed, Scope, pack};
use anatomic_wire::compact;
use std::net::SocketAddr;

/// Which and how many addresses a client wants.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Most IPv4 addresses.
    pub v4: usize,
    /// Most IPv6 addresses.
    pub v6: usize,
    /// Who may be among them.
    pub scope: Scope,
}

impl Wish {
    /// Up to `count` of each family.
    #[must_use]
    pub const fn both(count: usize, scope: Scope) -> Self {
        Self { v4: count, v6: count, scope }
    }
}

/// Addresses that were drawn, as they travel (6 and 18 bytes each). Used again, it needs no new memory.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// IPv4.
    pub v4: Vec<u8>,
    /// IPv6.
    pub v6: Vec<u8>,
}

impl Drawn {
    /// Forgets what was drawn.
    pub fn clear(&mut self) {
        self.v4.clear();
        self.v6.clear();
    }

    /// Adds an address.
    pub(super) fn push(&mut self, address: SocketAddr) {
        match pack(address) {
            Packed::V4(packed) => self.v4.extend_from_slice(&packed),
            Packed::V6(packed) => self.v6.extend_from_slice(&packed),
        }
    }

    /// Puts an address first, within what is wished: a second one of it goes, or the last.
    pub fn put_first(&mut self, address: SocketAddr, wish: Wish) {
        let packed = pack(address);
        let (list, bytes, most) = match &packed {
            Packed::V4(packed) => (&mut self.v4, packed.bytes(), wish.v4),
            Packed::V6(packed) => (&mut self.v6, packed.bytes(), wish.v6),
        };
        if let Some(place) = list.chunks_exact(bytes.len()).position(|other| other == bytes) {
            list.drain(place * bytes.len()..(place + 1) * bytes.len());
        }
        list.splice(..0, bytes.iter().copied());
        list.truncate(most * bytes.len());
    }

    /// The addresses.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        compact::read_v4(&self.v4, usize::MAX).chain(compact::read_v6(&self.v6, usize::MAX))
    }
}
