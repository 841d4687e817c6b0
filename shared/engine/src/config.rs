//! Every number that steers the engine, with its unit and reason.
//!
//! Defaults follow libtorrent's, which twenty years of swarms have shaped; where ours differ the reason stands
//! beside them. Nothing here is read from a file: that is the driver's part.

use anatomic_core::address::Policy;
use std::time::Duration;

/// What kind of member we are, told to others in the extended handshake (`an_node`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Role {
    /// A tab or a native client.
    #[default]
    Client,
    /// A node: it bridges browsers to classic peers, and never offers to another node what it has only from one.
    Node,
}

/// To which trackers of a torrent we announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Tiers {
    /// To one tracker of every tier at the same time: sister nodes, and trackers that the user added, all count.
    #[default]
    All,
    /// To the first tier that answers, as [BEP 12](https://www.bittorrent.org/beps/bep_0012.html) has it.
    Strict,
}

/// Which kinds of tracker URL the driver can announce to; others are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schemes {
    /// `http:` and `https:`.
    pub http: bool,
    /// `udp:`.
    pub udp: bool,
    /// `ws:` and `wss:`.
    pub ws: bool,
}

/// The engine's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Client and version, the `v` of the extended handshake (BEP 10).
    pub client: String,
    /// Where classic peers reach us; `None` in a tab.
    pub listen_port: Option<u16>,
    /// What we tell others that we are.
    pub role: Role,

    /// Connections a torrent, half-open ones included.
    pub max_peers: usize,
    /// Connections of all torrents together.
    pub max_peers_total: usize,
    /// Connections of one address in one torrent.
    pub max_peers_per_address: usize,
    /// Dials begun a second, all torrents together. The rate matters to home routers, not the number half open.
    pub dials_per_second: u32,
    /// Dials a torrent has under way at most.
    pub max_dials: usize,
    /// How long a dial may take before it counts as failed (the driver should give up by itself before).
    pub dial_timeout: Duration,

    /// Time for the other's handshake.
    pub handshake_timeout: Duration,
    /// The same over a data channel, where WebTorrent allows 25 s.
    pub handshake_timeout_webrtc: Duration,
    /// Silence after which a connection is closed (BEP 3 says keep-alives come every two minutes).
    pub idle_timeout: Duration,
    /// Our silence after which a keep-alive is sent: half of `idle_timeout`.
    pub keep_alive: Duration,
    /// No interest on either side for so long: the place is better used by another.
    pub no_interest_timeout: Duration,
    /// Bytes of answers that may wait for a peer that does not read; beyond, it is closed.
    pub max_control: usize,

    /// Requests that we take from one peer; also told to it as `reqq`.
    pub max_incoming_requests: usize,
    /// Longest block that we serve, in bytes: what WebTorrent serves.
    pub max_block: u32,
    /// Bytes read from the store ahead for one peer.
    pub read_ahead: usize,

    /// How much a peer's requests should keep it busy.
    pub request_queue_time: Duration,
    /// Fewest requests to have under way at an unchoked peer.
    pub min_requests: usize,
    /// Most requests to have under way at one peer; its `reqq` lowers this.
    pub max_requests: usize,
    /// Assumed `reqq` of a peer that tells none.
    pub default_reqq: usize,
    /// A peer that sends no block for so long is snubbed.
    pub request_timeout: Duration,
    /// Blocks that nobody asked for, from one peer, before it is closed.
    pub max_unrequested: u32,

    /// Pieces picked at random before rarest-first, so that there is something to trade.
    pub random_first_pieces: u32,
    /// Bytes of unfinished, unhashed and unwritten pieces in memory, a torrent.
    pub max_unfinished: u64,
    /// Partial pieces beyond this many a peer are finished before new ones are begun.
    pub partials_per_peer: f64,
    /// Blocks in partial pieces beyond which the same holds.
    pub max_partial_blocks: u32,
    /// Jobs to check pieces under way at a time.
    pub max_checks: usize,

    /// How often choking is decided.
    pub unchoke_interval: Duration,
    /// How often the optimistic slot moves on.
    pub optimistic_interval: Duration,
    /// Peers unchoked at a time, optimistic ones (one in five) included.
    pub unchoke_slots: usize,

    /// Which addresses may be dialled; those that the user named always are.
    pub addresses: Policy,
    /// Known, unconnected addresses a torrent keeps.
    pub max_candidates: usize,
    /// Failures after which a candidate is forgotten.
    pub candidate_failures: u8,
    /// Wait after a failure, times their number.
    pub candidate_backoff: Duration,

    /// Announcing policy.
    pub tiers: Tiers,
    /// Kinds of tracker in reach.
    pub schemes: Schemes,
    /// Peers asked of an HTTP or UDP tracker.
    pub want_peers: u32,
    /// Offers made for a WebSocket tracker: its servers and libtorrent take ten at most.
    pub want_offers: u32,

    /// Largest info dictionary taken from a peer, in bytes.
    pub max_metadata: u32,

    /// Extra download connections allowed to the same node, so that one slow data channel does not limit a tab.
    pub stripes: usize,

    /// Bytes of blocks that all bridges of the engine keep in memory together.
    pub bridge_cache: u64,
    /// Peers of a bridged torrent that are served at a time.
    pub bridge_slots: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            client: concat!("Anatomic ", env!("CARGO_PKG_VERSION")).to_owned(),
            listen_port: None,
            role: Role::Client,
            max_peers: 80,
            max_peers_total: 500,
            max_peers_per_address: 8,
            dials_per_second: 30,
            max_dials: 30,
            dial_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            handshake_timeout_webrtc: Duration::from_secs(25),
            idle_timeout: Duration::from_secs(120),
            keep_alive: Duration::from_secs(60),
            no_interest_timeout: Duration::from_secs(600),
            max_control: 256 * 1024,
            max_incoming_requests: 2_000,
            max_block: 128 * 1024,
            read_ahead: 1024 * 1024,
            request_queue_time: Duration::from_secs(3),
            min_requests: 2,
            max_requests: 500,
            default_reqq: 250,
            request_timeout: Duration::from_secs(60),
            max_unrequested: 200,
            random_first_pieces: 4,
            max_unfinished: 128 * 1024 * 1024,
            partials_per_peer: 1.5,
            max_partial_blocks: 2_048,
            max_checks: 4,
            unchoke_interval: Duration::from_secs(15),
            optimistic_interval: Duration::from_secs(30),
            unchoke_slots: 8,
            addresses: Policy::Public,
            max_candidates: 3_000,
            candidate_failures: 3,
            candidate_backoff: Duration::from_secs(60),
            tiers: Tiers::All,
            schemes: Schemes { http: true, udp: false, ws: true },
            want_peers: 100,
            want_offers: 5,
            max_metadata: 30 * 1024 * 1024,
            stripes: 4,
            bridge_cache: 256 * 1024 * 1024,
            bridge_slots: 200,
        }
    }
}
