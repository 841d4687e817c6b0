//! The JSON API: planting desk, nodes, receipts, lookups, short links.
//!
//! Types and paths are `anatomic_mesh::api`'s, decisions planting's and the supernode's.

use super::App;
use super::problem::ApiProblem;
use super::request::{Named, Sent};
use crate::tracker::Addresses;
use anatomic_core::{InfoHash, Link, Magnet};
use anatomic_mesh::api::{
    AdoptRequest, Handover, Indexed, Lookup, PlantRequest, Planted, Problem, Swarm, WithdrawRequest, codes,
    paths,
};
use anatomic_mesh::link;
use axum::Json;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) type Answer<T> = Result<T, ApiProblem>;

/// Lets pages of any origin call: nothing here depends on cookies, and a tab plants on nodes of many hosts.
pub async fn any_origin(request: Request, next: Next) -> Response {
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
    response
}

/// How long a request with a body may take to come and be answered.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets one address post so often, and nobody slowly.
///
/// # Errors
/// [`codes::BUSY`] if it posts too often or too slowly.
pub async fn in_moderation(
    State(app): State<Arc<App>>,
    ConnectInfo(from): ConnectInfo<Addresses>,
    request: Request,
    next: Next,
) -> Answer<Response> {
    if request.method() != Method::POST {
        return Ok(next.run(request).await);
    }
    let ip = app.client(from, request.headers());
    if !app.pace.allows(ip, Instant::now()) {
        return Err(
            Problem::new(codes::BUSY, "too many requests of your address; come back in a minute").into()
        );
    }
    tokio::time::timeout(PATIENCE, next.run(request))
        .await
        .map_err(|_| Problem::new(codes::BUSY, "the request took too long").into())
}

/// `POST /api/v1/plant`
///
/// # Errors
/// Why the torrent was not planted.
pub async fn plant(State(app): State<Arc<App>>, Sent(body): Sent) -> Answer<Json<Planted>> {
    let planting = app
        .planting
        .clone()
        .ok_or_else(|| ApiProblem::not_found("this is not a node; ask the supernode for one"))?;
    let request: PlantRequest = read(&body)?;
    // Reads and writes files: not on the threads that serve sockets.
    let planted = tokio::task::spawn_blocking(move || planting.plant(request))
        .await
        .map_err(|error| Problem::new(codes::INTERNAL, error))??;
    Ok(Json(planted))
}

/// `POST /api/v1/adopt`
///
/// # Errors
/// Why the torrent was not taken.
pub async fn adopt(State(app): State<Arc<App>>, Sent(body): Sent) -> Answer<Json<Planted>> {
    let planting = app
        .planting
        .clone()
        .ok_or_else(|| ApiProblem::not_found("this is not a node; ask the supernode for one"))?;
    let request: AdoptRequest = read(&body)?;
    let planted = tokio::task::spawn_blocking(move || planting.adopt(&request))
        .await
        .map_err(|error| Problem::new(codes::INTERNAL, error))??;
    Ok(Json(planted))
}

/// `POST /api/v1/withdraw`
///
/// # Errors
/// Why nothing was withdrawn.
pub async fn withdraw(State(app): State<Arc<App>>, Sent(body): Sent) -> Answer<StatusCode> {
    let request: WithdrawRequest = read(&body)?;
    let from_node = app.planting.as_ref().map(|planting| planting.withdraw(&request));
    let from_index = match &app.supernode {
        Some(supernode) => Some(supernode.withdraw(&request).await),
        None => None,
    };
    match (from_node, from_index) {
        // One process may be both; where the torrent was known it is gone now.
        (Some(Ok(())), _) | (_, Some(Ok(()))) => Ok(StatusCode::NO_CONTENT),
        (Some(Err(problem)), _) | (None, Some(Err(problem))) => Err(problem.into()),
        (None, None) => Err(ApiProblem::not_found("nothing is planted here")),
    }
}

/// `POST /api/v1/receipts`
///
/// # Errors
/// Why nothing was indexed.
pub async fn receipts(State(app): State<Arc<App>>, Sent(body): Sent) -> Answer<Json<Indexed>> {
    let supernode = app.supernode.as_ref().ok_or_else(|| ApiProblem::not_found("this is not a supernode"))?;
    let handover: Handover = read(&body)?;
    Ok(Json(supernode.hand_over(handover).await?))
}

/// `GET /api/v1/torrents/INFOHASH` and `GET /api/v1/torrents/INFOHASH.torrent`
///
/// # Errors
/// When it is not known here.
pub async fn torrent(State(app): State<Arc<App>>, Named(name): Named<String>) -> Answer<Response> {
    if let Some(hex) = name.strip_suffix(".torrent") {
        let info_hash = info_hash(hex)?;
        let file = torrent_file(&app, &info_hash).await?;
        let disposition = format!("attachment; filename=\"{info_hash}.torrent\"");
        let headers =
            [(CONTENT_TYPE, "application/x-bittorrent".to_owned()), (CONTENT_DISPOSITION, disposition)];
        return Ok((headers, file).into_response());
    }
    Ok(Json(lookup(&app, &info_hash(&name)?).await?).into_response())
}

/// `GET /t/INFOHASH`: opens the planted link.
///
/// # Errors
/// When it is not known here.
pub async fn short_link(State(app): State<Arc<App>>, Named(hex): Named<String>) -> Answer<Response> {
    let lookup = lookup(&app, &info_hash(&hex)?).await?;
    let magnet = Magnet::parse(&lookup.magnet).map_err(|error| Problem::new(codes::INTERNAL, error))?;
    // Through a proxy the host may have another name for the browser: relative, so that it need not be known.
    let link = Link::Planted { origin: String::new(), magnet }.to_string();
    let location = HeaderValue::try_from(link).map_err(|error| Problem::new(codes::INTERNAL, error))?;
    Ok((StatusCode::FOUND, [(LOCATION, location)]).into_response())
}

async fn lookup(app: &App, info_hash: &InfoHash) -> Answer<Lookup> {
    let indexed = match &app.supernode {
        Some(supernode) => supernode.lookup(info_hash).await?,
        None => None,
    };
    let planted = app.planting.as_ref().and_then(|planting| planting.served(info_hash));
    let mut lookup = match (indexed, planted) {
        (Some(lookup), _) => lookup,
        (None, Some(planted)) => {
            let nodes: Vec<_> = app.node_entry().into_iter().collect();
            let magnet = link::magnet(planted.magnet.clone(), &nodes, &app.about.supernodes);
            Lookup {
                info_hash: *info_hash,
                info_hash_v2: planted.info_hash_v2,
                name: planted.magnet.name.clone(),
                length: planted.magnet.length,
                files: planted.metainfo.as_ref().map(|metainfo| metainfo.files().len() as u64),
                magnet: magnet.to_string(),
                torrent: planted
                    .metainfo
                    .as_ref()
                    .map(|_| format!("{}/{info_hash}.torrent", paths::TORRENTS)),
                seeds: 0,
                leeches: 0,
                seed_seen: None,
                swarm: None,
                nodes,
                receipts: planted.receipts.clone(),
            }
        }
        (None, None) => return Err(ApiProblem::not_found("this torrent is not planted here")),
    };
    let here = app.planting.as_ref().and_then(|planting| planting.get(info_hash));
    if let (Some(tracker), Some(here)) = (&app.tracker, here) {
        lookup.swarm = Some(Swarm { helped: here.helped, ..tracker.swarm(info_hash) });
        let counts = tracker.swarms.counts(info_hash);
        (lookup.seeds, lookup.leeches) = (counts.complete, counts.incomplete);
        lookup.seed_seen = (counts.complete > 0).then_some(0);
    }
    Ok(lookup)
}

async fn torrent_file(app: &App, info_hash: &InfoHash) -> Answer<Vec<u8>> {
    if let Some(supernode) = &app.supernode
        && let Some(file) = supernode.torrent_file(info_hash).await?
    {
        return Ok(file);
    }
    let planted = app.planting.as_ref().and_then(|planting| planting.served(info_hash));
    let metainfo = planted
        .and_then(|planted| planted.metainfo.clone())
        .ok_or_else(|| ApiProblem::not_found("the torrent file is not known here; its magnet may be"))?;
    let nodes: Vec<_> = app.node_entry().into_iter().collect();
    Ok(link::torrent(&metainfo, &nodes, &app.about.supernodes).to_torrent())
}

pub(super) fn info_hash(hex: &str) -> Answer<InfoHash> {
    InfoHash::from_hex(hex).ok_or_else(|| ApiProblem::malformed("an info-hash is 40 hexadecimal digits"))
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Answer<T> {
    serde_json::from_slice(body)
        .map_err(|error| ApiProblem::malformed(format!("the body is not what it should be: {error}")))
}
