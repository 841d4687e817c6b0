//! Messages between a peer and a tracker: announce and scrape over HTTP ([BEP 3], [BEP 7], [BEP 23], [BEP 48]), over UDP
//! ([BEP 15]) and over WebSocket (WebTorrent).
//!
//! Only formats, for both ends: when to announce, to whom, and what a tracker remembers is others' business.
//!
//! [BEP 3]: https://www.bittorrent.org/beps/bep_0003.html#trackers
//! [BEP 7]: https://www.bittorrent.org/beps/bep_0007.html
//! [BEP 15]: https://www.bittorrent.org/beps/bep_0015.html
//! [BEP 23]: https://www.bittorrent.org/beps/bep_0023.html
//! [BEP 48]: https://www.bittorrent.org/beps/bep_0048.html

pub mod announce;
pub mod query;
pub mod scrape;
pub mod udp;
pub mod websocket;

use thiserror::Error;

/// What our trackers answer to an announce for a torrent that nobody planted.
pub const NOT_PLANTED: &str = "this torrent is not planted on this node";

/// Why a peer announces now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// First announce.
    Started,
    /// The download has just completed; never sent by a peer that had everything from the start.
    Completed,
    /// The peer leaves.
    Stopped,
    /// The peer downloads nothing more but is no seed (BEP 21).
    Paused,
}

impl Event {
    /// The word in a query or in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
        }
    }

    /// Reads the word; anything else (`update`, nothing) is a regular announce: `None`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Started, Self::Completed, Self::Stopped, Self::Paused]
            .into_iter()
            .find(|event| event.as_str() == word)
    }
}

/// A request that a tracker cannot answer; the text is for the client's person.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum RequestError {
    /// No info-hash, or not one of 20 bytes.
    #[error("invalid info_hash: it must be 20 bytes")]
    InfoHash,
    /// No port.
    #[error("invalid port")]
    Port,
    /// Too many info-hashes in a scrape, or none.
    #[error("scrape names no torrent: give info_hash")]
    EmptyScrape,
}

/// A reply that a client cannot use.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ReplyError {
    /// The tracker refuses and says why.
    #[error("the tracker refuses: {0}")]
    Refused(String),
    /// Not a tracker's reply.
    #[error("the reply is not that of a tracker")]
    Malformed,
}

/// Shortens what a tracker says to what a line on a screen can hold.
pub(crate) fn for_people(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}
