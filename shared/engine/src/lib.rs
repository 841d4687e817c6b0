//! The BitTorrent engine, without I/O: torrents, peers, picking, choking, integrity, announcing.
//!
//! It knows no socket, no clock, no disk and no random device: a driver passes bytes, times and a seed in, and
//! carries out what comes back. The same code runs in a browser tab, in a native client and in a node.
//!
//! # The contract
//! Call any command or `handle_*`, then [`Engine::poll_output`] until it gives `None`, then sleep until
//! [`Engine::poll_timeout`] (and then call [`Engine::handle_timeout`]) or until there is another input. Several inputs
//! in a row are legal: only the outputs wait.
//!
//! - **Connections.** [`Output::Dial`] asks for one, [`Engine::handle_connected`] hands one over, with the facts in
//!   [`Link`]. A WebRTC channel names its torrent there; an accepted TCP connection does not. After
//!   [`Output::Close`] or [`Engine::handle_closed`] the key is dead; using it does nothing.
//! - **Bytes in.** [`Engine::handle_received`], split in any way. A block that lies in one buffer is not copied.
//! - **Bytes out.** [`Output::Transmit`] says that a peer has something; then call [`Engine::poll_transmit`] as often
//!   as the transport has room, best with [`MIN_ROOM`] or more, until it gives 0. Nothing queues in the engine but
//!   what fits one peer's requests, so a full transport holds everything back.
//! - **Jobs.** [`Output::Job`] is storage or hashing; answer with [`Engine::handle_done`], in any order. Nothing
//!   unverified is ever written, and a piece is written whole.
//! - **Trackers.** [`Output::Announce`]; answer with [`Engine::handle_announced`]. For a `ws:` URL the driver makes
//!   the offers; a channel that opens enters by `handle_connected` (direction `Offered`, or `Accepted` if the other side
//!   offered). Before answering an offer ask [`Engine::wants_peer`].
//! - **Introductions.** Peers pass offers on where trackers bring too few: [`Output::Introduce`]; answer with
//!   [`Engine::handle_described`].
//! - **Time** is a value in microseconds that never runs back; the engine does not need regular ticks to be fast.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod add;
mod announcer;
#[cfg(feature = "bridge")]
mod bridge;
#[cfg(not(feature = "bridge"))]
#[path = "no_bridge.rs"]
mod bridge;
mod candidates;
mod choker;
pub mod config;
mod engine;
mod hash;
pub mod keys;
mod limiter;
pub mod link;
mod metadata;
pub mod output;
mod peer;
mod picker;
mod rate;
pub mod resume;
mod shared;
mod torrent;
pub mod view;
mod window;

pub use add::{AddTorrent, Limits, Misuse, Mode, PickOrder, Priority, Source, Start, TorrentSource};
pub use anatomic_wire::extended::Hosts;
pub use bridge::SwitchCounters;
pub use config::{Config, Role, Schemes, Tiers};
pub use engine::Engine;
pub use keys::{AnnounceKey, DialKey, IntroductionKey, JobKey, PeerKey, TorrentKey};
pub use link::{Direction, Encryption, Link, Transport};
pub use output::{
    AnnounceEvent, AnnounceReply, AnnounceRequest, CloseReason, Done, Event, Job, MIN_ROOM, Output, Reading,
    State, Step,
};
pub use peer::Misbehaviour;
pub use resume::{ResumeData, ResumeError, ResumeSource};
pub use view::{Behind, Counters, PeerView, TorrentView, TrackerView};
