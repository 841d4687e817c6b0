//! The way from a node to its sisters: who a key is, and who takes a lost sister's place.
//!
//! Asks the supernodes and the node that is to take the place. When a sister counts as lost, and which of the others acts
//! (the one with the smallest key, so that it happens once, then the next), is peer-sharing's judgement.

use super::Planting;
use super::client;
use anatomic_core::InfoHash;
use anatomic_mesh::Key;
use anatomic_mesh::api::{AdoptRequest, NodeEntry, Offer, Planted, Problem, paths};
use futures_util::future::join_all;
use tracing::info;

/// How many nodes are asked to take a lost sister's place before it is left for later.
const TRIES: usize = 4;

/// The node of that key, as the supernodes (by scheme and host) know it: of all answers the one seen last.
pub async fn find(client: &reqwest::Client, supernodes: &[String], key: &Key) -> Option<NodeEntry> {
    let asked = supernodes.iter().map(|supernode| {
        let request = client.get(format!("{supernode}{}/{key}", paths::NODES));
        client::ask::<NodeEntry>(request)
    });
    let answers = join_all(asked).await.into_iter().flatten();
    answers.filter(|node| node.key == *key).min_by_key(|node| node.seen.unwrap_or(u64::MAX))
}

/// Living nodes that would take a torrent and do not track it yet, best first; none of `not`.
pub async fn offered(
    client: &reqwest::Client,
    supernodes: &[String],
    info_hash: &InfoHash,
    not: &[Key],
) -> Vec<NodeEntry> {
    let listed: Vec<String> = not.iter().map(ToString::to_string).collect();
    let query = format!("count={TRIES}&for={info_hash}&not={}", listed.join(","));
    let asked = supernodes
        .iter()
        .map(|supernode| client::ask::<Offer>(client.get(format!("{supernode}{}?{query}", paths::NODES))));
    let mut nodes: Vec<NodeEntry> = Vec::new();
    for node in join_all(asked).await.into_iter().flatten().flat_map(|offer| offer.nodes) {
        if !not.contains(&node.key) && nodes.iter().all(|known| known.key != node.key) {
            nodes.push(node);
        }
    }
    nodes
}

/// Finds nodes that take the places of the sisters `lost`, has them adopt the torrent, and names them in our receipts, which the
/// supernodes then hear of. The other sisters are told by peer-sharing; they call [`Planting::set_sisters`]. Returns those that
/// were found, perhaps fewer.
///
/// # Errors
/// Why there is no new sister, for the log.
pub async fn replace(
    client: &reqwest::Client,
    planting: &Planting,
    supernodes: &[String],
    info_hash: &InfoHash,
    lost: &[Key],
) -> Result<Vec<NodeEntry>, String> {
    // None of those that are lost is named to the new ones: they would wait for it.
    let mut sisters: Vec<Key> =
        planting.sisters(info_hash).into_iter().filter(|sister| !lost.contains(sister)).collect();
    let mut not = sisters.clone();
    not.extend(lost);
    not.push(planting.key());
    let offered = offered(client, supernodes, info_hash, &not).await;
    // Each is told of the others from the beginning, so that their receipts name all. If one that was named refuses,
    // peer-sharing finds out who came instead.
    let mut planned: Vec<Key> = offered.iter().take(lost.len()).map(|node| node.key).collect();
    let (mut new, mut reasons) = (Vec::new(), Vec::new());
    for node in offered.into_iter().take(lost.len() + TRIES) {
        if new.len() == lost.len() {
            break;
        }
        planned.retain(|key| *key != node.key);
        let others: Vec<Key> = sisters.iter().chain(&planned).copied().collect();
        let request = |at| planting.adoption(info_hash, node.key, &others, at);
        let Some(first) = request(None) else {
            return Err("no lease runs here that a sister could take part in".into());
        };
        let mut adopted = adopt(client, &node, &first).await;
        if let Err(Some(clock)) = adopted.as_ref().map_err(Problem::clock)
            && let Some(again) = request(Some(clock))
        {
            adopted = adopt(client, &node, &again).await;
        }
        match adopted {
            Ok(()) => {
                sisters.push(node.key);
                planting.set_sisters(info_hash, &sisters).map_err(|problem| problem.to_string())?;
                info!(torrent = %info_hash, node = %node.key, "a new sister took the place of a lost one");
                new.push(node);
            }
            Err(reason) => reasons.push(format!("{}: {reason}", node.url)),
        }
    }
    if !new.is_empty() {
        return Ok(new);
    }
    if reasons.is_empty() {
        return Err("the supernodes know no other living node that takes torrents".into());
    }
    Err(reasons.join("; "))
}

async fn adopt(client: &reqwest::Client, node: &NodeEntry, request: &AdoptRequest) -> Result<(), Problem> {
    let url = format!("{}{}", node.url, paths::ADOPT);
    let planted: Planted = client::post_for(client, &url, request).await?;
    let receipt = &planted.receipt;
    if receipt.node == node.key && receipt.info_hash == request.adoption.info_hash {
        Ok(())
    } else {
        Err(Problem::without_document("its receipt is about something else"))
    }
}
