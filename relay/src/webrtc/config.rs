//! What an operator or a test can set of a WebRTC endpoint.
//!
//! Not read from flags or files here; the relay's configuration fills it in.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anatomic_core::address::is_public;

use super::certificate::Certificate;

/// Says whether an address that a stranger's session description names may be sent connectivity checks.
pub type AddressPolicy = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// How an [`Endpoint`](super::Endpoint) is set up.
#[derive(Clone)]
pub struct EndpointConfig {
    /// Address of the one UDP socket. `[::]` also takes IPv4; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Public addresses that a 1:1 NAT maps to this host (same port); they come first in session descriptions.
    pub announced: Vec<IpAddr>,
    /// Answer connectivity checks only. For hosts that everybody can reach; saves packets and cannot be misused.
    pub ice_lite: bool,
    /// The DTLS certificate; a new one when `None`.
    pub certificate: Option<Certificate>,
    /// Which candidates of strangers are tried, so that an offer cannot point our checks at the host's own services
    /// or its neighbours.
    pub policy: AddressPolicy,
    /// Bounds on what strangers can make us hold and send.
    pub limits: Limits,
}

impl EndpointConfig {
    /// Defaults for a socket at this address: full ICE, checks sent to public addresses only, or to any if the
    /// socket itself is bound to a loopback or private address.
    pub fn new(listen: SocketAddr) -> Self {
        let near = !listen.ip().is_unspecified() && !is_public(listen.ip());
        Self {
            listen,
            announced: Vec::new(),
            ice_lite: false,
            certificate: None,
            policy: if near { Arc::new(any_unicast) } else { Arc::new(is_public) },
            limits: Limits::default(),
        }
    }
}

impl std::fmt::Debug for EndpointConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointConfig")
            .field("listen", &self.listen)
            .field("announced", &self.announced)
            .field("ice_lite", &self.ice_lite)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Bounds of one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Connections at once, opening ones included.
    pub connections: usize,
    /// Open connections with one remote address (or IPv6 /64).
    pub connections_per_address: usize,
    /// Connections that are still opening, at once.
    pub negotiations: usize,
    /// From both descriptions known to the data channel open.
    pub connect_timeout: Duration,
    /// From our offer to the remote's answer.
    pub answer_timeout: Duration,
    /// Kernel buffer of the socket, each way, in bytes (the system may grant less).
    pub socket_buffer: usize,
    /// SCTP receive window of a connection, in bytes.
    pub receive_window: u32,
    /// Received bytes of a connection that wait for [`Connection::recv`](super::Connection::recv) before its
    /// window is left to close.
    pub receive_queue: usize,
    /// Bytes on their way to a browser nearby; see the module `window` before changing it.
    pub browser_window: usize,
    /// Bytes a second to one far browser to begin with; it adapts. Too fast, and the browser's socket loses packets
    /// whenever its process waits for the processor for a few milliseconds; each loss costs SCTP half its speed for
    /// seconds.
    pub browser_pace: f64,
    /// The same for native peers.
    pub native_window: usize,
    /// Bytes on their way to any peer, however far.
    pub largest_window: usize,
    /// STUN answers a second to one address; 0 switches the STUN service off.
    pub stun_answers_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1000,
            connections_per_address: 64,
            negotiations: 256,
            connect_timeout: Duration::from_secs(25),
            answer_timeout: Duration::from_secs(60),
            socket_buffer: 4 << 20,
            receive_window: 1 << 20,
            receive_queue: 256 << 10,
            browser_window: 64 << 10,
            browser_pace: 8e6,
            native_window: 256 << 10,
            largest_window: 4 << 20,
            stun_answers_per_second: 20,
        }
    }
}

/// Policy for private networks and tests: everything that can be a single host.
pub fn any_unicast(ip: IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::V4(std::net::Ipv4Addr::BROADCAST)
}
