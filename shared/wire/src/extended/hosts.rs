//! Which nodes and supernodes a peer knows for a torrent: our extension `an_hosts`, described in PROTOCOL.md.
//!
//! Strangers' words: whoever uses them asks the hosts themselves for their keys and receipts first.

use super::Malformed;
use crate::bencode::{Dict, dict};
use anatomic_core::bencode::Item;

/// Most nodes, and most supernodes, of one message.
const MAX_HOSTS: usize = 8;
/// Longest address, in bytes.
const MAX_HOST: usize = 200;

/// Hosts by scheme and host, `https://host[:port]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hosts {
    /// Nodes that track the torrent.
    pub nodes: Vec<String>,
    /// Supernodes that index it.
    pub supernodes: Vec<String>,
}

impl Hosts {
    /// Reads the payload of an `an_hosts` message. What is no address, or beyond the limits, is left out.
    ///
    /// # Errors
    /// [`Malformed`] if it is no bencoded dictionary.
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let dict =
            Dict::parse(payload).ok_or(Malformed { message: "an_hosts", source_document: "PROTOCOL.md" })?;
        let list = |key| bounded(dict.texts(key, MAX_HOSTS));
        Ok(Self { nodes: list("n"), supernodes: list("s") })
    }

    /// The payload of an `an_hosts` message, within the limits.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let list = |hosts: &[String]| {
            let kept = bounded(hosts.iter().map(String::as_str)).into_iter();
            Some(Item::list(kept.map(|host| Item::Bytes(host.into_bytes()))))
        };
        dict([("n", list(&self.nodes)), ("s", list(&self.supernodes))]).to_bytes()
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.supernodes.is_empty()
    }
}

fn bounded<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for host in hosts {
        if kept.len() < MAX_HOSTS && is_host(host) && kept.iter().all(|known| known != host) {
            kept.push(host.to_owned());
        }
    }
    kept
}

/// Whether it is a scheme and a host and nothing behind them.
fn is_host(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |rest: &str| {
        !rest.is_empty()
            && rest
                .chars()
                .all(|c| matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '_' | ':' | '[' | ']'))
    };
    text.len() <= MAX_HOST && rest.is_some_and(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_come_back_as_written() {
        let hosts = Hosts {
            nodes: vec!["https://a.example".into(), "http://[2600::1]:4080".into()],
            supernodes: vec!["http://127.0.0.1:4080".into()],
        };
        assert_eq!(
            hosts.encode(),
            b"d1:nl17:https://a.example21:http://[2600::1]:4080e1:sl21:http://127.0.0.1:4080ee"
        );
        assert_eq!(Hosts::decode(&hosts.encode()), Ok(hosts));
        assert_eq!(Hosts::decode(b"de"), Ok(Hosts::default()));
        assert!(Hosts::decode(b"le").is_err());
    }

    #[test]
    fn what_is_no_host_or_too_much_is_left_out() {
        for bad in ["", "ftp://a", "https://", "https://a/b", "https://u@a", "https://a?x", "http://a\n"] {
            assert!(!is_host(bad), "{bad:?}");
        }
        let many: Vec<String> = (0..50).map(|number| format!("http://h{number}")).collect();
        let long = format!("http://{}", "h".repeat(MAX_HOST));
        let hosts = Hosts { nodes: many.iter().chain(&many).cloned().collect(), supernodes: vec![long] };
        let read = Hosts::decode(&hosts.encode()).unwrap();
        assert_eq!((read.nodes.as_slice(), read.supernodes.len()), (&many[..MAX_HOSTS], 0));
    }
}
