//! Free ports on loopback.
//!
//! Not a reservation: between the answer and its use another program could take the port, which on
//! a test machine has not been seen. Programs that can listen on port 0 and say which they got should.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

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
