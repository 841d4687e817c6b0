//! Announces over HTTP and HTTPS.
//!
//! The query and the reply are `anatomic-wire`'s; here are the request, its limits and its redirects.

use super::Guard;
use anatomic_engine::{AnnounceEvent, AnnounceReply, AnnounceRequest};
use anatomic_wire::tracker::{self, announce};
use reqwest::{Url, redirect};
use std::sync::LazyLock;
use std::time::Duration;

/// Longest reply that is read, in bytes: 1 MiB, as in libtorrent.
pub const MAX_REPLY: usize = 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A supernode redirects to a node, a tracker perhaps to HTTPS and a new name before that.
const MAX_REDIRECTS: usize = 5;

/// An HTTP client for addresses that strangers named: guarded, without cookies and proxies, bounded in time.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client(guard: Guard) -> reqwest::Result<reqwest::Client> {
    let redirects = redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > MAX_REDIRECTS {
            return attempt.error("too many redirects");
        }
        match guard.check(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(refused) => attempt.error(refused),
        }
    });
    reqwest::Client::builder()
        .user_agent(concat!("Anatomic/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(std::sync::Arc::new(guard))
        .redirect(redirects)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .referer(false)
        .no_proxy()
        .build()
}

/// Announces once.
pub(super) async fn announce(
    client: &reqwest::Client,
    guard: Guard,
    request: &AnnounceRequest,
) -> Result<AnnounceReply, String> {
    let tracker = Url::parse(&request.url).map_err(|error| format!("not a tracker's address: {error}"))?;
    guard.check(&tracker).map_err(|refused| refused.to_string())?;
    let wire = announce::AnnounceRequest {
        info_hash: request.info_hash,
        peer_id: Some(request.peer_id),
        // BEP 3 wants a port; 9 (discard) is what clients give that cannot be dialled.
        port: request.port.unwrap_or(9),
        uploaded: request.uploaded,
        downloaded: request.downloaded,
        left: request.left,
        event: event_of(request.event),
        want: Some(request.want),
        key: *KEY,
        tracker_id: request.tracker_id.as_ref().map(|id| String::from_utf8_lossy(id).into_owned()),
    };
    let url = wire.to_url(&request.url);
    let response = client.get(url).send().await.map_err(|error| words(&error))?;
    let status = response.status();
    let body = bounded(response, MAX_REPLY).await?;
    let reply = match announce::AnnounceReply::decode(&body) {
        Ok(reply) => reply,
        Err(tracker::ReplyError::Malformed) if !status.is_success() => {
            return Err(format!("the tracker answered {status}"));
        }
        Err(error) => return Err(error.to_string()),
    };
    Ok(AnnounceReply {
        interval: Some(Duration::from_secs(reply.interval.into())).filter(|interval| !interval.is_zero()),
        min_interval: reply.min_interval.map(|secs| Duration::from_secs(secs.into())),
        peers: reply.peers,
        seeds: reply.complete,
        leeches: reply.incomplete,
        tracker_id: reply.tracker_id.map(String::into_bytes),
        warning: reply.warning,
    })
}

/// Reads a body, however the server frames it, up to a limit.
pub(crate) async fn bounded(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| words(&error))? {
        if body.len() + chunk.len() > limit {
            return Err(format!("the reply is longer than {limit} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What went wrong with a request, without the URL (it may carry a passkey) and down to the cause.
pub(crate) fn words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    if error.is_connect() { format!("cannot connect: {cause}") } else { cause.to_string() }
}

pub(super) const fn event_of(event: AnnounceEvent) -> Option<tracker::Event> {
    match event {
        AnnounceEvent::Started => Some(tracker::Event::Started),
        AnnounceEvent::Completed => Some(tracker::Event::Completed),
        AnnounceEvent::Stopped => Some(tracker::Event::Stopped),
        AnnounceEvent::Regular => None,
    }
}

/// Proves to a tracker that we are the same peer behind a new address; a secret of this process.
static KEY: LazyLock<Option<u32>> = LazyLock::new(|| getrandom::u32().ok());
