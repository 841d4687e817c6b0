//! Who is there and what they know: the well-known document, the supernode's list of nodes, the lookup of a torrent.
//!
//! Ages are in seconds before the answer, so that nobody's clock matters.

use super::Swarm;
use crate::{Key, Proof, Receipt, Signed, text};
use anatomic_core::{InfoHash, Sha256Hash};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What a process offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Tracks and bridges planted torrents.
    Node,
    /// Knows nodes and indexes receipts.
    Supernode,
    /// Serves the web page, so planted links may name it.
    Page,
}

/// Who may plant on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Planting {
    /// Everybody, within its limits.
    Open,
    /// Planters whose key the host allowed.
    Key,
    /// Nobody.
    #[default]
    Off,
}

/// Where clients announce.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Announce {
    /// `http(s)://…/announce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// `udp://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<String>,
    /// `ws(s)://…`: for browsers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket: Option<String>,
}

/// A node, as it describes itself and as supernodes list it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEntry {
    /// Its name.
    pub key: Key,
    /// Scheme and host, without a slash at the end.
    pub url: String,
    /// Where clients announce.
    #[serde(default)]
    pub announce: Announce,
    /// Where classic peers reach its bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<SocketAddr>,
    /// `stun:host:port` for tabs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stun: Option<String>,
    /// Who may plant there.
    #[serde(default)]
    pub planting: Planting,
    /// How many more torrents it would take; `None`: it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// Seconds since its last proof of life, in a supernode's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
}

/// A supernode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupernodeEntry {
    /// Its name.
    pub key: Key,
    /// Scheme and host, without a slash at the end.
    pub url: String,
    /// Seconds since its last proof of life, in another supernode's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
}

/// Bounds that a host sets.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Most torrents that are tracked and bridged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torrents: Option<u64>,
    /// Largest torrent that is bridged, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torrent_length: Option<u64>,
    /// Longest lease in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
    /// Most bytes that are sent in a calendar month (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_a_month: Option<u64>,
    /// Most bytes that are sent in a day (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_a_day: Option<u64>,
    /// Speed of the bridge, for each direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_a_second: Option<u64>,
    /// Most WebSockets at once, and as many other connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
    /// Most swarms that are tracked at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarms: Option<u64>,
    /// Most peers in all swarms together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<u64>,
}

/// `/.well-known/anatomic`: who answers here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WellKnown {
    /// [`crate::VERSION`].
    pub version: u32,
    /// Program and version, for people.
    pub software: String,
    /// The key of this process.
    pub key: Key,
    /// What it offers.
    pub roles: Vec<Role>,
    /// Its description as a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeEntry>,
    /// Its description as a supernode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supernode: Option<SupernodeEntry>,
    /// Supernodes that it knows, by address: a page on this host plants through them.
    #[serde(default)]
    pub supernodes: Vec<String>,
    /// Bounds that its host sets.
    #[serde(default)]
    pub limits: Limits,
    /// The answer to `?challenge=`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Signed<Proof>>,
}

/// A node or supernode asks to be listed. The supernode believes nothing of it: it fetches the well-known document
/// of `url` with a challenge and lists what that says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Scheme and host.
    pub url: String,
}

/// Nodes that would take a torrent, best first.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Offer {
    /// Living nodes whose planting is not off, of different operators where that is possible.
    pub nodes: Vec<NodeEntry>,
    /// Living supernodes, the one that answers included.
    #[serde(default)]
    pub supernodes: Vec<SupernodeEntry>,
}

/// What is known of a planted torrent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// The v1 info-hash.
    #[serde(with = "text::info_hash")]
    pub info_hash: InfoHash,
    /// The v2 info-hash of a hybrid torrent.
    #[serde(default, with = "text::info_hash_v2", skip_serializing_if = "Option::is_none")]
    pub info_hash_v2: Option<Sha256Hash>,
    /// The torrent's name, if somebody said it. A stranger's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// The planted magnet.
    pub magnet: String,
    /// Path of the planted torrent file on this host, if it has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torrent: Option<String>,
    /// Seeds last reported.
    #[serde(default)]
    pub seeds: u32,
    /// Leeches last reported.
    #[serde(default)]
    pub leeches: u32,
    /// Seconds since a seed was last known to be alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_seen: Option<u64>,
    /// The swarm at the process that answers, if it tracks the torrent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<Swarm>,
    /// The nodes that track it, living ones first.
    #[serde(default)]
    pub nodes: Vec<NodeEntry>,
    /// Their receipts.
    #[serde(default)]
    pub receipts: Vec<Signed<Receipt>>,
}
