//! Peer connections: the page holds them, the worker decides about them.
//!
//! Not signalling: how descriptions reach the other side is the worker's business.

use nanoserde::{DeBin, SerBin};

/// A peer connection, numbered by the worker; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, DeBin, SerBin)]
pub struct Conn(pub u32);

/// How long to look for ways to reach us before a description is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, DeBin, SerBin)]
pub enum Gathering {
    /// Only our own interfaces: enough for a node, which sees from where we come. Ready in milliseconds.
    Quick,
    /// Our address as the node's STUN sees it too: what two tabs behind routers need. At most a second.
    Thorough,
}

/// What the worker wants of the page.
#[derive(Clone, Debug, PartialEq, DeBin, SerBin)]
pub enum RtcCommand {
    /// Make a connection with one channel and describe it.
    Offer {
        /// Its number.
        conn: Conn,
        /// How thoroughly.
        gathering: Gathering,
        /// `stun:` URLs, only the node's own.
        stun: Vec<String>,
    },
    /// Answer somebody's offer.
    Answer {
        /// The number of the new connection.
        conn: Conn,
        /// The offer.
        sdp: String,
        /// `stun:` URLs, only the node's own.
        stun: Vec<String>,
    },
    /// The other side answered our offer.
    Accept {
        /// Which of ours.
        conn: Conn,
        /// The answer.
        sdp: String,
    },
    /// Send a message on a channel that stayed on the page; attachment 0 is an `ArrayBuffer`.
    Send(Conn),
    /// Close and forget.
    Close(Conn),
}

/// What the page tells about a connection.
#[derive(Clone, Debug, PartialEq, DeBin, SerBin)]
pub enum RtcEvent {
    /// Our description is ready: an offer or an answer, as was asked.
    Described {
        /// Which.
        conn: Conn,
        /// The session description.
        sdp: String,
    },
    /// It could not be made, or broke.
    Failed {
        /// Which.
        conn: Conn,
        /// Why, in the browser's words.
        reason: String,
    },
    /// The channel itself, as attachment 0: from now on it belongs to the worker.
    Channel(Conn),
    /// The channel is open but stays on the page: its bytes will pass through there.
    Opened(Conn),
    /// A message of such a channel; attachment 0 is an `ArrayBuffer`.
    Received(Conn),
    /// So many bytes of such a channel left the browser's buffer since the last report.
    Drained {
        /// Which.
        conn: Conn,
        /// Bytes.
        bytes: u32,
    },
    /// The network between the two was lost, perhaps for a moment.
    Disconnected(Conn),
    /// It came back.
    Connected(Conn),
    /// The channel or its connection is closed.
    Closed(Conn),
}
