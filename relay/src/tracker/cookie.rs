//! Connection ids of the UDP tracker: proofs that a client receives at the address it sends from, kept nowhere.
//!
//! A hash, keyed with a secret of this process or of its fleet, of the address and the time: whoever brings it back within two
//! minutes (BEP 15) is no spoofer. What is then answered is the door's business ([`super::udp`]).

use sha2::{Digest as _, Sha256};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A new id is given every minute.
const WINDOW: Duration = Duration::from_secs(60);
/// How many older ids are good: with the running one that is two minutes at least, three at most.
const OLDER: u64 = 2;

/// Makes and checks connection ids.
pub(super) struct Cookies {
    key: [u8; 16],
    began: Instant,
    /// What the clock that counts the windows showed then.
    clock: Duration,
    /// How many windows another process's clock may be ahead.
    ahead: u64,
}

impl Cookies {
    pub(super) const fn new(key: [u8; 16], began: Instant) -> Self {
        Self { key, began, clock: Duration::ZERO, ahead: 0 }
    }

    /// The same ids at all processes with this key whose clocks, `unix` now, are less than a minute apart.
    pub(super) const fn shared(key: [u8; 16], began: Instant, unix: Duration) -> Self {
        Self { key, began, clock: unix, ahead: 1 }
    }

    /// The id for a client at `ip`.
    pub(super) fn make(&self, ip: IpAddr, now: Instant) -> u64 {
        self.at(ip, self.window(now))
    }

    /// Whether `id` was given to `ip` a short time ago.
    pub(super) fn holds(&self, id: u64, ip: IpAddr, now: Instant) -> bool {
        let window = self.window(now);
        let (known, ahead) = (window.saturating_sub(OLDER)..=window, window + 1..=window + self.ahead);
        known.rev().chain(ahead).any(|window| self.at(ip, window) == id)
    }

    fn window(&self, now: Instant) -> u64 {
        (self.clock + now.saturating_duration_since(self.began)).as_secs() / WINDOW.as_secs()
    }

    /// One block of SHA-256: 16 bytes of key, 16 of address, 8 of time. All of fixed length, so nothing can be appended.
    fn at(&self, ip: IpAddr, window: u64) -> u64 {
        let ip = match ip.to_canonical() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(ip.octets());
        hash.update(window.to_be_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_good_for_two_minutes_and_for_its_address_alone() {
        let began = Instant::now();
        let cookies = Cookies::new([7; 16], began);
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        for start in [0, 59, 60, 119] {
            let given = began + Duration::from_secs(start);
            let id = cookies.make(ip, given);
            assert!(cookies.holds(id, ip, given + Duration::from_secs(120)));
            assert!(!cookies.holds(id, ip, given + Duration::from_secs(181)));
            assert!(!cookies.holds(id, "192.0.2.2".parse().unwrap(), given));
            assert!(!cookies.holds(id ^ 1, ip, given));
            assert!(cookies.holds(id, "::ffff:192.0.2.1".parse().unwrap(), given));
            assert!(!Cookies::new([8; 16], began).holds(id, ip, given));
        }
    }

    #[test]
    fn an_id_of_one_process_is_good_at_another_of_its_fleet() {
        let (began, unix) = (Instant::now(), Duration::from_secs(1_700_000_019));
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let one = Cookies::shared([7; 16], began, unix);
        // It started a minute later, and its clock is half a minute wrong.
        let later = began + Duration::from_secs(60);
        for wrong in [30, 90] {
            let two = Cookies::shared([7; 16], later, unix + Duration::from_secs(wrong));
            for passed in (0..120).map(Duration::from_secs) {
                assert!(two.holds(one.make(ip, later + passed), ip, later + passed));
                assert!(one.holds(two.make(ip, later + passed), ip, later + passed));
            }
            assert!(!two.holds(one.make(ip, later), ip, later + Duration::from_secs(240)));
        }
    }
}
