//! Free ports on loopback.
//!
//! Not a reservation: between the answer and its use another program could take the port, which on
//! a test machine has not been seen. Programs that can listen on port 0 and say which they got should.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU8, Ordering};

/// A loopback address that no other program of this test uses: 127.0.0.2, .3, …
///
/// Transmission takes one peer an address, whatever its port, and remembers for hours which addresses
/// were seeds; so whoever is to be a peer of its own needs an address of its own. 127.0.0.1 is the node's.
#[must_use]
pub fn address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(2);
    Ipv4Addr::new(127, 0, 0, NEXT.fetch_add(1, Ordering::Relaxed).max(2))
}

/// A port on 127.0.0.1 that was free for TCP and UDP a moment ago.
///
/// # Panics
/// When the machine has none left in a hundred tries.
#[must_use]
pub fn free() -> u16 {
    for _ in 0..100 {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free TCP port");
        let port = tcp.local_addr().expect("its address").port();
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free for both TCP and UDP on 127.0.0.1");
}
