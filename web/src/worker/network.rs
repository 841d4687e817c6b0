//! Asks the network on a person's behalf: health of a planted torrent, search, taking a planted torrent back.
//!
//! Planting itself is in [`super::host`]; what the answers mean for people is said on the page.

use super::host::{get, send};
use super::{Driver, clock};
use crate::protocol::Id;
use crate::protocol::network::{Count, Found, Health, Hit, NodeHealth};
use crate::protocol::view::{Level, Notice, Planted, View};
use anatomic_core::{InfoHash, Metainfo};
use anatomic_engine::TorrentKey;
use anatomic_mesh::api::{self, WellKnown, WithdrawRequest, paths};
use anatomic_mesh::counts::Peers;
use anatomic_mesh::{Identity, Reach, Signed, UnixTime, Withdrawal};
use serde::de::DeserializeOwned;
use std::rc::Rc;
use wasm_bindgen_futures::spawn_local;

/// Most torrents that one search shows.
const MOST_HITS: u32 = 50;

impl Driver {
    /// Asks how a planted torrent fares.
    pub(super) fn ask_health(self: &Rc<Self>, id: Id) {
        let driver = Rc::clone(self);
        spawn_local(async move {
            let health = match driver.ask::<api::Health>(&format!("{}/{id}", paths::HEALTH)).await {
                Ok(health) => driver.health_view(id, health),
                Err(reason) => Health { id, error: Some(reason), ..Health::default() },
            };
            driver.tell(View::Health(Box::new(health)));
        });
    }

    /// Looks for planted torrents.
    pub(super) fn search(self: &Rc<Self>, words: String) {
        let driver = Rc::clone(self);
        spawn_local(async move {
            let query = String::from(js_sys::encode_uri_component(&words));
            let path = format!("{}?q={query}&limit={MOST_HITS}", paths::SEARCH);
            let found = match driver.ask::<api::Found>(&path).await {
                Ok(found) => Found {
                    words,
                    error: None,
                    hits: found.hits.into_iter().map(hit).collect(),
                    more: found.more,
                },
                Err(reason) => Found { words, error: Some(reason), ..Found::default() },
            };
            driver.tell(View::Found(found));
        });
    }

    /// Takes back what this browser planted, at every node that holds it and at the supernodes.
    pub(super) fn unplant(self: &Rc<Self>, key: TorrentKey) {
        let Some(info_hash) = self.list.borrow().get(&key).map(|listed| listed.info_hash) else { return };
        let Some(identity) = self.host.borrow().identity().cloned() else { return };
        let driver = Rc::clone(self);
        spawn_local(async move {
            let mut hosts = driver.host.borrow().supernodes();
            let path = format!("{}/{info_hash}", paths::HEALTH);
            if let Ok(health) = driver.ask::<api::Health>(&path).await {
                for node in health.nodes.into_iter().filter(|node| node.holds) {
                    if !hosts.contains(&node.url) {
                        hosts.push(node.url);
                    }
                }
            }
            let mut failed = Vec::new();
            for url in &hosts {
                if let Err(reason) = withdraw(url, info_hash, &identity).await {
                    failed.push(format!("{url}: {reason}"));
                }
            }
            if failed.is_empty() {
                let text = "It is planted no longer. It goes on here until you remove it.".into();
                driver.tell(View::Notice(Notice { level: Level::Info, text }));
                driver.unplanted(key, info_hash);
            } else {
                driver.problem(format!("Not everybody could be told to forget it. {}.", failed.join("; ")));
            }
            driver.ask_health(Id(info_hash.to_string()));
        });
    }

    /// It is planted no longer, and must not be planted again by itself.
    fn unplanted(self: &Rc<Self>, key: TorrentKey, info_hash: InfoHash) {
        if let Some(listed) = self.list.borrow_mut().get_mut(&key) {
            listed.entry.plant = false;
            listed.touch();
        }
        self.set_planted(info_hash, Planted::No);
    }

    /// The torrent as other clients take it: with every tracker that is known of it.
    pub(super) fn torrent_file(&self, key: TorrentKey) -> Option<(String, Vec<u8>)> {
        let view = self.engine.borrow().view(key)?;
        let metainfo = view.metainfo?;
        let mut tiers: Vec<Vec<String>> = metainfo.trackers().to_vec();
        for tracker in view.trackers {
            if !tiers.iter().flatten().any(|url| *url == tracker.url) {
                tiers.push(vec![tracker.url]);
            }
        }
        let announce =
            tiers.iter().flatten().find(|url| url.starts_with("http")).or(tiers.first()?.first())?;
        let planted: Metainfo = metainfo.with_root(announce, &tiers);
        Some((format!("{}.torrent", metainfo.name()), planted.to_torrent()))
    }

    /// Asks the supernodes one after the other until one answers.
    async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let supernodes = self.host.borrow().supernodes();
        let mut reason = "no supernode is known".to_owned();
        for supernode in supernodes {
            match get(&format!("{supernode}{path}")).await {
                Ok(answer) => return Ok(answer),
                Err(error) => reason = format!("{supernode}: {error}"),
            }
        }
        Err(reason)
    }

    fn health_view(&self, id: Id, health: api::Health) -> Health {
        let host = self.host.borrow();
        let ours = host.identity().is_some_and(|identity| health.planters.contains(&identity.key()));
        Health {
            id,
            error: None,
            nodes: health.nodes.into_iter().map(node).collect(),
            tabs: count(health.tabs),
            classic: count(health.classic),
            helped: health.helped,
            ours,
        }
    }
}

async fn withdraw(url: &str, info_hash: InfoHash, identity: &Identity) -> Result<(), String> {
    let host: WellKnown = get(&format!("{url}{}", paths::WELL_KNOWN)).await?;
    let mut withdrawal = Withdrawal {
        info_hash,
        node: host.key,
        planter: identity.key(),
        reach: Reach::Everywhere,
        issued: UnixTime(clock::seconds_since_1970()),
        at: None,
    };
    let url = format!("{url}{}", paths::WITHDRAW);
    loop {
        let signed = Signed::new(withdrawal.clone(), identity).map_err(|error| error.to_string())?;
        let told = send(&url, &WithdrawRequest { withdrawal: signed }).await;
        match told.as_ref().map_err(api::Problem::clock) {
            // Its clock is another: once more, by that.
            Err(Some(clock)) if withdrawal.at.is_none() => withdrawal.at = Some(clock),
            _ => return told.map_err(|problem| problem.to_string()),
        }
    }
}

const fn count(peers: Peers) -> Count {
    Count { seeds: peers.seeds, leeches: peers.leeches }
}

fn node(node: api::NodeHealth) -> NodeHealth {
    let connected = node.swarm.unwrap_or_default().connected;
    NodeHealth {
        url: node.url,
        healthy: node.lives && node.holds,
        lease: node.lease,
        connected: (connected.tcp, connected.utp, connected.webrtc),
        reason: node.reason,
    }
}

fn hit(hit: api::Hit) -> Hit {
    let id = Id(hit.info_hash.to_string());
    Hit {
        name: hit.name.unwrap_or_else(|| id.0.clone()),
        id,
        length: hit.length,
        files: hit.files,
        magnet: hit.magnet,
        peers: Count {
            seeds: hit.tabs.seeds.saturating_add(hit.classic.seeds),
            leeches: hit.tabs.leeches.saturating_add(hit.classic.leeches),
        },
    }
}
