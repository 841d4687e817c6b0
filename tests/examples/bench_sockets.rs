//! Measures the node's memory of an idle browser's WebSocket: thousands are opened, announce once, and stay.
//!
//! Usage: `cargo run --release -p anatomic-tests --example bench_sockets -- [SOCKETS]` (20,000 unless said otherwise).
//! Each browser announces to one of as many swarms as make ten a swarm, with two offers, and reads what comes. The
//! sockets come from many addresses of 127/8, since one address has only so many ports.

use anatomic_tests::bench::{Table, promise};
use anatomic_tests::{load, ports, programs, rivals};
use futures_util::{SinkExt as _, StreamExt as _};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

/// Browsers of one swarm.
const SWARM: usize = 10;
/// Sockets from one address.
const ADDRESS: usize = 5_000;
/// Opened at once.
const WAVE: usize = 200;

fn announce(number: usize) -> String {
    let offer = |which: usize| {
        format!(
            r#"{{"offer_id":"{:020}","offer":{{"type":"offer","sdp":"{}"}}}}"#,
            number * 10 + which,
            "x".repeat(1_500)
        )
    };
    format!(
        r#"{{"action":"announce","info_hash":"{:020}","peer_id":"-WW0100-{:012}","uploaded":0,"downloaded":0,"left":1,"event":"started","numwant":2,"offers":[{},{}]}}"#,
        number / SWARM,
        number,
        offer(0),
        offer(1)
    )
}

async fn browser(server: SocketAddr, number: usize, up: tokio::sync::mpsc::Sender<()>) {
    let address = Ipv4Addr::new(127, 2, 0, u8::try_from(number / ADDRESS).expect("few addresses") + 1);
    let mut stream = load::connect(server, address).await;
    stream.send(Message::text(announce(number))).await.expect("the node reads");
    while let Some(Ok(message)) = stream.next().await {
        if message.is_text() && message.to_text().is_ok_and(|text| text.contains("\"interval\"")) {
            let _ = up.send(()).await;
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let sockets: usize = std::env::args().nth(1).map_or(20_000, |count| count.parse().expect("a number"));
    // Both ends of each are open files.
    rivals::raise_files();
    let dir = programs::target().join("bench-sockets");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("a folder for logs");
    let server: SocketAddr = ([127, 0, 0, 1], ports::free()).into();
    let mut command = rivals::pinned(&programs::anatomic());
    command.args(["node", "--track", "any", "--max-connections", "100000", "--listen", &server.to_string()]);
    command.args(["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--data"]).arg(dir.join("data"));
    let mut node = rivals::start("anatomic", command, &dir).await;
    let (up, mut ups) = tokio::sync::mpsc::channel(WAVE);
    let before = node.rss();
    let mut opened = 0;
    while opened < sockets {
        let wave = WAVE.min(sockets - opened);
        for number in opened..opened + wave {
            tokio::spawn(browser(server, number, up.clone()));
        }
        for _ in 0..wave {
            let announced = tokio::time::timeout(Duration::from_secs(60), ups.recv()).await;
            announced
                .unwrap_or_else(|_| panic!("{opened} sockets open, no more answers\n{}", node.log().tail()));
        }
        opened += wave;
    }
    let mut table = Table::new(&format!("Node's memory a WebSocket, {sockets} open"), "KiB");
    let each = |bytes: u64| bytes.saturating_sub(before) as f64 / 1024.0 / sockets as f64;
    table.add("just announced", each(node.rss()));
    tokio::time::sleep(Duration::from_secs(40)).await;
    let idle = each(node.rss());
    table.add("idle, pinged once", idle);
    eprintln!(
        "  node: {} KiB, then {} KiB, at most {} KiB",
        before / 1024,
        node.rss() / 1024,
        node.peak_rss() / 1024
    );
    table.print();
    promise("an idle WebSocket in 8 KiB", 8.0 / idle, 1.0);
    node.kill().await;
}
