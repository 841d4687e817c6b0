//! Nodes and supernodes that peers name (`an_hosts`, PROTOCOL.md), and supernodes that this browser met before.
//!
//! A peer's word is only a reason to ask: a host proves its key, and a node shows its running receipt for the torrent. Where the page's
//! own host is gone, what was met before is asked instead.

use super::host::get;
use super::store::Store;
use super::store::slot::Slot;
use super::{Driver, clock};
use anatomic_core::InfoHash;
use anatomic_core::ids::to_hex;
use anatomic_engine::{Hosts, TorrentKey};
use anatomic_mesh::UnixTime;
use anatomic_mesh::api::{Lookup, Role, WellKnown, paths};
use std::rc::Rc;
use wasm_bindgen_futures::spawn_local;

/// The record of supernodes that were met.
const MET: &str = "supernodes";
/// Most of them.
const MOST: usize = 16;
/// Most hosts that are asked for one torrent.
const MAX_ASKED: usize = 32;

/// What is known of a torrent's hosts.
#[derive(Default)]
pub struct Known {
    asked: Vec<String>,
    hosts: Hosts,
}

impl Driver {
    /// Reads which supernodes were met on earlier visits.
    pub(super) async fn load_met(&self, store: &Store) {
        let Ok((slot, content)) = Slot::open(store.root().clone(), MET).await else { return };
        let met: Vec<String> =
            content.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let mut host = self.host.borrow_mut();
        host.met = met.into_iter().take(MOST).collect();
        host.met_slot = Some(Rc::new(slot));
    }

    /// Remembers supernodes that answered, the last first.
    pub(super) fn meet(&self, urls: impl IntoIterator<Item = String>) {
        let mut host = self.host.borrow_mut();
        let before = host.met.clone();
        for url in urls {
            let url = url.trim_end_matches('/').to_owned();
            if !before.contains(&url) {
                host.met.insert(0, url);
            }
        }
        host.met.truncate(MOST);
        let (Some(slot), Ok(text)) = (host.met_slot.clone(), serde_json::to_vec(&host.met)) else { return };
        if host.met != before {
            spawn_local(async move {
                // Lost is lost: it is told again.
                let _ = slot.write(&text).await;
            });
        }
    }

    /// A peer named hosts.
    pub(super) fn named(self: &Rc<Self>, key: TorrentKey, named: &Hosts) {
        let Some(info_hash) = self.list.borrow().get(&key).map(|listed| listed.info_hash) else { return };
        let mut hosts = self.hosts.borrow_mut();
        let known = hosts.entry(key).or_default();
        for url in named.nodes.iter().chain(&named.supernodes) {
            if known.asked.len() < MAX_ASKED && !known.asked.contains(url) {
                known.asked.push(url.clone());
                let (driver, url) = (Rc::clone(self), url.clone());
                spawn_local(async move { driver.verify(key, info_hash, url).await });
            }
        }
    }

    async fn verify(self: &Rc<Self>, key: TorrentKey, info_hash: InfoHash, url: String) {
        let mut challenge = [0; 16];
        clock::random(&mut challenge);
        let challenge = to_hex(&challenge);
        let asked = format!("{url}{}?challenge={challenge}", paths::WELL_KNOWN);
        let Ok(document) = get::<WellKnown>(&asked).await else { return };
        let proof = document.proof.as_ref();
        if !proof.is_some_and(|proof| proof.key == document.key && proof.check(&challenge, &url).is_ok()) {
            return;
        }
        let is_supernode = document.roles.contains(&Role::Supernode);
        let lookup = get::<Lookup>(&format!("{url}{}/{info_hash}", paths::TORRENTS)).await.ok();
        let now = UnixTime(clock::seconds_since_1970());
        let tracks = lookup.iter().flat_map(|lookup| &lookup.receipts).any(|receipt| {
            receipt.info_hash == info_hash
                && receipt.node == document.key
                && receipt.url.trim_end_matches('/') == url
                && receipt.check_time(now).is_ok()
        });
        if is_supernode {
            self.meet([url.clone()]);
        }
        let hosts = {
            let mut hosts = self.hosts.borrow_mut();
            let known = hosts.entry(key).or_default();
            if is_supernode {
                known.hosts.supernodes.push(url.clone());
            }
            if tracks {
                known.hosts.nodes.push(url.clone());
            }
            known.hosts.clone()
        };
        // Its own announce, whatever the document says of others.
        let announce = format!("{}{}", url.replacen("http", "ws", 1), paths::ANNOUNCE);
        let now = clock::now();
        let mut engine = self.engine.borrow_mut();
        if tracks {
            engine.add_trackers(now, key, &[announce]);
        }
        engine.set_hosts(now, key, hosts);
        drop(engine);
        self.pump();
    }
}
