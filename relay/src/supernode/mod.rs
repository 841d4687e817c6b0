//! The supernode: which nodes live, and which of them track which torrent.
//!
//! Believes receipts, which nodes signed, and what it saw itself when it visited a node; never a claim. Answers no HTTP
//! itself ([`crate::http`] does) and tracks no peer.

mod desk;
mod directory;
mod federation;
pub mod index;
mod search;
pub mod visit;
pub mod words;

pub use index::Index;

use crate::node::blocks::Blocks;
use anatomic_core::address::Policy;
use anatomic_core::{InfoHash, Magnet, Metainfo};
use anatomic_mesh::api::{Lookup, NodeEntry, Problem, SupernodeEntry, codes, paths};
use anatomic_mesh::{Identity, Key, Receipt, Signed, UnixTime, link};
use fastrand::Rng;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tracing::warn;

/// A node not seen for this long, in seconds, is not offered and nobody is sent to it.
pub const LIVING: u64 = 180;

/// A supernode.
pub struct Supernode {
    index: Index,
    identity: Identity,
    url: String,
    network: Policy,
    rng: Mutex<Rng>,
    blocks: OnceLock<Arc<Blocks>>,
    /// Addresses of nodes that did not prove themselves when they were last visited: they are not offered.
    silent: Mutex<HashSet<String>>,
    /// Entries of others' feeds that proved nothing, or were of nodes that did not prove themselves.
    feed_refused: AtomicU64,
}

impl Supernode {
    /// A supernode over an index. `url` is its scheme and host; `network` says which hosts it visits.
    #[must_use]
    pub fn new(index: Index, identity: Identity, url: String, network: Policy, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            index,
            identity,
            url,
            network,
            rng: Mutex::new(Rng::with_seed(seed)),
            blocks: OnceLock::new(),
            silent: Mutex::default(),
            feed_refused: AtomicU64::new(0),
        })
    }

    /// How many entries of others' feeds were not taken since the start.
    #[must_use]
    pub fn feed_refused(&self) -> u64 {
        self.feed_refused.load(Ordering::Relaxed)
    }

    /// Shows nothing from now on that these lists name. Only the first call counts.
    pub fn obey(&self, blocks: Arc<Blocks>) {
        let _ = self.blocks.set(blocks);
    }

    fn is_blocked(&self, info_hash: &InfoHash) -> bool {
        self.blocks.get().is_some_and(|blocks| blocks.blocks(info_hash))
    }

    /// Its name.
    #[must_use]
    pub fn key(&self) -> Key {
        self.identity.key()
    }

    /// How it describes itself.
    #[must_use]
    pub fn entry(&self) -> SupernodeEntry {
        SupernodeEntry { key: self.key(), url: self.url.clone(), seen: None }
    }

    /// What is known of a torrent; `None` if it is not indexed.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn lookup(&self, info_hash: &InfoHash) -> Result<Option<Lookup>, Problem> {
        if self.is_blocked(info_hash) {
            return Ok(None);
        }
        let now = self.index.now();
        let Some(row) = self.index.torrent(info_hash).await.map_err(|error| failed(&error))? else {
            return Ok(None);
        };
        let (nodes, receipts) = self.nodes_of(info_hash, now).await?;
        if receipts.is_empty() {
            return Ok(None);
        }
        let living: Vec<_> =
            nodes.iter().filter(|node| node.seen.is_some_and(|age| age <= LIVING)).cloned().collect();
        let torrent = Magnet {
            info_hash_v2: row.info_hash_v2,
            name: row.name.clone(),
            length: row.length,
            ..Magnet::new(*info_hash)
        };
        let named = if living.is_empty() { &nodes } else { &living };
        Ok(Some(Lookup {
            info_hash: *info_hash,
            info_hash_v2: row.info_hash_v2,
            name: row.name,
            length: row.length,
            files: row.files,
            magnet: link::magnet(torrent, named, std::slice::from_ref(&self.url)).to_string(),
            torrent: row.proven.then(|| format!("{}/{info_hash}.torrent", paths::TORRENTS)),
            seeds: row.tabs.seeds.saturating_add(row.classic.seeds),
            leeches: row.tabs.leeches.saturating_add(row.classic.leeches),
            seed_seen: row.seed_seen.map(|seen| now.0.saturating_sub(seen.0)),
            swarm: None,
            nodes,
            receipts,
        }))
    }

    /// The planted torrent file; `None` if the torrent is not indexed or its metadata is not known.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn torrent_file(&self, info_hash: &InfoHash) -> Result<Option<Vec<u8>>, Problem> {
        if self.is_blocked(info_hash) {
            return Ok(None);
        }
        let torrent = self.index.torrent_file(info_hash).await.map_err(|error| failed(&error))?;
        let Some(torrent) = torrent else { return Ok(None) };
        let metainfo =
            Metainfo::from_torrent(&torrent).map_err(|error| Problem::new(codes::INTERNAL, error))?;
        let (nodes, _) = self.nodes_of(info_hash, self.index.now()).await?;
        Ok(Some(link::torrent(&metainfo, &nodes, std::slice::from_ref(&self.url)).to_torrent()))
    }

    /// A living node to which an ordinary client is sent with its announce: `http://…/announce`, never of `not`.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn redirect(&self, info_hash: &InfoHash, not: Option<Key>) -> Result<Option<String>, Problem> {
        if self.is_blocked(info_hash) {
            return Ok(None);
        }
        let (nodes, _) = self.nodes_of(info_hash, self.index.now()).await?;
        let mut living: Vec<NodeEntry> = nodes
            .into_iter()
            .filter(|node| Some(node.key) != not && node.seen.is_some_and(|age| age <= LIVING))
            .collect();
        if living.iter().any(|node| !self.is_silent(&node.url)) {
            living.retain(|node| !self.is_silent(&node.url));
        }
        // One that takes nothing new is asked only where there is no other.
        if living.iter().any(|node| node.free != Some(0)) {
            living.retain(|node| node.free != Some(0));
        }
        let announces: Vec<String> = living.into_iter().filter_map(|node| node.announce.http).collect();
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(rng.choice(announces))
    }

    /// How many torrents and nodes are indexed.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn totals(&self) -> Result<(u64, u64), Problem> {
        self.index.totals().await.map_err(|error| failed(&error))
    }

    /// Writes everything to the disk and closes the index.
    pub async fn close(&self) {
        self.index.close().await;
    }

    /// The nodes with a running receipt for a torrent, living ones first, and the receipts.
    async fn nodes_of(
        &self,
        info_hash: &InfoHash,
        now: UnixTime,
    ) -> Result<(Vec<NodeEntry>, Vec<Signed<Receipt>>), Problem> {
        let receipts = self.index.receipts(info_hash, now).await.map_err(|error| failed(&error))?;
        let mut nodes: Vec<NodeEntry> = Vec::new();
        for receipt in &receipts {
            if nodes.iter().any(|node| node.key == receipt.node) {
                continue;
            }
            // A receipt counts where its node proved itself at just the address that the receipt names.
            if let Some(known) = self.index.node(&receipt.node).await.map_err(|error| failed(&error))?
                && known.entry.url == receipt.url.trim_end_matches('/')
            {
                nodes.push(aged(known.entry, known.seen, now));
            }
        }
        nodes.sort_by_key(|node| node.seen);
        Ok((nodes, receipts))
    }
}

fn aged(node: NodeEntry, seen: UnixTime, now: UnixTime) -> NodeEntry {
    NodeEntry { seen: Some(now.0.saturating_sub(seen.0)), ..node }
}

/// What people are told when the index fails; the log knows more.
fn failed(error: &sqlx::Error) -> Problem {
    warn!(%error, "the index failed");
    Problem::new(codes::INTERNAL, "the supernode's index failed; its log says why")
}

#[cfg(test)]
mod tests;
