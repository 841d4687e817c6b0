//! Hosts for a client's session: those of its links and those that peers name become trackers, and peers are told of them.
//!
//! Supernodes that answered are remembered for the next command by the caller's list.

use super::{Verified, verify};
use crate::driver::Handle;
use anatomic_core::InfoHash;
use anatomic_core::address::{Policy, is_public};
use anatomic_engine::{Event, Hosts, TorrentKey};
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tracing::{debug, info};

/// Most hosts that are asked for one torrent in the life of a session.
const MAX_ASKED: usize = 64;
/// Most nodes of a torrent that are announced to.
const MAX_NODES: usize = 8;
/// How often it is looked for torrents that have come.
const LOOK: Duration = Duration::from_secs(5);

/// What is known for one torrent.
#[derive(Default)]
struct Known {
    asked: HashSet<String>,
    to_ask: VecDeque<(String, Policy)>,
    hosts: Hosts,
}

impl Known {
    /// Notes that somebody named a host; who names it decides how far inwards it may lie.
    fn name(&mut self, url: &str, network: Policy) {
        let url = url.trim_end_matches('/').to_owned();
        if self.asked.len() < MAX_ASKED && self.asked.insert(url.clone()) {
            self.to_ask.push_back((url, network));
        }
    }
}

/// Runs until the session is over. `data` is where the list of known supernodes is kept.
pub async fn follow(handle: Handle, data: Option<PathBuf>) {
    let mut events = handle.events();
    let mut known: HashMap<TorrentKey, Known> = HashMap::new();
    let mut timer = tokio::time::interval(LOOK);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok((torrent, Event::Hosts { address, hosts, .. })) => {
                    let network = network_of(address);
                    let known = known.entry(torrent).or_default();
                    for url in hosts.nodes.iter().chain(&hosts.supernodes) {
                        known.name(url, network);
                    }
                }
                Ok(_) => continue,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            _ = timer.tick() => {
                let Some(torrents) = torrents(&handle).await else { return };
                known.retain(|torrent, _| torrents.iter().any(|(key, ..)| key == torrent));
                for (torrent, _, urls) in torrents {
                    let known = known.entry(torrent).or_default();
                    // A person gave the link, and may name their own network.
                    urls.iter().for_each(|url| known.name(url, Policy::PrivateNetwork));
                }
            }
        }
        for (torrent, known) in &mut known {
            ask(&handle, *torrent, known, data.as_deref()).await;
        }
    }
}

/// Only a peer of our own network may name hosts of it.
fn network_of(peer: Option<SocketAddr>) -> Policy {
    match peer {
        Some(address) if !is_public(address.ip()) => Policy::PrivateNetwork,
        _ => Policy::Public,
    }
}

/// The session's torrents that are not private, with the hosts of their trackers; `None` when it is over.
async fn torrents(handle: &Handle) -> Option<Vec<(TorrentKey, InfoHash, Vec<String>)>> {
    let look = |session: &mut crate::driver::Session| {
        let keys: Vec<_> = session.engine.torrents().collect();
        let views = keys.into_iter().filter_map(|key| Some((key, session.engine.view(key)?)));
        let open = views.filter(|(_, view)| !view.metainfo.as_ref().is_some_and(|info| info.is_private()));
        let named = open.map(|(key, view)| {
            let urls = view.trackers.iter().map(|tracker| tracker.url.as_str());
            (key, view.info_hash, nodes_of(urls))
        });
        named.collect::<Vec<_>>()
    };
    handle.with(look).await
}

/// The hosts of planted links' trackers: announced to over HTTP and WebSocket. Other trackers are not asked who they are.
fn nodes_of<'a>(trackers: impl Iterator<Item = &'a str>) -> Vec<String> {
    let (web, classic): (Vec<_>, Vec<_>) =
        trackers.filter(|url| origin(url).is_some()).partition(|url| url.starts_with("ws"));
    let web: HashSet<String> = web.into_iter().filter_map(origin).collect();
    classic.into_iter().filter_map(origin).filter(|host| web.contains(host)).collect()
}

/// Scheme and host of an announce as our nodes have it.
fn origin(announce: &str) -> Option<String> {
    let origin = announce.strip_suffix("/announce")?;
    let (scheme, host) = origin.split_once("://")?;
    let scheme = match scheme {
        "http" | "ws" => "http",
        "https" | "wss" => "https",
        _ => return None,
    };
    (!host.contains(['/', '?', '@'])).then(|| format!("{scheme}://{host}"))
}

/// Asks those that were named, and uses those that hold.
async fn ask(handle: &Handle, torrent: TorrentKey, known: &mut Known, data: Option<&std::path::Path>) {
    if known.to_ask.is_empty() {
        return;
    }
    let view = handle.with(move |session| session.engine.view(torrent)).await.flatten();
    let Some(view) = view.filter(|view| !view.metainfo.as_ref().is_some_and(|info| info.is_private())) else {
        return;
    };
    let info_hash = view.info_hash;
    let mut trackers = Vec::new();
    while let Some((url, network)) = known.to_ask.pop_front() {
        let verified = match verify(&url, &info_hash, network).await {
            Ok(verified) if verified.is_something() => verified,
            Ok(_) => continue,
            Err(reason) => {
                debug!(torrent = %info_hash, %reason, "a host that was named is of no use");
                continue;
            }
        };
        let Verified { node, is_supernode, named } = verified;
        if let Some(node) = node.filter(|_| known.hosts.nodes.len() < MAX_NODES) {
            info!(torrent = %info_hash, %url, "found a node");
            let announce = node.announce;
            trackers.extend([announce.http, announce.udp, announce.websocket].into_iter().flatten());
            known.hosts.nodes.push(url.clone());
        }
        if is_supernode && known.hosts.supernodes.len() < MAX_NODES {
            info!(torrent = %info_hash, %url, "found a supernode");
            crate::cli::known::remember([(url.as_str(), true)], data);
            known.hosts.supernodes.push(url);
        }
        named.iter().for_each(|url| known.name(url, network));
    }
    let hosts = known.hosts.clone();
    handle
        .with(move |session| {
            let now = session.now();
            session.engine.add_trackers(now, torrent, &trackers);
            session.engine.set_hosts(now, torrent, hosts);
        })
        .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_announce_is_one_and_that_of_a_stranger_s_path_is_none() {
        for (announce, host) in [
            ("http://127.0.0.1:4080/announce", Some("http://127.0.0.1:4080")),
            ("wss://node.example/announce", Some("https://node.example")),
            ("udp://node.example:1/announce", None),
            ("http://tracker.example/key/announce", None),
            ("http://tracker.example/announce?key=1", None),
        ] {
            assert_eq!(origin(announce).as_deref(), host, "{announce}");
        }
        let trackers =
            ["wss://a.example/announce", "https://a.example/announce", "http://b.example/announce"];
        assert_eq!(nodes_of(trackers.into_iter()), ["https://a.example"]);
    }

    #[test]
    fn a_peer_out_there_names_no_host_in_here() {
        assert_eq!(network_of(Some("8.8.8.8:1".parse().unwrap())), Policy::Public);
        assert_eq!(network_of(None), Policy::Public);
        assert_eq!(network_of(Some("192.168.1.2:1".parse().unwrap())), Policy::PrivateNetwork);
    }

    #[test]
    fn a_host_is_asked_once_and_not_without_end() {
        let mut known = Known::default();
        for number in 0..2 * MAX_ASKED {
            known.name(&format!("http://h{number}/"), Policy::Public);
            known.name(&format!("http://h{number}"), Policy::Public);
        }
        assert_eq!((known.to_ask.len(), known.asked.len()), (MAX_ASKED, MAX_ASKED));
    }
}
