//! Asks the network on a person's behalf: health of a planted torrent, search, taking a planted torrent back.
//!
//! What the answers mean for people is said on the page.

use super::Planter;
use super::http::{ask, ask_all, get, send};
use crate::protocol::Id;
use crate::protocol::network::{Count, Found, Health, Hit, NodeHealth};
use crate::protocol::planter::FromPlanter;
use crate::protocol::view::View;
use crate::worker::clock;
use anatomic_core::InfoHash;
use anatomic_mesh::api::{self, WellKnown, WithdrawRequest, paths};
use anatomic_mesh::counts::Peers;
use anatomic_mesh::{Identity, Reach, Signed, UnixTime, Withdrawal};
use std::rc::Rc;

/// Most torrents that one search shows.
const MOST_HITS: usize = 50;

impl Planter {
    /// Asks how a planted torrent fares.
    pub(super) async fn health(self: &Rc<Self>, id: Id, supernodes: &[String]) {
        let health = match ask::<api::Health>(supernodes, &format!("{}/{id}", paths::HEALTH)).await {
            Ok(health) => {
                let ours = match self.identity().await {
                    Ok(identity) => health.planters.contains(&identity.key()),
                    Err(_) => false,
                };
                health_view(id, health, ours)
            }
            Err(reason) => Health { id, error: Some(reason), ..Health::default() },
        };
        self.tell(View::Health(Box::new(health)));
    }

    /// Looks for planted torrents at several supernodes at once.
    pub(super) async fn search(&self, words: String, supernodes: &[String]) {
        let query = String::from(js_sys::encode_uri_component(&words));
        let path = format!("{}?q={query}&limit={MOST_HITS}", paths::SEARCH);
        let found = match ask_all::<api::Found>(supernodes, &path).await {
            Ok(answers) => {
                let more = answers.iter().any(|found| found.more);
                let hits = answers.into_iter().map(|found| ((), found.hits));
                let hits = api::merge(hits, MOST_HITS).into_iter().map(|((), found)| hit(found)).collect();
                Found { words, error: None, hits, more }
            }
            Err(reason) => Found { words, error: Some(reason), ..Found::default() },
        };
        self.tell(View::Found(found));
    }

    /// Takes back what this browser planted, at every node that holds it and at the supernodes.
    pub(super) async fn unplant(self: &Rc<Self>, id: Id, supernodes: Vec<String>) {
        let (Some(info_hash), Ok(identity)) = (InfoHash::from_hex(&id.0), self.identity().await) else {
            return;
        };
        let mut hosts = supernodes.clone();
        let path = format!("{}/{info_hash}", paths::HEALTH);
        if let Ok(health) = ask::<api::Health>(&supernodes, &path).await {
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
            self.inform("It is planted no longer. It goes on here until you remove it.");
            self.say(&FromPlanter::Unplanted(id.clone()));
        } else {
            self.problem(format!("Not everybody could be told to forget it. {}.", failed.join("; ")));
        }
        self.health(id, &supernodes).await;
    }
}

fn health_view(id: Id, health: api::Health, ours: bool) -> Health {
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
        connected: [connected.tcp, connected.utp, connected.webrtc].map(count),
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
