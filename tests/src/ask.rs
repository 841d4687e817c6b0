//! What a client or a host asks a node over plain HTTP: announces, scrapes, health and figures.
//!
//! One request a connection, no client that could help: what a test sees is what was answered.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::anatomic::Anatomic;

/// The status and body of a plain `GET`; `None` if the node does not answer.
pub async fn get(node: &Anatomic, path: &str) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(node.host()).await.ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let body = answer.split_off(body);
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()?;
    Some((status, body))
}

/// A figure of a node's `/metrics`; `None` if it does not answer, or has no such figure.
pub async fn metric(node: &Anatomic, name: &str) -> Option<u64> {
    let text = String::from_utf8(get(node, "/metrics").await?.1).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("anatomic_{name} ")))?;
    line.trim().parse().ok()
}

/// An info-hash in hexadecimal as a URL has it.
fn escaped(info_hash: &str) -> String {
    let pairs = info_hash.as_bytes().chunks(2);
    pairs.map(|pair| format!("%{}", String::from_utf8_lossy(pair))).collect()
}

/// Announces a classic peer at a node; returns the reply.
///
/// # Panics
/// When there is none.
pub async fn announce(node: &Anatomic, info_hash: &str, port: u16, left: u64) -> Vec<u8> {
    let hash = escaped(info_hash);
    let path = format!(
        "/announce?info_hash={hash}&peer_id=-XX0000-000000000000&port={port}&uploaded=0&downloaded=0&left={left}&compact=1"
    );
    get(node, &path).await.expect("an answer").1
}

/// Whether a reply names the peer of this machine at that port.
#[must_use]
pub fn names(reply: &[u8], port: u16) -> bool {
    let [high, low] = port.to_be_bytes();
    reply.windows(6).any(|window| window == [127, 0, 0, 1, high, low])
}

/// Seeds and leeches that a scrape says there are; `None` if it says nothing.
pub async fn scrape(node: &Anatomic, info_hash: &str) -> Option<(u64, u64)> {
    let path = format!("/scrape?info_hash={}", escaped(info_hash));
    let text = String::from_utf8_lossy(&get(node, &path).await?.1).into_owned();
    let number = |key: &str| text.split(key).nth(1)?.split('e').next()?.parse().ok();
    Some((number("8:completei")?, number("10:incompletei")?))
}
