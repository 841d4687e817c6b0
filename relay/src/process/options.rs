//! What can be set of a process: flags, each with an environment variable, and their defaults.
//!
//! Only values; the parts are put together beside.

use super::ceilings::Ceilings;
use crate::bridge;
use crate::budget::{self, Sent};
use crate::dht;
use crate::node::blocks::Subscription;
use crate::tracker::address::Network;
use anatomic_core::address::Policy;
use anatomic_mesh::{Key, api};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// Most torrents that a node takes.
const MAX_TORRENTS: u64 = 10_000;

/// What a process is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Node, supernode and page.
    Up,
    /// Node and page.
    Node,
    /// Supernode and page.
    Supernode,
}

impl Role {
    /// The command that starts it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Node => "node",
            Self::Supernode => "supernode",
        }
    }
}

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it is.
    pub role: Role,
    /// For every role.
    pub common: Common,
    /// For a node.
    pub node: Option<NodeOptions>,
    /// Supernodes to register with.
    pub supernodes: Vec<String>,
    /// PostgreSQL database of the supernode's index.
    pub store: Option<String>,
    /// Seed and plant the demo torrent.
    pub demo: bool,
}

/// Flags of every role.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// Address for HTTP, WebSocket and the page
    #[arg(long, value_name = "ADDR", env = "ANATOMIC_LISTEN", default_value = "127.0.0.1:4080")]
    pub listen: SocketAddr,
    /// Scheme and host under which others reach it, where that is not the address it listens on
    #[arg(long, value_name = "URL", env = "ANATOMIC_URL", value_parser = origin)]
    pub url: Option<String>,
    /// Folder for key, index and state
    #[arg(long, value_name = "DIR", env = "ANATOMIC_DATA")]
    pub data: Option<PathBuf>,
    /// File with the key, made if it is not there; all processes of a fleet share one [default: `key` in the data folder]
    #[arg(long, value_name = "FILE", env = "ANATOMIC_KEY")]
    pub key: Option<PathBuf>,
    /// Serve the page from this folder and not out of the program
    #[arg(long, value_name = "DIR", env = "ANATOMIC_WWW")]
    pub www: Option<PathBuf>,
    /// Network of a reverse proxy whose X-Forwarded-For is believed; may be given several times
    #[arg(long = "proxy", value_name = "NETWORK", env = "ANATOMIC_PROXY", value_delimiter = ',')]
    pub proxies: Vec<Network>,
    /// Block list of another host to follow, with its key after `#` if that is known; may be given several times
    #[arg(long = "block-list", value_name = "URL[#KEY]", env = "ANATOMIC_BLOCK_LIST", value_delimiter = ',')]
    pub block_lists: Vec<Subscription>,
    /// Print one JSON object when ready
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[expect(missing_docs)]
    pub tls: super::secure::Options,
}

/// Flags of a supernode.
#[derive(Clone, Debug, clap::Args)]
pub struct SupernodeOptions {
    /// PostgreSQL database for the index, shared by several supernodes: postgres://user:password@host/database
    #[arg(long, value_name = "URL", env = "ANATOMIC_STORE", value_parser = store)]
    pub store: Option<String>,
}

/// Flags of a node.
#[derive(Clone, Debug, clap::Args)]
pub struct NodeOptions {
    /// Address where classic peers connect [default: port 4081 where it listens, else a free one]
    #[arg(long, value_name = "ADDR", env = "ANATOMIC_TCP")]
    pub tcp: Option<SocketAddr>,
    /// Address of the one UDP port for WebRTC and STUN, and for uTP if its number is that of --tcp [default: as for --tcp]
    #[arg(long, value_name = "ADDR", env = "ANATOMIC_UDP")]
    pub udp: Option<SocketAddr>,
    /// Reach classic peers over TCP only, not over uTP, which uses the UDP port of the number of --tcp
    #[arg(long, env = "ANATOMIC_NO_UTP")]
    pub no_utp: bool,
    /// Address of the UDP tracker, or `off` [default: as --listen]
    #[arg(long, value_name = "ADDR|off", env = "ANATOMIC_UDP_TRACKER")]
    pub udp_tracker: Option<UdpTracker>,
    /// Public address of this host behind a NAT that forwards the same ports; may be given several times
    #[arg(long, value_name = "IP", env = "ANATOMIC_ANNOUNCE_IP", value_delimiter = ',')]
    pub announce_ip: Vec<IpAddr>,
    /// Bridge any torrent a tab asks for, not only planted ones
    #[arg(long, env = "ANATOMIC_OPEN_BRIDGE")]
    pub open_bridge: bool,
    /// Torrents whose peers are tracked
    #[arg(long, value_name = "WHICH", env = "ANATOMIC_TRACK", default_value = "planted")]
    pub track: Tracked,
    /// Ceilings.
    #[command(flatten)]
    pub ceilings: Ceilings,
    /// Budgets.
    #[command(flatten)]
    pub budgets: budget::Options,
    /// NATS server that joins several processes into one node, nats://[user:password@]host:4222; may be given several times
    #[arg(long, value_name = "URL", env = "ANATOMIC_FLEET", value_delimiter = ',')]
    pub fleet: Vec<String>,
    /// Who may plant here
    #[arg(long, value_name = "WHO", env = "ANATOMIC_PLANTING", default_value = "open")]
    pub planting: PlantingPolicy,
    /// Key of a planter that `--planting key` lets in; may be given several times
    #[arg(long = "planter", value_name = "KEY", env = "ANATOMIC_PLANTER", value_delimiter = ',')]
    pub planters: Vec<Key>,
    #[command(flatten)]
    #[expect(missing_docs)]
    pub dht: dht::Options,
}

impl NodeOptions {
    /// How the bridge is set up.
    #[must_use]
    pub fn bridge(
        &self,
        host: IpAddr,
        network: Policy,
        supernodes: Vec<String>,
        folder: &Path,
        sent: Sent,
    ) -> bridge::Settings {
        bridge::Settings {
            tcp: self.tcp,
            udp: self.udp,
            utp: !self.no_utp,
            host,
            announce_ip: self.announce_ip.clone(),
            network,
            supernodes,
            certificate: folder.join("dtls.pem"),
            sent,
        }
    }

    /// What others are told of our bounds.
    #[must_use]
    pub fn limits(&self) -> api::Limits {
        let count = |count| u64::try_from(count).ok();
        api::Limits {
            torrents: Some(MAX_TORRENTS),
            bytes_a_month: self.budgets.budget_month.map(|bytes| bytes.0),
            bytes_a_day: self.budgets.budget_day.map(|bytes| bytes.0),
            bits_a_second: self.budgets.budget_rate.map(|rate| rate.saturating_mul(1_000_000)),
            connections: count(self.ceilings.max_connections),
            swarms: count(self.ceilings.max_swarms),
            peers: count(self.ceilings.max_peers),
            ..api::Limits::default()
        }
    }

    /// Where classic clients are told to dial us, if that was set.
    #[must_use]
    pub fn announced_tcp(&self) -> Option<SocketAddr> {
        let port = self.tcp.map(|address| address.port()).filter(|port| *port != 0)?;
        self.announce_ip.first().map(|ip| SocketAddr::new(*ip, port))
    }
}

/// Whether and where there is a UDP tracker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UdpTracker {
    /// There is none.
    Off,
    /// There.
    At(SocketAddr),
}

impl std::str::FromStr for UdpTracker {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            address => address
                .parse()
                .map(Self::At)
                .map_err(|_| format!("{text:?} is neither an address with a port nor `off`")),
        }
    }
}

/// Which torrents are tracked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Tracked {
    /// Those planted here
    Planted,
    /// Any that a client announces; bridged are planted ones all the same
    Any,
}

/// Who may plant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum PlantingPolicy {
    /// Everybody
    Open,
    /// Planters named with --planter
    Key,
    /// Nobody
    Off,
}

impl From<PlantingPolicy> for api::Planting {
    fn from(policy: PlantingPolicy) -> Self {
        match policy {
            PlantingPolicy::Open => Self::Open,
            PlantingPolicy::Key => Self::Key,
            PlantingPolicy::Off => Self::Off,
        }
    }
}

/// Reads the address of a database.
fn store(text: &str) -> Result<String, String> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        Ok(text.to_owned())
    } else {
        Err("write it as postgres://user:password@host/database; without it the index is a file".into())
    }
}

/// Reads a scheme and host.
fn origin(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text).map_err(|error| error.to_string())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty();
    if plain {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("write it as https://host[:port]".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_no_path() {
        assert_eq!(origin("https://a.example:1/").unwrap(), "https://a.example:1");
        for bad in ["a.example", "ftp://a", "https://a/b", "https://a/?x", "https://u@a"] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_udp_tracker_is_off_or_at_an_address() {
        assert_eq!("off".parse(), Ok(UdpTracker::Off));
        assert!("nowhere".parse::<UdpTracker>().is_err());
    }
}
