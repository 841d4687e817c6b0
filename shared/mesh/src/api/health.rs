//! The health of a planted torrent: which nodes hold it and live, how long yet, and who is in its swarms.
//!
//! Asked of supernodes (`GET /api/v1/health/INFOHASH`), or put together from the nodes' own answers by [`Health::new`].

use super::{Lookup, NodeEntry};
use crate::counts::Peers;
use crate::{Key, Listing, Receipt, UnixTime, text};
use anatomic_core::InfoHash;
use serde::{Deserialize, Serialize};

/// Peers that a node's bridge is connected with, by the way to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Connected {
    /// Over TCP.
    #[serde(default)]
    pub tcp: Peers,
    /// Over uTP.
    #[serde(default)]
    pub utp: Peers,
    /// Browsers.
    #[serde(default)]
    pub webrtc: Peers,
}

/// A swarm, as one node sees it: different peers, its own and those that sisters named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Swarm {
    /// Browsers in the swarm.
    #[serde(default)]
    pub tabs: Peers,
    /// Other clients in the swarm.
    #[serde(default)]
    pub classic: Peers,
    /// What the node itself is connected with at this moment.
    #[serde(default)]
    pub connected: Connected,
    /// How many tabs the node has connected with since the torrent was planted.
    #[serde(default)]
    pub helped: u32,
}

/// One node's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeHealth {
    /// The node.
    pub key: Key,
    /// Its scheme and host.
    pub url: String,
    /// Whether it answered just now.
    pub lives: bool,
    /// Whether it tracks the torrent, as it says itself.
    pub holds: bool,
    /// Seconds that its lease still runs; `None` if it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
    /// Its swarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<Swarm>,
    /// Why it does not live or hold, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The health of a planted torrent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The torrent.
    #[serde(with = "text::info_hash")]
    pub info_hash: InfoHash,
    /// Its name, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether search may find it.
    #[serde(default)]
    pub listing: Listing,
    /// Nodes with a receipt, those that live and hold it first.
    pub nodes: Vec<NodeHealth>,
    /// How many of them live and hold it.
    pub healthy: usize,
    /// Seconds until the last of the healthy nodes' leases ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
    /// The largest of the nodes' swarms, kind by kind: sisters share their peers, so each counts those of the others already, and a
    /// sum would count them twice.
    #[serde(default)]
    pub tabs: Peers,
    /// The same of other clients.
    #[serde(default)]
    pub classic: Peers,
    /// Tabs helped: the largest of the nodes' figures, since one tab is helped by several nodes. So many at least.
    #[serde(default)]
    pub helped: u64,
    /// Seconds since a seed was last known to be alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_seen: Option<u64>,
    /// Keys of those who planted it.
    #[serde(default)]
    pub planters: Vec<Key>,
}

impl Health {
    /// Puts together what supernodes and nodes answered: `known` are lookups of supernodes, `asked` every node with its
    /// own answer: `None` if it lives and does not know the torrent.
    #[must_use]
    pub fn new(
        info_hash: InfoHash,
        known: &[Lookup],
        asked: &[(NodeEntry, Result<Option<Lookup>, String>)],
        now: UnixTime,
    ) -> Self {
        let own = asked.iter().filter_map(|(_, answer)| answer.as_ref().ok()?.as_ref());
        let all: Vec<&Lookup> = known.iter().chain(own).filter(|all| all.info_hash == info_hash).collect();
        let mut health = Self {
            info_hash,
            name: all.iter().find_map(|lookup| lookup.name.clone()),
            listing: Receipt::listing(
                all.iter().flat_map(|lookup| &lookup.receipts).map(std::ops::Deref::deref),
            ),
            nodes: asked.iter().map(|(node, answer)| node_health(node, answer, &all, now)).collect(),
            healthy: 0,
            lease: None,
            tabs: Peers::default(),
            classic: Peers::default(),
            helped: 0,
            seed_seen: all.iter().filter_map(|lookup| lookup.seed_seen).min(),
            planters: Vec::new(),
        };
        for receipt in all.iter().flat_map(|lookup| &lookup.receipts) {
            if receipt.check_time(now).is_ok() && !health.planters.contains(&receipt.planter) {
                health.planters.push(receipt.planter);
            }
        }
        for node in health.nodes.iter().filter(|node| node.lives && node.holds) {
            health.healthy += 1;
            health.lease = health.lease.max(node.lease);
            let swarm = node.swarm.unwrap_or_default();
            health.tabs = most(health.tabs, swarm.tabs);
            health.classic = most(health.classic, swarm.classic);
            health.helped = health.helped.max(u64::from(swarm.helped));
        }
        health.nodes.sort_by_key(|node| (!(node.lives && node.holds), !node.lives, node.url.clone()));
        health
    }
}

fn most(one: Peers, other: Peers) -> Peers {
    Peers { seeds: one.seeds.max(other.seeds), leeches: one.leeches.max(other.leeches) }
}

fn node_health(
    node: &NodeEntry,
    answer: &Result<Option<Lookup>, String>,
    all: &[&Lookup],
    now: UnixTime,
) -> NodeHealth {
    let receipts = all.iter().flat_map(|lookup| &lookup.receipts).filter(|receipt| receipt.node == node.key);
    let running = receipts.filter(|receipt| receipt.check_time(now).is_ok());
    let lease = running.map(|receipt| receipt.expires.0.saturating_sub(now.0)).max();
    // A process may be a supernode too and know the torrent without tracking it.
    let swarm = answer.as_ref().ok().and_then(|lookup| lookup.as_ref()?.swarm);
    let reason = match answer {
        Err(reason) => Some(reason.clone()),
        Ok(_) => swarm.is_none().then(|| "it does not track the torrent any more".to_owned()),
    };
    NodeHealth {
        key: node.key,
        url: node.url.clone(),
        lives: answer.is_ok(),
        holds: swarm.is_some(),
        lease,
        swarm,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipt::DEFAULT_LEASE;
    use crate::{Identity, Receipt, Signed};

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn node(number: u8) -> NodeEntry {
        let json =
            format!(r#"{{"key":"{}","url":"http://n{number}"}}"#, Identity::from_seed([number; 32]).key());
        serde_json::from_str(&json).unwrap()
    }

    fn lookup(receipts: &[(u8, u64)], swarm: Option<Swarm>) -> Lookup {
        let info_hash = InfoHash([7; 20]);
        let receipt = |(number, lease): &(u8, u64)| {
            let node = Identity::from_seed([*number; 32]);
            let receipt = Receipt {
                info_hash,
                info_hash_v2: None,
                node: node.key(),
                url: format!("http://n{number}"),
                planter: Key([9; 32]),
                sisters: vec![],
                listing: Listing::Listed,
                issued: NOW,
                claimed: None,
                expires: NOW.plus(*lease),
            };
            Signed::new(receipt, &node).unwrap()
        };
        let json = format!(r#"{{"info_hash":"{info_hash}","magnet":"magnet:?"}}"#);
        Lookup {
            receipts: receipts.iter().map(receipt).collect(),
            swarm,
            ..serde_json::from_str(&json).unwrap()
        }
    }

    #[test]
    fn health_counts_nodes_that_live_and_hold_and_adds_no_peer_twice() {
        let swarm = |leeches, helped| Swarm { tabs: Peers { seeds: 1, leeches }, helped, ..Swarm::default() };
        let known = lookup(&[(1, DEFAULT_LEASE), (2, 500), (3, 900)], None);
        let asked = [
            (node(3), Err("connection refused".to_owned())),
            (node(2), Ok(None)),
            (node(1), Ok(Some(lookup(&[], Some(swarm(4, 10)))))),
            (node(4), Ok(Some(lookup(&[(4, 100)], Some(swarm(2, 1)))))),
        ];
        let health = Health::new(InfoHash([7; 20]), &[known], &asked, NOW);
        let states: Vec<_> =
            health.nodes.iter().map(|node| (node.url.as_str(), node.lives, node.holds, node.lease)).collect();
        assert_eq!(
            states,
            [
                ("http://n1", true, true, Some(DEFAULT_LEASE)),
                ("http://n4", true, true, Some(100)),
                ("http://n2", true, false, Some(500)),
                ("http://n3", false, false, Some(900)),
            ]
        );
        assert_eq!((health.healthy, health.lease, health.helped), (2, Some(DEFAULT_LEASE), 10));
        assert_eq!(health.tabs, Peers { seeds: 1, leeches: 4 });
        assert_eq!(health.planters, [Key([9; 32])]);
    }
}
