//! Flags of the DHT, and what follows from them.
//!
//! A process that only serves a private network, or this machine, does not enter the public DHT by itself.

use super::{PUBLIC, Settings};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

/// Whether there is a DHT.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Switch {
    /// Peers are looked for in the DHT too
    #[default]
    On,
    /// The DHT is left alone
    Off,
}

/// Flags of whoever has peers.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Whether peers are looked for, and told of, in the mainline DHT
    #[arg(long, value_enum, value_name = "SWITCH", env = "ANATOMIC_DHT", default_value = "on")]
    pub dht: Switch,
    /// IPv4 address of the DHT's UDP port [default: any port]
    #[arg(long, value_name = "ADDR", env = "ANATOMIC_DHT_LISTEN")]
    pub dht_listen: Option<SocketAddrV4>,
    /// Node of the DHT to enter by, instead of those known publicly; may be given several times
    #[arg(long, value_name = "HOST:PORT", env = "ANATOMIC_DHT_BOOTSTRAP", value_delimiter = ',')]
    pub dht_bootstrap: Vec<String>,
}

impl Options {
    /// How the DHT is entered by a process that listens at `host`; `None`: it is not. `serves` is for those who stay.
    #[must_use]
    pub fn settings(&self, host: IpAddr, serves: bool, file: Option<PathBuf>) -> Option<Settings> {
        let here = match host {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(ip) if ip.is_loopback() => Ipv4Addr::LOCALHOST,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        let listen = self.dht_listen.unwrap_or(SocketAddrV4::new(here, 0));
        let inwards = listen.ip().is_loopback() || listen.ip().is_private() || listen.ip().is_link_local();
        if self.dht == Switch::Off || (inwards && self.dht_bootstrap.is_empty()) {
            return None;
        }
        let bootstrap = match self.dht_bootstrap.as_slice() {
            [] => PUBLIC.map(str::to_owned).to_vec(),
            named => named.to_vec(),
        };
        // What is known of a private DHT is of no use in the public one.
        let file = file.filter(|_| self.dht_bootstrap.is_empty());
        Some(Settings { listen, bootstrap, serves, file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_serves_only_this_machine_enters_no_public_dht() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut options = Options::default();
        for inwards in ["127.0.0.1", "::1", "192.168.1.2"] {
            assert_eq!(options.settings(ip(inwards), true, None), None, "{inwards}");
        }
        let public = options.settings(ip("::"), false, None).unwrap();
        assert_eq!((public.bootstrap.len(), *public.listen.ip()), (PUBLIC.len(), Ipv4Addr::UNSPECIFIED));
        options.dht_bootstrap = vec!["127.0.0.1:9".into()];
        let own = options.settings(ip("127.0.0.1"), true, None).unwrap();
        assert_eq!((own.bootstrap.as_slice(), own.serves), (&["127.0.0.1:9".to_owned()][..], true));
        options.dht = Switch::Off;
        assert_eq!(options.settings(ip("127.0.0.1"), true, None), None);
    }
}
