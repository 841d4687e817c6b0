//! The planting desk: what planters bring to nodes and supernodes, and what they get.
//!
//! In what order it all happens is the planter's business.

use crate::{Claim, Receipt, Signed, Withdrawal, text};
use anatomic_core::ids::to_hex;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The bytes of a torrent file; in JSON hexadecimal text.
#[derive(Clone, PartialEq, Eq)]
pub struct TorrentFile(pub Vec<u8>);

impl fmt::Display for TorrentFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for TorrentFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TorrentFile({} bytes)", self.0.len())
    }
}

/// The text is no hexadecimal number of at most 10 MB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a torrent file is hexadecimal text of at most 10 MB")]
pub struct BadTorrentFile;

impl FromStr for TorrentFile {
    type Err = BadTorrentFile;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > 20_000_000 {
            return Err(BadTorrentFile);
        }
        text::bytes_from_hex(text).map(Self).ok_or(BadTorrentFile)
    }
}

text::serde_as_text!(TorrentFile);

/// Planter to node: track this torrent. Planting again renews the lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlantRequest {
    /// The signed wish.
    pub claim: Signed<Claim>,
    /// The torrent, so that the node can serve its metadata at once; without it the node asks the swarm.
    /// Its info-hash must be that of the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torrent: Option<TorrentFile>,
    /// Where the torrent's peers are found so far (a magnet's trackers); with a torrent file its own trackers count.
    #[serde(default)]
    pub trackers: Vec<String>,
}

/// Node to planter: done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planted {
    /// The node's word.
    pub receipt: Signed<Receipt>,
}

/// Planter to supernode: index this torrent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// The nodes' words, all of one torrent.
    pub receipts: Vec<Signed<Receipt>>,
    /// The planted torrent: the index shows its name, size and files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torrent: Option<TorrentFile>,
    /// The name of a torrent whose metadata the planter does not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its length in bytes, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
}

/// A receipt that the supernode did not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedReceipt {
    /// Its place in the list that was handed over.
    pub at: usize,
    /// Why.
    pub reason: String,
}

/// Supernode to planter: what was indexed.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Indexed {
    /// How many receipts were taken.
    pub accepted: usize,
    /// Those that were not.
    #[serde(default)]
    pub refused: Vec<RefusedReceipt>,
}

/// Planter to node or supernode: forget this torrent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawRequest {
    /// The signed wish.
    pub withdrawal: Signed<Withdrawal>,
}
