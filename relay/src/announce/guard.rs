//! Which hosts a stranger's URL may have us call: a torrent must not aim us at somebody's inner network.
//!
//! Judges every address that a name resolves to, at the moment it is called, so that a name cannot be allowed first
//! and point elsewhere afterwards; and every step of a redirect.
//!
//! Like libtorrent, loopback is called only for `/announce`, even where private networks are allowed.

use anatomic_core::address::Policy;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr};

/// The rules for hosts.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    policy: Policy,
}

/// Why a URL is not called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// No URL of a kind that we call.
    #[error("not an address of a kind that is called: {0}")]
    Kind(String),
    /// It carries no host.
    #[error("the address names no host")]
    NoHost,
    /// The host, or what it resolves to, may not be called.
    #[error("{0} may not be called: {1}")]
    Host(String, String),
    /// It is this machine's own, and not an announce.
    #[error("on this machine only /announce is called")]
    Loopback,
    /// The name is unknown.
    #[error("the host {0} is not known: {1}")]
    Unknown(String, String),
}

impl Guard {
    /// Hosts are judged by `policy`.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self { policy }
    }

    /// Judges a URL by what can be read from it; names are judged when they are resolved.
    ///
    /// # Errors
    /// Why it may not be called.
    pub fn check(self, url: &Url) -> Result<(), Refused> {
        if !matches!(url.scheme(), "http" | "https" | "ws" | "wss" | "udp") {
            return Err(Refused::Kind(url.scheme().to_owned()));
        }
        let host = url.host_str().ok_or(Refused::NoHost)?;
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        if let Some(ip) = literal {
            self.check_ip(host, ip)?;
        }
        let here = literal.is_some_and(|ip| ip.is_loopback()) || is_localhost(host);
        if here && self.policy == Policy::Public {
            return Err(Refused::Host(host.to_owned(), "it is this machine".into()));
        }
        // WebSocket and UDP trackers have no path to go by, and their handshakes protect other services.
        let is_announce = url.path().starts_with("/announce") || matches!(url.scheme(), "ws" | "wss" | "udp");
        if here && !is_announce { Err(Refused::Loopback) } else { Ok(()) }
    }

    /// Judges an address.
    ///
    /// # Errors
    /// Why it may not be called.
    pub fn check_ip(self, host: &str, ip: IpAddr) -> Result<(), Refused> {
        self.policy.check_ip(ip).map_err(|refusal| Refused::Host(host.to_owned(), refusal.to_string()))
    }

    /// Resolves a host and judges what comes out.
    ///
    /// # Errors
    /// When the host is unknown, or none of its addresses may be called.
    pub async fn resolve(self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Refused> {
        let plain = host.trim_start_matches('[').trim_end_matches(']');
        let unknown = |error: std::io::Error| Refused::Unknown(host.to_owned(), error.to_string());
        let found: Vec<_> = tokio::net::lookup_host((plain, port)).await.map_err(unknown)?.collect();
        let mut refused = Refused::Unknown(host.to_owned(), "it has no address".into());
        let mut allowed = Vec::new();
        for address in found {
            // A name that resolves to this machine would get round the rule about /announce.
            let inward =
                address.ip().is_loopback() && !is_localhost(host) && plain.parse::<IpAddr>().is_err();
            let judged = if inward { Err(Refused::Loopback) } else { self.check_ip(host, address.ip()) };
            match judged {
                Ok(()) => allowed.push(address),
                Err(reason) => refused = reason,
            }
        }
        if allowed.is_empty() { Err(refused) } else { Ok(allowed) }
    }
}

fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = *self;
        Box::pin(async move {
            let addresses = guard.resolve(name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: Policy, url: &str) -> Result<(), Refused> {
        Guard::new(policy).check(&Url::parse(url).unwrap())
    }

    #[test]
    fn strangers_do_not_aim_us_inwards() {
        for url in [
            "http://127.0.0.1:80/announce",
            "http://[::1]/announce",
            "http://localhost/announce",
            "http://10.0.0.1/announce",
            "http://169.254.169.254/latest/meta-data",
            "http://[::ffff:10.0.0.1]/announce",
            "http://0x7f.1/announce",
            "http://2130706433/announce",
            "ws://192.168.1.1/",
            "ftp://tracker.example/announce",
            "file:///etc/passwd",
        ] {
            assert!(check(Policy::Public, url).is_err(), "{url}");
        }
        assert_eq!(check(Policy::Public, "https://tracker.example/announce?x=1"), Ok(()));
    }

    #[test]
    fn on_this_machine_only_announce_is_called() {
        assert_eq!(check(Policy::PrivateNetwork, "http://127.0.0.1:6969/announce"), Ok(()));
        assert_eq!(check(Policy::PrivateNetwork, "http://127.0.0.1:6969/announce.php"), Ok(()));
        assert_eq!(check(Policy::PrivateNetwork, "http://127.0.0.1:631/admin"), Err(Refused::Loopback));
        assert_eq!(check(Policy::PrivateNetwork, "http://localhost/admin"), Err(Refused::Loopback));
        assert_eq!(check(Policy::PrivateNetwork, "ws://127.0.0.1:4080/"), Ok(()));
        assert_eq!(check(Policy::PrivateNetwork, "http://192.168.1.1/tracker"), Ok(()));
    }

    #[tokio::test]
    async fn what_a_name_resolves_to_is_judged() {
        let public = Guard::new(Policy::Public);
        assert!(matches!(public.resolve("localhost", 80).await, Err(Refused::Host(..))));
        let private = Guard::new(Policy::PrivateNetwork);
        assert!(private.resolve("localhost", 80).await.is_ok_and(|all| !all.is_empty()));
    }
}
