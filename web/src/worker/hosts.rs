//! How a torrent finds its way back to the network: nodes and supernodes that peers name (`an_hosts`, PROTOCOL.md), supernodes
//! that this browser met before, and asking these anew where a torrent is tracked when nobody is left.
//!
//! A peer's word is only a reason to ask, and only when it is needed: while this page's host and the trackers answer, nobody
//! else is bothered. Proofs are checked by the planter ([`crate::planter::verify`]).

use super::host::announce_at;
use super::store::Store;
use super::store::slot::Slot;
use super::{Driver, clock, signalling};
use crate::browser::Json;
use crate::protocol::Id;
use crate::protocol::planter::ToPlanter;
use crate::protocol::view::{Progress, State, TrackerStatus};
use anatomic_core::Time;
use anatomic_engine::{Hosts, TorrentKey};
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen_futures::spawn_local;

/// The record of supernodes that were met.
const MET: &str = "supernodes";
/// Most of them.
const MOST: usize = 16;
/// Most hosts that are asked for one torrent.
const MAX_ASKED: usize = 32;
/// A torrent that was alone for so long asks the supernodes where it is tracked now: perhaps it was replanted.
const ALONE: Duration = Duration::from_secs(8);
/// Until it asks again; twice as long each time, up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(20);
const LONGEST: Duration = Duration::from_secs(600);
/// Supernodes that are asked at once.
const AT_ONCE: usize = 5;

/// What is known of a torrent's hosts.
#[derive(Default)]
pub struct Known {
    named: Vec<String>,
    /// How many of them were asked.
    asked: usize,
    hosts: Hosts,
    alone: Alone,
}

/// How long a torrent has had nobody, and when supernodes are to be asked about it.
#[derive(Clone, Copy, Default)]
struct Alone {
    /// When they are asked next; never, while there is somebody.
    next: Option<Time>,
    /// How long it waits after that.
    wait: Duration,
}

impl Alone {
    /// Takes note of whether there is nobody; whether it is time to ask.
    fn is_due(&mut self, now: Time, alone: bool) -> bool {
        let next = self.next.filter(|_| alone);
        *self = match next {
            _ if !alone => Self::default(),
            None => Self { next: Some(now + ALONE), wait: FIRST },
            Some(next) if now >= next => {
                Self { next: Some(now + self.wait), wait: (self.wait * 2).min(LONGEST) }
            }
            Some(_) => return false,
        };
        next.is_some()
    }
}

/// Whether a torrent has nobody to exchange with; a seed, nobody who could send somebody.
pub(super) fn is_alone(progress: &Progress) -> bool {
    let tracked =
        || progress.trackers.iter().any(|tracker| matches!(tracker.status, TrackerStatus::Working { .. }));
    progress.peers.is_empty()
        && match progress.state {
            State::Metadata | State::Downloading => true,
            State::Seeding => !tracked(),
            State::Checking | State::Paused | State::Error => false,
        }
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

    /// Takes note of whether a torrent has nobody, and then asks the supernodes where it is tracked now. To be called a few
    /// times a second.
    pub(super) fn find_again(self: &Rc<Self>, key: TorrentKey, alone: bool) {
        let due = self.hosts.borrow_mut().entry(key).or_default().alone.is_due(clock::now(), alone);
        let Some(info_hash) = self.list.borrow().get(&key).map(|listed| listed.info_hash).filter(|_| due)
        else {
            return;
        };
        for url in self.supernodes().into_iter().take(AT_ONCE) {
            let driver = Rc::clone(self);
            spawn_local(async move {
                let Some(magnet) = driver.look_up(&url, info_hash).await else { return };
                let trackers = magnet.trackers.into_iter().filter(|url| signalling::is_websocket(url));
                let trackers: Vec<String> = trackers.collect();
                driver.engine.borrow_mut().add_trackers(clock::now(), key, &trackers);
                driver.pump();
            });
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
        let announce = announce_at(&url);
        let now = clock::now();
        let mut engine = self.engine.borrow_mut();
        if tracks {
            engine.add_trackers(now, key, &[announce]);
        }
        engine.set_hosts(now, key, hosts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supernodes_are_asked_after_a_while_alone_and_then_ever_more_rarely() {
        let mut alone = Alone::default();
        let asked = |alone: &mut Alone, seconds: std::ops::Range<u64>| -> Vec<u64> {
            seconds.filter(|second| alone.is_due(Time::ZERO + Duration::from_secs(*second), true)).collect()
        };
        assert_eq!(asked(&mut alone, 0..200), [8, 28, 68, 148]);
        assert!(!alone.is_due(Time::ZERO + Duration::from_secs(200), false));
        assert_eq!(asked(&mut alone, 201..230), [209, 229]);
    }
}
