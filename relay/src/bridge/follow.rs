//! Keeps the bridge's torrents and candidates in step with what is planted, who announces, and what the engine learned.
//!
//! Listens and passes on; a listener that lagged behind looks at everything once more.

use super::Bridge;
use crate::node::{PlantedTorrent, PlantingChange};
use crate::tracker::SwarmChange;
use crate::tracker::swarms::Change;
use anatomic_engine::{Event, Source, TorrentKey};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tracing::{debug, warn};

/// How often everything is looked at once more: peers whose dial failed come back as candidates.
const AGAIN: Duration = Duration::from_secs(60);
/// How often it is looked who is connected.
const LOOK: Duration = Duration::from_secs(2);

/// Starts the listeners. They end with the bridge's session.
pub(super) fn start(bridge: &Bridge) {
    tokio::spawn(planting(bridge.clone()));
    tokio::spawn(swarms(bridge.clone()));
    tokio::spawn(events(bridge.clone()));
    tokio::spawn(look(bridge.clone()));
}

async fn planting(bridge: Bridge) {
    let planting = bridge.shared.planting.clone();
    // First listen, then look: nothing is missed in between.
    let mut changes = planting.subscribe();
    everything(&bridge).await;
    loop {
        match changes.recv().await {
            Ok(PlantingChange::Planted(hash) | PlantingChange::Metainfo(hash)) => {
                if let Some(planted) = planting.get(&hash) {
                    planted_or_known(&bridge, &planted).await;
                }
            }
            Ok(PlantingChange::Receipts(_)) => {}
            Ok(PlantingChange::Unplanted(hash)) => bridge.remove(&hash).await,
            Err(RecvError::Lagged(_)) => everything(&bridge).await,
            Err(RecvError::Closed) => return,
        }
    }
}

/// A torrent enters the engine when a browser wants it; before, only to fetch metadata that nobody has yet.
async fn planted_or_known(bridge: &Bridge, planted: &PlantedTorrent) {
    let hash = &planted.info_hash;
    if planted.metainfo.is_none() || bridge.has_browsers(hash) || bridge.find(hash).is_some() {
        bridge.add(planted).await;
    }
}

async fn everything(bridge: &Bridge) {
    let planting = &bridge.shared.planting;
    for planted in planting.list() {
        planted_or_known(bridge, &planted).await;
    }
    if !planting.settings().open_bridge {
        for (hash, _) in bridge.all() {
            if planting.get(&hash).is_none() {
                bridge.remove(&hash).await;
            }
        }
    }
}

async fn swarms(bridge: Bridge) {
    let mut changes = bridge.shared.tracker.swarms.subscribe();
    let mut again = tokio::time::interval(AGAIN);
    loop {
        let everyone = tokio::select! {
            change = changes.recv() => match change {
                Ok(SwarmChange {
                    info_hash,
                    kind: Change::ClassicCame(address) | Change::GuestCame(address),
                }) => {
                    if let Some(torrent) = bridge.find(&info_hash)
                        && Some(address) != bridge.tcp()
                    {
                        bridge.introduce(torrent.key, Source::Tracker, vec![address]).await;
                    }
                    false
                }
                Ok(SwarmChange { info_hash, kind: Change::BrowserCame }) => {
                    bridge.ensure(&info_hash).await;
                    false
                }
                Ok(_) => false,
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => return,
            },
            _ = again.tick() => true,
        };
        if everyone {
            for (hash, torrent) in bridge.all() {
                bridge.meet(&hash, torrent.key).await;
            }
        }
    }
}

async fn events(bridge: Bridge) {
    let mut events = bridge.shared.session.events();
    loop {
        match events.recv().await {
            Ok((torrent, Event::MetadataReady)) => keep_metadata(&bridge, torrent).await,
            Ok((torrent, Event::Warning(text))) => debug!(?torrent, %text, "a torrent of the bridge"),
            Ok((torrent, Event::Error(text))) => warn!(?torrent, %text, "a torrent of the node stopped"),
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Writes down metadata that came from the swarm: after a restart they are there at once.
async fn keep_metadata(bridge: &Bridge, key: TorrentKey) {
    let Some(metainfo) = bridge.shared.session.view(key).await.and_then(|view| view.metainfo) else { return };
    let hash = metainfo.info_hash();
    if let Some(torrent) = bridge.find(&hash) {
        bridge.remember(hash, super::Torrent { has_metadata: true, ..torrent });
    }
    let planting = bridge.shared.planting.clone();
    let kept = tokio::task::spawn_blocking(move || planting.set_metainfo(metainfo)).await;
    if let Ok(Err(problem)) = kept {
        warn!(torrent = %hash, %problem, "metadata could not be kept");
    }
}

async fn look(bridge: Bridge) {
    let mut timer = tokio::time::interval(LOOK);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        bridge.look_around().await;
    }
}
