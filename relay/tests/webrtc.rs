//! The WebRTC endpoint over real sockets on loopback: two endpoints, many connections, hostile bytes.
//!
//! Not about browsers; those are met in the crate `anatomic-tests`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anatomic_relay::webrtc::{Connection, Endpoint, EndpointConfig};
use bytes::Bytes;
use sha1::{Digest, Sha1};
use tokio::time::timeout;

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn endpoint() -> Endpoint {
    Endpoint::bind(EndpointConfig::new(loopback())).unwrap()
}

/// `offerer` offers, `answerer` answers; the two ends of the open connection in that order.
async fn connect(offerer: &Endpoint, answerer: &Endpoint) -> (Connection, Connection) {
    let (offer, pending) = offerer.offer().await.unwrap();
    let (answer, answered) = answerer.answer(&offer).await.unwrap();
    let offered = pending.accept_answer(&answer).await.unwrap();
    let both = async { tokio::join!(offered.opened(), answered.opened()) };
    let (a, b) = timeout(Duration::from_secs(20), both).await.expect("the connection opens in time");
    (a.unwrap(), b.unwrap())
}

/// Reproducible bytes.
fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}

/// Sends `total` bytes and returns their digest.
async fn send_all(connection: &Connection, seed: u64, total: usize) -> [u8; 20] {
    let block = Bytes::from(pattern(seed, 1 << 20));
    let mut hash = Sha1::new();
    let mut sent = 0;
    while sent < total {
        connection.writable().await;
        let offset = sent % block.len();
        let len = connection.room().min(block.len() - offset).min(total - sent);
        let part = block.slice(offset..offset + len);
        hash.update(&part);
        connection.try_send(part).unwrap();
        sent += len;
    }
    hash.finalize().into()
}

async fn receive_all(connection: &Connection, total: usize) -> [u8; 20] {
    let mut hash = Sha1::new();
    let mut received = 0;
    while received < total {
        let bytes = connection.recv().await.expect("the connection stays open");
        received += bytes.len();
        hash.update(&bytes);
    }
    assert_eq!(received, total);
    hash.finalize().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_endpoints_exchange_64_mib_in_order() {
    let (a, b) = (endpoint(), endpoint());
    let (x, y) = connect(&a, &b).await;
    const TOTAL: usize = 64 << 20;
    let start = Instant::now();
    let work = async { tokio::join!(send_all(&x, 1, TOTAL), receive_all(&y, TOTAL)) };
    let (sent, received) = timeout(Duration::from_secs(120), work).await.expect("64 MiB arrive in time");
    assert_eq!(sent, received);
    println!("{:.1} MB/s {:?}", TOTAL as f64 / 1e6 / start.elapsed().as_secs_f64(), x.facts());
    println!("{:?}", a.counters());
    let (back, there) = tokio::join!(send_all(&y, 2, 1 << 20), receive_all(&x, 1 << 20));
    assert_eq!(back, there);
}
