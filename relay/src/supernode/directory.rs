//! Who is there: nodes and supernodes that proved their keys from outside, the proofs renewed on a timer, and whom a
//! planter is offered.
//!
//! A visit is the only way in; what anybody says of somebody else is a reason for a visit and no more.

use super::index::Known;
use super::{LIVING, Supernode, aged, failed, visit};
use anatomic_core::InfoHash;
use anatomic_core::ids::to_hex;
use anatomic_mesh::Key;
use anatomic_mesh::api::{Directory, NodeEntry, Offer, Planting, Problem, Registered, SupernodeEntry, codes};
use futures_util::future::join_all;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

/// A host that was seen this recently, in seconds, need not be visited again when it registers.
const FRESH: u64 = 20;
/// How long it is waited for a proof of life of who is to be offered.
const SOON: Duration = Duration::from_secs(2);
/// How often others are sought for offered nodes that turn out to be dead.
const ROUNDS: usize = 3;
/// How often a proof of life is renewed, in seconds.
const RENEW: u64 = 60;
/// How often it is looked who is due.
const LOOK: Duration = Duration::from_secs(10);
/// Visits at one time, and at most at one look.
pub(super) const VISITS: (usize, usize) = (16, 200);
/// Most nodes of which it is noted that they did not answer.
const MAX_SILENT: usize = 10_000;
/// Most supernodes that are named to others.
const MAX_SUPERNODES: usize = 16;

impl Supernode {
    /// Lists the node of this process.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub async fn list(&self, node: &NodeEntry) -> Result<(), Problem> {
        self.index.put_node(node, "", self.index.now()).await.map_err(|error| failed(&error))
    }

    /// A node or supernode asks to be listed: it is visited, and what it says and proves is taken.
    ///
    /// # Errors
    /// Why it is not listed.
    pub async fn register(&self, url: &str) -> Result<Registered, Problem> {
        let url = url.trim_end_matches('/');
        let now = self.index.now();
        let fresh = |seen: u64| now.0.saturating_sub(seen) < FRESH;
        let node = self.index.node_at(url).await.map_err(|error| failed(&error))?;
        if !node.is_some_and(|known| fresh(known.seen.0)) {
            self.visit(url).await?;
        }
        let supernodes = self.living_supernodes().await?;
        let supernodes = supernodes.into_iter().filter(|other| other.url != url).collect();
        Ok(Registered { key: self.key(), index: to_hex(&self.index.name()), supernodes })
    }

    /// Visits an address and lists who is there.
    pub(super) async fn visit(&self, url: &str) -> Result<Key, Problem> {
        if url == self.url {
            return Ok(self.key());
        }
        let visited =
            visit::visit(url, self.network).await.map_err(|reason| Problem::new(codes::MALFORMED, reason))?;
        let now = self.index.now();
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).remove(url);
        if let Some(node) = &visited.node {
            let is_new = self.index.node(&node.key).await.map_err(|error| failed(&error))?.is_none();
            self.index.put_node(node, &visited.network, now).await.map_err(|error| failed(&error))?;
            if is_new {
                info!(node = %node.key, %url, "listed a node");
            }
        }
        if visited.is_supernode {
            self.index.put_supernode(&visited.key, url, now).await.map_err(|error| failed(&error))?;
        }
        Ok(visited.key)
    }

    /// Living nodes that take torrents, none of `not` and none that tracks `torrent` already. The order is drawn at random,
    /// but nodes of another operator and block of addresses than those before come first. Who has not proven itself for
    /// [`FRESH`] seconds is visited before it is offered.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn offer(
        &self,
        count: usize,
        not: &[Key],
        torrent: Option<&InfoHash>,
    ) -> Result<Offer, Problem> {
        let now = self.index.now();
        let mut nodes = self.index.nodes().await.map_err(|error| failed(&error))?;
        let mut taken: Vec<String> = Vec::new();
        let mut not = not.to_vec();
        if let Some(info_hash) = torrent {
            for receipt in self.index.receipts(info_hash, now).await.map_err(|error| failed(&error))? {
                not.push(receipt.node);
            }
        }
        for known in nodes.iter().filter(|known| not.contains(&known.entry.key)) {
            taken.extend(kinship(known));
        }
        nodes.retain(|known| {
            let living = now.0.saturating_sub(known.seen.0) <= LIVING;
            let open = known.entry.planting != Planting::Off && known.entry.free != Some(0);
            living && open && !not.contains(&known.entry.key)
        });
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).shuffle(&mut nodes);
        let nodes = self.those_who_answer(strangers_first(nodes, taken), count).await;
        let now = self.index.now();
        let nodes = nodes.into_iter().map(|known| aged(known.entry, known.seen, now)).collect();
        Ok(Offer { nodes, supernodes: self.living_supernodes().await? })
    }

    /// The first `count` that live, as far as that is known or learnt in a few seconds.
    async fn those_who_answer(&self, nodes: Vec<Known>, count: usize) -> Vec<Known> {
        let mut answering = Vec::new();
        let mut rest = nodes.into_iter().filter(|known| !self.is_silent(&known.entry.url));
        for _ in 0..ROUNDS {
            let now = self.index.now();
            let fresh = |known: &Known| now.0.saturating_sub(known.seen.0) < FRESH;
            let next: Vec<Known> = rest.by_ref().take(count.saturating_sub(answering.len())).collect();
            if next.is_empty() {
                break;
            }
            let proofs = next.into_iter().map(|known| async {
                if fresh(&known) {
                    return Some(known);
                }
                let visit = self.look_in(&known.entry.url);
                match tokio::time::timeout(SOON, visit).await {
                    Ok(true) => Some(Known { seen: self.index.now(), ..known }),
                    Ok(false) => None,
                    Err(_) => {
                        self.note_silence(&known.entry.url);
                        None
                    }
                }
            });
            answering.extend(join_all(proofs).await.into_iter().flatten());
        }
        answering
    }

    /// Whether the node at an address did not prove itself when it was last visited.
    pub(super) fn is_silent(&self, url: &str) -> bool {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).contains(url)
    }

    fn note_silence(&self, url: &str) {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        // More are not noted; they are no worse off than before.
        if silent.len() < MAX_SILENT {
            silent.insert(url.to_owned());
        }
    }

    /// Visits a host that is listed; whether it proved its key. One that does not is offered to nobody until it does.
    async fn look_in(&self, url: &str) -> bool {
        let visited = self.visit(url).await;
        if let Err(problem) = &visited {
            debug!(%url, %problem, "did not prove its key");
            // Only what is listed: addresses that somebody claimed would be kept without end.
            if self.index.node_at(url).await.is_ok_and(|known| known.is_some()) {
                self.note_silence(url);
            }
        }
        visited.is_ok()
    }

    /// The node of that key, with the age of its last proof.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn node(&self, key: &Key) -> Result<Option<NodeEntry>, Problem> {
        let known = self.index.node(key).await.map_err(|error| failed(&error))?;
        Ok(known.map(|known| aged(known.entry, known.seen, self.index.now())))
    }

    /// Everybody who is known.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn directory(&self) -> Result<Directory, Problem> {
        let now = self.index.now();
        let nodes = self.index.nodes().await.map_err(|error| failed(&error))?;
        let nodes = nodes.into_iter().map(|known| aged(known.entry, known.seen, now)).collect();
        Ok(Directory { nodes, supernodes: self.living_supernodes().await? })
    }

    /// Living supernodes, this one first.
    pub(super) async fn living_supernodes(&self) -> Result<Vec<SupernodeEntry>, Problem> {
        let now = self.index.now();
        let others = self.index.supernodes().await.map_err(|error| failed(&error))?;
        let others = others.into_iter().filter(|other| other.key != self.key()).map(|other| SupernodeEntry {
            key: other.key,
            url: other.url,
            seen: Some(now.0.saturating_sub(other.seen.0)),
        });
        let living = others.filter(|other| other.seen.is_some_and(|age| age <= LIVING));
        Ok(std::iter::once(self.entry()).chain(living).take(MAX_SUPERNODES).collect())
    }

    /// Runs until the end of the process: renews proofs of life, and forgets what has expired.
    pub async fn tend_forever(self: Arc<Self>) {
        let mut timer = tokio::time::interval(LOOK);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ticks: u32 = 0;
        loop {
            timer.tick().await;
            if ticks.is_multiple_of(6)
                && let Err(error) = self.index.set_clock().await
            {
                warn!(%error, "could not look at the index's clock");
            }
            if ticks.is_multiple_of(6)
                && let Err(error) = self.index.prune(self.index.now()).await
            {
                warn!(%error, "could not tidy the index");
            }
            ticks = ticks.wrapping_add(1);
            self.renew().await;
        }
    }

    /// Visits whoever is due.
    pub(super) async fn renew(self: &Arc<Self>) {
        let due = match self.index.take_due(RENEW, VISITS.1, self.index.now()).await {
            Ok(due) => due,
            Err(error) => return warn!(%error, "could not read the directory"),
        };
        let mut visits = JoinSet::new();
        for url in due {
            if visits.len() >= VISITS.0 {
                visits.join_next().await;
            }
            let supernode = self.clone();
            visits.spawn(async move { supernode.look_in(&url).await });
        }
        while visits.join_next().await.is_some() {}
    }
}

/// What nodes of one operator have in common: the block of addresses, and the last two labels of the host's name.
fn kinship(known: &Known) -> Vec<String> {
    let mut all = Vec::new();
    if !known.network.is_empty() {
        all.push(known.network.clone());
    }
    let host = visit::host(&known.entry.url).unwrap_or_default();
    if host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_err() {
        let mut labels: Vec<&str> = host.rsplit('.').take(2).collect();
        labels.reverse();
        all.push(labels.join("."));
    } else {
        all.push(host);
    }
    all
}

/// Those who share nothing with anyone before them first.
fn strangers_first(nodes: Vec<Known>, mut taken: Vec<String>) -> Vec<Known> {
    let (mut first, mut kin) = (Vec::new(), Vec::new());
    for known in nodes {
        let marks = kinship(&known);
        if marks.iter().any(|mark| taken.contains(mark)) {
            kin.push(known);
        } else {
            taken.extend(marks);
            first.push(known);
        }
    }
    first.extend(kin);
    first
}
