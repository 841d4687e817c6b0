//! Measures the node's memory: an open WebRTC connection, idle and after traffic; and torrents of several sizes.
//!
//! The connections are bare peers of one page, so that the browser's side costs little. Usage:
//! `cargo run --release -p anatomic-tests --example bench_memory -- [CONNECTIONS] [MIB of traffic]`

use std::collections::HashMap;

use anatomic_tests::bench::{Arguments, Table};
use anatomic_tests::prelude::*;

const LIMIT: Duration = Duration::from_secs(600);
const PEERS: &str = include_str!("../peers/raw_peers.html");

#[tokio::main]
async fn main() {
    let arguments = Arguments::or(50, 100);
    connections(arguments.runs, arguments.mib).await;
    sizes().await;
}

/// Memory a connection, idle and after all of them together have received `mib`.
async fn connections(count: usize, mib: u64) {
    let mut table = Table::new(&format!("Node's memory an open WebRTC connection, {count} open"), "KiB");
    scene::run_named("bench-memory-connections", LIMIT, async |s| {
        let mut node = Anatomic::up(s).await;
        let home = s.folder("content");
        content::file(&home.join("m.bin"), 1301, 8 * MIB);
        let torrent = torrent::make(&home.join("m.bin"), &s.path("m.torrent"), &[&node.announce()], 256);
        node.plant(s, &torrent.path, &[]).await;
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&torrent, &home).await;
        let page = ("text/html", PEERS.as_bytes().to_vec());
        let server = serve::Server::start(HashMap::from([("/".to_owned(), page)])).await;
        let browser = Browser::launch(s, "browser").await;
        let tab = browser.open(s, &format!("{}/", server.url())).await;

        // One connection fills the cache with the whole torrent, so that what grows later is connections.
        let connect = |n: usize| format!("connectMany({n}, '{}', '{}')", node.websocket(), torrent.info_hash);
        let (first, more) = (connect(1), connect(count));
        tab.eval(&first).await;
        tab.eval("fetchAll(512, 262144)").await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let before = node.process().rss();
        tab.eval(&more).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let idle = node.process().rss();
        let blocks = (mib * 64 / (count as u64 + 1)).min(512);
        let rounds = (mib * 64).div_ceil(blocks * (count as u64 + 1));
        let mut got = 0;
        for _ in 0..rounds {
            got = tab.eval(&format!("fetchAll({blocks}, 262144)")).await.as_u64().expect("bytes");
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        let after = node.process().rss();
        let each = |bytes: u64| bytes.saturating_sub(before) as f64 / 1024.0 / count as f64;
        table.add("idle", each(idle));
        table.add(&format!("after {} MiB over all of them", got / MIB), each(after));
        eprintln!("  node: {} KiB, then {} KiB, then {} KiB", before / 1024, idle / 1024, after / 1024);
    })
    .await;
    table.print();
}

/// The node's largest memory while a tab downloads torrents of several sizes through it.
async fn sizes() {
    let mut table = Table::new("Node's peak memory while a tab downloads through it", "MiB");
    for mib in [64, 256, 512, 1024] {
        scene::run_named(&format!("bench-memory-{mib}"), LIMIT, async |s| {
            let mut node = Anatomic::up(s).await;
            let home = s.folder("content");
            content::file(&home.join("m.bin"), 1302, mib * MIB);
            let torrent = torrent::make(&home.join("m.bin"), &s.path("m.torrent"), &[&node.announce()], 1024);
            let planted = node.plant(s, &torrent.path, &[]).await;
            let seed = Transmission::start(s, "transmission").await;
            seed.seed(&torrent, &home).await;
            let browser = Browser::launch(s, "browser").await;
            let page = Page::open(s, &browser, planted["link"].as_str().expect("a link")).await;
            page.wait_complete(&torrent.info_hash, LIMIT).await;
            table.add(&format!("{mib} MiB torrent"), node.process().peak_rss() as f64 / MIB as f64);
        })
        .await;
    }
    table.print();
}
