//! The calls of the 2005 network, `/plant`, `/multiseed`, `/request` of its nodes and `/cache` of its supernodes, so that
//! its planters and clients still work.
//!
//! Only the words are old: what they do is planting's and the supernode's. Old calls carried no keys, so nothing that
//! a stranger says in one is believed: no address in it is fetched unless it proves to be a node of ours, no peer in it
//! enters a swarm, and what is planted by one is vouched for by this node alone. Announce and scrape are beside
//! ([`super::announce`]).

use super::App;
use crate::node::clock;
use crate::tracker::Addresses;
use crate::tracker::http::{bencoded, refusal};
use anatomic_core::InfoHash;
use anatomic_core::bencode::{self, Item, Kind};
use anatomic_mesh::api::{Handover, PlantRequest, Planting as WhoMayPlant, paths};
use anatomic_mesh::{Claim, Listing, Signed};
use anatomic_wire::tracker::query;
use anatomic_wire::tracker::scrape::ScrapeReply;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, warn};

/// Most info-hashes in the answer to `/request`.
const MAX_REQUEST: usize = 2_000;
/// Most nodes that an old planter may ask for: a planted torrent has eight at most.
const MAX_NODES: usize = 8;
/// Longest list of peers that is looked at.
const MAX_PEERS: usize = 8 * 1024;
/// How long a supernode may take to index what was planted here.
const PATIENCE: Duration = Duration::from_secs(10);

/// A query of the old kind: raw bytes, percent-encoded. The first of two equal keys counts.
struct Old(HashMap<String, Vec<u8>>);

impl Old {
    fn read(query: Option<String>) -> Self {
        let mut pairs = HashMap::new();
        for (key, value) in query::pairs(&query.unwrap_or_default()).take(32) {
            pairs.entry(key.into_owned()).or_insert_with(|| value.into_owned());
        }
        Self(pairs)
    }

    fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    fn is_one(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| value == b"1")
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| std::str::from_utf8(value).ok())
    }

    fn hash(&self, key: &str) -> Option<InfoHash> {
        self.0.get(key).and_then(|value| value.as_slice().try_into().ok()).map(InfoHash)
    }
}

/// `GET /plant?plant=<20 bytes>[&client=1]` and `?multiplant=<20 bytes>&url=<neighbour>`: plants here.
///
/// The neighbour is not called: nodes find their sisters through supernodes. Planting again is no error any more.
pub async fn plant(
    State(app): State<Arc<App>>,
    ConnectInfo(from): ConnectInfo<Addresses>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let old = Old::read(query);
    if let Some(pong) = pong(&old, app.planting.is_some()) {
        return pong;
    }
    let (hash, done) = if old.has("multiplant") {
        (old.hash("multiplant"), "SUCCESS")
    } else {
        (old.hash("plant"), "File successfully planted")
    };
    let Some(info_hash) = hash else { return refusal("the info-hash must be 20 bytes") };
    if let Some(reason) = app.too_hasty(from, &headers) {
        return refusal(reason);
    }
    match vouch(&app, info_hash).await {
        Ok(()) => word(done),
        Err(reason) => refusal(&reason),
    }
}

/// Plants for somebody without a key: the node itself is the planter, and its own word goes to its supernodes.
async fn vouch(app: &Arc<App>, info_hash: InfoHash) -> Result<(), String> {
    let Some(planting) = app.planting.clone() else { return Err("this is no node".into()) };
    if planting.settings().policy != WhoMayPlant::Open {
        return Err("this node takes torrents of planters with a key only; plant with a newer program".into());
    }
    let identity = &app.about.identity;
    let claim = Claim {
        info_hash,
        info_hash_v2: None,
        node: identity.key(),
        planter: identity.key(),
        sisters: Vec::new(),
        listing: Listing::Listed,
        issued: clock::now(),
        at: None,
    };
    let claim = Signed::new(claim, identity).map_err(|error| error.to_string())?;
    let request = PlantRequest { claim, torrent: None, trackers: Vec::new() };
    let planted = tokio::task::spawn_blocking(move || planting.plant(request))
        .await
        .map_err(|_| "the node failed; its log says why".to_owned())?
        .map_err(|problem| problem.detail)?;
    let handover = Handover { receipts: vec![planted.receipt], torrent: None, name: None, length: None };
    if let Some(supernode) = &app.supernode {
        supernode.hand_over(handover.clone()).await.map_err(|problem| problem.detail)?;
    }
    let supernodes = app.about.supernodes.clone();
    if !supernodes.is_empty() {
        // The planter does not wait for others' supernodes.
        tokio::spawn(async move {
            let Ok(client) = crate::node::client::new(PATIENCE) else { return };
            for supernode in supernodes {
                let url = format!("{supernode}{}", paths::RECEIPTS);
                match client.post(&url).json(&handover).send().await {
                    Ok(answer) if answer.status().is_success() => debug!(%supernode, "indexed"),
                    Ok(answer) => {
                        warn!(%supernode, status = %answer.status(), "did not index a planted torrent")
                    }
                    Err(error) => warn!(%supernode, %error, "cannot be reached"),
                }
            }
        });
    }
    Ok(())
}

/// `GET /multiseed?info_hash=<20 bytes>&data=<bencoded list>`: an old node shares peers.
///
/// It is told that they arrived, so that it goes on; nobody knows who it is, so they enter no swarm.
pub async fn multiseed(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    let old = Old::read(query);
    let Some(tracker) = &app.tracker else { return refusal("this is no node") };
    let Some(info_hash) = old.hash("info_hash") else { return plain("HASHFAIL") };
    if !tracker.admission.admits(&info_hash) {
        return plain("EXPIRED");
    }
    let whole = old.0.get("data").is_some_and(|data| {
        data.len() <= MAX_PEERS
            && bencode::parse(data, bencode::Limits::MESSAGE)
                .is_ok_and(|list| list.root().kind() == Kind::List)
    });
    plain(if whole { "ACCEPTED" } else { "CORRUPT" })
}

/// `GET /request`: the info-hashes of what is planted here and may be found by search.
pub async fn request(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    let Some(planting) = &app.planting else { return refusal("this is no node") };
    if let Some(pong) = pong(&Old::read(query), true) {
        return pong;
    }
    let mut hashes: Vec<String> = planting
        .list()
        .iter()
        .filter(|planted| planted.listing() == Listing::Listed)
        .map(|planted| planted.info_hash.to_string())
        .collect();
    hashes.sort_unstable();
    hashes.truncate(MAX_REQUEST);
    list(hashes)
}

/// `GET /force`: there was a debugging aid here that anyone could use to send traffic to others.
pub async fn force() -> Response {
    (StatusCode::GONE, "nodes share their peers by themselves now\n").into_response()
}

/// `GET /index`: the old page of a node or supernode; the new one is at the root.
pub async fn index() -> Response {
    (StatusCode::FOUND, [(LOCATION, "/")]).into_response()
}

/// `GET /cache?…`: a supernode of 2005.
pub async fn cache(
    State(app): State<Arc<App>>,
    ConnectInfo(from): ConnectInfo<Addresses>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let old = Old::read(query);
    let Some(supernode) = &app.supernode else { return refusal("this is no supernode") };
    if let Some(pong) = pong(&old, true) {
        return pong;
    }
    if old.has("push") || old.has("tpush") {
        return match app.too_hasty(from, &headers) {
            Some(reason) => plain(reason),
            None => push(&app, &old).await,
        };
    }
    let failed = |problem: anatomic_mesh::api::Problem| refusal(&problem.detail);
    if let Some(wanted) = old.0.get("pull") {
        let Ok(hash) = <[u8; 20]>::try_from(wanted.as_slice()) else { return word("FALSE") };
        return match supernode.lookup(&InfoHash(hash)).await {
            Ok(found) => {
                some(found.into_iter().flat_map(|found| found.nodes).filter_map(|node| node.announce.http))
            }
            Err(problem) => failed(problem),
        };
    }
    let count = match old.text("multiseed").map(str::parse::<usize>) {
        Some(Ok(count)) if count > MAX_NODES => return word("TOOHIGH"),
        Some(Ok(count)) if count > 0 => Some(count),
        Some(_) => return word("FALSE"),
        None => None,
    };
    let offer = match supernode.offer(count.unwrap_or(32), &[], None).await {
        Ok(offer) => offer,
        Err(problem) => return failed(problem),
    };
    let nodes: Vec<String> = offer.nodes.into_iter().filter_map(|node| node.announce.http).collect();
    if let Some(count) = count {
        return if nodes.len() < count { word("FALSE") } else { list(nodes) };
    }
    if old.is_one("plant") {
        return nodes.into_iter().next().map_or_else(|| word("FALSE"), |node| word(&node));
    }
    if old.is_one("trackers") {
        return list(nodes);
    }
    if old.is_one("strackers") {
        return list(offer.supernodes.into_iter().map(|known| format!("{}/cache", known.url)).collect());
    }
    refusal("a supernode is asked for ping, plant, multiseed, pull, trackers or strackers")
}

/// `?push=<supernode>` and `?tpush=<node>[&client=1]`: somebody names a host. It is visited only if its address is
/// in the network that we serve, at just the address that was judged, and listed only if it proves its key.
async fn push(app: &App, old: &Old) -> Response {
    let Some(supernode) = &app.supernode else { return refusal("this is no supernode") };
    let (named, suffix) = match (old.text("tpush"), old.text("push")) {
        (Some(node), _) => (node, "/announce"),
        (None, Some(supernode)) => (supernode, "/cache"),
        (None, None) => ("", "/announce"),
    };
    let done = match origin(named, suffix) {
        Some(origin) => supernode.register(&origin).await.map(drop).map_err(|problem| problem.detail),
        None => Err(format!("that is no address of the form http://host{suffix}")),
    };
    match (done, old.is_one("client")) {
        (Ok(()), true) => word("TRUE"),
        (Err(_), true) => word("FALSE"),
        (Ok(()), false) => plain("Accepted: it answers and proves its key"),
        (Err(reason), false) => plain(&format!("Refused: {reason}")),
    }
}

/// Scheme and host of an old URL that ends with `suffix`, perhaps with `.php`. Paths of their own, which old nodes had,
/// no node of today has.
fn origin(url: &str, suffix: &str) -> Option<String> {
    let url = url.strip_suffix(".php").unwrap_or(url).strip_suffix(suffix)?;
    let scheme =
        url.get(..7)?.eq_ignore_ascii_case("http://") || url.get(..8)?.eq_ignore_ascii_case("https://");
    (scheme && url.len() <= 300).then(|| url.to_owned())
}

/// `GET /scrape` that names no torrent: all that is planted here and may be found by search; `None` if this is no node.
pub(super) fn whole_scrape(app: &App) -> Option<Response> {
    let (planting, tracker) = (app.planting.as_ref()?, app.tracker.as_ref()?);
    let listed = planting.list();
    let files = listed
        .iter()
        .filter(|planted| planted.listing() == Listing::Listed)
        .take(MAX_REQUEST)
        .map(|planted| (planted.info_hash, tracker.swarms.counts(&planted.info_hash)))
        .collect();
    Some(bencoded(ScrapeReply { files }.encode()))
}

/// The answer to `?ping=1` of a host that is what the path says.
fn pong(old: &Old, is_here: bool) -> Option<Response> {
    (is_here && old.is_one("ping")).then(|| plain("PONG"))
}

impl App {
    /// Why a call that costs us work is refused: its sender has made too many of them.
    fn too_hasty(&self, from: Addresses, headers: &HeaderMap) -> Option<&'static str> {
        let allowed = self.pace.allows(self.client(from, headers), Instant::now());
        (!allowed).then_some("too many requests of your address; come back in a minute")
    }
}

fn plain(text: &str) -> Response {
    ([(axum::http::header::CONTENT_TYPE, "text/plain")], text.to_owned()).into_response()
}

/// A bencoded string.
fn word(text: &str) -> Response {
    bencoded(Item::from(text.as_bytes()).to_bytes())
}

/// A bencoded list of strings.
fn list(texts: Vec<String>) -> Response {
    bencoded(Item::list(texts).to_bytes())
}

/// The same, and `FALSE` where there is nothing.
fn some(texts: impl Iterator<Item = String>) -> Response {
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() { word("FALSE") } else { list(texts) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_url_is_cut_to_its_host_and_a_trick_is_none() {
        for (url, suffix, cut) in [
            ("http://h:1/announce.php", "/announce", Some("http://h:1")),
            ("https://h/announce", "/announce", Some("https://h")),
            ("http://h/cache.php", "/cache", Some("http://h")),
            ("http://h/cache.php", "/announce", None),
            ("gopher://h/announce", "/announce", None),
            ("file:///etc/passwd?http://x/announce", "/announce", None),
            ("", "/announce", None),
            ("http:/announce", "/announce", None),
        ] {
            assert_eq!(origin(url, suffix).as_deref(), cut, "{url}");
        }
    }

    #[test]
    fn an_old_query_is_bytes() {
        let old = Old::read(Some(format!("info_hash={}&client=1&x", "%01".repeat(20))));
        assert_eq!(old.hash("info_hash"), Some(InfoHash([1; 20])));
        assert!(old.is_one("client") && old.has("x") && old.hash("x").is_none());
    }
}
