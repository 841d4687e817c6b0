//! How much a node takes on at once: settings with which a host bounds sockets, swarms and peers.
//!
//! Values only. What is spent over time (bytes a day and a month) is [`crate::budget`]'s.

use crate::tracker::{self, swarms};

/// Ceilings of a node.
#[derive(Clone, Debug, clap::Args)]
pub struct Ceilings {
    /// Connections at once: so many WebSockets of browsers, and as many others
    #[arg(long, value_name = "N", env = "ANATOMIC_MAX_CONNECTIONS", default_value_t = Ceilings::CONNECTIONS)]
    pub max_connections: usize,
    /// WebSockets of one address at once
    #[arg(long, value_name = "N", env = "ANATOMIC_MAX_SOCKETS_PER_IP", default_value_t = 200)]
    pub max_sockets_per_ip: usize,
    /// Swarms that are tracked at once
    #[arg(long, value_name = "N", env = "ANATOMIC_MAX_SWARMS", default_value_t = 200_000)]
    pub max_swarms: usize,
    /// Peers in all swarms together; each takes about 40 bytes
    #[arg(long, value_name = "N", env = "ANATOMIC_MAX_PEERS", default_value_t = 500_000)]
    pub max_peers: usize,
    /// Peers of one address in one swarm
    #[arg(long, value_name = "N", env = "ANATOMIC_MAX_PEERS_PER_IP", default_value_t = 100)]
    pub max_peers_per_ip: usize,
    /// Swarms that one WebSocket may be in
    #[arg(long, value_name = "N", env = "ANATOMIC_SOCKET_SWARMS", default_value_t = 1_000)]
    pub socket_swarms: usize,
    /// Messages a second that one WebSocket may send for long; a faster one is read more slowly
    #[arg(long, value_name = "N", env = "ANATOMIC_SOCKET_PACE", default_value_t = 100)]
    pub socket_pace: u32,
}

impl Ceilings {
    /// Connections at once, unless the host says otherwise.
    pub const CONNECTIONS: usize = 20_000;

    /// What the store of swarms keeps to.
    #[must_use]
    pub fn store(&self) -> swarms::Limits {
        swarms::Limits {
            peers: self.max_peers,
            swarms: self.max_swarms,
            peers_per_ip: self.max_peers_per_ip,
            ..swarms::Limits::default()
        }
    }

    /// What the tracker's doors keep to.
    #[must_use]
    pub fn tracker(&self) -> tracker::Config {
        tracker::Config {
            sockets: self.max_connections,
            sockets_per_ip: self.max_sockets_per_ip,
            swarms_per_socket: self.socket_swarms,
            messages_per_second: self.socket_pace,
            ..tracker::Config::default()
        }
    }
}
