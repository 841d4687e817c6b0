//! Classic peers come and go: announces over HTTP and UDP, and what a snapshot brings back.
//!
//! Under the lock of the swarm's shard; the doors ([`super::http`], [`super::udp`]) speak.

use super::limits::Full;
use super::peers::State;
use super::snapshot::KeptPeer;
use super::swarm::canonical;
use super::swarms::{Change, Drawn, Shard, Swarms, TALLIES, Wish};
use anatomic_core::InfoHash;
use anatomic_mesh::sharing::Contact;
use anatomic_wire::tracker::Event;
use anatomic_wire::tracker::announce::AnnounceRequest;
use anatomic_wire::tracker::scrape::SwarmCounts;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Other processes of the fleet are told again of a classic peer that announces, after so many seconds.
const RETOLD: u32 = 60;

impl Swarms {
    /// Puts a classic peer back that was known before a restart, if it is not too old and there is room.
    pub fn restore(&self, now: Instant, info_hash: InfoHash, peer: KeptPeer) {
        if Duration::from_secs(peer.age) > self.limits.classic_lifetime {
            return;
        }
        let age = u32::try_from(peer.age).unwrap_or(u32::MAX);
        let state = State::new(self.second(now).saturating_sub(age), peer.seed);
        let (packed, address) = canonical(peer.address);
        let mut shard = self.shard(&info_hash);
        if let Some(swarm) = shard.swarms.get_mut(&info_hash)
            && let Some(was) = swarm.update_classic(&self.hasher, &packed, state)
        {
            // It was quicker than the snapshot.
            if was.second() > state.second() {
                swarm.update_classic(&self.hasher, &packed, was);
            }
            return;
        }
        let Ok(swarm) = self.swarm(&mut shard.swarms, info_hash) else { return };
        swarm.add_classic(&self.hasher, packed, state);
        self.tally(&mut shard, &info_hash, address.ip(), 1);
        shard.touch(&info_hash);
        shard.changed(&info_hash, Contact::Address(address));
        self.note(&info_hash, 1, Change::ClassicCame(address));
    }

    /// Takes note of a classic peer at `ip` and draws others of its swarm into `drawn`, which is emptied first.
    ///
    /// # Errors
    /// [`Full`] if it is a newcomer and there is no room.
    pub fn announce_classic(
        &self,
        now: Instant,
        ip: IpAddr,
        request: &AnnounceRequest,
        wish: Wish,
        drawn: &mut Drawn,
    ) -> Result<SwarmCounts, Full> {
        drawn.clear();
        let info_hash = request.info_hash;
        let (packed, address) = canonical(SocketAddr::new(ip, request.port));
        let mut shard = self.shard(&info_hash);
        shard.touch(&info_hash);
        if request.event == Some(Event::Stopped) {
            // It may be another process of the fleet that knows it.
            shard.changed(&info_hash, Contact::Address(address));
            // One that we never knew is not inserted to be removed.
            let Some(swarm) = shard.swarms.get_mut(&info_hash) else { return Ok(SwarmCounts::default()) };
            let removed = swarm.remove_classic(&self.hasher, &packed);
            self.gone_from_mates(swarm, &packed);
            let counts = swarm.counts(&self.hasher);
            if removed {
                self.tally(&mut shard, &info_hash, address.ip(), -1);
                self.note(&info_hash, -1, Change::ClassicWent(address));
            }
            return Ok(counts);
        }
        let state = State::new(self.second(now), request.left == Some(0));
        let mut known = shard.swarms.get_mut(&info_hash);
        if let Some(was) = known.as_mut().and_then(|swarm| swarm.update_classic(&self.hasher, &packed, state))
        {
            if request.event == Some(Event::Completed)
                && !was.seed()
                && let Some(swarm) = known
            {
                swarm.completed();
            }
            if was.seed() != state.seed() || state.second().saturating_sub(was.second()) >= RETOLD {
                shard.changed(&info_hash, Contact::Address(address));
            }
        } else if request.port != 0 {
            // One that cannot be dialled gets addresses but is not listed.
            self.admit_classic(&shard, &info_hash, address.ip())?;
            let swarm = self.swarm(&mut shard.swarms, info_hash)?;
            self.gone_from_mates(swarm, &packed);
            swarm.add_classic(&self.hasher, packed, state);
            self.tally(&mut shard, &info_hash, address.ip(), 1);
            shard.changed(&info_hash, Contact::Address(address));
            self.note(&info_hash, 1, Change::ClassicCame(address));
        }
        let Shard { swarms, rng, .. } = &mut *shard;
        let Some(swarm) = swarms.get(&info_hash) else { return Ok(SwarmCounts::default()) };
        swarm.draw_classic(rng, &self.hasher, wish, Some(&packed), drawn);
        Ok(swarm.counts(&self.hasher))
    }

    /// Whether one more classic peer of a host may enter a swarm.
    fn admit_classic(&self, shard: &Shard, info_hash: &InfoHash, ip: IpAddr) -> Result<(), Full> {
        let most = self.limits.peers_per_ip;
        let tally = shard.tallies.get(self.tally_at(info_hash, ip)).copied().unwrap_or(u32::MAX);
        if ip.is_loopback() || (tally as usize) < most {
            return Ok(());
        }
        // Others may have counted on the same counter: now it is worth looking.
        let here = shard.swarms.get(info_hash).map_or(0, |swarm| swarm.classic_at(ip));
        if here >= most { Err(Full::Address) } else { Ok(()) }
    }

    pub(super) fn tally_at(&self, info_hash: &InfoHash, ip: IpAddr) -> usize {
        usize::try_from(self.hasher.hash_one((info_hash, ip))).unwrap_or(0) % TALLIES
    }

    pub(super) fn tally(&self, shard: &mut Shard, info_hash: &InfoHash, ip: IpAddr, change: i32) {
        if ip.is_loopback() {
            return;
        }
        if let Some(tally) = shard.tallies.get_mut(self.tally_at(info_hash, ip)) {
            *tally = tally.saturating_add_signed(change);
        }
    }
}
