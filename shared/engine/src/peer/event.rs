//! What a peer's messages mean to the owner of the connection.
//!
//! Only values. Everything in them has been checked against the geometry, if it is known.

use anatomic_core::{Bitfield, Block, PieceIndex};
use anatomic_wire::extended::{BridgeReport, Hosts, Introduction};
use anatomic_wire::handshake::Handshake;
use bytes::Bytes;

/// One event of [`Peer::poll_event`](super::Peer::poll_event).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PeerEvent {
    /// Their handshake is here. Nothing more is read until the owner calls [`Peer::open`](super::Peer::open).
    Handshaked(Handshake),
    /// Their extended handshake (first or again): see [`Peer::extensions`](super::Peer::extensions).
    Extended,
    /// They choke us. The given requests will not be answered; with the fast extension those already sent
    /// are refused one by one instead (BEP 6).
    Choked {
        /// Requests that are void now.
        void: Vec<Block>,
    },
    /// They serve our requests from here on.
    Unchoked,
    /// They want something of us.
    Interested,
    /// They want nothing of us.
    NotInterested,
    /// All their pieces at once: see [`Peer::pieces`](super::Peer::pieces). Not told while the torrent's size is
    /// unknown: read the pieces after [`Peer::set_geometry`](super::Peer::set_geometry).
    Bitfield {
        /// The pieces they had until now.
        before: Bitfield,
    },
    /// They have one more piece.
    Have(PieceIndex),
    /// They lost a piece (BEP 54).
    DontHave(PieceIndex),
    /// A block arrived.
    Block {
        /// Which.
        block: Block,
        /// Its bytes, `block.length` of them.
        data: Bytes,
        /// Whether we asked.
        standing: Standing,
    },
    /// They will not send this block (BEP 6).
    Rejected(Block),
    /// There are requests to take: [`Peer::take_request`](super::Peer::take_request).
    Requested,
    /// A request that was taken is withdrawn; supplying it does nothing any more.
    Cancelled(Block),
    /// They serve this piece even while choking us (BEP 6).
    AllowedFast(PieceIndex),
    /// They would like us to fetch this piece (BEP 6).
    Suggested(PieceIndex),
    /// A piece of the info dictionary that we asked for (BEP 9).
    Metadata {
        /// Which 16 KiB of it.
        piece: u32,
        /// Its bytes.
        data: Bytes,
    },
    /// They will not send that piece of the info dictionary (BEP 9).
    MetadataRejected(u32),
    /// What lies behind a node.
    Bridge(BridgeReport),
    /// Which nodes and supernodes they know.
    Hosts(Hosts),
    /// Whom they met and lost.
    #[cfg(feature = "classic")]
    Exchange(anatomic_wire::extended::Pex),
    /// Something of an introduction.
    Introduction(Introduction),
}

/// Whether a block was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It was requested and is no longer outstanding now.
    Requested,
    /// It was requested, then cancelled or given up, and came nevertheless. Useful if still missing.
    Late,
    /// It was not. Throw it away.
    Unrequested,
}
