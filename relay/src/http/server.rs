//! The listening socket: accepts connections and serves them until told to stop.
//!
//! Routes are in [`super`]. Who sends its request too slowly is cut off, and there is a ceiling on connections, so that idle
//! ones cannot use up the process.

use super::{App, door, router};
use crate::tracker::Addresses;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// Time for a request's head to come; also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest head of a request, in bytes: a scrape of 255 torrents fits.
const MAX_HEAD: usize = 64 * 1024;

/// Serves plain HTTP until `stop` is ready; requests that are being answered then get to their end.
///
/// # Errors
/// When the socket fails.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve_by(listener, None, app, stop).await
}

/// The same over TLS, if there is an acceptor of it.
///
/// # Errors
/// When the socket fails.
pub async fn serve_by(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: Arc<App>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = router(app.clone());
    let places = Arc::new(Semaphore::new(app.max_connections));
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        // Those that have ended leave nothing behind.
        while connections.try_join_next().is_some() {}
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_theirs(&error) => continue,
            Err(error) => {
                // Out of file descriptors: wait until some are free again.
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let (app, router, stopped, tls) = (app.clone(), router.clone(), stopped.clone(), tls.clone());
        connections.spawn(async move {
            welcome(stream, remote, tls, app, router, stopped).await;
            drop(place);
        });
    }
    drop(stopping);
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn welcome(
    stream: TcpStream,
    remote: std::net::SocketAddr,
    tls: Option<TlsAcceptor>,
    app: Arc<App>,
    router: axum::Router,
    stopped: watch::Receiver<()>,
) {
    // Offers and answers are small and in a hurry.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else { return };
    let addresses = Addresses { remote, local };
    let Some(tls) = tls else { return connection(stream, addresses, app, router, stopped).await };
    // Who asked for a challenge's answer has seen it in the handshake, and sends nothing.
    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        connection(stream, addresses, app, router, stopped).await;
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    addresses: Addresses,
    app: Arc<App>,
    router: axum::Router,
    mut stopped: watch::Receiver<()>,
) {
    let handed = tokio::select! {
        handed = door::serve(&app, stream, addresses, HEAD_TIMEOUT) => handed,
        _ = stopped.changed() => return,
    };
    drop(app);
    let Some(stream) = handed else { return };
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(addresses));
        request
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    tokio::pin!(serving);
    tokio::select! {
        _ = &mut serving => return,
        _ = stopped.changed() => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

/// Whether accepting failed because of the one connection that was to be accepted.
fn is_theirs(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
