//! Opens and accepts TCP connections.
//!
//! Whom to dial is the engine's choice and whom one may dial is policy; here is only the doing, and its time limit.

use super::link::Carrier;
use super::mse;
use super::session::Message;
use anatomic_core::address::unmapped;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;

/// Time for a TCP handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Wait after the system refused to accept (mostly: too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Connects to a peer, within the time limit.
///
/// Where we listen on one address only (`listen`), connections leave from it too: on a machine with
/// several, peers and trackers then know us by one. From this machine alone nothing leads to other machines, so
/// a listener on loopback binds nobody who dials elsewhere.
pub(super) async fn connect(address: SocketAddr, listen: Option<SocketAddr>) -> io::Result<TcpStream> {
    let from = listen
        .map(|listen| listen.ip())
        .filter(|ip| !ip.is_unspecified() && ip.is_ipv4() == address.is_ipv4())
        .filter(|ip| ip.is_loopback() == address.ip().is_loopback());
    let connect = async {
        let Some(ip) = from else { return TcpStream::connect(address).await };
        let socket = if ip.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.bind(SocketAddr::new(ip, 0))?;
        socket.connect(address).await
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Accepts connections while there are `places`, until the session is over. Who gets no place waits in the kernel.
pub(super) async fn listen(listener: TcpListener, to: UnboundedSender<Message>, places: Arc<Semaphore>) {
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = to.closed() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let to = to.clone();
                tokio::spawn(async move {
                    match mse::accepted(Carrier::Tcp(stream), &to).await {
                        // Without a session nobody wants the connection.
                        Ok(begun) => {
                            let _ = to.send(Message::Accepted { begun, address: unmapped(address), place });
                        }
                        Err(error) => tracing::debug!(%error, "an accepted connection came to nothing"),
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
