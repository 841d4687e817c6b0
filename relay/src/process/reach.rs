//! Where others reach the process, and which network it serves.
//!
//! Binds nothing.

use anatomic_core::address::{Policy, is_public};
use std::net::{IpAddr, SocketAddr};

/// The UDP tracker as others reach it: at the host of our address, unless only this machine reaches the port.
pub(super) fn udp_url(url: &str, local: SocketAddr) -> Option<String> {
    let host = crate::supernode::visit::host(url)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let here = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    (here || !local.ip().is_loopback()).then(|| format!("udp://{host}:{}/announce", local.port()))
}

/// The address under which we call ourselves where we listen on all.
pub(super) fn reachable_ip(ip: IpAddr) -> IpAddr {
    if !ip.is_unspecified() {
        return ip;
    }
    let own = if_addrs::get_if_addrs().unwrap_or_default();
    let candidates: Vec<IpAddr> =
        own.iter().map(if_addrs::Interface::ip).filter(|own| !own.is_loopback() && own.is_ipv4()).collect();
    let public = candidates.iter().find(|own| is_public(**own));
    public.or(candidates.first()).copied().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST))
}

/// A node that is itself in a private network, or on this machine alone, serves that network; one on the internet never
/// looks inwards.
pub(super) fn network_of(url: &str) -> Policy {
    let host = crate::supernode::visit::host(url).unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(ip) if !is_public(ip) => Policy::PrivateNetwork,
        Err(_) if bare == "localhost" => Policy::PrivateNetwork,
        _ => Policy::Public,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_udp_tracker_is_named_where_others_reach_it() {
        let at = |address: &str| address.parse().unwrap();
        for (url, local, named) in [
            ("http://127.0.0.1:4080", "127.0.0.1:4080", Some("udp://127.0.0.1:4080/announce")),
            ("https://node.example", "0.0.0.0:4080", Some("udp://node.example:4080/announce")),
            ("http://[2001:db8::1]:80", "[::]:80", Some("udp://[2001:db8::1]:80/announce")),
            ("https://node.example", "127.0.0.1:4080", None),
        ] {
            assert_eq!(udp_url(url, at(local)).as_deref(), named, "{url} {local}");
        }
    }

    #[test]
    fn a_node_in_a_private_network_serves_it_and_a_public_one_never_looks_inwards() {
        for (url, policy) in [
            ("http://127.0.0.1:4080", Policy::PrivateNetwork),
            ("http://192.168.1.2:4080", Policy::PrivateNetwork),
            ("http://[::1]:4080", Policy::PrivateNetwork),
            ("http://localhost:4080", Policy::PrivateNetwork),
            ("https://node.example", Policy::Public),
            ("http://1.1.1.1", Policy::Public),
        ] {
            assert_eq!(network_of(url), policy, "{url}");
        }
    }
}
