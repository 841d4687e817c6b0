//! A swarm by kind: browsers and other clients, seeds and leeches; what people are shown of it.
//!
//! Different peers, as far as this node knows: its own, all processes of its fleet together, and of those that sisters named the
//! ones that are not among them. So the figures of several nodes are never added: the largest is the best.

use super::Tracker;
use super::swarm::Swarm;
use super::swarms::Swarms;
use anatomic_core::InfoHash;
use anatomic_mesh::api::{self, Connected};
use anatomic_mesh::counts::Peers;
use anatomic_mesh::sharing::guests::Kinds;

fn peers(seeds: usize, all: usize) -> Peers {
    let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
    Peers { seeds: number(seeds), leeches: number(all.saturating_sub(seeds)) }
}

impl Swarms {
    /// Browsers and other clients in a swarm, each once, whoever of us and our sisters it announces to.
    #[must_use]
    pub fn kinds(&self, info_hash: &InfoHash) -> Kinds {
        let shard = self.shard(info_hash);
        let Some(swarm) = shard.swarms.get(info_hash) else { return Kinds::default() };
        let Kinds { mut tabs, mut classic } = own(swarm);
        if let Some(visiting) = &swarm.visiting {
            let theirs = visiting.guests.kinds(|contact| swarm.knows(&self.hasher, contact));
            for (sum, more) in [(&mut tabs, theirs.tabs), (&mut classic, theirs.classic)] {
                sum.seeds = sum.seeds.saturating_add(more.seeds);
                sum.leeches = sum.leeches.saturating_add(more.leeches);
            }
        }
        Kinds { tabs, classic }
    }

    /// Whether a seed is among our own peers: what a sister says of one is no proof.
    #[must_use]
    pub fn has_seed(&self, info_hash: &InfoHash) -> bool {
        self.shard(info_hash).swarms.get(info_hash).is_some_and(|swarm| swarm.fleet_counts().complete > 0)
    }
}

/// Our own peers and those of the fleet.
fn own(swarm: &Swarm) -> Kinds {
    let browsers = swarm.browsers.as_ref();
    let tabs =
        browsers.map_or(0, |browsers| browsers.roster.iter().filter(|(_, browser)| browser.seed).count());
    let seeds = usize::try_from(swarm.own_counts().complete).unwrap_or(usize::MAX);
    let classic = seeds.saturating_sub(tabs);
    let (tab_seeds, all_tabs, classic_seeds, all_classic) =
        swarm.mates.as_ref().map_or((0, 0, 0, 0), |mates| mates.kinds());
    Kinds {
        tabs: peers(tabs + tab_seeds, swarm.browsers_len() + all_tabs),
        classic: peers(classic + classic_seeds, swarm.classic_len() + all_classic),
    }
}

impl Tracker {
    /// A swarm, with what the node itself is connected with.
    #[must_use]
    pub fn swarm(&self, info_hash: &InfoHash) -> api::Swarm {
        let Kinds { tabs, classic } = self.swarms.kinds(info_hash);
        let connected = self.node.get().map_or_else(Connected::default, |node| node.connected(info_hash));
        api::Swarm { tabs, classic, connected, helped: 0 }
    }
}
