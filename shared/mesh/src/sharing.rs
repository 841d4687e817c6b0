//! Peer-sharing: the nodes of one planted torrent tell each other of their peers, and pass offers and answers on.
//!
//! Without I/O.

pub mod contact;
pub mod guests;

pub use contact::{Contact, SharedPeer};
pub use guests::{Counts, Guests};
