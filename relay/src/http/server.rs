//! The listening socket: accepts connections and serves them until told to stop.
//!
//! Routes are in [`super`].

use super::{App, router};
use crate::tracker::Addresses;
use std::future::Future;
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Serves until `stop` is ready; requests that are being answered then get to their end.
///
/// # Errors
/// When the socket fails.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(app).into_make_service_with_connect_info::<Addresses>())
        .with_graceful_shutdown(stop)
        .await
}
