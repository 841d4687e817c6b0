//! How often one address may ask for something that costs us work: writing records, visiting nodes.
//!
//! Announces are not counted here; they are cheap and have limits of their own.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Addresses that are remembered; beyond it the oldest are forgotten all at once.
const MAX_ADDRESSES: usize = 10_000;

/// A bucket for each address. Loopback is exempt: who is on this machine can do worse.
#[derive(Debug)]
pub struct Pace {
    per_minute: f64,
    held_back: AtomicU64,
    buckets: Mutex<HashMap<IpAddr, (f64, Instant)>>,
}

impl Pace {
    /// So many requests a minute for long, and as many at once.
    #[must_use]
    pub fn per_minute(requests: u32) -> Self {
        Self { per_minute: f64::from(requests), held_back: AtomicU64::new(0), buckets: Mutex::default() }
    }

    /// Whether `ip` may ask `now`. An IPv6 network of a household counts as one.
    pub fn allows(&self, ip: IpAddr, now: Instant) -> bool {
        if ip.is_loopback() {
            return true;
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_ADDRESSES {
            buckets.retain(|_, (_, at)| now.saturating_duration_since(*at).as_secs() < 60);
        }
        if buckets.len() >= MAX_ADDRESSES {
            buckets.clear();
        }
        let (tokens, at) = buckets.entry(household(ip)).or_insert((self.per_minute, now));
        let earned = now.saturating_duration_since(*at).as_secs_f64() * self.per_minute / 60.0;
        *tokens = (*tokens + earned).min(self.per_minute);
        *at = now;
        let allowed = *tokens >= 1.0;
        if allowed {
            *tokens -= 1.0;
        } else {
            self.held_back.fetch_add(1, Ordering::Relaxed);
        }
        allowed
    }

    /// How many requests were refused since the start.
    #[must_use]
    pub fn held_back(&self) -> u64 {
        self.held_back.load(Ordering::Relaxed)
    }
}

/// The address, or the /64 it is in.
fn household(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => std::net::Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_address_gets_its_share_a_minute_and_a_network_counts_as_one() {
        let pace = Pace::per_minute(2);
        let now = Instant::now();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(pace.allows(ip("2001:db8::1"), now) && pace.allows(ip("2001:db8::2"), now));
        assert!(!pace.allows(ip("2001:db8::3"), now));
        assert!(pace.allows(ip("2001:db8:0:1::3"), now));
        assert!(pace.allows(ip("2001:db8::3"), now + Duration::from_secs(31)));
        assert!((0..100).all(|_| pace.allows(ip("127.0.0.1"), now)));
    }
}
