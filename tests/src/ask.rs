//! What a client or a host asks a node or supernode over plain HTTP: announces, scrapes, documents and figures.
//!
//! One request a connection, no client that could help: what a test sees is what was answered.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::Instant;

use crate::anatomic::Anatomic;

/// The status and body of a plain `GET`; `None` if it does not answer.
pub async fn get(host: &Anatomic, path: &str) -> Option<(u16, Vec<u8>)> {
    let asked = async {
        if host.place().is_apart() {
            return from_inside(host, path).await;
        }
        let mut stream = TcpStream::connect(host.host()).await.ok()?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        Some(answer)
    };
    let mut answer = tokio::time::timeout(Duration::from_secs(30), asked).await.ok()??;
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let body = answer.split_off(body);
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()?;
    Some((status, body))
}

/// The answer to a `GET` that is made where the host is: only from there it is reached.
async fn from_inside(host: &Anatomic, path: &str) -> Option<Vec<u8>> {
    let (ip, port) = host.host().split_once(':').map(|(ip, port)| (ip.to_owned(), port.to_owned()))?;
    let mut command = Command::new("bash");
    let script = r#"exec 3<>"/dev/tcp/$0/$1" && printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&3 && cat <&3"#;
    command.args(["-c", script, &ip, &port, path]);
    let output = host.place().enter(command).kill_on_drop(true).output().await.ok()?;
    output.status.success().then_some(output.stdout)
}

/// The JSON that a `GET` brings; `None` if there is none.
pub async fn json(host: &Anatomic, path: &str) -> Option<Value> {
    serde_json::from_slice(&get(host, path).await?.1).ok()
}

/// A figure of a process's `/metrics`, without its `anatomic_`; `None` if it does not answer or has none of that name.
pub async fn metric(host: &Anatomic, name: &str) -> Option<u64> {
    let text = String::from_utf8(get(host, "/metrics").await?.1).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("anatomic_{name} ")))?;
    line.trim().parse().ok()
}

/// `%xx` of each byte of a hash in hexadecimal.
#[must_use]
pub fn escaped(info_hash: &str) -> String {
    info_hash.as_bytes().chunks(2).map(|pair| format!("%{}", String::from_utf8_lossy(pair))).collect()
}

/// Announces a classic peer of the node's own address at it; returns the reply's bytes.
///
/// # Panics
/// When the node does not answer.
pub async fn announce(node: &Anatomic, info_hash: &str, port: u16, left: u64) -> Vec<u8> {
    let hash = escaped(info_hash);
    let path = format!(
        "/announce?info_hash={hash}&peer_id=-XX0000-000000000000&port={port}&uploaded=0&downloaded=0&left={left}&compact=1"
    );
    get(node, &path).await.expect("an answer").1
}

/// Whether a compact reply names 127.0.0.1 with that port.
#[must_use]
pub fn names(reply: &[u8], port: u16) -> bool {
    let [high, low] = port.to_be_bytes();
    reply.windows(6).any(|window| window == [127, 0, 0, 1, high, low])
}

/// How many seeds and leeches a node says a swarm has; `None` if it does not answer.
pub async fn scrape(node: &Anatomic, info_hash: &str) -> Option<(u64, u64)> {
    let (_, reply) = get(node, &format!("/scrape?info_hash={}", escaped(info_hash))).await?;
    let reply = String::from_utf8_lossy(&reply).into_owned();
    let figure = |name: &str| {
        let rest = reply.split_once(&format!("{}:{name}i", name.len()))?.1;
        rest.split('e').next()?.parse().ok()
    };
    Some((figure("complete")?, figure("incomplete")?))
}

/// Asks until something is so.
///
/// # Panics
/// When `limit` passes before; says `what` was awaited.
pub async fn eventually(what: &str, limit: Duration, is_so: impl AsyncFn() -> bool) {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    panic!("not within {limit:?}: {what}");
}
