//! Which addresses may be dialled: a tracker, a peer or a page must not aim us at somebody's inner network.
//!
//! Judges literal addresses only; names are resolved by drivers, which must judge every address that came out.
//! What each range is for: the IANA special-purpose registries (RFC 6890).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where the peers of a node or client live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// On the internet: nothing private or special, no port of another service.
    #[default]
    Public,
    /// In a private network, or on this machine: also private, shared, link-local and loopback addresses and
    /// every port. Multicast, unspecified and translated addresses stay refused.
    PrivateNetwork,
}

/// Why an address is not dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Port 0.
    #[error("port 0 cannot be dialled")]
    NoPort,
    /// A port below 1024, or one that belongs to another service.
    #[error("port {0} belongs to another service")]
    ServicePort(u16),
    /// Unspecified, broadcast, multicast, reserved or for documentation.
    #[error("not the address of one machine")]
    Special,
    /// Loopback, private, shared (CGNAT), unique local or link-local.
    #[error("not an address of the public internet")]
    Private,
    /// An IPv6 address that stands for an IPv4 one (mapped, compatible, NAT64, 6to4, Teredo).
    #[error("an IPv4 address in disguise")]
    Translated,
}

/// Ports from 1024 up that no BitTorrent client uses and that answer strangers' bytes in harmful ways:
/// databases, remote desktops, caches, message queues, X11, IRC.
const SERVICE_PORTS: [u16; 26] = [
    1433, 1521, 2049, 2375, 2376, 2379, 3128, 3306, 3389, 4369, 5060, 5432, 5672, 5900, 5984, 6000, 6379,
    6667, 8009, 8086, 9042, 9092, 9200, 9300, 11211, 27017,
];

impl Policy {
    /// Whether a peer at `address` may be dialled.
    ///
    /// # Errors
    /// Why not.
    pub fn check(self, address: SocketAddr) -> Result<(), Refusal> {
        let port = address.port();
        if port == 0 {
            return Err(Refusal::NoPort);
        }
        if self == Self::Public && (port < 1024 || SERVICE_PORTS.contains(&port)) {
            return Err(Refusal::ServicePort(port));
        }
        self.check_ip(address.ip())
    }

    /// Whether any port of the machine at `ip` may be dialled: for servers, which choose their ports freely.
    ///
    /// # Errors
    /// Why not.
    pub fn check_ip(self, ip: IpAddr) -> Result<(), Refusal> {
        match (self, class(ip)) {
            (_, Class::Public) | (Self::PrivateNetwork, Class::Private) => Ok(()),
            (Self::Public, Class::Private) => Err(Refusal::Private),
            (_, Class::Special) => Err(Refusal::Special),
            (_, Class::Translated) => Err(Refusal::Translated),
        }
    }

    /// Whether a peer at `address` may be dialled.
    #[must_use]
    pub fn allows(self, address: SocketAddr) -> bool {
        self.check(address).is_ok()
    }
}

/// Whether `ip` is an ordinary address of the public internet.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    class(ip) == Class::Public
}

/// Turns `::ffff:a.b.c.d`, as a socket for both families reports an IPv4 peer, into `a.b.c.d`.
#[must_use]
pub fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Public,
    Private,
    Special,
    Translated,
}

fn class(ip: IpAddr) -> Class {
    match ip {
        IpAddr::V4(ip) => class_v4(ip),
        IpAddr::V6(ip) => class_v6(ip),
    }
}

fn class_v4(ip: Ipv4Addr) -> Class {
    match ip.octets() {
        // RFC 1122 this network; RFC 5771 multicast; RFC 1112 reserved, with broadcast.
        [0 | 224..=255, ..] => Class::Special,
        // RFC 6890 protocol assignments; RFC 5737 documentation; RFC 7526 6to4 relays; RFC 2544 benchmarks.
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] | [198, 18 | 19, ..] => {
            Class::Special
        }
        // RFC 1918 private; RFC 6598 shared; RFC 3927 link-local (with the clouds' metadata service); loopback.
        [10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] | [169, 254, ..] => {
            Class::Private
        }
        _ => Class::Public,
    }
}

fn class_v6(ip: Ipv6Addr) -> Class {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Class::Special,
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Private,
        // RFC 4291 mapped and compatible; RFC 6052 and 8215 NAT64; RFC 3056 6to4; RFC 4380 Teredo.
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Class::Translated,
        [0x64, 0xff9b, ..] | [0x2002, ..] | [0x2001, 0, ..] => Class::Translated,
        // RFC 4193 unique local; RFC 4291 link-local.
        [0xfc00..=0xfdff, ..] | [0xfe80..=0xfebf, ..] => Class::Private,
        // RFC 3849 and 9637 documentation; RFC 2928 and 7343 assignments.
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] | [0x2001, 2..=0x1ff, ..] => Class::Special,
        // RFC 4291: global unicast is what is given out; all else (multicast, site-local, discard) is not.
        [0x2000..=0x3fff, ..] => Class::Public,
        _ => Class::Special,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: Policy, address: &str) -> Result<(), Refusal> {
        policy.check(address.parse().unwrap())
    }

    #[test]
    fn an_inner_address_is_never_dialled_for_the_public() {
        for ip in [
            "10.1.2.3",
            "127.0.0.1",
            "127.9.9.9",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.1.1",
            "169.254.169.254",
            "[::1]",
            "[fd00::1]",
            "[fc00::1]",
            "[fe80::1]",
            "[febf::1]",
        ] {
            let address = format!("{ip}:6881");
            assert_eq!(check(Policy::Public, &address), Err(Refusal::Private), "{ip}");
            assert_eq!(check(Policy::PrivateNetwork, &address), Ok(()), "{ip}");
        }
    }

    #[test]
    fn special_and_disguised_addresses_are_never_dialled() {
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "239.1.1.1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.9",
            "198.18.0.1",
            "192.88.99.1",
            "[::]",
            "[ff02::1]",
            "[2001:db8::1]",
            "[100::1]",
            "[fec0::1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:8.8.8.8]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::1]",
            "[2002:7f00:1::1]",
            "[2001::1]",
            "[::ffff:0:7f00:1]",
        ] {
            let address = format!("{ip}:6881");
            assert!(check(Policy::Public, &address).is_err(), "{ip}");
            assert!(check(Policy::PrivateNetwork, &address).is_err(), "{ip}");
        }
    }

    #[test]
    fn public_peers_are_dialled_at_ports_of_peers_only() {
        for ip in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "[2a00:1450::1]", "[2600::1]"] {
            assert_eq!(check(Policy::Public, &format!("{ip}:51413")), Ok(()), "{ip}");
        }
        for port in [1, 22, 25, 80, 443, 465, 587, 1023, 3306, 3389, 6379, 11211] {
            assert_eq!(check(Policy::Public, &format!("8.8.8.8:{port}")), Err(Refusal::ServicePort(port)));
        }
        assert_eq!(check(Policy::PrivateNetwork, "127.0.0.1:0"), Err(Refusal::NoPort));
        assert_eq!(check(Policy::PrivateNetwork, "127.0.0.1:80"), Ok(()));
    }

    #[test]
    fn a_mapped_address_is_unmapped() {
        let address = unmapped("[::ffff:127.0.0.1]:80".parse().unwrap());
        assert_eq!(address, "127.0.0.1:80".parse().unwrap());
    }
}
