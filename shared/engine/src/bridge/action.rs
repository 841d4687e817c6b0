//! The words of a bridge: its sides, what the switch wants done, what it counted.
//!
//! Only values.

use crate::link::Transport;
use anatomic_core::{Block, PieceIndex};
use bytes::Bytes;

/// The two worlds that a bridge joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Side {
    /// TCP and uTP peers.
    Classic,
    /// Peers on data channels.
    Browser,
}

impl Side {
    /// The side on which a peer of this transport stands.
    pub(crate) const fn of(transport: Transport) -> Self {
        match transport {
            Transport::Tcp | Transport::Utp => Self::Classic,
            Transport::WebRtc => Self::Browser,
        }
    }

    /// The side across the bridge.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Classic => Self::Browser,
            Self::Browser => Self::Classic,
        }
    }
}

/// What the switch wants done. `P` names a peer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action<P> {
    /// Request `block` from a peer upstream.
    Fetch { from: P, block: Block },
    /// Take back a request.
    Cancel { from: P, block: Block },
    /// Send a block to a peer downstream.
    Send { to: P, block: Block, data: Bytes },
    /// Refuse a request: nobody has the piece any more.
    Reject { to: P, block: Block },
    /// Have a whole piece hashed and say the verdict.
    Hash { piece: PieceIndex, blocks: Vec<Bytes> },
    /// The peer sent bad data.
    Ban { peer: P, piece: PieceIndex },
}

/// What a bridge did, in blocks, since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchCounters {
    /// Blocks that came from upstream.
    pub fetched: u64,
    /// Blocks handed to peers downstream.
    pub forwarded: u64,
    /// Requests served from memory.
    pub cache_hits: u64,
    /// Requests that joined a fetch already under way.
    pub joined: u64,
    /// Requests refused because nobody has the piece.
    pub rejected: u64,
    /// Blocks that arrived when nobody waited any more.
    pub unwanted: u64,
    /// Pieces whose digest was wrong.
    pub failed_pieces: u64,
}
