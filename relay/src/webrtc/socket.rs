//! The one UDP socket of an endpoint: large buffers, many datagrams a call, and the addresses it can be reached at.
//!
//! Not aware of connections. Segmentation and coalescing in the kernel (UDP GSO and GRO) come from `quinn-udp`; they
//! halve the CPU cost of a gigabyte.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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
pub(super) struct UdpPort {
    socket: tokio::net::UdpSocket,
    state: UdpSocketState,
    bound: SocketAddr,
}

/// What one call to the kernel received.
pub(super) struct Received {
    buffers: Vec<Vec<u8>>,
    metas: [RecvMeta; RECEIVE_BATCH],
    count: usize,
}

impl Received {
    /// Empty buffers.
    pub(super) fn new() -> Self {
        let buffers = (0..RECEIVE_BATCH).map(|_| vec![0; RECEIVE_BUFFER]).collect();
        Self { buffers, metas: [RecvMeta::default(); RECEIVE_BATCH], count: 0 }
    }

    /// Each datagram with its source and the address of ours that it was sent to.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, Option<IpAddr>, &[u8])> {
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
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let bound = socket.local_addr()?;
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Self { socket, state, bound })
    }

    pub(super) async fn readable(&self) {
        let _ = self.socket.readable().await;
    }

    pub(super) async fn writable(&self) {
        let _ = self.socket.writable().await;
    }

    /// Receives what is there in one call; `Ok(false)` when nothing was there.
    pub(super) fn receive(&self, into: &mut Received) -> io::Result<bool> {
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
    pub(super) fn send(&self, train: &Train) -> io::Result<()> {
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
    pub(super) fn longest_train(&self) -> usize {
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
pub(super) struct Train {
    pub(super) to: SocketAddr,
    /// Our address that the remote knows, on hosts with several.
    pub(super) from: Option<IpAddr>,
    pub(super) bytes: Vec<u8>,
    pub(super) segment: usize,
    pub(super) count: usize,
    closed: bool,
}

impl Train {
    /// Starts a train with its first datagram.
    pub(super) fn new(to: SocketAddr, from: Option<IpAddr>, datagram: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(datagram.len().max(1200) * 16);
        bytes.extend_from_slice(datagram);
        Self { to, from, bytes, segment: datagram.len(), count: 1, closed: false }
    }

    /// Appends a datagram if it fits the train.
    pub(super) fn push(&mut self, to: SocketAddr, datagram: &[u8], longest: usize) -> bool {
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
pub(super) fn open(listen: SocketAddr, buffer: usize) -> io::Result<std::net::UdpSocket> {
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

/// Host candidates of a socket bound at `bound`: the announced addresses first, then its own (for `0.0.0.0` and `[::]`
/// those of all interfaces; loopback only if there is nothing else).
pub(super) fn candidates(bound: SocketAddr, announced: &[IpAddr]) -> Vec<SocketAddr> {
    let mut ips: Vec<IpAddr> = announced.to_vec();
    if bound.ip().is_unspecified() {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        let mut own: Vec<IpAddr> = interfaces
            .iter()
            .filter(|interface| !interface.is_loopback() && !interface.is_link_local())
            .map(if_addrs::Interface::ip)
            .filter(|ip| bound.is_ipv6() || ip.is_ipv4())
            .collect();
        own.sort_by_key(IpAddr::is_ipv6);
        ips.extend(own);
        if ips.is_empty() {
            ips.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
    } else {
        ips.push(bound.ip().to_canonical());
    }
    let mut out: Vec<SocketAddr> = Vec::new();
    for ip in ips {
        let address = SocketAddr::new(ip, bound.port());
        if !out.contains(&address) {
            out.push(address);
        }
    }
    out.truncate(16);
    out
}

/// Whether an address is of this machine: what goes there leaves it by no wire.
pub(super) fn is_own(ip: IpAddr) -> bool {
    let own = || if_addrs::get_if_addrs().unwrap_or_default();
    ip.is_loopback() || own().iter().any(|interface| interface.ip() == ip)
}

/// One address for each family that the socket speaks: the protocol core's name for our side.
pub(super) fn own_names(bound: SocketAddr) -> Vec<SocketAddr> {
    let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), bound.port());
    let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), bound.port());
    match bound.ip() {
        IpAddr::V4(_) => vec![v4],
        IpAddr::V6(ip) if ip.is_unspecified() => vec![v4, v6],
        IpAddr::V6(_) => vec![v6],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_socket_offers_loopback_only() {
        let bound: SocketAddr = "127.0.0.1:4000".parse().unwrap();
        assert_eq!(candidates(bound, &[]), vec![bound]);
    }

    #[test]
    fn loopback_and_the_interfaces_are_own_addresses() {
        assert!(is_own("127.0.0.5".parse().unwrap()) && is_own("::1".parse().unwrap()));
        assert!(if_addrs::get_if_addrs().unwrap().iter().all(|interface| is_own(interface.ip())));
        assert!(!is_own("203.0.113.9".parse().unwrap()));
    }

    #[test]
    fn announced_addresses_come_first() {
        let list = candidates("0.0.0.0:4000".parse().unwrap(), &["203.0.113.9".parse().unwrap()]);
        assert_eq!(list[0], "203.0.113.9:4000".parse::<SocketAddr>().unwrap());
        assert!(list.iter().all(|address| !address.ip().is_unspecified()));
    }

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
