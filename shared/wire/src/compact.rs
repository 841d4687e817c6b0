//! Compact addresses: 6 bytes for IPv4 ([BEP 23]), 18 for IPv6 ([BEP 7]), port last, all big-endian.
//!
//! Says nothing about whether an address may be dialled: that is `anatomic_core::address`.
//!
//! [BEP 7]: https://www.bittorrent.org/beps/bep_0007.html
//! [BEP 23]: https://www.bittorrent.org/beps/bep_0023.html

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Reads up to `most` IPv4 addresses; a cut one at the end is ignored.
pub fn read_v4(bytes: &[u8], most: usize) -> impl Iterator<Item = SocketAddr> + '_ {
    bytes.chunks_exact(6).take(most).filter_map(|chunk| {
        let (ip, port) = chunk.split_first_chunk::<4>()?;
        Some(SocketAddr::new(Ipv4Addr::from(*ip).into(), u16::from_be_bytes(port.try_into().ok()?)))
    })
}

/// Reads up to `most` IPv6 addresses; a cut one at the end is ignored.
pub fn read_v6(bytes: &[u8], most: usize) -> impl Iterator<Item = SocketAddr> + '_ {
    bytes.chunks_exact(18).take(most).filter_map(|chunk| {
        let (ip, port) = chunk.split_first_chunk::<16>()?;
        Some(SocketAddr::new(Ipv6Addr::from(*ip).into(), u16::from_be_bytes(port.try_into().ok()?)))
    })
}

/// Appends `address` to the list of its family.
pub fn write(address: SocketAddr, v4: &mut Vec<u8>, v6: &mut Vec<u8>) {
    let into = match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            v4.extend_from_slice(&ip.octets());
            v4
        }
        IpAddr::V6(ip) => {
            v6.extend_from_slice(&ip.octets());
            v6
        }
    };
    into.extend_from_slice(&address.port().to_be_bytes());
}

/// Reads 4 or 16 bytes as an address without a port ("yourip", "external ip").
#[must_use]
pub fn read_ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    }
}

/// The 4 or 16 bytes of `ip`; an IPv4 address in IPv6 clothes is written as IPv4.
#[must_use]
pub fn write_ip(ip: IpAddr) -> Vec<u8> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_written_and_mapped_ones_become_v4() {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for address in ["1.2.3.4:5", "[::ffff:9.8.7.6]:54321", "[2001:db8::1]:6881"] {
            write(address.parse().unwrap(), &mut v4, &mut v6);
        }
        v4.push(1);
        let v4: Vec<_> = read_v4(&v4, 10).map(|address| address.to_string()).collect();
        let v6: Vec<_> = read_v6(&v6, 10).map(|address| address.to_string()).collect();
        assert_eq!(
            (v4, v6),
            (vec!["1.2.3.4:5".into(), "9.8.7.6:54321".into()], vec!["[2001:db8::1]:6881".into()])
        );
    }
}
