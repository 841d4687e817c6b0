//! What peer-sharing keeps to, and what it counts.
//!
//! Numbers only.

use anatomic_core::address::Policy;
use std::time::Duration;

/// Times, ceilings and quotas.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which addresses sisters may name.
    pub network: Policy,
    /// News for one sister wait this long for more, unless somebody waits for them.
    pub batch: Duration,
    /// News that somebody waits for wait this long for more.
    pub hurry: Duration,
    /// A silent connection carries an empty message this often.
    pub keep_alive: Duration,
    /// A connection on which nothing came for this long is closed.
    pub silence: Duration,
    /// A sister not heard of for this long is lost, and replaced. Below two minutes, so that the mesh is whole again within them.
    pub lost: Duration,
    /// Time for both proofs.
    pub handshake: Duration,
    /// First pause after a failed dial; doubled with each, up to `redial_most`, and spread by half.
    pub redial: Duration,
    /// Longest pause between dials.
    pub redial_most: Duration,
    /// The side with the greater key dials only if the other has not for this long.
    pub ring: Duration,
    /// How long a sister that broke a rule is not spoken to; doubled each time.
    pub ban: Duration,
    /// A peer is told again when it was heard of again and this long has passed.
    pub refresh: Duration,
    /// Most sisters in one torrent.
    pub sisters_per_torrent: usize,
    /// Most sisters.
    pub sisters: usize,
    /// Connections that have not proven a key.
    pub unproven: usize,
    /// Messages of news in one batch; the rest comes with the next.
    pub burst: usize,
    /// Bytes a second that one sister may send for long.
    pub bytes_per_second: u64,
    /// Bytes that she may send at once.
    pub bytes_at_once: u64,
    /// Peers that one sister may name within their lifetime.
    pub peers_per_lifetime: u64,
    /// Offers a second that are passed from or to one sister.
    pub offers_per_second: u64,
    /// How far clocks may be apart when leases are judged.
    pub skew: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            network: Policy::Public,
            batch: Duration::from_secs(10),
            hurry: Duration::from_millis(200),
            keep_alive: Duration::from_secs(20),
            silence: Duration::from_secs(60),
            lost: Duration::from_secs(100),
            handshake: Duration::from_secs(10),
            redial: Duration::from_secs(1),
            redial_most: Duration::from_secs(60),
            ring: Duration::from_secs(6),
            ban: Duration::from_secs(600),
            refresh: Duration::from_secs(600),
            sisters_per_torrent: 7,
            sisters: 2_000,
            unproven: 64,
            burst: 4,
            bytes_per_second: 64 * 1024,
            bytes_at_once: 1024 * 1024,
            peers_per_lifetime: 20_000,
            offers_per_second: 20,
            skew: Duration::from_secs(2 * 3600),
        }
    }
}

/// What happened since the start; for the host, and for tests that want exact figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages sent.
    pub sent: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Messages received.
    pub received: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Connections on which both keys were proven.
    pub sessions: u64,
    /// Proofs that did not hold: forged, played back, or made for another connection.
    pub bad_proofs: u64,
    /// Messages that were malformed, too large, or came at the wrong moment.
    pub malformed: u64,
    /// Receipts that did not hold.
    pub bad_receipts: u64,
    /// News, offers and answers of torrents for which the sister has shown no receipt, or that we do not hold.
    pub without_receipt: u64,
    /// Peers at addresses that are not named here.
    pub refused_addresses: u64,
    /// Peers that are older than any may be.
    pub stale: u64,
    /// Peers beyond a sister's quota.
    pub over_quota: u64,
    /// Offers beyond a sister's quota.
    pub offers_dropped: u64,
    /// Peers taken.
    pub gained: u64,
    /// Peers told, each time and to each sister.
    pub told: u64,
    /// Connections that went on where the last one broke off.
    pub resumed: u64,
    /// Sisters lost.
    pub lost: u64,
    /// Sisters refused because a torrent has as many as it may.
    pub crowded: u64,
}
