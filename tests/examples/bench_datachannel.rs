//! Measures bare data channels with a real Chromium: our native endpoint to a page, a page to it, and page to page.
//!
//! No BitTorrent here: this is the yardstick that the node's throughput is compared with. Each run starts a fresh
//! endpoint and a fresh browser with its default WebRTC settings. Usage:
//! `cargo run --release -p anatomic-tests --example bench_datachannel -- [down|up|plain|open|all] [RUNS] [MIB]`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anatomic_relay::webrtc::{Connection, Endpoint, EndpointConfig};
use anatomic_tests::chromium::{Browser, Tab};
use anatomic_tests::scene::{self, Scene};
use anatomic_tests::serve::Server;
use bytes::Bytes;
use serde_json::json;

/// The page: one connection, one channel, counts what it gets and sends what it is told to.
const PAGE: &str = r#"<!doctype html><meta charset=utf-8><title>data channel</title><script>
let pc, dc, got = 0, first = 0, last = 0, opened;
const open = new Promise(r => opened = r);
function use(channel) {
  dc = channel; dc.binaryType = 'arraybuffer';
  dc.onopen = () => opened(performance.now());
  dc.onmessage = e => { last = performance.now(); if (!got) first = last; got += e.data.byteLength; };
}
async function whole() {
  await new Promise(r => { pc.onicecandidate = e => e.candidate || r(); if (pc.iceGatheringState === 'complete') r(); });
  return pc.localDescription.sdp;
}
async function makeOffer(ice) {
  pc = new RTCPeerConnection({ iceServers: ice });
  use(pc.createDataChannel('bench'));
  await pc.setLocalDescription(await pc.createOffer());
  return whole();
}
async function makeAnswer(sdp, ice) {
  pc = new RTCPeerConnection({ iceServers: ice });
  pc.ondatachannel = e => { use(e.channel); if (dc.readyState === 'open') opened(performance.now()); };
  await pc.setRemoteDescription({ type: 'offer', sdp });
  await pc.setLocalDescription(await pc.createAnswer());
  return whole();
}
const takeAnswer = sdp => pc.setRemoteDescription({ type: 'answer', sdp });
async function push(total, size) {
  await open;
  const block = new Uint8Array(size); crypto.getRandomValues(block.subarray(0, 65536));
  dc.bufferedAmountLowThreshold = 262144;
  for (let sent = 0; sent < total; sent += size) {
    if (dc.bufferedAmount > 1048576) await new Promise(r => dc.onbufferedamountlow = r);
    dc.send(block);
  }
}
</script>"#;

async fn page(scene: &Scene, browser: &Browser, server: &Server) -> Tab {
    browser.open(scene, &format!("{}/", server.url())).await
}

async fn server() -> Server {
    Server::start(HashMap::from([("/".to_owned(), ("text/html", PAGE.as_bytes().to_vec()))])).await
}

fn endpoint() -> Endpoint {
    Endpoint::bind(EndpointConfig::new("127.0.0.1:0".parse().unwrap())).expect("a UDP port")
}

/// Connects a fresh tab with the endpoint; also how long it took from the answer to the open channel.
async fn connect(tab: &Tab, endpoint: &Endpoint) -> (Connection, Duration) {
    let offer = tab.eval("makeOffer([])").await;
    let start = Instant::now();
    let (answer, pending) = endpoint.answer(offer.as_str().expect("an offer")).await.expect("an answer");
    tab.eval(&format!("takeAnswer({})", json!(answer))).await;
    let connection = pending.opened().await.expect("an open channel");
    (connection, start.elapsed())
}

async fn down(scene: &Scene, bytes: usize) -> f64 {
    let (server, endpoint) = (server().await, endpoint());
    let browser = Browser::launch(scene, "down").await;
    let tab = page(scene, &browser, &server).await;
    let (connection, opening) = connect(&tab, &endpoint).await;
    let before = browser_drops();
    let block = Bytes::from(vec![0x5A_u8; 1 << 20]);
    let start = Instant::now();
    let mut sent = 0;
    while sent < bytes {
        connection.writable().await;
        let part = block.slice(..connection.room().min(block.len()).min(bytes - sent));
        sent += part.len();
        connection.try_send(part).expect("an open channel");
    }
    connection.flushed().await;
    let end = Duration::from_secs(60);
    tab.wait_for("all bytes", &format!("got >= {bytes}"), end).await;
    let seconds = tab.eval("last - first").await.as_f64().expect("a time") / 1000.0;
    let facts = connection.facts();
    println!(
        "  down {:6.1} MB/s  open {:3} ms  drops {}  stalls {}  window {} most {}  rtt {:?}  all {:.1?}",
        bytes as f64 / 1e6 / seconds,
        opening.as_millis(),
        browser_drops().saturating_sub(before),
        facts.stalls,
        facts.window,
        facts.most_outstanding,
        facts.smallest_rtt.unwrap_or_default(),
        start.elapsed(),
    );
    browser.kill().await;
    endpoint.close().await;
    bytes as f64 / 1e6 / seconds
}

async fn up(scene: &Scene, bytes: usize) -> f64 {
    let (server, endpoint) = (server().await, endpoint());
    let browser = Browser::launch(scene, "up").await;
    let tab = page(scene, &browser, &server).await;
    let (connection, _) = connect(&tab, &endpoint).await;
    tab.eval(&format!("void push({bytes}, 65536)")).await;
    let mut got = connection.recv().await.expect("bytes").len();
    let start = Instant::now();
    while got < bytes {
        got += connection.recv().await.expect("bytes").len();
    }
    let rate = bytes as f64 / 1e6 / start.elapsed().as_secs_f64();
    println!("  up   {rate:6.1} MB/s");
    browser.kill().await;
    endpoint.close().await;
    rate
}

/// How long openings take: from the answer made to the channel open here, signalling through DevTools included.
async fn opening(scene: &Scene, count: usize) -> f64 {
    let (server, endpoint) = (server().await, endpoint());
    let browser = Browser::launch(scene, "open").await;
    let tab = page(scene, &browser, &server).await;
    let mut times = Vec::new();
    for _ in 0..count {
        let (connection, took) = connect(&tab, &endpoint).await;
        times.push(took.as_secs_f64() * 1000.0);
        drop(connection);
        tab.eval("pc.close()").await;
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    println!("  open min {:.0} ms, median {median:.0} ms, max {:.0} ms", times[0], times[times.len() - 1]);
    browser.kill().await;
    median
}

/// Page to page in two browsers; our STUN service shows them an address that the other can use.
async fn plain(scene: &Scene, bytes: usize) -> f64 {
    let (server, endpoint) = (server().await, endpoint());
    let ice = json!([{ "urls": format!("stun:{}", endpoint.local_addr()) }]);
    let (one, two) = (Browser::launch(scene, "one").await, Browser::launch(scene, "two").await);
    let (a, b) = (page(scene, &one, &server).await, page(scene, &two, &server).await);
    let offer = a.eval(&format!("makeOffer({ice})")).await;
    let answer = b.eval(&format!("makeAnswer({offer}, {ice})")).await;
    a.eval(&format!("takeAnswer({answer})")).await;
    a.eval("open").await;
    a.eval(&format!("void push({bytes}, 65536)")).await;
    b.wait_for("all bytes", &format!("got >= {bytes}"), Duration::from_secs(120)).await;
    let seconds = b.eval("last - first").await.as_f64().expect("a time") / 1000.0;
    let rate = bytes as f64 / 1e6 / seconds;
    println!("  plain {rate:5.1} MB/s  (STUN questions answered: {})", endpoint.counters().stun_answered);
    one.kill().await;
    two.kill().await;
    rate
}

/// Datagrams that this machine's sockets have dropped because they were full.
fn browser_drops() -> u64 {
    let text = std::fs::read_to_string("/proc/net/snmp").unwrap_or_default();
    let mut lines = text.lines().filter(|line| line.starts_with("Udp:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    let found = names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "RcvbufErrors");
    found.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').take(1).collect()
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_else(|| "all".to_owned());
    let runs: usize = args.next().map_or(3, |n| n.parse().expect("a number of runs"));
    let mib: usize = args.next().map_or(256, |n| n.parse().expect("a number of MiB"));
    for kind in ["down", "up", "plain", "open"] {
        if what != kind && what != "all" {
            continue;
        }
        let unit = if kind == "open" { "ms" } else { "MB/s" };
        println!("{kind}: {mib} MiB, {runs} runs, load {}", load());
        let mut rates = Vec::new();
        for run in 0..runs {
            let name = format!("bench-{kind}-{run}");
            let mut rate = 0.0;
            scene::run_named(&name, Duration::from_secs(240), async |scene| {
                rate = match kind {
                    "down" => down(scene, mib << 20).await,
                    "up" => up(scene, mib << 20).await,
                    "open" => opening(scene, 20).await,
                    _ => plain(scene, mib << 20).await,
                };
            })
            .await;
            rates.push(rate);
        }
        rates.sort_by(f64::total_cmp);
        println!(
            "{kind}: min {:.1}, median {:.1}, max {:.1} {unit} (load {})",
            rates[0],
            rates[rates.len() / 2],
            rates[rates.len() - 1],
            load()
        );
    }
}
