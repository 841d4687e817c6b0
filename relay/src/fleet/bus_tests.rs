//! Rules of the bus, with a server that says what a NATS server says and then does as the test wants.

use super::*;
use std::time::Instant;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Answers a client until it has subscribed to both subjects; returns the subscription's number for all.
async fn welcome(stream: &mut BufReader<TcpStream>) -> String {
    let info = r#"INFO {"server_id":"1","version":"2.9.0","proto":1,"headers":true,"max_payload":1048576}"#;
    stream.write_all(format!("{info}\r\n").as_bytes()).await.unwrap();
    let (mut all, mut own) = (None, false);
    while all.is_none() || !own {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let mut words = line.split_whitespace();
        match words.next() {
            Some("PING") => stream.write_all(b"PONG\r\n").await.unwrap(),
            Some("SUB") => {
                let (subject, sid) = (words.next().unwrap(), words.next().unwrap());
                if subject.ends_with(".all") { all = Some(sid.to_owned()) } else { own = true }
            }
            _ => {}
        }
    }
    all.unwrap()
}

async fn joined() -> (Bus, BufReader<TcpStream>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let server = async {
        let mut stream = BufReader::new(listener.accept().await.unwrap().0);
        let sid = welcome(&mut stream).await;
        (stream, sid)
    };
    let (mut bus, (stream, sid)) =
        tokio::join!(async { Bus::connect(&[url], &Key([1; 32]), ProcessId(7)).await.unwrap() }, server);
    assert!(matches!(bus.next().await, Some(Input::Connected)));
    (bus, stream, sid)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_nothing_costs_little_memory_and_little_time() {
    let (mut bus, _stream, _) = joined().await;
    let begun = Instant::now();
    let mut taken = 0;
    for _ in 0..2_000 {
        taken += usize::from(bus.send(None, vec![0; 200_000]).await);
    }
    // What the sockets hold and what the client holds.
    assert!(taken < 200, "{taken} messages of 200,000 bytes were held");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_what_comes_too_fast_so_much_is_held_and_the_rest_is_known_to_be_missing() {
    let (mut bus, mut stream, sid) = joined().await;
    let message = |length: usize| {
        let mut bytes = format!("MSG a {sid} {length}\r\n").into_bytes();
        bytes.extend(std::iter::repeat_n(b'x', length));
        bytes.extend(b"\r\n");
        bytes
    };
    let large = message(900_000);
    for _ in 0..200 {
        stream.write_all(&large).await.unwrap();
    }
    // The client has read them all when it answers.
    stream.write_all(b"PING\r\n").await.unwrap();
    let mut line = String::new();
    while !line.starts_with("PONG") {
        line.clear();
        stream.read_line(&mut line).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(bus.held.load(Ordering::Relaxed) <= INBOX);
    let mut got = 0;
    while bus.held.load(Ordering::Relaxed) > 0 {
        assert!(matches!(bus.next().await, Some(Input::Message(_))));
        got += 1;
    }
    assert_eq!(got, INBOX / 900_000);
    stream.write_all(&message(5)).await.unwrap();
    assert!(matches!(bus.next().await, Some(Input::Missed)));
    assert!(matches!(bus.next().await, Some(Input::Message(bytes)) if bytes.len() == 5));
}
