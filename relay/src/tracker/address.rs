//! Whose request this is: the address of the connection, or what a configured proxy says.
//!
//! Never the `ip=` of a query, and no header of anyone who is not a configured proxy: else anybody could list anybody.

use axum::http::HeaderMap;
use std::net::{IpAddr, SocketAddr};

/// Both ends of an accepted connection.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Who connected.
    pub remote: SocketAddr,
    /// Which of our addresses it connected to.
    pub local: SocketAddr,
}

/// A network, written `10.0.0.0/8` or as a single address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    base: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether `ip` is in it; an IPv4 address in IPv6 clothes counts as IPv4.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.base, ip.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => {
                let shift = 32u32.saturating_sub(u32::from(self.bits));
                base.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(base), IpAddr::V6(ip)) => {
                let shift = 128u32.saturating_sub(u32::from(self.bits));
                base.to_bits().checked_shr(shift) == ip.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || format!("{text:?} is no network: write 10.0.0.0/8 or an address");
        let (base, bits) = text.split_once('/').map_or((text, None), |(base, bits)| (base, Some(bits)));
        let base: IpAddr = base.parse().map_err(|_| problem())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| problem()))?;
        if bits > most { Err(problem()) } else { Ok(Self { base, bits }) }
    }
}

/// The networks of our own reverse proxies; none by default.
#[derive(Clone, Debug, Default)]
pub struct Proxies(pub Vec<Network>);

impl Proxies {
    /// Whether `ip` is one of our proxies.
    fn contain(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(ip))
    }

    /// The address of the client behind a connection: read from the right of `X-Forwarded-For` as long as the speaker
    /// is a proxy of ours.
    #[must_use]
    pub fn client(&self, remote: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let mut ip = remote.ip().to_canonical();
        if self.0.is_empty() {
            return ip;
        }
        let said: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        for said in said.into_iter().rev() {
            if !self.contain(ip) {
                break;
            }
            let Ok(said) = said.parse::<IpAddr>() else { break };
            ip = said.to_canonical();
        }
        ip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", axum::http::HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_header_of_a_stranger_is_not_believed() {
        let remote = "203.0.113.9:1".parse().unwrap();
        let proxies = Proxies(vec!["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(proxies.client(remote, &headers(&["1.1.1.1"])).to_string(), "203.0.113.9");
        assert_eq!(Proxies::default().client(remote, &headers(&["1.1.1.1"])).to_string(), "203.0.113.9");
    }

    #[test]
    fn behind_our_proxies_the_right_most_stranger_is_the_client() {
        let proxies = Proxies(vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
        let remote = "[::ffff:10.1.2.3]:1".parse().unwrap();
        let client = proxies.client(remote, &headers(&["6.6.6.6, 1.1.1.1", "10.9.9.9"]));
        assert_eq!(client.to_string(), "1.1.1.1");
        assert_eq!(proxies.client(remote, &headers(&["nonsense"])).to_string(), "10.1.2.3");
    }

    #[test]
    fn networks_are_read_and_bad_ones_refused() {
        for bad in ["10.0.0.0/33", "x", "1.2.3.4/", "::/129"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("9.9.9.9".parse().unwrap()));
        assert!(!"192.0.2.1".parse::<Network>().unwrap().contains("192.0.2.2".parse().unwrap()));
    }
}
