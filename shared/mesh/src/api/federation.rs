//! What supernodes ask of each other, and what nodes report to them.
//!
//! Every statement inside proves itself; the rest is a stranger's text until it is checked.

use super::{Handover, NodeEntry, RefusedReceipt, SupernodeEntry, TorrentFile};
use crate::adoption::Adoption;
use crate::counts::Counts;
use crate::feed::FeedHead;
use crate::{Claim, Key, Receipt, Signed, text};
use anatomic_core::ids::to_hex;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Bytes; in JSON hexadecimal text.
#[derive(Clone, PartialEq, Eq)]
pub struct HexBytes(pub Vec<u8>);

impl fmt::Display for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HexBytes({} bytes)", self.0.len())
    }
}

/// The text is no even number of hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is hexadecimal text of an even length")]
pub struct BadHex;

impl FromStr for HexBytes {
    type Err = BadHex;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text::bytes_from_hex(text).map(Self).ok_or(BadHex)
    }
}

text::serde_as_text!(HexBytes);

/// What kind of statement an entry of the feed holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedKind {
    /// A [`Receipt`] of a listed torrent.
    Receipt,
    /// A [`crate::Withdrawal`] that reaches everywhere.
    Withdrawal,
    /// [`Counts`] of a node.
    Counts,
    /// Of a later version: skipped.
    #[serde(other)]
    Unknown,
}

/// An entry of the feed. Entries that were overtaken (an older receipt of the same planter and node, older counts) are
/// left out, so numbers have gaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedEntry {
    /// Its number in the index of this supernode.
    pub seq: u64,
    /// What the statement is.
    pub kind: FeedKind,
    /// The signed statement.
    pub statement: HexBytes,
    /// With a receipt: the torrent, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torrent: Option<TorrentFile>,
    /// With a receipt whose torrent is not known: its name, as somebody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its length in bytes, as somebody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
}

/// `GET /api/v1/feed?since=CURSOR`: a page of the feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedPage {
    /// Whose it is, and which entries these are.
    pub head: Signed<FeedHead>,
    /// By rising number.
    pub entries: Vec<FeedEntry>,
    /// Whether there are more: ask again with the head's `next`.
    #[serde(default)]
    pub more: bool,
}

/// `GET /api/v1/directory`: who is known, living ones first.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Directory {
    /// Nodes that proved their keys, whether they take torrents or not.
    #[serde(default)]
    pub nodes: Vec<NodeEntry>,
    /// Supernodes, the one that answers first.
    #[serde(default)]
    pub supernodes: Vec<SupernodeEntry>,
}

/// The answer to a [`super::Registration`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The supernode.
    pub key: Key,
    /// Names its index, 16 hexadecimal digits. A node that sees a new name reports all its receipts again.
    pub index: String,
    /// Other living supernodes: a node reports to several.
    #[serde(default)]
    pub supernodes: Vec<SupernodeEntry>,
}

/// `POST /api/v1/reports`, node to supernode: its receipts and counts.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Receipts with what is known of their torrents, one torrent each; at most 100.
    #[serde(default)]
    pub handovers: Vec<Handover>,
    /// Counts; at most 64.
    #[serde(default)]
    pub counts: Vec<Signed<Counts>>,
}

/// Supernode to node: what it took.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reported {
    /// How many receipts and counts were taken.
    pub accepted: usize,
    /// Handovers that were not, by their place, with the reason.
    #[serde(default)]
    pub refused: Vec<RefusedReceipt>,
}

/// `POST /api/v1/adopt`, node to node: track this torrent with us. Answered by [`super::Planted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptRequest {
    /// The wish of the node that asks.
    pub adoption: Signed<Adoption>,
    /// The planter's claim to that node.
    pub claim: Signed<Claim>,
    /// That node's running receipt.
    pub receipt: Signed<Receipt>,
    /// The torrent, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torrent: Option<TorrentFile>,
    /// Where the torrent's peers are found so far.
    #[serde(default)]
    pub trackers: Vec<String>,
}
