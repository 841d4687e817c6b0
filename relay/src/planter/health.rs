//! The health of a planted torrent: asks supernodes and nodes, and puts their answers together.
//!
//! What follows from the answers is `anatomic_mesh::api::Health`'s business.

use crate::node::client::{self, Failed, ask_up_to};
use anatomic_core::InfoHash;
use anatomic_mesh::api::{Lookup, NodeEntry, codes, paths};
use futures_util::future::join_all;
use std::time::Duration;

/// How long a node may take to answer.
pub const PATIENCE: Duration = Duration::from_secs(4);
/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;
/// Most nodes that are asked.
const MAX_NODES: usize = 32;

/// What a host knows of a torrent; `None` if nothing.
///
/// # Errors
/// Why it does not answer.
pub async fn lookup(
    client: &reqwest::Client,
    origin: &str,
    info_hash: &InfoHash,
) -> Result<Option<Lookup>, String> {
    let url = format!("{}{}/{info_hash}", origin.trim_end_matches('/'), paths::TORRENTS);
    match ask_up_to::<Lookup>(client.get(url), MAX_ANSWER).await {
        Ok(lookup) if lookup.info_hash == *info_hash => Ok(Some(lookup)),
        Ok(_) => Err("answers about something else".into()),
        Err(Failed::Problem(problem)) if problem.code == codes::NOT_FOUND => Ok(None),
        Err(failed) => Err(failed.to_string()),
    }
}

/// Asks all nodes at once.
pub async fn ask_nodes(
    client: &reqwest::Client,
    info_hash: &InfoHash,
    nodes: Vec<NodeEntry>,
) -> Vec<(NodeEntry, Result<Option<Lookup>, String>)> {
    let asked = nodes.into_iter().take(MAX_NODES).map(|node| async move {
        let answer = lookup(client, &node.url, info_hash).await;
        (node, answer)
    });
    join_all(asked).await
}

/// Asks all supernodes at once; what they know, and what those said that did not answer.
pub async fn ask_supernodes(
    client: &reqwest::Client,
    info_hash: &InfoHash,
    supernodes: &[String],
) -> (Vec<Lookup>, Vec<(String, String)>) {
    let asked = supernodes.iter().map(|url| async move { (url, lookup(client, url, info_hash).await) });
    let (mut known, mut silent) = (Vec::new(), Vec::new());
    for (url, answer) in join_all(asked).await {
        match answer {
            Ok(Some(lookup)) => known.push(lookup),
            Ok(None) => silent.push((url.clone(), "does not know this torrent".to_owned())),
            Err(reason) => silent.push((url.clone(), reason)),
        }
    }
    (known, silent)
}

/// All nodes that some supernodes name, each once; the entry seen last counts.
#[must_use]
pub fn nodes(known: &[Lookup]) -> Vec<NodeEntry> {
    let mut all: Vec<NodeEntry> = Vec::new();
    for node in known.iter().flat_map(|lookup| &lookup.nodes) {
        match all.iter_mut().find(|other| other.key == node.key) {
            Some(other) if node.seen < other.seen => *other = node.clone(),
            Some(_) => {}
            None => all.push(node.clone()),
        }
    }
    all
}

/// A client for these questions.
///
/// # Errors
/// When the system has no certificates or the like.
pub fn client() -> Result<reqwest::Client, String> {
    client::new(PATIENCE)
}
