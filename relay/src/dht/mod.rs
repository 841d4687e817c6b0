//! The mainline DHT (BEP 5): one more way to peers, and the last one where trackers, nodes and supernodes are gone.
//!
//! Over IPv4 only, as the crate that speaks it. Private torrents are neither looked up nor announced (BEP 27): whoever calls
//! asks only for others. What is found are candidates, judged like those of trackers before anybody is dialled.

mod node;
mod options;
mod session;

pub use node::serve;
pub use options::{Options, Switch};
pub use session::follow;

use crate::node::files::{self, Access};
use anatomic_core::InfoHash;
use futures_util::StreamExt as _;
use mainline::Id;
use mainline::async_dht::{AsyncDht, GetStream};
use std::io;
use std::net::{SocketAddr, SocketAddrV4, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, info};

/// Where the public DHT is entered unless the host says otherwise: the hosts that other clients use too.
const PUBLIC: [&str; 4] = [
    "router.bittorrent.com:6881",
    "dht.transmissionbt.com:6881",
    "dht.libtorrent.org:25401",
    "relay.pkarr.org:6881",
];
/// How long a search may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most peers that one search gives.
const MAX_PEERS: usize = 200;
/// How long it is waited before the entrances are looked for again.
const AGAIN: Duration = Duration::from_secs(60);
/// Most nodes of the DHT that are kept over a restart.
const KEPT: usize = 100;

/// How the DHT is entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where we listen; port 0: any.
    pub listen: SocketAddrV4,
    /// Nodes of the DHT, `host:port`; those that were known when it was last left come before them.
    pub bootstrap: Vec<String>,
    /// Whether we answer others from the beginning. Who does not begins to as soon as it is seen to be reachable.
    pub serves: bool,
    /// Where the nodes that are known are kept.
    pub file: Option<PathBuf>,
}

/// A place in the DHT. Clones share it; it ends with the last one.
#[derive(Clone, Debug)]
pub struct Dht {
    inner: AsyncDht,
    file: Option<PathBuf>,
}

impl Dht {
    /// Enters the DHT. Waits until one of the entrances has an address: a machine may start before its network.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn enter(settings: Settings) -> io::Result<Self> {
        let kept = settings.file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        let kept: Vec<SocketAddrV4> = kept
            .iter()
            .flat_map(|text| text.lines())
            .take(KEPT)
            .filter_map(|line| line.parse().ok())
            .collect();
        let mut entrances = kept;
        loop {
            entrances.extend(resolved(settings.bootstrap.clone()).await);
            // The first node of a network of its own has none.
            if !entrances.is_empty() || settings.bootstrap.is_empty() {
                break;
            }
            debug!("no entrance to the DHT has an address; trying again");
            tokio::time::sleep(AGAIN).await;
        }
        let Settings { listen, serves, file, .. } = settings;
        // Binds a socket and waits for its thread.
        let inner = tokio::task::spawn_blocking(move || {
            let mut builder = mainline::Dht::builder();
            builder.bind_address(*listen.ip()).port(listen.port()).bootstrap(&entrances);
            if serves {
                builder.server_mode();
            }
            builder.build()
        })
        .await
        .map_err(io::Error::other)??;
        let dht = Self { inner: inner.as_async(), file };
        let address = dht.local_addr().await;
        info!(%address, "in the DHT");
        Ok(dht)
    }

    /// Where we listen.
    pub async fn local_addr(&self) -> SocketAddr {
        self.inner.info().await.local_addr().into()
    }

    /// Looks for peers of a torrent.
    #[must_use]
    pub fn search(&self, info_hash: InfoHash) -> Search {
        let answers = self.inner.get_peers(Id::from(info_hash.0));
        Search { answers, count: 0, until: Instant::now() + PATIENCE }
    }

    /// Says that a peer of a torrent listens on this port of ours.
    ///
    /// # Errors
    /// Why nobody took it.
    pub async fn announce(&self, info_hash: InfoHash, port: u16) -> Result<(), String> {
        let announced = self.inner.announce_peer(Id::from(info_hash.0), Some(port));
        match tokio::time::timeout(PATIENCE, announced).await {
            Ok(announced) => announced.map(drop).map_err(|error| error.to_string()),
            Err(_) => Err("nobody answered in time".into()),
        }
    }

    /// Keeps the nodes that are known, for the next start.
    pub async fn keep(&self) {
        let Some(file) = self.file.clone() else { return };
        let mut nodes = self.inner.to_bootstrap().await;
        nodes.truncate(KEPT);
        if nodes.is_empty() {
            return;
        }
        let text = nodes.join("\n") + "\n";
        let written =
            tokio::task::spawn_blocking(move || files::write(&file, text.as_bytes(), Access::Default)).await;
        if let Ok(Err(error)) = written {
            debug!(%error, "the nodes of the DHT could not be kept");
        }
    }
}

/// A search under way.
pub struct Search {
    answers: GetStream<Vec<SocketAddrV4>>,
    count: usize,
    until: Instant,
}

impl Search {
    /// The next peers that were found; `None` when it is over.
    pub async fn next(&mut self) -> Option<Vec<SocketAddr>> {
        if self.count >= MAX_PEERS {
            return None;
        }
        let peers = tokio::time::timeout_at(self.until, self.answers.next()).await.ok()??;
        let peers: Vec<SocketAddr> =
            peers.into_iter().take(MAX_PEERS - self.count).map(SocketAddr::V4).collect();
        self.count += peers.len();
        Some(peers)
    }
}

/// The IPv4 addresses of these hosts.
async fn resolved(hosts: Vec<String>) -> Vec<SocketAddrV4> {
    let look = move || {
        let found = hosts.iter().filter_map(|host| host.to_socket_addrs().ok()).flatten();
        let v4 = found.filter_map(|address| match address {
            SocketAddr::V4(address) => Some(address),
            SocketAddr::V6(_) => None,
        });
        v4.collect::<Vec<_>>()
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}
