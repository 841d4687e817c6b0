//! Search: what people look for, and what a supernode finds.
//!
//! How words are matched and ordered is the supernode's business. Names are strangers' text.

use crate::counts::Peers;
use crate::{Key, text};
use anatomic_core::InfoHash;
use serde::{Deserialize, Serialize};

/// A torrent that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// The v1 info-hash; `/t/INFOHASH` on the supernode's host opens it.
    #[serde(with = "text::info_hash")]
    pub info_hash: InfoHash,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// A magnet that names the supernode, which knows the nodes.
    pub magnet: String,
    /// Browsers, as last reported.
    #[serde(default)]
    pub tabs: Peers,
    /// Other clients, as last reported.
    #[serde(default)]
    pub classic: Peers,
    /// Seconds since a seed was last known to be alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_seen: Option<u64>,
}

/// The answer to a search: torrents of which a seed was alive lately, the last proven first; and those that were planted
/// within the last day and wait for their first seed, at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Who found them.
    pub supernode: Key,
    /// What was found.
    pub hits: Vec<Hit>,
    /// Whether there are more: ask again with a greater `offset`.
    #[serde(default)]
    pub more: bool,
}
