//! The messages of BitTorrent as values: between peers, and between a peer and a tracker.
//!
//! Turns bytes into values and back; decides nothing, keeps no connection, reads no clock and no socket.
//! Every decoder here meets strangers' bytes: each has a limit, none panics, none allocates more than it was sent.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod bencode;
pub mod compact;
pub mod extended;
pub mod handshake;
pub mod message;
#[cfg(feature = "mse")]
pub mod mse;
pub mod tracker;

pub use handshake::{Handshake, Reserved};
pub use message::{BlockRange, DecodeError, Decoder, Limits, Message};
