//! Requests to become the WebSocket of a browser at the tracker.
//!
//! Done here and not by the general server's own extractor, because the tracker wants the bare connection
//! ([`crate::tracker::stream`]).

use super::door;
use crate::tracker::stream::{Raw, Stream};
use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A request to become a WebSocket (RFC 6455, 4.2.1).
pub struct Upgrade {
    accept: HeaderValue,
    upgrade: OnUpgrade,
}

impl Upgrade {
    /// Takes the upgrade out of a request, if it asks for this one.
    #[must_use]
    pub fn of(parts: &mut axum::http::request::Parts) -> Option<Self> {
        let headers = &parts.headers;
        let has = |name: HeaderName, word: &[u8]| {
            headers.get_all(name).iter().any(|value| door::has(value.as_bytes(), word))
        };
        let right = parts.method == Method::GET
            && has(CONNECTION, b"upgrade")
            && has(UPGRADE, b"websocket")
            && has(SEC_WEBSOCKET_VERSION, b"13");
        let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| right)?;
        let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()?;
        Some(Self { accept, upgrade: parts.extensions.remove::<OnUpgrade>()? })
    }

    /// Says yes, and has `serve` the socket.
    pub fn serve<F>(self, serve: impl FnOnce(Stream<Raw>) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send,
    {
        let upgrade = self.upgrade;
        tokio::spawn(async move {
            // Who goes before he is answered is served no more.
            if let Ok(upgraded) = upgrade.await {
                serve(Stream::new(TokioIo::new(upgraded)).await).await;
            }
        });
        let websocket = HeaderValue::from_static("websocket");
        let upgrade = HeaderValue::from_static("upgrade");
        let headers = [(CONNECTION, upgrade), (UPGRADE, websocket), (SEC_WEBSOCKET_ACCEPT, self.accept)];
        (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
    }
}
