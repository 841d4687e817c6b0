//! uTP on a UDP port: the machine of `anatomic-utp` with a socket, a clock and a task.
//!
//! Decides nothing about the protocol. The port is its own, or that of WebRTC: peers know one number for TCP and uTP, and a
//! host should have to open one number for everything, so both stand beside each other where the numbers are the same.

mod connection;
mod task;

pub(crate) use connection::Connection;

use crate::budget::Sent;
use crate::udp::{self, UdpPort};
use crate::webrtc;
use anatomic_core::Time;
use anatomic_utp::packet::Packet;
use anatomic_utp::{CloseReason, Config, Counters, Endpoint, Event, Key};
use connection::Wakes;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// Kernel buffer of a socket of our own, each way, in bytes (the system may grant less).
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// uTP on one port. Clones share it; it ends with the last of them, when its last bytes have left.
#[derive(Clone, Debug)]
pub(crate) struct Utp {
    shared: Arc<Shared>,
    _end: Arc<End>,
}

/// Reads the counters of a port.
#[derive(Clone, Debug)]
pub(crate) struct Gauge(Arc<Shared>);

impl Gauge {
    /// What it did so far.
    pub(crate) fn counters(&self) -> Counters {
        self.0.lock().endpoint.counters()
    }
}

/// Ends the task.
#[derive(Debug)]
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.ending.store(true, Ordering::Release);
        self.0.wake.notify_one();
    }
}

/// What the task, the handles and a neighbour on the port have together.
pub(crate) struct Shared {
    state: Mutex<State>,
    start: Instant,
    port: Arc<UdpPort>,
    /// Somebody else reads the port.
    beside: bool,
    /// There is something to send, or a deadline has changed.
    wake: Notify,
    /// Somebody has connected.
    arrived: Notify,
    ending: AtomicBool,
    sent: Sent,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("port", &self.port.bound())
            .field("beside", &self.beside)
            .finish_non_exhaustive()
    }
}

/// The machine, and whom to wake for it.
struct State {
    endpoint: Endpoint,
    wakes: HashMap<Key, Arc<Wakes>>,
    arrived: VecDeque<(Key, SocketAddr)>,
}

impl Utp {
    /// Starts on the number where TCP listens, beside WebRTC if that is its number too; without a listener, on any. Must be
    /// called inside a runtime.
    ///
    /// # Errors
    /// When the port is taken, or the system gives no randomness.
    pub(crate) fn start(
        listen: Option<SocketAddr>,
        webrtc: Option<&webrtc::Endpoint>,
        accepted: usize,
        sent: Sent,
    ) -> io::Result<Self> {
        let config = Config { max_accepted: accepted, ..Config::default() };
        let endpoint = Endpoint::new(config, getrandom::u64().map_err(io::Error::other)?);
        let state = State { endpoint, wakes: HashMap::new(), arrived: VecDeque::new() };
        let neighbour = webrtc.filter(|webrtc| listen == Some(webrtc.local_addr()));
        let port = match (neighbour, listen) {
            (Some(webrtc), _) => webrtc.port(),
            (None, Some(listen)) => own_port(listen)?,
            (None, None) => own_port((Ipv6Addr::UNSPECIFIED, 0).into())
                .or_else(|_| own_port((Ipv4Addr::UNSPECIFIED, 0).into()))?,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            start: Instant::now(),
            port,
            beside: neighbour.is_some(),
            wake: Notify::new(),
            arrived: Notify::new(),
            ending: AtomicBool::new(false),
            sent,
        });
        if let Some(webrtc) = neighbour {
            webrtc.set_beside(Arc::clone(&shared));
        }
        tokio::spawn(task::run(Arc::clone(&shared)));
        Ok(Self { _end: Arc::new(End(Arc::clone(&shared))), shared })
    }

    /// Whether an address can be dialled from this port.
    pub(crate) fn reaches(&self, address: SocketAddr) -> bool {
        let here = self.shared.port.bound().ip();
        let family =
            if here.is_ipv4() { address.is_ipv4() } else { here.is_unspecified() || address.is_ipv6() };
        family && (here.is_unspecified() || here.is_loopback() == address.ip().is_loopback())
    }

    /// Connects to a peer.
    ///
    /// # Errors
    /// When it does not answer in time or refuses, or there are too many connections.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<Connection> {
        let connection = {
            let mut state = self.shared.lock();
            let key = state.endpoint.connect(self.shared.now(), address);
            let key = key.ok_or_else(|| io::Error::other("too many connections over uTP"))?;
            state.connection(&self.shared, key)
        };
        self.shared.wake.notify_one();
        connection.opened().await.map_err(|reason| {
            let kind = match reason {
                CloseReason::NoAnswer => io::ErrorKind::TimedOut,
                _ => io::ErrorKind::ConnectionRefused,
            };
            io::Error::new(kind, reason)
        })?;
        Ok(connection)
    }

    /// Waits for somebody who connects.
    pub(crate) async fn accept(&self) -> (Connection, SocketAddr) {
        loop {
            let arrived = self.shared.arrived.notified();
            {
                let mut state = self.shared.lock();
                if let Some((key, address)) = state.arrived.pop_front() {
                    return (state.connection(&self.shared, key), address);
                }
            }
            arrived.await;
        }
    }

    /// A way to read its counters, which does not keep it running.
    pub(crate) fn gauge(&self) -> Gauge {
        Gauge(Arc::clone(&self.shared))
    }
}

/// A socket of our own.
fn own_port(listen: SocketAddr) -> io::Result<Arc<UdpPort>> {
    Ok(Arc::new(UdpPort::new(udp::open(listen, SOCKET_BUFFER)?)?))
}

impl State {
    /// The handle of a connection.
    fn connection(&mut self, shared: &Arc<Shared>, key: Key) -> Connection {
        let wakes = Arc::clone(self.wakes.entry(key).or_default());
        Connection::new(Arc::clone(shared), key, wakes)
    }

    /// Tells handles what happened.
    fn tell(&mut self, arrived: &Notify) {
        while let Some(event) = self.endpoint.poll_event() {
            let (Event::Connected(key)
            | Event::Accepted(key, _)
            | Event::Readable(key)
            | Event::Writable(key)) = event;
            if let Event::Accepted(key, address) = event {
                self.wakes.insert(key, Arc::default());
                self.arrived.push_back((key, address));
                arrived.notify_one();
            }
            let Some(wakes) = self.wakes.get(&key) else { continue };
            match event {
                Event::Connected(_) | Event::Accepted(..) => wakes.open(),
                Event::Readable(_) => wakes.readable.notify_one(),
                Event::Writable(_) => wakes.writable.notify_one(),
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moment, on the machine's clock.
    fn now(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }

    /// Takes datagrams that came to the port, as many as are uTP.
    pub(crate) fn receive<'a>(&self, datagrams: impl Iterator<Item = (SocketAddr, &'a [u8])>) {
        let now = self.now();
        let mut state = self.lock();
        for (from, datagram) in datagrams {
            state.endpoint.handle_datagram(now, from, datagram);
        }
        state.tell(&self.arrived);
        drop(state);
        self.wake.notify_one();
    }

    /// Whether a datagram that is no STUN is ours, on a port that we share.
    pub(crate) fn is_ours(&self, datagram: &[u8]) -> bool {
        Packet::is_likely(datagram) && !self.ending.load(Ordering::Acquire)
    }
}
