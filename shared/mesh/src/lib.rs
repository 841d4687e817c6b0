//! The Anatomic network: identities, receipts, planted links, what nodes and supernodes say to each other and to planters.
//!
//! Messages, signatures and rules only; whoever uses them brings sockets, clock and randomness. The protocol is
//! described in `PROTOCOL.md`; [`VERSION`] is its version.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod adoption;
pub mod api;
pub mod blocks;
pub mod claim;
pub mod counts;
pub mod feed;
pub mod fleet;
pub mod identity;
pub mod link;
pub mod planter;
pub mod proof;
pub mod receipt;
pub mod sharing;
pub mod signed;
mod text;
#[cfg(test)]
mod vectors;

pub use adoption::Adoption;
pub use claim::{Claim, Listing, Reach, Withdrawal};
pub use identity::{Identity, Key};
pub use link::PlantedLink;
pub use planter::Planter;
pub use proof::Proof;
pub use receipt::Receipt;
pub use signed::{Signed, SignedError, UnixTime};

/// Version of the protocol: of the statements' bodies, of the API's path and of the well-known document.
pub const VERSION: u32 = 1;
