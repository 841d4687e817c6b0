//! The WebRTC endpoint over real sockets on loopback: two endpoints, many connections, hostile bytes.
//!
//! Not about browsers; those are met in the crate `anatomic-tests`.

// Helpers of tests fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../tests/src/link.rs"]
#[allow(unreachable_pub, dead_code, clippy::indexing_slicing)]
mod link;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anatomic_relay::webrtc::{CloseReason, Connection, Endpoint, EndpointConfig, NegotiationError};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_port_serves_fifty_connections() {
    let server = endpoint();
    let mut work = Vec::new();
    for n in 0..50_u64 {
        let server = server.clone();
        work.push(tokio::spawn(async move {
            // Two single ports hold only one connection between them: each client has its own.
            let client = endpoint();
            let (ours, theirs) = match n % 2 {
                0 => connect(&client, &server).await,
                _ => {
                    let (a, b) = connect(&server, &client).await;
                    (b, a)
                }
            };
            let there = async { tokio::join!(send_all(&ours, n, 100_000), receive_all(&theirs, 100_000)) };
            let (sent, received) = timeout(Duration::from_secs(60), there).await.unwrap();
            assert_eq!(sent, received);
            (client, ours, theirs)
        }));
    }
    let mut alive = Vec::new();
    for task in work {
        alive.push(task.await.unwrap());
    }
    let counters = server.counters();
    assert_eq!((counters.open, counters.negotiating, counters.failed), (50, 0, 0), "{counters:?}");
    drop(alive);
    until("all are forgotten", || server.counters().open == 0).await;
}

/// Waits up to 10 s for something to become true.
/// Datagrams for 8 MiB from the answering end to one whose offer reads as `words` make it.
async fn datagrams_to(words: &str) -> u64 {
    const TOTAL: usize = 8 << 20;
    let (a, b) = (endpoint(), endpoint());
    let (offer, pending) = a.offer().await.unwrap();
    let (answer, answered) = b.answer(&offer.replace("a=tool:anatomic", words)).await.unwrap();
    let offered = pending.accept_answer(&answer).await.unwrap();
    let both = async { tokio::join!(offered.opened(), answered.opened()) };
    let (x, y) = timeout(Duration::from_secs(20), both).await.expect("the connection opens in time");
    let (x, y) = (x.unwrap(), y.unwrap());
    let before = b.counters().datagrams_sent;
    let (sent, received) = tokio::join!(send_all(&y, 5, TOTAL), receive_all(&x, TOTAL));
    assert_eq!(sent, received);
    b.counters().datagrams_sent - before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_to_libwebrtc_on_the_same_machine_are_longer() {
    let (chromium, unknown) = tokio::join!(datagrams_to("a=msid-semantic: WMS"), datagrams_to("a=x:y"));
    // 8 MiB in payloads of 1,160 and of 1,472 bytes.
    assert!(unknown > 7_200, "{unknown} datagrams: longer than every path and stack takes");
    assert!(chromium < 6_500, "{chromium} datagrams");
}

async fn until(what: &str, test: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !test() {
        assert!(Instant::now() < end, "waited 10 s until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lite_endpoint_answers_and_offers() {
    let mut config = EndpointConfig::new(loopback());
    config.ice_lite = true;
    let lite = Endpoint::bind(config.clone()).unwrap();
    let (one, two) = (endpoint(), endpoint());
    let (x, y) = connect(&one, &lite).await;
    assert_eq!(send_all(&x, 3, 10_000).await, receive_all(&y, 10_000).await);
    let (x, y) = connect(&lite, &two).await;
    assert_eq!(send_all(&x, 3, 10_000).await, receive_all(&y, 10_000).await);
    // Two lite endpoints would wait for each other: the answering one does the checks.
    let other = Endpoint::bind(config).unwrap();
    let (x, y) = connect(&lite, &other).await;
    assert_eq!(send_all(&x, 3, 10_000).await, receive_all(&y, 10_000).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_whose_addresses_are_hidden_is_found_by_its_checks() {
    let (a, b) = (endpoint(), endpoint());
    let (offer, pending) = a.offer().await.unwrap();
    let hidden = offer.replace(" 127.0.0.1 ", " 3b3a6e6c-0000-4000-8000-000000000000.local ");
    assert_ne!(hidden, offer);
    let (answer, answered) = b.answer(&hidden).await.unwrap();
    let offered = pending.accept_answer(&answer).await.unwrap();
    let both = async { tokio::join!(offered.opened(), answered.opened()) };
    let (a, b) = timeout(Duration::from_secs(10), both).await.unwrap();
    assert!(a.is_ok() && b.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_stalls_the_sender_without_growth() {
    let (a, b) = (endpoint(), endpoint());
    let (x, y) = connect(&a, &b).await;
    let block = Bytes::from(vec![7_u8; 64 << 10]);
    let mut sent = 0;
    // Nobody reads: the sender must run out of room for good.
    let filling = async {
        loop {
            x.writable().await;
            let part = block.slice(..x.room().min(block.len()));
            sent += part.len();
            x.try_send(part).unwrap();
        }
    };
    assert!(timeout(Duration::from_secs(3), filling).await.is_err());
    assert!(sent < 16 << 20, "{sent} bytes were taken that nobody reads");
    // What may be on its way, and what waits so that the next messages are ready.
    assert!(x.outstanding() <= x.facts().window + 128 * 1024);
    // Reading opens the window again, and every byte is there.
    let expected = sent;
    let mut received = 0;
    let reading = async {
        while received < expected {
            let bytes = y.recv().await.unwrap();
            assert!(bytes.iter().all(|byte| *byte == 7));
            received += bytes.len();
        }
    };
    timeout(Duration::from_secs(60), reading).await.expect("the transfer goes on");
    assert_eq!(received, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cap_is_never_exceeded() {
    let mut config = EndpointConfig::new(loopback());
    config.limits.native_window = 64 << 10;
    let (a, b) = (Endpoint::bind(config).unwrap(), endpoint());
    let (x, y) = connect(&a, &b).await;
    let _ = timeout(Duration::from_secs(60), async {
        tokio::join!(send_all(&x, 1, 16 << 20), receive_all(&y, 16 << 20))
    })
    .await
    .unwrap();
    let facts = x.facts();
    assert!(facts.most_outstanding <= 64 << 10, "{facts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_one_end_closes_the_other() {
    let (a, b) = (endpoint(), endpoint());
    let (x, y) = connect(&a, &b).await;
    x.try_send(Bytes::from_static(b"last words")).unwrap();
    x.flushed().await;
    x.close();
    assert_eq!(y.recv().await.as_deref(), Some(&b"last words"[..]));
    assert_eq!(timeout(Duration::from_secs(5), y.recv()).await.unwrap(), None);
    assert!(matches!(y.close_reason(), Some(CloseReason::Remote(_))), "{:?}", y.close_reason());
    until("it is closed here too", || x.close_reason() == Some(CloseReason::Local)).await;
    assert!(x.try_send(Bytes::from_static(b"x")).is_err());
    a.close().await;
    assert!(a.offer().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_nobody_answers_is_given_up() {
    let mut config = EndpointConfig::new(loopback());
    config.limits.connect_timeout = Duration::from_millis(300);
    config.limits.negotiations = 2;
    let (a, b) = (endpoint(), Endpoint::bind(config).unwrap());
    let (offer, _pending) = a.offer().await.unwrap();
    let (_, one) = b.answer(&offer).await.unwrap();
    let (_, two) = b.answer(&offer).await.unwrap();
    let refused = b.answer(&offer).await;
    assert!(matches!(refused, Err(NegotiationError::Full(_))), "{refused:?}");
    assert!(matches!(one.opened().await, Err(CloseReason::TimedOut(_))));
    drop(two);
    until("both are forgotten", || b.counters().negotiating == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_gets_only_its_share() {
    let mut config = EndpointConfig::new(loopback());
    config.limits.connections_per_address = 1;
    let server = Endpoint::bind(config).unwrap();
    let (one, two) = (endpoint(), endpoint());
    let _first = connect(&one, &server).await;
    let (offer, pending) = two.offer().await.unwrap();
    let (answer, answered) = server.answer(&offer).await.unwrap();
    let _offered = pending.accept_answer(&answer).await.unwrap();
    let second = timeout(Duration::from_secs(10), answered.opened()).await.unwrap();
    match second {
        Err(CloseReason::Limit(_)) => {}
        Ok(connection) => until("it is refused", || connection.close_reason().is_some()).await,
        Err(other) => panic!("{other}"),
    }
    assert_eq!(server.counters().open, 1);
}

/// A question to the STUN service.
fn stun_question(transaction: [u8; 12]) -> Vec<u8> {
    [&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], &transaction].concat()
}

#[tokio::test]
async fn the_port_answers_stun_but_not_without_end() {
    let server = endpoint();
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let own = socket.local_addr().unwrap();
    let mut buffer = [0; 1500];
    socket.send_to(&stun_question([9; 12]), server.local_addr()).await.unwrap();
    let (len, _) = timeout(Duration::from_secs(5), socket.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert!(len <= 44);
    assert_eq!(&buffer[..2], &[1, 1]);
    assert_eq!(u16::from_be_bytes([buffer[26], buffer[27]]) ^ 0x2112, own.port());
    for _ in 0..200 {
        socket.send_to(&stun_question([8; 12]), server.local_addr()).await.unwrap();
    }
    until("the limit is felt", || server.counters().stun_limited > 100).await;
    assert!(server.counters().stun_answered < 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_datagrams_disturb_nobody() {
    const SEED: u64 = 20_261_122;
    println!("seed {SEED}");
    let (a, b) = (endpoint(), endpoint());
    let (x, y) = connect(&a, &b).await;
    let (offer, _pending) = a.offer().await.unwrap();
    let ufrag = offer.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap().to_owned();
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut rng = fastrand::Rng::with_seed(SEED);
    for n in 0..5000_u32 {
        let len = rng.usize(..200);
        let mut bytes = vec![0; len];
        rng.fill(&mut bytes);
        match n % 4 {
            0 => {}
            // Nearly STUN.
            1 => {
                bytes = [stun_question(rng.u128(..).to_be_bytes()[..12].try_into().unwrap()), bytes].concat()
            }
            // A check for a real connection with nonsense behind it: from then on the source is known.
            2 => {
                let name = format!("{ufrag}:xxxx");
                let mut body = vec![0, 6, 0, name.len() as u8];
                body.extend(name.as_bytes());
                body.resize(body.len().next_multiple_of(4), 0);
                body.extend(bytes.iter().take(len / 4 * 4));
                let length = body.len() as u16;
                bytes =
                    [&[0, 1][..], &length.to_be_bytes(), &[0x21, 0x12, 0xA4, 0x42], &[n as u8; 12], &body]
                        .concat();
            }
            // Nearly DTLS.
            _ => bytes = [&[20 + rng.u8(..6), 254, 253][..], &bytes].concat(),
        }
        socket.send_to(&bytes, a.local_addr()).await.unwrap();
        if n % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let both = async { tokio::join!(send_all(&x, 5, 1 << 20), receive_all(&y, 1 << 20)) };
    let (sent, received) = timeout(Duration::from_secs(20), both).await.unwrap();
    assert_eq!(sent, received);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_session_descriptions_get_a_reason_and_nothing_else() {
    const SEED: u64 = 22_112_026;
    println!("seed {SEED}");
    let (a, b) = (endpoint(), endpoint());
    let (offer, _pending) = a.offer().await.unwrap();
    let mut rng = fastrand::Rng::with_seed(SEED);
    let mut refused = 0;
    for _ in 0..400 {
        let mut bytes = offer.clone().into_bytes();
        for _ in 0..rng.usize(1..12) {
            let at = rng.usize(..bytes.len());
            match rng.u8(..4) {
                0 => bytes[at] = rng.u8(..),
                1 => drop(bytes.drain(at..(at + rng.usize(..40)).min(bytes.len()))),
                2 => bytes.insert(at, b"\r\n:a=0 9"[rng.usize(..8)]),
                _ => {
                    let part = bytes[at..(at + rng.usize(..60)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
        match b.answer(&String::from_utf8_lossy(&bytes)).await {
            Ok((_, pending)) => drop(pending),
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
        }
    }
    assert!(refused > 20, "{refused}");
    let (x, y) = connect(&a, &b).await;
    assert_eq!(send_all(&x, 6, 5000).await, receive_all(&y, 5000).await);
}

/// Connects two endpoints through a link: each is told that the other sits at the link's socket.
async fn connect_far(link: &link::Link, a: &Endpoint, b: &Endpoint) -> (Connection, Connection) {
    link.towards(b.local_addr());
    let port = |address: SocketAddr| format!(" 127.0.0.1 {} typ", address.port());
    let (offer, pending) = a.offer().await.unwrap();
    let offer = offer.replace(&port(a.local_addr()), &port(link.right));
    let (answer, answered) = b.answer(&offer).await.unwrap();
    let answer = answer.replace(&port(b.local_addr()), &port(link.left));
    let offered = pending.accept_answer(&answer).await.unwrap();
    let both = async { tokio::join!(offered.opened(), answered.opened()) };
    let (x, y) = timeout(Duration::from_secs(20), both).await.unwrap();
    (x.unwrap(), y.unwrap())
}

/// Sends 24 MiB over a path of 40 ms with a browser's cap at both ends; MB/s and the sender's facts.
async fn far(rate: Option<f64>) -> (f64, anatomic_relay::webrtc::Facts, u64) {
    let link = link::Link::start(link::Shape { delay: Duration::from_millis(20), rate, queue: 256 << 10 });
    let mut config = EndpointConfig::new(loopback());
    config.limits.native_window = config.limits.browser_window;
    let (a, b) = (Endpoint::bind(config.clone()).unwrap(), Endpoint::bind(config).unwrap());
    let (x, y) = connect_far(&link, &a, &b).await;
    const TOTAL: usize = 24 << 20;
    let start = Instant::now();
    let both = async { tokio::join!(send_all(&x, 9, TOTAL), receive_all(&y, TOTAL)) };
    let (sent, received) = timeout(Duration::from_secs(100), both).await.expect("in time");
    assert_eq!(sent, received);
    (TOTAL as f64 / 1e6 / start.elapsed().as_secs_f64(), x.facts(), link.dropped())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_far_peer_gets_more_than_a_fixed_64_kib_would_allow() {
    let (rate, facts, _) = far(None).await;
    println!("40 ms, no bound: {rate:.1} MB/s {facts:?}");
    assert!(facts.smallest_rtt.unwrap() >= Duration::from_millis(38), "{facts:?}");
    assert!(facts.window > 64 << 10 && facts.most_outstanding > 64 << 10, "{facts:?}");
    // 64 KiB in 40 ms are 1.6 MB/s.
    assert!(rate > 3.2, "{rate:.1} MB/s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bottleneck_is_filled_and_not_flooded() {
    let (rate, facts, dropped) = far(Some(12.5e6)).await;
    println!("40 ms, 100 Mbit/s, 256 KiB queue: {rate:.1} MB/s, {dropped} drops, {facts:?}");
    assert!(rate > 3.2, "{rate:.1} MB/s");
    assert!(facts.window < 2 << 20, "{facts:?}");
}
