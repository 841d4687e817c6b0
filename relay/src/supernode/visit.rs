//! Visits a node: fetches its well-known document with a challenge and checks that its key really lives there.
//!
//! Addresses that strangers name are resolved, judged, and only then called, at just the address that was judged; no
//! redirect is followed.

use crate::node::register::innermost;
use anatomic_core::address::Policy;
use anatomic_core::ids::to_hex;
use anatomic_mesh::Key;
use anatomic_mesh::api::{Announce, NodeEntry, WellKnown, paths};
use std::net::IpAddr;
use std::time::Duration;

/// Longest well-known document that is read, in bytes.
const MAX_DOCUMENT: usize = 64 * 1024;
/// How long a visit may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The host of an address, without port.
#[must_use]
pub fn host(url: &str) -> Option<String> {
    reqwest::Url::parse(url).ok()?.host_str().map(str::to_owned)
}

/// The block of addresses that one operator usually has: /16 of IPv4, /32 of IPv6.
#[must_use]
pub fn block(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            format!("{a}.{b}")
        }
        IpAddr::V6(ip) => {
            let [a, b, ..] = ip.segments();
            format!("{a:x}:{b:x}")
        }
    }
}

/// Who answers at an address, with its key proven.
#[derive(Clone, Debug)]
pub struct Visited {
    /// Its name.
    pub key: Key,
    /// As a node, if it is one.
    pub node: Option<NodeEntry>,
    /// Whether it is a supernode.
    pub is_supernode: bool,
    /// [`block`] of the address that answered.
    pub network: String,
}

/// Visits `url` (scheme and host, without a slash at the end) and returns who is there.
///
/// # Errors
/// Why it cannot be listed, in one line.
pub async fn visit(url: &str, network: Policy) -> Result<Visited, String> {
    let parsed = reqwest::Url::parse(url).map_err(|_| format!("{url:?} is no address"))?;
    let plain = matches!(parsed.scheme(), "http" | "https")
        && parsed.path() == "/"
        && parsed.query().is_none()
        && parsed.fragment().is_none()
        && parsed.username().is_empty()
        && !url.ends_with('/');
    let (Some(name), Some(port), true) = (parsed.host_str(), parsed.port_or_known_default(), plain) else {
        return Err(format!("{url:?} is not of the form https://host[:port]"));
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<_> = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((bare, port)))
        .await
        .map_err(|_| format!("the name of {url} takes too long to resolve"))?
        .map_err(|error| format!("the name of {url} cannot be resolved: {error}"))?
        .collect();
    let address = addresses
        .into_iter()
        .find(|address| network.check_ip(address.ip()).is_ok())
        .ok_or_else(|| format!("{url} is not in the network that this supernode serves"))?;
    let mut builder =
        crate::tls::http().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).no_proxy();
    if bare.parse::<IpAddr>().is_err() {
        builder = builder.resolve(bare, address);
    }
    let client = builder.build().map_err(|error| innermost(&error))?;

    let mut challenge = [0; 16];
    getrandom::fill(&mut challenge).map_err(|error| error.to_string())?;
    let challenge = to_hex(&challenge);
    let mut answer = client
        .get(format!("{url}{}?challenge={challenge}", paths::WELL_KNOWN))
        .send()
        .await
        .map_err(|error| format!("{url} cannot be reached: {}", innermost(&error)))?;
    if !answer.status().is_success() {
        return Err(format!("{url} answers {}: it is no node", answer.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) =
        answer.chunk().await.map_err(|error| format!("{url} broke off: {}", innermost(&error)))?
    {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_DOCUMENT {
            return Err(format!("{url} answers with too much"));
        }
    }
    let document: WellKnown =
        serde_json::from_slice(&body).map_err(|_| format!("{url} is no node of this network"))?;
    judge(url, &challenge, document, block(address.ip()))
}

/// Checks what a host says about itself.
fn judge(url: &str, challenge: &str, document: WellKnown, network: String) -> Result<Visited, String> {
    let proof = document.proof.ok_or_else(|| format!("{url} does not prove its key"))?;
    if proof.key != document.key {
        return Err(format!("{url} proves another key than it names"));
    }
    proof.check(challenge, url).map_err(|error| format!("the proof of {url} does not hold: {error}"))?;
    let node = document.node.map(|node| judge_node(url, document.key, node)).transpose()?;
    let supernode = document.supernode.filter(|entry| entry.key == document.key && entry.url == url);
    if node.is_none() && supernode.is_none() {
        return Err(format!("{url} is neither node nor supernode"));
    }
    Ok(Visited { key: document.key, node, is_supernode: supernode.is_some(), network })
}

fn judge_node(url: &str, key: Key, mut node: NodeEntry) -> Result<NodeEntry, String> {
    if node.key != key || node.url != url {
        return Err(format!("{url} describes itself as {}", node.url));
    }
    // Announces elsewhere would let a node send our clients to a victim.
    let here = host(url);
    let same = |announce: &Option<String>| announce.clone().filter(|announce| host(announce) == here);
    node.announce = Announce {
        http: same(&node.announce.http),
        udp: same(&node.announce.udp),
        websocket: same(&node.announce.websocket),
    };
    node.seen = None;
    Ok(node)
}
