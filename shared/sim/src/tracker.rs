//! A tracker that knows every host that announced, and answers with the others' addresses.
//!
//! No wire format: it takes and gives the engine's own values.

use anatomic_core::InfoHash;
use anatomic_engine::{AnnounceEvent, AnnounceReply, AnnounceRequest};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// The tracker of a world.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    swarms: BTreeMap<InfoHash, BTreeSet<SocketAddr>>,
    /// Announces so far, by event.
    pub(crate) log: Vec<(SocketAddr, AnnounceEvent)>,
}

impl Tracker {
    pub(crate) fn announce(&mut self, from: SocketAddr, request: &AnnounceRequest) -> AnnounceReply {
        self.log.push((from, request.event));
        let swarm = self.swarms.entry(request.info_hash).or_default();
        if request.event == AnnounceEvent::Stopped {
            swarm.remove(&from);
        } else {
            swarm.insert(from);
        }
        AnnounceReply {
            interval: Some(Duration::from_secs(120)),
            peers: swarm.iter().copied().filter(|peer| *peer != from).take(request.want as usize).collect(),
            ..AnnounceReply::default()
        }
    }
}
