//! Opens and accepts connections, over TCP and uTP.
//!
//! Whom to dial is the engine's choice and whom one may dial is policy; here is only the doing, and its time limit.

use super::link::Carrier;
use super::mse;
use super::session::Message;
use crate::utp::Utp;
use anatomic_core::address::unmapped;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Time for a TCP handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Wait after the system refused to accept (mostly: too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Time that TCP has before uTP is tried beside it: TCP is faster wherever it gets through, and there are peers that only
/// uTP reaches.
const HEAD_START: Duration = Duration::from_secs(1);

/// By which way a peer is dialled first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// TCP; uTP when it fails, or takes long.
    Tcp,
    /// uTP; TCP when it fails. For whom TCP was closed without a word.
    Utp,
}

/// Connects to a peer by the way that opens first, within the time limit.
pub(super) async fn connect(
    address: SocketAddr,
    listen: Option<SocketAddr>,
    utp: Option<Utp>,
    first: First,
) -> io::Result<Carrier> {
    let tcp = async { connect_tcp(address, listen).await.map(Carrier::Tcp) };
    let Some(utp) = utp.filter(|utp| utp.reaches(address)) else { return tcp.await };
    let utp = async { utp.connect(address).await.map(Carrier::Utp) };
    match first {
        First::Tcp => either(tcp, utp).await,
        First::Utp => either(utp, tcp).await,
    }
}

/// The first of two ways that opens; the second begins when the first has failed, or has had its head start.
async fn either(
    first: impl Future<Output = io::Result<Carrier>>,
    second: impl Future<Output = io::Result<Carrier>>,
) -> io::Result<Carrier> {
    tokio::pin!(first, second);
    let failure = match tokio::time::timeout(HEAD_START, &mut first).await {
        Ok(Ok(carrier)) => return Ok(carrier),
        Ok(Err(failure)) => failure,
        Err(_) => tokio::select! {
            result = &mut first => match result {
                Ok(carrier) => return Ok(carrier),
                Err(failure) => failure,
            },
            result = &mut second => return match result {
                Ok(carrier) => Ok(carrier),
                Err(_) => first.await,
            },
        },
    };
    // What TCP says tells people more than that uTP got no answer either.
    second.await.map_err(|_| failure)
}

/// Connects over TCP, within the time limit.
///
/// Where we listen on one address only (`listen`), connections leave from it too: on a machine with
/// several, peers and trackers then know us by one. From this machine alone nothing leads to other machines, so
/// a listener on loopback binds nobody who dials elsewhere.
async fn connect_tcp(address: SocketAddr, listen: Option<SocketAddr>) -> io::Result<TcpStream> {
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

/// Accepts TCP connections while there are `places`, until the session is over. Who gets no place waits in the kernel.
pub(super) async fn listen(listener: TcpListener, to: UnboundedSender<Message>, places: Arc<Semaphore>) {
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = to.closed() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                tokio::spawn(begin(Carrier::Tcp(stream), unmapped(address), to.clone(), place));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Accepts uTP connections, until the session is over. Who gets no place is closed.
pub(super) async fn listen_utp(utp: Utp, to: UnboundedSender<Message>, places: Arc<Semaphore>) {
    loop {
        let (connection, address) = tokio::select! {
            () = to.closed() => return,
            accepted = utp.accept() => accepted,
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        tokio::spawn(begin(Carrier::Utp(connection), address, to.clone(), place));
    }
}

/// Waits for the first bytes of who connected, and hands the connection over.
async fn begin(
    carrier: Carrier,
    address: SocketAddr,
    to: UnboundedSender<Message>,
    place: OwnedSemaphorePermit,
) {
    match mse::accepted(carrier, &to).await {
        // Without a session nobody wants the connection.
        Ok(begun) => {
            let _ = to.send(Message::Accepted { begun, address, place });
        }
        Err(error) => tracing::debug!(%error, "an accepted connection came to nothing"),
    }
}
