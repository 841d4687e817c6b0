//! The node's tracker: one store of swarms behind an HTTP, a UDP and a WebSocket door.
//!
//! Knows who is in which swarm and passes offers and answers on; never a block of data. Which torrents it serves is
//! decided by [`Admission`], and the node's own part in a swarm by [`NodePeer`].

pub mod address;
mod browsers;
mod classic;
mod cookie;
mod drawn;
mod families;
pub mod fleet;
pub mod http;
pub mod kinds;
mod limits;
mod mates;
pub mod node_peer;
mod peers;
mod referred;
pub mod roster;
pub mod sharing;
pub mod snapshot;
pub mod socket;
pub mod stream;
mod swarm;
pub mod swarms;
pub mod udp;
mod visits;

pub use address::{Addresses, Proxies};
pub use node_peer::{Admission, Handing, NodePeer};
pub use peers::Scope;
pub use swarms::{SwarmChange, Swarms};

use crate::budget::Sent;
use anatomic_core::InfoHash;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What the tracker's doors keep to.
#[derive(Clone, Debug)]
pub struct Config {
    /// Seconds between announces of classic clients.
    pub classic_interval: u32,
    /// The same while a swarm has fewer than ten peers, so that first comers find each other soon.
    pub small_interval: u32,
    /// Seconds that a classic client waits even where it is in a hurry.
    pub min_interval: u32,
    /// Seconds between announces of browsers.
    pub browser_interval: u32,
    /// Most addresses in a reply.
    pub reply_peers: usize,
    /// Messages that wait for one socket; more are dropped, since an offer that is late is worthless.
    pub queue: usize,
    /// A socket is pinged when it was silent for this long, and closed after three times as long.
    pub ping_interval: Duration,
    /// A socket that takes a message no faster than this is closed.
    pub send_timeout: Duration,
    /// Sockets of all.
    pub sockets: usize,
    /// Sockets of one address. Loopback is exempt.
    pub sockets_per_ip: usize,
    /// Swarms that one socket may be in.
    pub swarms_per_socket: usize,
    /// Messages a second that one socket may send for long; beyond it the socket is read more slowly.
    pub messages_per_second: u32,
    /// The node's TCP address as classic clients should dial it, where it is not the one they announced to.
    pub announced_tcp: Option<SocketAddr>,
    /// How long the node may take to answer a tab's first offer.
    pub answer_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            // Half of what is usual: a bridge is listed only while browsers are behind it.
            classic_interval: 900,
            small_interval: 60,
            min_interval: 10,
            browser_interval: 120,
            reply_peers: 50,
            queue: 16,
            ping_interval: Duration::from_secs(30),
            send_timeout: Duration::from_secs(10),
            sockets: 20_000,
            sockets_per_ip: 200,
            swarms_per_socket: 1_000,
            messages_per_second: 100,
            announced_tcp: None,
            answer_timeout: Duration::from_secs(10),
        }
    }
}

/// The tracker: its rules, its swarms, and whom it asks.
pub struct Tracker {
    /// The rules.
    pub config: Config,
    /// Who is in which swarm.
    pub swarms: Arc<Swarms>,
    /// Which torrents are served.
    pub admission: Arc<dyn Admission>,
    node: OnceLock<Arc<dyn NodePeer>>,
    handing: OnceLock<Arc<dyn Handing>>,
    referred: referred::Referred,
    listen_tcp: OnceLock<SocketAddr>,
    sockets: socket::Census,
    /// What the UDP door did.
    pub udp: udp::Counters,
    /// Bytes that the doors sent.
    pub sent: Sent,
}

impl Tracker {
    /// A tracker without a peer of its own; see [`Tracker::set_node`].
    #[must_use]
    pub fn new(config: Config, swarms: Arc<Swarms>, admission: Arc<dyn Admission>) -> Arc<Self> {
        Arc::new(Self {
            config,
            swarms,
            admission,
            node: OnceLock::new(),
            handing: OnceLock::new(),
            referred: referred::Referred::default(),
            listen_tcp: OnceLock::new(),
            sockets: socket::Census::default(),
            udp: udp::Counters::default(),
            sent: Sent::default(),
        })
    }

    /// Gives the tracker the node's own peer, which answers first offers and listens for classic clients at `tcp`.
    /// Only the first call counts.
    pub fn set_node(&self, node: Arc<dyn NodePeer>, tcp: Option<SocketAddr>) {
        let _ = self.node.set(node);
        if let Some(tcp) = tcp {
            let _ = self.listen_tcp.set(tcp);
        }
    }

    /// From now on asks whose newcomers go to a sister. Only the first call counts.
    pub fn set_handing(&self, handing: Arc<dyn Handing>) {
        let _ = self.handing.set(handing);
    }

    /// Scheme and host of a sister that takes newcomers of this torrent, if they are handed on.
    #[must_use]
    pub fn hands_on(&self, info_hash: &InfoHash) -> Option<String> {
        self.handing.get()?.hands_on(info_hash)
    }

    /// The node's own peer, if it answers offers for that torrent.
    #[must_use]
    pub fn node_in(&self, info_hash: &InfoHash) -> Option<&Arc<dyn NodePeer>> {
        self.node.get().filter(|node| node.serves(info_hash))
    }

    /// Whether classic clients have something of the node's own peer in that swarm.
    #[must_use]
    pub fn takes_part(&self, info_hash: &InfoHash) -> bool {
        self.node.get().is_some_and(|node| node.takes_part(info_hash))
    }

    /// How many WebSockets are open.
    #[must_use]
    pub fn open_sockets(&self) -> usize {
        self.sockets.total()
    }

    /// Where a client that reached us at `local` should dial the node's own peer.
    fn node_address(&self, info_hash: &InfoHash, local: SocketAddr, client: IpAddr) -> Option<SocketAddr> {
        // A bridge without browsers has nothing and wants nothing: it would only use up a place.
        self.node.get().filter(|node| node.takes_part(info_hash))?;
        if let Some(address) = self.config.announced_tcp {
            return Some(address);
        }
        let listen = self.listen_tcp.get()?;
        let ip = if listen.ip().is_unspecified() { local.ip().to_canonical() } else { listen.ip() };
        // Behind a proxy or NAT our own address says nothing to a client out there.
        let reachable = !anatomic_core::address::is_public(client) || anatomic_core::address::is_public(ip);
        reachable.then_some(SocketAddr::new(ip, listen.port()))
    }

    /// Runs until the end of the process: forgets peers that are heard of no more.
    pub async fn expire_forever(self: Arc<Self>) {
        let round = Duration::from_secs(15);
        let mut timer = tokio::time::interval(round / u32::try_from(Swarms::PARTS).unwrap_or(1));
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for part in (0..Swarms::PARTS).cycle() {
            timer.tick().await;
            self.swarms.expire_part(std::time::Instant::now(), part);
        }
    }
}
