//! Peer-sharing: the nodes of one planted torrent tell each other of their peers, and pass offers and answers on.
//!
//! Without I/O: [`Sharing`] is the state machine of one node, [`Guests`] what its store keeps of the sisters' peers. The wire is
//! described in `PROTOCOL.md`.
//!
//! - Two nodes keep **one connection** for all torrents they share, opened by the smaller key. Both prove their keys on it
//!   ([`handshake`]); then each shows its receipts, and only torrents for which both have shown one are spoken of.
//! - **News** are what changed since the sister was last told, in batches; at once where somebody waits. A node tells of its own
//!   peers only, never of what it heard, so nothing goes round.
//! - A new connection goes on where the last broke off: each side keeps what it told and says what it got.
//! - Who is **not heard of** is looked for and replaced by the node with the smallest key of those that are left.
//!
//! Everything that a sister may cause is bounded: bytes, peers, offers, and the receipts that are verified for her.

mod agenda;
pub mod config;
pub mod contact;
pub mod guests;
pub mod handshake;
mod healing;
pub mod message;
mod news;
mod node;
mod session;
mod sister;
mod torrent;

pub use config::{Config, Counters};
pub use contact::{Contact, SharedPeer};
pub use guests::{Counts, Guests};
pub use healing::NotIntroduced;
pub use node::{Output, Sharing, SisterView};
pub use sister::ConnectionId;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
