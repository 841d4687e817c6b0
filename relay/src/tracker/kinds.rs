//! A swarm by kind: browsers and other clients, seeds and leeches; what people are shown of it.
//!
//! Peers of this node alone, all processes of its fleet together: sisters report their own.

use super::Tracker;
use super::swarms::Swarms;
use anatomic_core::InfoHash;
use anatomic_mesh::api::{Connected, Swarm};
use anatomic_mesh::counts::Peers;

fn peers(seeds: usize, all: usize) -> Peers {
    let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
    Peers { seeds: number(seeds), leeches: number(all.saturating_sub(seeds)) }
}

impl Swarms {
    /// Browsers and other clients in a swarm.
    #[must_use]
    pub fn kinds(&self, info_hash: &InfoHash) -> (Peers, Peers) {
        let shard = self.shard(info_hash);
        let Some(swarm) = shard.swarms.get(info_hash) else { return Default::default() };
        let tabs = swarm
            .browsers
            .as_ref()
            .map_or(0, |browsers| browsers.roster.iter().filter(|(_, browser)| browser.seed).count());
        let seeds = usize::try_from(swarm.own_counts().complete).unwrap_or(usize::MAX);
        let classic = seeds.saturating_sub(tabs);
        let (tab_seeds, all_tabs, classic_seeds, all_classic) =
            swarm.mates.as_ref().map_or((0, 0, 0, 0), |mates| mates.kinds());
        (
            peers(tabs + tab_seeds, swarm.browsers_len() + all_tabs),
            peers(classic + classic_seeds, swarm.classic_len() + all_classic),
        )
    }
}

impl Tracker {
    /// A swarm, with what the node itself is connected with.
    #[must_use]
    pub fn swarm(&self, info_hash: &InfoHash) -> Swarm {
        let (tabs, classic) = self.swarms.kinds(info_hash);
        let connected = self.node.get().map_or_else(Connected::default, |node| node.connected(info_hash));
        Swarm { tabs, classic, connected, helped: 0 }
    }
}
