//! The native side of Anatomic: drivers that own sockets, files, time and randomness, and the commands people type.
//!
//! Knows nothing of the BitTorrent rules themselves; those live in the sans-IO crates under `shared`.
#![deny(missing_docs)]

pub mod announce;
pub mod bridge;
pub mod budget;
pub mod cli;
pub mod config;
pub mod content;
pub mod dht;
pub mod driver;
pub mod fleet;
pub mod hosts;
pub mod http;
pub mod mesh;
pub mod node;
pub mod planter;
pub mod process;
pub mod store;
pub mod supernode;
pub mod tls;
pub mod tracker;
mod udp;
mod utp;
pub mod webrtc;
