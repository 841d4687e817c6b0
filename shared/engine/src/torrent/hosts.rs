//! Nodes and supernodes that peers tell each other of, so that a swarm finds new ones when all it knew are gone.
//!
//! Passes words on and believes none: whoever drives the engine verifies what [`Event::Hosts`] brings, and says by
//! `set_hosts` what may be told.

use super::Torrent;
use crate::keys::PeerKey;
use crate::output::Event;
use crate::shared::Shared;
use anatomic_wire::extended::Hosts;

/// How often one connection may name hosts; more is not looked at.
const MAX_NAMED: u8 = 4;

impl Torrent {
    pub(crate) fn set_hosts(&mut self, hosts: Hosts) {
        if self.swarm.hosts == hosts {
            return;
        }
        self.swarm.hosts = hosts;
        let keys: Vec<PeerKey> = self.swarm.members.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.tell_hosts(key);
        }
    }

    /// Tells a peer whose extensions are known.
    pub(super) fn tell_hosts(&mut self, key: PeerKey) {
        if self.swarm.private || self.swarm.hosts.is_empty() {
            return;
        }
        if let Some(peer) = self.swarm.members.tell(key) {
            peer.tell_hosts(&self.swarm.hosts);
        }
    }

    pub(super) fn on_hosts(&mut self, shared: &mut Shared, key: PeerKey, hosts: Hosts) {
        let Some(member) = self.swarm.members.get_mut(key) else { return };
        if self.swarm.private || hosts.is_empty() || member.named_hosts >= MAX_NAMED {
            return;
        }
        member.named_hosts += 1;
        let address = member.peer.link().address;
        shared.event(self.swarm.key, Event::Hosts { peer: key, address, hosts });
    }
}
