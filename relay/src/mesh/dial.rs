//! Opens a WebSocket to a sister.
//!
//! Her address comes from a receipt that she signed, so it is a stranger's: it is resolved, judged, and only then called.

use crate::budget::{Counted, Sent};
use anatomic_core::address::Policy;
use anatomic_mesh::sharing::message::MAX_MESSAGE;
use reqwest::Url;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

/// Time for name, connection, TLS and upgrade together.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that we opened.
pub(super) type Dialled = WebSocketStream<MaybeTlsStream<Counted<TcpStream>>>;

/// Connects to the node at `url` (scheme and host).
///
/// # Errors
/// Why not, for the log.
pub(super) async fn connect(url: &str, network: Policy, sent: Sent) -> Result<Dialled, String> {
    tokio::time::timeout(PATIENCE, open(url, network, sent))
        .await
        .map_err(|_| "it takes too long".to_owned())?
}

async fn open(url: &str, network: Policy, sent: Sent) -> Result<Dialled, String> {
    let socket = format!("{}{}", url.replacen("http", "ws", 1), super::PATH);
    let parsed = Url::parse(&socket).map_err(|error| error.to_string())?;
    let plain = matches!(parsed.scheme(), "ws" | "wss") && parsed.path() == super::PATH;
    let (Some(host), Some(port), true) = (parsed.host_str(), parsed.port_or_known_default(), plain) else {
        return Err("its address is not of the form https://host[:port]".into());
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((bare, port)).await.map_err(|error| error.to_string())?;
    let allowed: Vec<_> = found.filter(|address| network.check_ip(address.ip()).is_ok()).collect();
    if allowed.is_empty() {
        return Err("its address is not in the network that this node serves".into());
    }
    let stream = TcpStream::connect(&*allowed).await.map_err(|error| error.to_string())?;
    // Only tunes.
    let _ = stream.set_nodelay(true);
    let stream = Counted::new(stream, sent);
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(MAX_MESSAGE);
    config.max_frame_size = Some(MAX_MESSAGE);
    let connector = match parsed.scheme() {
        "wss" => Connector::Rustls(crate::tls::config().map_err(|error| error.to_string())?),
        _ => Connector::Plain,
    };
    tokio_tungstenite::client_async_tls_with_config(socket, stream, Some(config), Some(connector))
        .await
        .map(|(stream, _)| stream)
        .map_err(|error| error.to_string())
}
