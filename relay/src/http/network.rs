//! The supernode's API for nodes, other supernodes and people who search.
//!
//! Types and paths are `anatomic_mesh::api`'s, decisions the supernode's.

use super::App;
use super::api::{Answer, info_hash, read};
use super::problem::ApiProblem;
use super::request::{Asked, Named, Sent};
use crate::supernode::Supernode;
use anatomic_core::InfoHash;
use anatomic_mesh::Key;
use anatomic_mesh::api::{
    BlockList, Directory, FeedPage, Found, Health, NodeEntry, Offer, Registered, Registration, Report,
    Reported,
};
use axum::Json;
use axum::extract::State;
use std::sync::Arc;

/// Most keys that a request for nodes may leave out.
const MAX_NOT: usize = 64;

fn supernode(app: &App) -> Answer<&Arc<Supernode>> {
    app.supernode.as_ref().ok_or_else(|| ApiProblem::not_found("this is not a supernode"))
}

/// Which nodes are asked for.
#[derive(serde::Deserialize)]
pub struct Wanted {
    count: Option<usize>,
    /// Leaves out those that track this torrent.
    #[serde(rename = "for")]
    torrent: Option<String>,
    /// Leaves out these, with commas between.
    not: Option<String>,
}

/// `GET /api/v1/nodes?count=N[&for=INFOHASH][&not=KEY,KEY]`
///
/// # Errors
/// When this is no supernode, the request is malformed, or the index fails.
pub async fn nodes(State(app): State<Arc<App>>, Asked(wanted): Asked<Wanted>) -> Answer<Json<Offer>> {
    let supernode = supernode(&app)?;
    let torrent: Option<InfoHash> = wanted.torrent.as_deref().map(info_hash).transpose()?;
    let not = wanted.not.unwrap_or_default();
    let not = not
        .split(',')
        .filter(|key| !key.is_empty())
        .take(MAX_NOT)
        .map(|key| key.parse::<Key>().map_err(ApiProblem::malformed));
    let not = not.collect::<Result<Vec<_>, _>>()?;
    Ok(Json(supernode.offer(wanted.count.unwrap_or(8).clamp(1, 32), &not, torrent.as_ref()).await?))
}

/// `GET /api/v1/nodes/KEY`
///
/// # Errors
/// When it is not known here.
pub async fn node(State(app): State<Arc<App>>, Named(key): Named<String>) -> Answer<Json<NodeEntry>> {
    let key: Key = key.parse().map_err(ApiProblem::malformed)?;
    if let Some(own) = app.node_entry().filter(|own| own.key == key) {
        return Ok(Json(own));
    }
    let node = supernode(&app)?.node(&key).await?;
    node.map(Json).ok_or_else(|| ApiProblem::not_found("no node of that key is known here"))
}

/// `POST /api/v1/nodes`
///
/// # Errors
/// Why the host is not listed.
pub async fn register(State(app): State<Arc<App>>, Sent(body): Sent) -> Answer<Json<Registered>> {
    let supernode = supernode(&app)?;
    let registration: Registration = read(&body)?;
    Ok(Json(supernode.register(&registration.url).await?))
}

/// `GET /api/v1/directory`
///
/// # Errors
/// When this is no supernode, or its index fails.
pub async fn directory(State(app): State<Arc<App>>) -> Answer<Json<Directory>> {
    Ok(Json(supernode(&app)?.directory().await?))
}

/// Which page of the feed.
#[derive(serde::Deserialize)]
pub struct Since {
    #[serde(default)]
    since: u64,
    limit: Option<usize>,
}

/// `GET /api/v1/feed?since=CURSOR`
///
/// # Errors
/// When this is no supernode, or its index fails.
pub async fn feed(State(app): State<Arc<App>>, Asked(page): Asked<Since>) -> Answer<Json<FeedPage>> {
    Ok(Json(supernode(&app)?.feed(page.since, page.limit.unwrap_or(500)).await?))
}

/// `POST /api/v1/reports`
///
/// # Errors
/// Why nothing was taken.
pub async fn reports(State(app): State<Arc<App>>, Sent(body): Sent) -> Answer<Json<Reported>> {
    let supernode = supernode(&app)?;
    // Hundreds of signatures: not on the threads that serve sockets.
    let report: Report =
        tokio::task::spawn_blocking(move || read(&body)).await.map_err(ApiProblem::malformed)??;
    Ok(Json(supernode.take_report(report).await?))
}

/// What is looked for.
#[derive(serde::Deserialize)]
pub struct Wish {
    #[serde(default)]
    q: String,
    limit: Option<usize>,
    #[serde(default)]
    offset: usize,
}

/// `GET /api/v1/search?q=WORDS[&limit=N][&offset=N]`
///
/// # Errors
/// When there is no word, this is no supernode, or its index fails.
pub async fn search(State(app): State<Arc<App>>, Asked(query): Asked<Wish>) -> Answer<Json<Found>> {
    Ok(Json(supernode(&app)?.search(&query.q, query.limit.unwrap_or(50), query.offset).await?))
}

/// `GET /api/v1/health/INFOHASH`
///
/// # Errors
/// When the torrent is not known here.
pub async fn health(State(app): State<Arc<App>>, Named(hex): Named<String>) -> Answer<Json<Health>> {
    let health = supernode(&app)?.health(&info_hash(&hex)?).await?;
    health.map(Json).ok_or_else(|| ApiProblem::not_found("this torrent is not planted here"))
}

/// Which version of the block list is known.
#[derive(serde::Deserialize)]
pub struct Version {
    since: Option<u64>,
    #[serde(default)]
    wait: u64,
}

/// `GET /api/v1/blocks[?since=VERSION&wait=SECONDS]`
///
/// # Errors
/// When this host keeps no list.
pub async fn blocks(State(app): State<Arc<App>>, Asked(version): Asked<Version>) -> Answer<Json<BlockList>> {
    let blocks = app.blocks.as_ref().ok_or_else(|| ApiProblem::not_found("this host keeps no block list"))?;
    let list = blocks.own_after(version.since, version.wait).await;
    list.map(Json).ok_or_else(|| ApiProblem::not_found("this host keeps no block list"))
}
