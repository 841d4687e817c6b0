//! Measures bare data channels with a real Chromium: our native endpoint to a page, a page to it, and page to page.
//!
//! No BitTorrent here: this is the yardstick that the node's throughput is compared with. Each run starts a fresh
//! endpoint and a fresh browser with its default WebRTC settings. Usage:
//! `cargo run --release -p anatomic-tests --example bench_datachannel -- [down|far|narrow|up|plain|open|lite|memory|all] [RUNS] [MIB]`

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anatomic_relay::webrtc::{Connection, Endpoint, EndpointConfig};
use anatomic_tests::chromium::{Browser, Tab};
use anatomic_tests::link::{Link, Shape};
use anatomic_tests::scene::{self, Scene};
use anatomic_tests::serve::Server;
use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

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
    endpoint_with(false)
}

fn endpoint_with(ice_lite: bool) -> Endpoint {
    let mut config = EndpointConfig::new("127.0.0.1:0".parse().unwrap());
    config.ice_lite = ice_lite;
    config.limits.connections_per_address = 10_000;
    Endpoint::bind(config).expect("a UDP port")
}

/// 20 ms each way; `narrow` is 100 Mbit/s with 256 KiB of queue.
fn path(rate: Option<f64>) -> Shape {
    Shape { delay: Duration::from_millis(20), rate, queue: 256 << 10 }
}

/// Connects a fresh tab with the endpoint; also how long it took from the answer to the open channel.
async fn connect(tab: &Tab, endpoint: &Endpoint, link: Option<&Link>) -> (Connection, Duration) {
    let offer = tab.eval("makeOffer([])").await;
    let start = Instant::now();
    let (answer, pending) = endpoint.answer(offer.as_str().expect("an offer")).await.expect("an answer");
    // Through a link: the page is told that we sit at the link's near socket.
    let port = |address: SocketAddr| format!(" 127.0.0.1 {} typ", address.port());
    let answer = match link {
        Some(link) => {
            link.towards(endpoint.local_addr());
            answer.replace(&port(endpoint.local_addr()), &port(link.left))
        }
        None => answer,
    };
    tab.eval(&format!("takeAnswer({})", json!(answer))).await;
    let connection = pending.opened().await.expect("an open channel");
    (connection, start.elapsed())
}

/// Sends so many bytes from a fresh endpoint to a fresh browser; MB/s.
pub(crate) async fn down(scene: &Scene, bytes: usize) -> f64 {
    down_through(scene, bytes, None).await
}

async fn down_through(scene: &Scene, bytes: usize, link: Option<&Link>) -> f64 {
    let (server, endpoint) = (server().await, endpoint());
    let browser = Browser::launch(scene, "down").await;
    let tab = page(scene, &browser, &server).await;
    let (connection, opening) = connect(&tab, &endpoint, link).await;
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
    let (connection, _) = connect(&tab, &endpoint, None).await;
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
async fn opening(scene: &Scene, count: usize, ice_lite: bool) -> f64 {
    let (server, endpoint) = (server().await, endpoint_with(ice_lite));
    let browser = Browser::launch(scene, "open").await;
    let tab = page(scene, &browser, &server).await;
    let mut times = Vec::new();
    for _ in 0..count {
        let (connection, took) = connect(&tab, &endpoint, None).await;
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
pub(crate) async fn plain(scene: &Scene, bytes: usize) -> f64 {
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

/// Memory of an endpoint for each connection, idle and after `mib` MiB through each; the remotes are another process.
async fn memory(connections: usize, mib: usize) {
    let endpoint = endpoint();
    let mut child = tokio::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["clients", &connections.to_string(), &mib.to_string()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the clients' process");
    let mut input = child.stdin.take().expect("its input");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let empty = resident();
    let mut open = Vec::new();
    for _ in 0..connections {
        let offer: String = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        let (answer, pending) = endpoint.answer(&offer).await.expect("an answer");
        input.write_all(format!("{}\n", json!(answer)).as_bytes()).await.unwrap();
        open.push(pending.opened().await.expect("an open channel"));
    }
    let idle = resident();
    let block = Bytes::from(vec![0x5A_u8; 1 << 20]);
    for connection in &open {
        for _ in 0..mib {
            connection.send(block.clone()).await.expect("an open channel");
        }
    }
    for connection in &open {
        connection.flushed().await;
    }
    let used = resident();
    let each = |now: u64| now.saturating_sub(empty) as f64 / 1024.0 / connections as f64;
    println!(
        "memory: {connections} connections; endpoint {} KiB; each {:.0} KiB idle, {:.0} KiB after {mib} MiB sent",
        empty / 1024,
        each(idle),
        each(used)
    );
}

/// The other process of [`memory`].
async fn clients(connections: usize) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut kept = Vec::new();
    for _ in 0..connections {
        let endpoint = endpoint();
        let (offer, pending) = endpoint.offer().await.expect("an offer");
        println!("{}", json!(offer));
        let answer: String = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        let connection = pending.accept_answer(&answer).await.expect("a good answer").opened().await;
        let connection = connection.expect("an open channel");
        kept.push(tokio::spawn(async move {
            while connection.recv().await.is_some() {}
            drop(endpoint);
        }));
    }
    let _ = lines.next_line().await;
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
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
    match what.as_str() {
        "memory" => return memory(runs, mib).await,
        "clients" => return clients(runs).await,
        _ => {}
    }
    for kind in ["down", "far", "narrow", "up", "plain", "open", "lite"] {
        if what != kind && what != "all" {
            continue;
        }
        let unit = if matches!(kind, "open" | "lite") { "ms" } else { "MB/s" };
        println!("{kind}: {mib} MiB, {runs} runs, load {}", load());
        let mut rates = Vec::new();
        for run in 0..runs {
            let name = format!("bench-{kind}-{run}");
            let mut rate = 0.0;
            scene::run_named(&name, Duration::from_secs(240), async |scene| {
                rate = match kind {
                    "down" => down(scene, mib << 20).await,
                    "far" => down_through(scene, mib << 20, Some(&Link::start(path(None)))).await,
                    "narrow" => down_through(scene, mib << 20, Some(&Link::start(path(Some(12.5e6))))).await,
                    "up" => up(scene, mib << 20).await,
                    "open" => opening(scene, 20, false).await,
                    "lite" => opening(scene, 20, true).await,
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
