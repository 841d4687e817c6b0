//! What a driver knows about a connection when it hands it over.
//!
//! TCP, uTP and data channels are one to the engine: a byte stream with these facts. No socket lives here.

use crate::keys::{DialKey, TorrentKey};
use std::net::SocketAddr;

/// A connection, as `Engine::handle_connected` receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// What carries the bytes.
    pub transport: Transport,
    /// Who began it.
    pub direction: Direction,
    /// The torrent it is for. Known before the handshake where we dialled (then the engine knows it by the
    /// dial) and for data channels; `None` for an accepted TCP or uTP connection, whose handshake tells.
    pub torrent: Option<TorrentKey>,
    /// The other end, where there is one to speak of (not for data channels).
    pub address: Option<SocketAddr>,
    /// Whether the transport is encrypted already (DTLS, MSE).
    pub encrypted: bool,
}

/// What carries a connection's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// uTP, [BEP 29](https://www.bittorrent.org/beps/bep_0029.html).
    Utp,
    /// A WebRTC data channel.
    WebRtc,
}

/// How the bytes of a connection that we dial are to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Encryption {
    /// With our handshake.
    #[default]
    Plain,
    /// With message stream encryption: the peer took no other connection.
    Mse,
}

/// Who began a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// We, by this dial.
    Dialled(DialKey),
    /// We: our WebRTC offer was answered.
    Offered,
    /// They: an accepted socket, or an offer that we answered.
    Accepted,
}

impl Direction {
    /// Whether we began it.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        !matches!(self, Self::Accepted)
    }
}
