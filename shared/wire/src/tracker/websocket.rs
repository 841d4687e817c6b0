//! The WebTorrent tracker protocol: JSON over WebSocket, by which browsers find each other and exchange offers.
//!
//! Formats for both ends. Every 20-byte value is a "binary string": byte n is the code point U+00nn. There is no
//! specification; this follows `bittorrent-tracker` 11 and libtorrent 2.1, and what their clients really send:
//! `left: null` before the metadata is known, JSON in binary frames, elements of `offers` that are no offers.

mod parse;
mod request;
#[cfg(test)]
mod tests;
mod write;

use super::{Event, scrape::SwarmCounts};
use anatomic_core::{InfoHash, PeerId};
use thiserror::Error;

/// Longest message that is read, in bytes.
pub const MAX_MESSAGE_LEN: usize = 64 * 1024;
/// Most offers of one announce that are read; libtorrent sends up to 10, WebTorrent 5.
pub const MAX_OFFERS: usize = 10;
/// Longest session description that is read or passed on, in bytes.
pub const MAX_SDP_LEN: usize = 16 * 1024;
/// Most candidates in a session description; more make a browser an attack tool (forged candidates are probed).
pub const MAX_CANDIDATES: usize = 32;

/// Whether a session description is one that is read or passed on.
#[must_use]
pub fn within_limits(sdp: &str) -> bool {
    let candidates = || sdp.lines().filter(|line| line.starts_with("a=candidate:")).count();
    !sdp.is_empty() && sdp.len() <= MAX_SDP_LEN && candidates() <= MAX_CANDIDATES
}

/// The 20 bytes by which an answer finds its offer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OfferId(pub [u8; 20]);

/// A session description waiting for an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Chosen by the offerer.
    pub id: OfferId,
    /// The session description (RFC 8866).
    pub sdp: String,
}

/// An announce of a browser (or of another WebRTC peer).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WsAnnounce {
    /// Which swarm.
    pub info_hash: InfoHash,
    /// Who announces.
    pub peer_id: PeerId,
    /// Bytes sent to other peers.
    pub uploaded: u64,
    /// Bytes received from other peers.
    pub downloaded: u64,
    /// Bytes still missing; `None` if unknown, as for a magnet without metadata.
    pub left: Option<u64>,
    /// Why now.
    pub event: Option<Event>,
    /// How many peers are wanted.
    pub want: Option<u32>,
    /// What the tracker gave in an earlier reply.
    pub tracker_id: Option<String>,
    /// How many of the offers, the first ones, are for the node behind the tracker (`an_node`, our own). `None`: the
    /// client does not know of nodes, and a node may take the first.
    pub for_node: Option<u32>,
    /// One for each peer that is wanted.
    pub offers: Vec<Offer>,
}

/// What a client sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientMessage {
    /// Announce.
    Announce(WsAnnounce),
    /// Answer to an offer that the tracker passed on.
    Answer {
        /// Which swarm.
        info_hash: InfoHash,
        /// Who answers.
        peer_id: PeerId,
        /// Who offered.
        to_peer_id: PeerId,
        /// Which offer, and the answerer's session description.
        answer: Offer,
    },
    /// Scrape.
    Scrape(Vec<InfoHash>),
}

/// What a tracker sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerMessage {
    /// Reply to an announce.
    Announced {
        /// Which swarm: a socket may serve many.
        info_hash: InfoHash,
        /// Seeds, as the tracker counts them.
        complete: u32,
        /// Leeches, as the tracker counts them.
        incomplete: u32,
        /// Seconds until the next announce.
        interval: u32,
        /// To be repeated in later announces.
        tracker_id: Option<String>,
        /// Something for the person to know.
        warning: Option<String>,
    },
    /// Another peer's offer.
    Offer {
        /// Which swarm.
        info_hash: InfoHash,
        /// Who offers.
        peer_id: PeerId,
        /// The offer.
        offer: Offer,
    },
    /// Another peer's answer to our offer.
    Answer {
        /// Which swarm.
        info_hash: InfoHash,
        /// Who answers.
        peer_id: PeerId,
        /// The answer, with the id of our offer.
        answer: Offer,
    },
    /// Reply to a scrape.
    Scraped(Vec<(InfoHash, SwarmCounts)>),
    /// The request could not be served.
    Refused(Refusal),
}

/// Why a request could not be served. Always written with `action`, else WebTorrent gives the tracker up.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{reason}")]
pub struct Refusal {
    /// What was asked.
    pub action: Action,
    /// For which swarm, if that much could be read.
    pub info_hash: Option<InfoHash>,
    /// For the client's person.
    pub reason: String,
}

/// The `action` of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Announce, offers and answers.
    Announce,
    /// Scrape.
    Scrape,
}

impl Action {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Announce => "announce",
            Self::Scrape => "scrape",
        }
    }
}

/// A JSON value, whoever read it: natively `serde_json`, in a page the browser, which has a reader anyhow.
pub trait Json: Sized {
    /// A field of an object; `None` if it is absent or null, or this is no object.
    fn field(&self, name: &str) -> Option<Self>;
    /// All fields of an object.
    fn fields(&self) -> Option<Vec<(String, Self)>>;
    /// A string.
    fn text(&self) -> Option<String>;
    /// A number.
    fn number(&self) -> Option<f64>;
}

impl ClientMessage {
    /// Reads a message, text or binary.
    ///
    /// # Errors
    /// The [`Refusal`] to send back: the socket stays open.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        request::client_message(bytes)
    }

    /// The message as JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        write::client_message(self)
    }
}

impl ServerMessage {
    /// Reads a message, text or binary. `None` if it is not understood: to be ignored, trackers have additions.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_MESSAGE_LEN {
            return None;
        }
        let message: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        Self::from_json(&&message)
    }

    /// Like [`Self::decode`], from what a reader of one's own made of a text of at most [`MAX_MESSAGE_LEN`] bytes.
    #[must_use]
    pub fn from_json(message: &impl Json) -> Option<Self> {
        parse::server_message(message)
    }

    /// The message as JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        write::server_message(self)
    }
}

/// Bytes as a "binary string": byte n is the code point U+00nn.
#[must_use]
pub fn to_binary_string(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Reads a "binary string" of exactly 20 code points below U+0100.
#[must_use]
pub fn from_binary_string(text: &str) -> Option<[u8; 20]> {
    let mut bytes = [0; 20];
    let mut code_points = text.chars();
    for byte in &mut bytes {
        *byte = u8::try_from(code_points.next()?).ok()?;
    }
    code_points.next().is_none().then_some(bytes)
}
