//! The DHT for a node: planted torrents are announced, so that any client of the DHT finds the bridge, and those that are
//! bridged get classic peers from there.
//!
//! Unlisted torrents are found by their link alone, so they are not announced; nor are those whose metadata nobody has seen
//! yet, since they may be private.

use super::Dht;
use crate::bridge::Bridge;
use crate::node::Planting;
use anatomic_core::InfoHash;
use anatomic_engine::Source;
use anatomic_mesh::Listing;
use futures_util::StreamExt as _;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::debug;

/// How often it is looked what is to be done.
const LOOK: Duration = Duration::from_secs(2);
/// How often a planted torrent is announced: what is announced lasts for half an hour.
const ANNOUNCE: Duration = Duration::from_secs(20 * 60);
/// How often classic peers of a bridged torrent are looked for.
const SEARCH: Duration = Duration::from_secs(5 * 60);
/// Searches and announces at once; a node of many torrents takes longer for a round.
const AT_ONCE: usize = 8;
/// Torrents of one round.
const ROUND: usize = 200;
/// How often the nodes that are known are kept.
const KEEP: Duration = Duration::from_secs(10 * 60);

/// Announces and searches until the end of the process.
pub async fn serve(dht: Dht, planting: Arc<Planting>, bridge: Bridge) {
    let mut announced: HashMap<InfoHash, Instant> = HashMap::new();
    let mut searched: HashMap<InfoHash, Instant> = HashMap::new();
    let mut kept = Instant::now();
    let mut timer = tokio::time::interval(LOOK);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        if let Some(tcp) = bridge.tcp() {
            let open = planting.list().into_iter().filter(|planted| {
                let private = planted.metainfo.as_ref().is_none_or(|metainfo| metainfo.is_private());
                planted.listing() == Listing::Listed && !private && !planting.is_blocked(&planted.info_hash)
            });
            let due = due(open.map(|planted| planted.info_hash), &mut announced, ANNOUNCE);
            let announces = due.into_iter().map(|info_hash| {
                let dht = dht.clone();
                async move {
                    if let Err(reason) = dht.announce(info_hash, tcp.port()).await {
                        debug!(torrent = %info_hash, %reason, "not announced in the DHT");
                    }
                }
            });
            futures_util::stream::iter(announces).buffer_unordered(AT_ONCE).collect::<()>().await;
        }
        let bridged: HashMap<_, _> = bridge.open_torrents().await.into_iter().collect();
        let due = due(bridged.keys().copied(), &mut searched, SEARCH);
        let searches = due.into_iter().filter_map(|info_hash| {
            let (dht, bridge, key) = (dht.clone(), bridge.clone(), *bridged.get(&info_hash)?);
            Some(async move {
                let mut search = dht.search(info_hash);
                while let Some(mut peers) = search.next().await {
                    peers.retain(|peer| Some(*peer) != bridge.tcp());
                    bridge.introduce(key, Source::Dht, peers).await;
                }
            })
        });
        futures_util::stream::iter(searches).buffer_unordered(AT_ONCE).collect::<()>().await;
        if kept.elapsed() >= KEEP {
            kept = Instant::now();
            dht.keep().await;
        }
    }
}

/// Those whose turn it is, and notes that; forgets those that are gone.
fn due(
    all: impl Iterator<Item = InfoHash>,
    last: &mut HashMap<InfoHash, Instant>,
    every: Duration,
) -> Vec<InfoHash> {
    let all: Vec<InfoHash> = all.collect();
    if last.len() > all.len() {
        last.retain(|info_hash, _| all.contains(info_hash));
    }
    let is_due = |info_hash: &&InfoHash| last.get(*info_hash).is_none_or(|at| at.elapsed() >= every);
    let due: Vec<InfoHash> = all.iter().filter(is_due).take(ROUND).copied().collect();
    last.extend(due.iter().map(|info_hash| (*info_hash, Instant::now())));
    due
}
