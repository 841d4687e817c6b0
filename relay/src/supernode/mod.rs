//! The supernode: which nodes live, and which of them track which torrent.
//!
//! Believes receipts, which nodes signed, and what it saw itself when it visited a node; never a claim. Answers no HTTP
//! itself ([`crate::http`] does) and tracks no peer.

pub mod index;
pub mod visit;

pub use index::Index;

use crate::node::clock;
use anatomic_core::address::Policy;
use anatomic_core::{InfoHash, Magnet, Metainfo};
use anatomic_mesh::api::{
    Handover, Indexed, Lookup, NodeEntry, Offer, Planting, Problem, RefusedReceipt, SupernodeEntry,
    WithdrawRequest, codes, paths,
};
use anatomic_mesh::{Key, Receipt, Signed, UnixTime, link};
use fastrand::Rng;
use index::TorrentRow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::{info, warn};

/// A node not seen for this long, in seconds, is not offered and nobody is sent to it.
pub const LIVING: u64 = 180;
/// Most receipts of one handover.
const MAX_RECEIPTS: usize = 16;
/// A node that was seen this recently, in seconds, need not be visited again.
const FRESH: u64 = 20;

/// A supernode.
pub struct Supernode {
    index: Index,
    key: Key,
    url: String,
    network: Policy,
    rng: Mutex<Rng>,
}

impl Supernode {
    /// A supernode over an index. `url` is its scheme and host; `network` says which hosts it visits.
    #[must_use]
    pub fn new(index: Index, key: Key, url: String, network: Policy, seed: u64) -> Arc<Self> {
        Arc::new(Self { index, key, url, network, rng: Mutex::new(Rng::with_seed(seed)) })
    }

    /// How it describes itself.
    #[must_use]
    pub fn entry(&self) -> SupernodeEntry {
        SupernodeEntry { key: self.key, url: self.url.clone(), seen: None }
    }

    /// Lists a node of this process, or one that was visited just now.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub async fn list(&self, node: &NodeEntry) -> Result<(), Problem> {
        self.index.put_node(node, clock::now()).await.map_err(|error| failed(&error))
    }

    /// A node asks to be listed: it is visited, and what it says and proves is taken.
    ///
    /// # Errors
    /// Why it is not listed.
    pub async fn register(&self, url: &str) -> Result<(), Problem> {
        let url = url.trim_end_matches('/');
        let now = clock::now();
        let known = self.index.node_at(url).await.map_err(|error| failed(&error))?;
        if known.is_some_and(|(_, seen)| now.0.saturating_sub(seen.0) < FRESH) {
            return Ok(());
        }
        let node =
            visit::node(url, self.network).await.map_err(|reason| Problem::new(codes::MALFORMED, reason))?;
        info!(node = %node.key, %url, "listed a node");
        self.list(&node).await
    }

    /// Living nodes that take torrents, in an order drawn at random, at most one of a host first.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn offer(&self, count: usize) -> Result<Offer, Problem> {
        let mut nodes = self.living().await?;
        nodes.retain(|node| node.planting != Planting::Off && node.free != Some(0));
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).shuffle(&mut nodes);
        let mut hosts = Vec::new();
        let host = |node: &NodeEntry| visit::host(&node.url).unwrap_or_default();
        // A stable sort: the first of each host keeps its place before all seconds.
        nodes.sort_by_cached_key(|node| {
            let host = host(node);
            let again = hosts.contains(&host);
            hosts.push(host);
            again
        });
        nodes.truncate(count);
        Ok(Offer { nodes, supernodes: vec![self.entry()] })
    }

    /// Takes a planter's receipts into the index.
    ///
    /// # Errors
    /// When they are not of one torrent, the torrent is another one, or the index fails. A single bad receipt is only
    /// left out, and named in the answer.
    pub async fn hand_over(&self, handover: Handover) -> Result<Indexed, Problem> {
        let Some(first) = handover.receipts.first() else {
            return Err(Problem::new(codes::MALFORMED, "there is no receipt"));
        };
        let info_hash = first.info_hash;
        if handover.receipts.len() > MAX_RECEIPTS
            || handover.receipts.iter().any(|receipt| receipt.info_hash != info_hash)
        {
            let detail = format!("a handover is at most {MAX_RECEIPTS} receipts of one torrent");
            return Err(Problem::new(codes::MALFORMED, detail));
        }
        let metainfo = match &handover.torrent {
            None => None,
            Some(file) => {
                let metainfo =
                    Metainfo::from_torrent(&file.0).map_err(|error| Problem::new(codes::TORRENT, error))?;
                if metainfo.info_hash() != info_hash {
                    return Err(Problem::new(codes::TORRENT, "the torrent is not the one of the receipts"));
                }
                Some(metainfo)
            }
        };
        let mut indexed = Indexed::default();
        let mut accepted = Vec::new();
        for (at, receipt) in handover.receipts.iter().enumerate() {
            match self.check(receipt).await {
                Ok(()) => accepted.push(receipt),
                Err(reason) => indexed.refused.push(RefusedReceipt { at, reason }),
            }
        }
        indexed.accepted = accepted.len();
        if accepted.is_empty() {
            let reason = indexed.refused.first().map_or("", |refused| &refused.reason);
            return Err(Problem::new(codes::SIGNATURE, format!("no receipt could be taken: {reason}")));
        }
        let row = TorrentRow {
            info_hash,
            info_hash_v2: first.info_hash_v2,
            name: metainfo.as_ref().map(|metainfo| metainfo.name().to_owned()).or(handover.name),
            length: metainfo.as_ref().map(|metainfo| metainfo.geometry().length()).or(handover.length),
            files: metainfo.as_ref().map(|metainfo| metainfo.files().len() as u64),
            torrent: metainfo.as_ref().map(Metainfo::to_torrent),
            listing: handover.listing,
        };
        self.index.put_torrent(&row, &accepted, clock::now()).await.map_err(|error| failed(&error))?;
        info!(torrent = %info_hash, receipts = accepted.len(), "indexed");
        Ok(indexed)
    }

    async fn check(&self, receipt: &Signed<Receipt>) -> Result<(), String> {
        receipt.check_time(clock::now()).map_err(|error| error.to_string())?;
        let url = receipt.url.trim_end_matches('/');
        let known =
            || async { self.index.node(&receipt.node).await.map_err(|error| failed(&error).to_string()) };
        if known().await?.is_none() {
            // A node of another supernode: look for ourselves.
            self.register(url).await.map_err(|problem| problem.to_string())?;
        }
        match known().await? {
            Some((node, _)) if node.url == url => Ok(()),
            Some(_) => Err("the node is known under another address".into()),
            None => Err("another node answers at the address in the receipt".into()),
        }
    }

    /// What is known of a torrent; `None` if it is not indexed.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn lookup(&self, info_hash: &InfoHash) -> Result<Option<Lookup>, Problem> {
        let now = clock::now();
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
            torrent: row.torrent.is_some().then(|| format!("{}/{info_hash}.torrent", paths::TORRENTS)),
            seeds: 0,
            leeches: 0,
            seed_seen: None,
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
        let row = self.index.torrent(info_hash).await.map_err(|error| failed(&error))?;
        let Some(torrent) = row.and_then(|row| row.torrent) else { return Ok(None) };
        let metainfo =
            Metainfo::from_torrent(&torrent).map_err(|error| Problem::new(codes::INTERNAL, error))?;
        let (nodes, _) = self.nodes_of(info_hash, clock::now()).await?;
        Ok(Some(link::torrent(&metainfo, &nodes, std::slice::from_ref(&self.url)).to_torrent()))
    }

    /// A living node to which an ordinary client is sent with its announce: `http://…/announce`, never of `not`.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn redirect(&self, info_hash: &InfoHash, not: Option<Key>) -> Result<Option<String>, Problem> {
        let (nodes, _) = self.nodes_of(info_hash, clock::now()).await?;
        let announces: Vec<String> = nodes
            .into_iter()
            .filter(|node| Some(node.key) != not && node.seen.is_some_and(|age| age <= LIVING))
            .filter_map(|node| node.announce.http)
            .collect();
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(rng.choice(announces))
    }

    /// Forgets a planter's receipts.
    ///
    /// # Errors
    /// Why not.
    pub async fn withdraw(&self, request: &WithdrawRequest) -> Result<(), Problem> {
        let withdrawal = &request.withdrawal;
        withdrawal.check(self.key, clock::now()).map_err(|error| Problem::new(codes::SIGNATURE, error))?;
        let gone = self
            .index
            .withdraw(&withdrawal.info_hash, &withdrawal.planter)
            .await
            .map_err(|error| failed(&error))?;
        if gone {
            Ok(())
        } else {
            Err(Problem::new(codes::NOT_FOUND, "this planter has no receipt here for that torrent"))
        }
    }

    /// How many torrents and nodes are indexed.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn totals(&self) -> Result<(u64, u64), Problem> {
        self.index.totals().await.map_err(|error| failed(&error))
    }

    /// Runs until the end of the process: visits nodes that fell silent, and forgets what has expired.
    pub async fn tend_forever(self: Arc<Self>) {
        let mut timer = tokio::time::interval(Duration::from_secs(60));
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            timer.tick().await;
            if let Err(error) = self.index.prune(clock::now()).await {
                warn!(%error, "could not tidy the index");
            }
            let Ok(nodes) = self.index.nodes().await else { continue };
            let now = clock::now();
            for (node, seen) in nodes {
                // Silent for more than a minute and for less than an hour: perhaps it only forgot to say so.
                if (60..3_600).contains(&now.0.saturating_sub(seen.0)) {
                    let _ = self.register(&node.url).await;
                }
            }
        }
    }

    /// Writes everything to the disk and closes the index.
    pub async fn close(&self) {
        self.index.close().await;
    }

    async fn living(&self) -> Result<Vec<NodeEntry>, Problem> {
        let now = clock::now();
        let nodes = self.index.nodes().await.map_err(|error| failed(&error))?;
        let aged = nodes.into_iter().map(|(node, seen)| aged(node, seen, now));
        Ok(aged.filter(|node| node.seen.is_some_and(|age| age <= LIVING)).collect())
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
            if let Some((node, seen)) =
                self.index.node(&receipt.node).await.map_err(|error| failed(&error))?
            {
                nodes.push(aged(node, seen, now));
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
