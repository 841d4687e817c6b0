//! The tracker's UDP door (BEP 15): announce and scrape of classic clients, on the same swarms as the other doors.
//!
//! Speaks and counts; packets are `anatomic-wire`'s. Nobody is answered at an address where he does not receive
//! ([`super::cookie`]), a wrong connection id gets silence, and a refusal is shorter than what it refuses, so that nobody can
//! aim us at a third party. URL data of clients (BEP 41) say nothing here: the info-hash says it all.

use super::Tracker;
use super::cookie::Cookies;
use super::http::{Families, Origin};
use super::swarms::Drawn;
use anatomic_wire::tracker::udp::{UdpReply, UdpRequest};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::Interest;

/// Packets taken from the kernel at once.
const BATCH: usize = 32;
/// Bytes of one packet: an announce with options, a scrape of 74. GRO may join several of a client.
const PACKET: usize = 4_096;
/// Asked of the kernel for packets that wait; it may give less.
const BUFFER: usize = 8 << 20;

/// What became of packets.
#[derive(Debug, Default)]
pub struct Counters {
    /// Received.
    pub received: AtomicU64,
    /// Connection ids that were given.
    pub connects: AtomicU64,
    /// Announces that were answered with peers.
    pub announces: AtomicU64,
    /// Scrapes that were answered.
    pub scrapes: AtomicU64,
    /// Answered with a reason.
    pub refused: AtomicU64,
    /// Not answered: no packet of the protocol, or no good connection id.
    pub dropped: AtomicU64,
}

/// A bound door.
pub struct UdpDoor {
    tracker: Arc<Tracker>,
    socket: tokio::net::UdpSocket,
    state: UdpSocketState,
    bound: SocketAddr,
    cookies: Cookies,
}

impl UdpDoor {
    /// Binds `listen`; for `[::]` both families.
    ///
    /// # Errors
    /// When the address cannot be bound or the system gives no randomness.
    pub fn bind(listen: SocketAddr, tracker: Arc<Tracker>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
        if listen.is_ipv6() {
            socket.set_only_v6(!listen.ip().is_unspecified())?;
        }
        // Smaller buffers than asked for are no error.
        let _ = socket.set_recv_buffer_size(BUFFER);
        let _ = socket.set_send_buffer_size(BUFFER);
        socket.set_nonblocking(true)?;
        socket.bind(&listen.into())?;
        let socket = tokio::net::UdpSocket::from_std(socket.into())?;
        let state = UdpSocketState::new((&socket).into())?;
        let bound = socket.local_addr()?;
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        Ok(Self { tracker, socket, state, bound, cookies: Cookies::new(key, Instant::now()) })
    }

    /// Makes the same connection ids as every process of the fleet whose secret this is; `unix` is the time since 1970.
    #[must_use]
    pub fn of_fleet(self, secret: [u8; 16], unix: Duration) -> Self {
        Self { cookies: Cookies::shared(secret, Instant::now(), unix), ..self }
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.bound
    }

    /// Serves until the task ends.
    pub async fn serve(self) {
        let mut buffers: Vec<Vec<u8>> = (0..BATCH).map(|_| vec![0; PACKET]).collect();
        let mut metas = [RecvMeta::default(); BATCH];
        let (mut drawn, mut reply) = (Drawn::default(), Vec::with_capacity(PACKET));
        loop {
            // Fails only with the runtime.
            if self.socket.readable().await.is_err() {
                return;
            }
            let mut slices: Vec<IoSliceMut<'_>> = buffers.iter_mut().map(|b| IoSliceMut::new(b)).collect();
            let received = self.socket.try_io(Interest::READABLE, || {
                self.state.recv((&self.socket).into(), &mut slices, &mut metas)
            });
            let count = match received {
                Ok(count) => count,
                // A client's closed port, told by ICMP, is not this socket's problem.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => {
                    tracing::debug!(%error, "the UDP tracker could not receive");
                    continue;
                }
            };
            let now = Instant::now();
            for (meta, buffer) in metas.iter().zip(&buffers).take(count) {
                for packet in buffer.get(..meta.len).unwrap_or_default().chunks(meta.stride.max(1)) {
                    reply.clear();
                    self.answer(now, packet, meta, &mut drawn, &mut reply);
                    self.send(meta, &reply);
                }
            }
        }
    }

    /// Puts the answer to a packet into `reply`; nothing, if none is due.
    fn answer(&self, now: Instant, packet: &[u8], meta: &RecvMeta, drawn: &mut Drawn, reply: &mut Vec<u8>) {
        let counters = &self.tracker.udp;
        let count = |counter: &AtomicU64| {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        count(&counters.received);
        let client = meta.addr.ip().to_canonical();
        let proved = |connection| self.cookies.holds(connection, client, now);
        match UdpRequest::decode(packet) {
            Some(UdpRequest::Connect { transaction }) => {
                count(&counters.connects);
                let connection = self.cookies.make(client, now);
                UdpReply::Connected { transaction, connection }.write(client, reply);
            }
            Some(UdpRequest::Announce { connection, transaction, request, .. }) if proved(connection) => {
                let local = meta.dst_ip.map_or(self.bound.ip(), |ip| ip.to_canonical());
                let origin = Origin { client, local: SocketAddr::new(local, self.bound.port()) };
                let referred = self.tracker.referred(&request, client).map_or(Ok(()), Err);
                let announced =
                    referred.and_then(|()| self.tracker.announce(&request, origin, Families::Own, drawn));
                match announced {
                    Ok(announced) => {
                        count(&counters.announces);
                        let head = UdpReply::Announced {
                            transaction,
                            interval: announced.interval,
                            incomplete: announced.counts.incomplete,
                            complete: announced.counts.complete,
                            peers: Vec::new(),
                        };
                        head.write(client, reply);
                        reply.extend_from_slice(if client.is_ipv4() { &drawn.v4 } else { &drawn.v6 });
                    }
                    Err(reason) => {
                        count(&counters.refused);
                        refuse(transaction, &reason, client, packet.len(), reply);
                    }
                }
            }
            Some(UdpRequest::Scrape { connection, transaction, hashes }) if proved(connection) => {
                count(&counters.scrapes);
                let scraped = self.tracker.scrape(&hashes);
                // In the order of the request; a swarm that is not here has nobody.
                let counts =
                    hashes.iter().map(|hash| scraped.files.get(hash).copied().unwrap_or_default()).collect();
                UdpReply::Scraped { transaction, counts }.write(client, reply);
            }
            _ => count(&counters.dropped),
        }
    }

    fn send(&self, meta: &RecvMeta, reply: &[u8]) {
        if reply.is_empty() {
            return;
        }
        let transmit = Transmit {
            destination: meta.addr,
            ecn: None,
            contents: reply,
            segment_size: None,
            // On a host with several addresses: from the one that was asked.
            src_ip: meta.dst_ip.filter(|_| self.bound.ip().is_unspecified()),
        };
        // What the kernel has no room for is lost, as any packet may be; the client asks again.
        if self.state.try_send((&self.socket).into(), &transmit).is_ok() {
            self.tracker.sent.add(reply.len());
        }
    }
}

/// A refusal, cut so that it is shorter than the request.
fn refuse(transaction: u32, reason: &str, client: IpAddr, request: usize, reply: &mut Vec<u8>) {
    let mut room = request.saturating_sub(8 + 1).min(reason.len());
    while !reason.is_char_boundary(room) {
        room -= 1;
    }
    let reason = reason.get(..room).unwrap_or_default().to_owned();
    UdpReply::Refused { transaction, reason }.write(client, reply);
}

#[cfg(test)]
#[path = "udp_tests.rs"]
mod tests;
