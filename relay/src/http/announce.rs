//! The trackers' doors: announce and scrape over HTTP, the WebSocket tracker, and the redirect of a supernode.
//!
//! A torrent that this process tracks itself is answered here; for another one an ordinary client is sent to a living node,
//! which then sees the client's own address.

use super::App;
use super::upgrade::Upgrade;
use super::{classic, page};
use crate::tracker::http::{Families, Origin, bencoded, refusal};
use crate::tracker::swarms::Drawn;
use crate::tracker::{Addresses, socket};
use anatomic_core::InfoHash;
use anatomic_wire::tracker::NOT_PLANTED;
use anatomic_wire::tracker::announce::AnnounceRequest;
use anatomic_wire::tracker::scrape;
use axum::extract::{ConnectInfo, RawQuery, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;

const NO_REDIRECT: &str = "this announce cannot be redirected";

/// `GET /`: the WebSocket tracker, or the page.
pub async fn root(
    State(app): State<Arc<App>>,
    ConnectInfo(from): ConnectInfo<Addresses>,
    headers: HeaderMap,
    uri: Uri,
    request: Request,
) -> Response {
    match Upgrade::of(&mut request.into_parts().0) {
        Some(upgrade) => websocket(&app, from, &headers, upgrade),
        None => page::answer(&app, &uri, &headers),
    }
}

/// `GET /announce`: of a classic client, or the WebSocket tracker.
pub async fn announce(
    State(app): State<Arc<App>>,
    ConnectInfo(from): ConnectInfo<Addresses>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    if let Some(upgrade) = Upgrade::of(&mut request.into_parts().0) {
        return websocket(&app, from, &headers, upgrade);
    }
    let query = query.unwrap_or_default();
    if query == "ping=1" && app.tracker.is_some() {
        // How programs of the 2005 network tell a node from a supernode.
        return "PONG".into_response();
    }
    let request = match AnnounceRequest::from_query(&query) {
        Ok(request) => request,
        Err(error) => return refusal(&error.to_string()),
    };
    if let Some(tracker) = &app.tracker
        && (tracker.admission.admits(&request.info_hash) || app.supernode.is_none())
    {
        let client = app.client(from, &headers);
        if let Some(location) = tracker.handed_on(&request, client, &query) {
            return moved(&location);
        }
        let (origin, mut drawn) = (Origin { client, local: from.local }, Drawn::default());
        return match tracker.announce(&request, origin, Families::Both, &mut drawn) {
            Ok(announced) => bencoded(announced.encode(&drawn, client)),
            Err(reason) => refusal(&reason),
        };
    }
    redirect(&app, &request.info_hash, &query, |announce| Some(announce.to_owned())).await
}

/// `GET /scrape`
pub async fn scrape(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    if !query.contains("info_hash")
        && let Some(whole) = classic::whole_scrape(&app)
    {
        return whole;
    }
    let hashes = match scrape::hashes_from_query(&query) {
        Ok(hashes) => hashes,
        Err(error) => return refusal(&error.to_string()),
    };
    if let Some(tracker) = &app.tracker
        && (app.supernode.is_none() || hashes.iter().any(|hash| tracker.admission.admits(hash)))
    {
        return bencoded(tracker.scrape(&hashes).encode());
    }
    let Some(first) = hashes.first() else { return refusal(NOT_PLANTED) };
    redirect(&app, first, &query, |announce| scrape::scrape_url(announce, &[])).await
}

/// Sends a client to a living node of the torrent.
async fn redirect(
    app: &App,
    info_hash: &InfoHash,
    query: &str,
    to: impl Fn(&str) -> Option<String>,
) -> Response {
    let Some(supernode) = &app.supernode else { return refusal(NOT_PLANTED) };
    match supernode.redirect(info_hash, Some(app.about.identity.key())).await {
        Ok(Some(announce)) => {
            to(&announce).map_or_else(|| refusal(NO_REDIRECT), |url| moved(&format!("{url}?{query}")))
        }
        Ok(None) if app.tracker.is_some() => refusal(NOT_PLANTED),
        Ok(None) => refusal("no living node tracks this torrent"),
        Err(problem) => refusal(&problem.detail),
    }
}

/// Sends a client elsewhere.
fn moved(location: &str) -> Response {
    // The query came in as part of a request line, so it fits into a header; what does not is refused.
    match location.parse::<axum::http::HeaderValue>() {
        Ok(location) => (StatusCode::FOUND, [(LOCATION, location)]).into_response(),
        Err(_) => refusal(NO_REDIRECT),
    }
}

fn websocket(app: &App, from: Addresses, headers: &HeaderMap, upgrade: Upgrade) -> Response {
    let Some(tracker) = app.tracker.clone() else {
        return (StatusCode::NOT_FOUND, "there is no tracker for browsers here").into_response();
    };
    if tracker.open_sockets() >= tracker.config.sockets {
        return (StatusCode::SERVICE_UNAVAILABLE, "as many connections as there may be; try another tracker")
            .into_response();
    }
    let ip = app.client(from, headers);
    upgrade.serve(move |stream| socket::serve(tracker, stream, ip))
}

impl App {
    /// Whose request this is.
    #[must_use]
    pub fn client(&self, from: Addresses, headers: &HeaderMap) -> IpAddr {
        self.proxies.client(from.remote, headers)
    }
}
