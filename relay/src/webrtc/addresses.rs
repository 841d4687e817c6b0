//! The addresses that an endpoint can be reached at, and that it offers.
//!
//! Opens nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Host candidates of a socket bound at `bound`: the announced addresses first, then its own (for `0.0.0.0` and `[::]`
/// those of all interfaces; loopback only if there is nothing else).
pub(super) fn candidates(bound: SocketAddr, announced: &[IpAddr]) -> Vec<SocketAddr> {
    let mut ips: Vec<IpAddr> = announced.to_vec();
    if bound.ip().is_unspecified() {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        let mut own: Vec<IpAddr> = interfaces
            .iter()
            .filter(|interface| !interface.is_loopback() && !interface.is_link_local())
            .map(if_addrs::Interface::ip)
            .filter(|ip| bound.is_ipv6() || ip.is_ipv4())
            .collect();
        own.sort_by_key(IpAddr::is_ipv6);
        ips.extend(own);
        if ips.is_empty() {
            ips.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
    } else {
        ips.push(bound.ip().to_canonical());
    }
    let mut out: Vec<SocketAddr> = Vec::new();
    for ip in ips {
        let address = SocketAddr::new(ip, bound.port());
        if !out.contains(&address) {
            out.push(address);
        }
    }
    out.truncate(16);
    out
}

/// Whether an address is of this machine: what goes there leaves it by no wire.
pub(super) fn is_own(ip: IpAddr) -> bool {
    let own = || if_addrs::get_if_addrs().unwrap_or_default();
    ip.is_loopback() || own().iter().any(|interface| interface.ip() == ip)
}

/// One address for each family that the socket speaks: the protocol core's name for our side.
pub(super) fn own_names(bound: SocketAddr) -> Vec<SocketAddr> {
    let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), bound.port());
    let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), bound.port());
    match bound.ip() {
        IpAddr::V4(_) => vec![v4],
        IpAddr::V6(ip) if ip.is_unspecified() => vec![v4, v6],
        IpAddr::V6(_) => vec![v6],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_socket_offers_loopback_only() {
        let bound: SocketAddr = "127.0.0.1:4000".parse().unwrap();
        assert_eq!(candidates(bound, &[]), vec![bound]);
    }

    #[test]
    fn loopback_and_the_interfaces_are_own_addresses() {
        assert!(is_own("127.0.0.5".parse().unwrap()) && is_own("::1".parse().unwrap()));
        assert!(if_addrs::get_if_addrs().unwrap().iter().all(|interface| is_own(interface.ip())));
        assert!(!is_own("203.0.113.9".parse().unwrap()));
    }

    #[test]
    fn announced_addresses_come_first() {
        let list = candidates("0.0.0.0:4000".parse().unwrap(), &["203.0.113.9".parse().unwrap()]);
        assert_eq!(list[0], "203.0.113.9:4000".parse::<SocketAddr>().unwrap());
        assert!(list.iter().all(|address| !address.ip().is_unspecified()));
    }
}
