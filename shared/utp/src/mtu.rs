//! How long packets may be: begins with what every line carries and searches upwards ([RFC 8899]).
//!
//! Probes are packets with filler; a lost one costs no data. It sends nothing itself.
//!
//! [RFC 8899]: https://www.rfc-editor.org/rfc/rfc8899

use std::net::IpAddr;

/// Bytes of a datagram that every line carries (RFC 8899, 5.1.2: `BASE_PLPMTU`).
pub(crate) const BASE: usize = 1_200;
/// Probes of one size before the next smaller is tried.
const TRIES: u8 = 3;
/// Bytes of IP packets worth trying, largest first: Ethernet, PPPoE, WireGuard and other tunnels. More is never tried, since
/// there are clients that receive into 1,500 bytes.
const PACKETS: [usize; 3] = [1_500, 1_492, 1_420];
const UDP: usize = 8;

/// The search for the longest datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mtu {
    ip_header: usize,
    /// What is known to arrive.
    proven: usize,
    /// Which of [`PACKETS`] is tried; beyond the last the search is over.
    step: usize,
    failures: u8,
    under_way: bool,
}

impl Mtu {
    pub(crate) fn new(remote: IpAddr) -> Self {
        let ip_header = if remote.is_ipv4() { 20 } else { 40 };
        Self { ip_header, proven: BASE, step: 0, failures: 0, under_way: false }
    }

    /// Bytes of the longest datagram that is known to arrive.
    pub(crate) const fn datagram(&self) -> usize {
        self.proven
    }

    /// Bytes of the next probe; `None` while one is under way, or if there is nothing to find out.
    pub(crate) fn probe(&self) -> Option<usize> {
        if self.under_way {
            return None;
        }
        Some(PACKETS.get(self.step)? - UDP - self.ip_header)
    }

    /// A probe was sent.
    pub(crate) fn sent(&mut self) {
        self.under_way = true;
    }

    /// A probe of so many bytes arrived.
    pub(crate) fn arrived(&mut self, bytes: usize) {
        self.under_way = false;
        self.proven = self.proven.max(bytes);
        self.step = PACKETS.len();
    }

    /// The probe was lost.
    pub(crate) fn lost(&mut self) {
        self.under_way = false;
        self.failures += 1;
        if self.failures == TRIES {
            self.failures = 0;
            self.step += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_size_that_arrives_is_found() {
        for (line, found) in [(1_500, 1_472), (1_499, 1_464), (1_420, 1_392), (1_300, BASE)] {
            let mut mtu = Mtu::new("192.0.2.1".parse().unwrap());
            let mut probes = 0;
            while let Some(bytes) = mtu.probe() {
                probes += 1;
                mtu.sent();
                assert_eq!(mtu.probe(), None);
                if bytes + 28 <= line { mtu.arrived(bytes) } else { mtu.lost() }
            }
            assert_eq!(mtu.datagram(), found, "{line}");
            assert!(probes <= 9);
        }
        assert_eq!(Mtu::new("::1".parse().unwrap()).probe(), Some(1_452));
    }
}
