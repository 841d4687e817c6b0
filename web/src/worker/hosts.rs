//! Nodes and supernodes that peers name (`an_hosts`, PROTOCOL.md), and supernodes that this browser met before.
//!
//! A peer's word is only a reason to ask, and only when it is needed: while this page's host and the trackers answer, nobody
//! else is bothered. Proofs are checked by the planter ([`crate::planter::verify`]).

use super::store::Store;
use super::store::slot::Slot;
use super::{Driver, clock};
use crate::browser::Json;
use crate::protocol::Id;
use crate::protocol::planter::ToPlanter;
use anatomic_engine::{Hosts, TorrentKey};
use anatomic_mesh::api::paths;
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
    named: Vec<String>,
    /// How many of them were asked.
    asked: usize,
    hosts: Hosts,
}

impl Driver {
    /// Reads which supernodes were met on earlier visits.
    pub(super) async fn load_met(&self, store: &Store) {
        let Ok((slot, content)) = Slot::open(store.root().clone(), MET).await else { return };
        let met = content.and_then(|bytes| Json::parse(&String::from_utf8_lossy(&bytes)));
        let met = met.unwrap_or_default().texts();
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
        let Some(slot) = host.met_slot.clone() else { return };
        let text = Json::list_of(&host.met);
        if host.met != before {
            spawn_local(async move {
                // Lost is lost: it is told again.
                let _ = slot.write(text.as_bytes()).await;
            });
        }
    }

    /// A peer named hosts.
    pub(super) fn named(self: &Rc<Self>, key: TorrentKey, named: &Hosts) {
        let mut hosts = self.hosts.borrow_mut();
        let known = hosts.entry(key).or_default();
        for url in named.nodes.iter().chain(&named.supernodes) {
            if known.named.len() < MAX_ASKED && !known.named.contains(url) {
                known.named.push(url.clone());
            }
        }
        drop(hosts);
        if !self.host.borrow().is_reached() {
            self.verify_named();
        }
    }

    /// Asks the hosts that peers named and that were not asked yet: others do not answer.
    pub(super) fn verify_named(self: &Rc<Self>) {
        let mut ask = Vec::new();
        for (key, known) in self.hosts.borrow_mut().iter_mut() {
            let Some(id) = self.list.borrow().get(key).map(super::list::Listed::id) else { continue };
            let new = known.named.get(known.asked..).unwrap_or_default();
            ask.extend(new.iter().map(|url| (id.clone(), url.clone())));
            known.asked = known.named.len();
        }
        for (id, url) in ask {
            self.ask_planter(&ToPlanter::Verify { id, url }, &[]);
        }
    }

    /// A host has proven what it is.
    pub(super) fn verified(self: &Rc<Self>, id: &Id, url: String, is_supernode: bool, tracks: bool) {
        let Some(key) = self.key_of(id) else { return };
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
        // Its own announce, whatever its document says of others.
        let announce = format!("{}{}", url.replacen("http", "ws", 1), paths::ANNOUNCE);
        let now = clock::now();
        let mut engine = self.engine.borrow_mut();
        if tracks {
            engine.add_trackers(now, key, &[announce]);
        }
        engine.set_hosts(now, key, hosts);
    }
}
