//! A UDP socket with large buffers and many datagrams a call: what WebRTC and uTP send through.
//!
//! Not aware of connections. Segmentation and coalescing in the kernel (UDP GSO and GRO) come from `quinn-udp`; they
//! halve the CPU cost of a gigabyte.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;

/// Bytes of one receive buffer: the largest datagram train the kernel hands over at once.
const RECEIVE_BUFFER: usize = 65_536;
/// Receive buffers filled by one call.
const RECEIVE_BATCH: usize = 8;
/// Bytes of one send: what fits a UDP length field after headers.
const SEND_TRAIN: usize = 63_000;

/// A bound socket.
#[derive(Debug)]
pub(crate) struct UdpPort {
    socket: tokio::net::UdpSocket,
    state: UdpSocketState,
    bound: SocketAddr,
}

/// What one call to the kernel received.
pub(crate) struct Received {
    buffers: Vec<Vec<u8>>,
    metas: [RecvMeta; RECEIVE_BATCH],
    count: usize,
}

impl Received {
    /// Empty buffers.
    pub(crate) fn new() -> Self {
        let buffers = (0..RECEIVE_BATCH).map(|_| vec![0; RECEIVE_BUFFER]).collect();
        Self { buffers, metas: [RecvMeta::default(); RECEIVE_BATCH], count: 0 }
    }

    /// Each datagram with its source and the address of ours that it was sent to.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, Option<IpAddr>, &[u8])> {
        self.metas.iter().zip(&self.buffers).take(self.count).flat_map(|(meta, buffer)| {
            let source = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
            let to = meta.dst_ip.map(|ip| ip.to_canonical());
            let train = buffer.get(..meta.len).unwrap_or_default();
            train.chunks(meta.stride.max(1)).map(move |datagram| (source, to, datagram))
        })
    }
}

impl UdpPort {
    /// Takes over a socket from [`open`]; must be called inside a runtime.
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let bound = socket.local_addr()?;
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Self { socket, state, bound })
    }

    /// Where it is bound.
    pub(crate) const fn bound(&self) -> SocketAddr {
        self.bound
    }

    /// Waits until something can be received.
    pub(crate) async fn readable(&self) {
        let _ = self.socket.readable().await;
    }

    /// Waits until something can be sent.
    pub(crate) async fn writable(&self) {
        let _ = self.socket.writable().await;
    }

    /// Receives what is there in one call; `Ok(false)` when nothing was there.
    pub(crate) fn receive(&self, into: &mut Received) -> io::Result<bool> {
        into.count = 0;
        let (socket, state) = (&self.socket, &self.state);
        let metas = &mut into.metas;
        let mut slices: Vec<IoSliceMut<'_>> = into.buffers.iter_mut().map(|b| IoSliceMut::new(b)).collect();
        match socket.try_io(Interest::READABLE, || state.recv(socket.into(), &mut slices, metas)) {
            Ok(count) => {
                into.count = count;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            // A peer's closed port, reported by ICMP on the next call: not this socket's problem.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Sends one train. `WouldBlock` means nothing was sent.
    pub(crate) fn send(&self, train: &Train) -> io::Result<()> {
        let v6 = self.bound.is_ipv6();
        let transmit = Transmit {
            destination: family(train.to, v6),
            ecn: None,
            contents: &train.bytes,
            segment_size: (train.count > 1).then_some(train.segment),
            src_ip: train.from.map(|ip| family(SocketAddr::new(ip, 0), v6).ip()),
        };
        let (socket, state) = (&self.socket, &self.state);
        socket.try_io(Interest::WRITABLE, || state.try_send(socket.into(), &transmit))
    }

    /// Datagrams that one train may hold.
    pub(crate) fn longest_train(&self) -> usize {
        self.state.max_gso_segments().max(1)
    }
}

fn family(address: SocketAddr, v6: bool) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if v6 => SocketAddr::new(IpAddr::V6(ip.to_ipv6_mapped()), address.port()),
        _ => address,
    }
}

/// Datagrams of equal size (the last may be shorter) to one destination.
#[derive(Debug)]
pub(crate) struct Train {
    pub(crate) to: SocketAddr,
    /// Our address that the remote knows, on hosts with several.
    pub(crate) from: Option<IpAddr>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) segment: usize,
    pub(crate) count: usize,
    closed: bool,
}

impl Train {
    /// Starts a train with its first datagram.
    pub(crate) fn new(to: SocketAddr, from: Option<IpAddr>, datagram: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(datagram.len().max(1200) * 16);
        bytes.extend_from_slice(datagram);
        Self { to, from, bytes, segment: datagram.len(), count: 1, closed: false }
    }

    /// Appends a datagram if it fits the train.
    pub(crate) fn push(&mut self, to: SocketAddr, datagram: &[u8], longest: usize) -> bool {
        let fits = !self.closed
            && self.to == to
            && self.count < longest
            && datagram.len() <= self.segment
            && self.bytes.len() + datagram.len() <= SEND_TRAIN;
        if fits {
            self.closed = datagram.len() < self.segment;
            self.bytes.extend_from_slice(datagram);
            self.count += 1;
        }
        fits
    }
}

/// Binds the socket. Fails like any bind; smaller buffers than asked for are not an error.
pub(crate) fn open(listen: SocketAddr, buffer: usize) -> io::Result<std::net::UdpSocket> {
    let domain = if listen.is_ipv6() { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if listen.is_ipv6() {
        socket.set_only_v6(!listen.ip().is_unspecified())?;
    }
    let _ = socket.set_recv_buffer_size(buffer);
    let _ = socket.set_send_buffer_size(buffer);
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_ends_with_its_first_shorter_datagram() {
        let to: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let mut train = Train::new(to, None, &[0; 100]);
        assert!(train.push(to, &[0; 100], 64));
        assert!(!train.push(to, &[0; 101], 64));
        assert!(train.push(to, &[0; 50], 64));
        assert!(!train.push(to, &[0; 50], 64));
        assert!(!train.push("127.0.0.1:2".parse().unwrap(), &[0; 10], 64));
        assert_eq!((train.count, train.bytes.len()), (3, 250));
    }
}
