//! How long peers are remembered, and how many.
//!
//! Values only; [`super::swarms`] keeps to them.

use std::time::Duration;

/// Lifetimes and ceilings.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A classic peer not heard of for this long is forgotten.
    pub classic_lifetime: Duration,
    /// A browser that announced nothing for this long is forgotten, whatever its socket does.
    pub browser_lifetime: Duration,
    /// An offer not answered for this long is forgotten.
    pub offer_lifetime: Duration,
    /// A socket that another with the same peer id, from another address, may replace: silent for this long.
    pub silent: Duration,
    /// Peers in all swarms together.
    pub peers: usize,
    /// Swarms.
    pub swarms: usize,
    /// Peers of one address in one swarm (loopback is exempt).
    pub peers_per_ip: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A peer told to come back after 30 minutes may be a quarter late.
            classic_lifetime: Duration::from_secs(40 * 60),
            browser_lifetime: Duration::from_secs(20 * 60),
            offer_lifetime: Duration::from_secs(120),
            silent: Duration::from_secs(60),
            peers: 500_000,
            swarms: 200_000,
            peers_per_ip: 100,
        }
    }
}

/// The store holds as many peers as it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Full {
    /// In all swarms together.
    #[error("this tracker is full, try another")]
    Store,
    /// From one address in one swarm.
    #[error("too many peers of your address in this swarm")]
    Address,
}
