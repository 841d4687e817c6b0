//! Planted links: what a planter prints, what people pass on, what opens in a tab and starts.
//!
//! Reading any link that people paste is [`anatomic_core::Link`]'s work; here they are made.

use crate::api::{NodeEntry, paths};
use anatomic_core::{Link, Magnet, Metainfo};
use std::fmt;

/// A link to a page that opens a torrent: `https://HOST/#magnet:?…`. What follows `#` never reaches the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlantedLink {
    /// Scheme and host of the page, without a slash at the end.
    pub origin: String,
    /// The torrent, its nodes' announces as trackers, its supernodes.
    pub magnet: Magnet,
}

impl PlantedLink {
    /// The link of a torrent that these nodes track and these supernodes (by scheme and host) know.
    #[must_use]
    pub fn new(origin: &str, torrent: Magnet, nodes: &[NodeEntry], supernodes: &[String]) -> Self {
        Self { origin: origin.trim_end_matches('/').to_owned(), magnet: magnet(torrent, nodes, supernodes) }
    }

    /// The short form: that host's supernode resolves it.
    #[must_use]
    pub fn short(&self) -> String {
        Link::Short { origin: self.origin.clone(), info_hash: self.magnet.info_hash }.to_string()
    }
}

impl fmt::Display for PlantedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/#{}", self.origin, self.magnet)
    }
}

/// The planted magnet: the trackers are the nodes' alone (for browsers first), so that opening the link contacts nobody
/// whom the planter did not choose.
#[must_use]
pub fn magnet(torrent: Magnet, nodes: &[NodeEntry], supernodes: &[String]) -> Magnet {
    let websocket = nodes.iter().filter_map(|node| node.announce.websocket.clone());
    let http = nodes.iter().filter_map(|node| node.announce.http.clone());
    let udp = nodes.iter().filter_map(|node| node.announce.udp.clone());
    let mut trackers = Vec::new();
    for url in websocket.chain(http).chain(udp) {
        if !trackers.contains(&url) {
            trackers.push(url);
        }
    }
    Magnet { trackers, supernodes: supernodes.to_vec(), ..torrent }
}

/// The planted torrent: `info` untouched, `announce` the first supernode's, `announce-list` the nodes' announces in a
/// tier for each protocol, then the supernodes, then the trackers that the torrent had, each once; `planted` = 1.
///
/// Without a supernode or node that takes announces over HTTP the torrent keeps its own trackers only.
#[must_use]
pub fn torrent(torrent: &Metainfo, nodes: &[NodeEntry], supernodes: &[String]) -> Metainfo {
    let tier =
        |url: fn(&NodeEntry) -> Option<&String>| nodes.iter().filter_map(url).cloned().collect::<Vec<_>>();
    let redirects: Vec<String> = supernodes.iter().map(|url| format!("{url}{}", paths::ANNOUNCE)).collect();
    let mut tiers = vec![
        tier(|node| node.announce.http.as_ref()),
        tier(|node| node.announce.udp.as_ref()),
        tier(|node| node.announce.websocket.as_ref()),
        redirects.clone(),
    ];
    tiers.extend(torrent.trackers().iter().cloned());
    let mut seen = Vec::new();
    for tier in &mut tiers {
        tier.retain(|url| !seen.contains(url));
        seen.extend(tier.iter().cloned());
    }
    tiers.retain(|tier| !tier.is_empty());
    let announce = redirects.first().or_else(|| tiers.first().and_then(|tier| tier.first())).cloned();
    match announce {
        Some(announce) => torrent.with_root(&announce, &tiers),
        None => torrent.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;
    use crate::api::{Announce, Planting};
    use anatomic_core::InfoHash;

    fn node(host: &str) -> NodeEntry {
        NodeEntry {
            key: Key([1; 32]),
            url: format!("https://{host}"),
            announce: Announce {
                http: Some(format!("https://{host}/announce")),
                udp: None,
                websocket: Some(format!("wss://{host}/announce")),
            },
            tcp: None,
            stun: None,
            planting: Planting::Open,
            free: None,
            seen: None,
        }
    }

    #[test]
    fn a_planted_link_names_nodes_and_supernodes_and_nobody_else() {
        let torrent = Magnet {
            name: Some("x y".into()),
            trackers: vec!["http://stranger/announce".into()],
            ..Magnet::new(InfoHash([0xab; 20]))
        };
        let link = PlantedLink::new("https://page/", torrent, &[node("a"), node("b")], &["https://s".into()]);
        let hash = "ab".repeat(20);
        assert_eq!(
            link.to_string(),
            format!(
                "https://page/#magnet:?xt=urn:btih:{hash}&dn=x%20y&tr=wss%3A%2F%2Fa%2Fannounce\
                 &tr=wss%3A%2F%2Fb%2Fannounce&tr=https%3A%2F%2Fa%2Fannounce&tr=https%3A%2F%2Fb%2Fannounce\
                 &x.sn=https%3A%2F%2Fs"
            )
        );
        let read = Link::parse(&link.to_string()).unwrap();
        assert_eq!(read, Link::Planted { origin: "https://page".into(), magnet: link.magnet.clone() });
        assert_eq!(link.short(), format!("https://page/t/{hash}"));
    }

    #[test]
    fn a_planted_torrent_has_tiers_and_can_be_planted_again() {
        let info = format!("d6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces20:{}e", "h".repeat(20));
        let trackers = vec![vec!["http://old/announce".to_owned()]];
        let old = Metainfo::from_info(info.into(), trackers, Vec::new()).unwrap();
        let planted = torrent(&old, &[node("a"), node("b")], &["https://s".into()]);
        let tiers: Vec<Vec<&str>> =
            planted.trackers().iter().map(|tier| tier.iter().map(String::as_str).collect()).collect();
        assert_eq!(
            tiers,
            [
                vec!["https://a/announce", "https://b/announce"],
                vec!["wss://a/announce", "wss://b/announce"],
                vec!["https://s/announce"],
                vec!["http://old/announce"]
            ]
        );
        assert_eq!(planted.info_hash(), old.info_hash());
        let text = planted.to_torrent().escape_ascii().to_string();
        assert!(text.contains("8:announce18:https://s/announce") && text.contains("7:plantedi1e"));
        let again = torrent(&planted, &[node("c")], &["https://s".into()]);
        assert_eq!(
            again.trackers().concat(),
            [
                "https://c/announce",
                "wss://c/announce",
                "https://s/announce",
                "https://a/announce",
                "https://b/announce",
                "wss://a/announce",
                "wss://b/announce",
                "http://old/announce"
            ]
        );
    }
}
