//! The BitTorrent engine, without I/O: torrents, peers, picking, choking, integrity, announcing.
//!
//! It knows no socket, no clock, no disk and no random device: a driver passes bytes, times and a seed in, and
//! carries out what comes back. The same code runs in a browser tab, in a native client and in a node.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
// Until the torrents that own them stand on main.
#![allow(dead_code)]

mod bridge;
pub mod config;
mod hash;
pub mod keys;
pub mod link;
pub mod output;
mod peer;
mod rate;

pub use config::{Config, Role, Schemes, Tiers};
pub use keys::{AnnounceKey, DialKey, JobKey, PeerKey, TorrentKey};
pub use link::{Direction, Link, Transport};
pub use output::{
    AnnounceEvent, AnnounceReply, AnnounceRequest, CloseReason, Done, Event, Job, MIN_ROOM, Output, Reading,
    State,
};
pub use peer::Misbehaviour;
