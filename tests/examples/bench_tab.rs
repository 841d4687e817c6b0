//! Measures how fast a tab receives: from the node, through the bridge, and by other ways, in one run.
//!
//! Each figure is of a fresh node and a fresh browser. The bare data channel is the yardstick, with
//! code shared with `bench_datachannel`. Usage:
//! `cargo run --release -p anatomic-tests --example bench_tab -- [RUNS] [MIB]`

use anatomic_tests::bench::{Arguments, Table, promise};
use anatomic_tests::libtorrent::Transport;
use anatomic_tests::prelude::*;
use anatomic_tests::webtorrent::WebPage;

#[allow(dead_code)]
#[path = "bench_datachannel.rs"]
mod bare;

const LIMIT: Duration = Duration::from_secs(300);
const BARE: &str = "bare data channel, native to Chromium";
const PLAIN: &str = "bare data channel, Chromium to Chromium";
const CACHED: &str = "node to tab (blocks in its cache)";
const BRIDGED: &str = "TCP seed to tab through the bridge";
const LIBTORRENT: &str = "WebTorrent's page from libtorrent 2.1";
const NODE: &str = "WebTorrent's page from WebTorrent in Node";

#[tokio::main]
async fn main() {
    let arguments = Arguments::or(3, 256);
    let mut table = Table::new(&format!("A tab receives {} MiB", arguments.mib), "MB/s");
    for run in 0..arguments.runs {
        eprintln!("run {} of {}", run + 1, arguments.runs);
        let bytes = (arguments.mib * MIB) as usize;
        measure(&mut table, BARE, run, async |s| bare::down(s, bytes).await).await;
        measure(&mut table, PLAIN, run, async |s| bare::plain(s, bytes).await).await;
        let mut figures = (0.0, 0.0);
        scene::run_named(&format!("bench-tab-ours-{run}"), LIMIT, async |s| {
            figures = ours(s, arguments.mib * MIB).await;
        })
        .await;
        table.add(BRIDGED, figures.0);
        table.add(CACHED, figures.1);
        let mib = arguments.mib.min(128);
        measure(&mut table, LIBTORRENT, run, async |s| theirs(s, mib * MIB, true).await).await;
        measure(&mut table, NODE, run, async |s| theirs(s, mib * MIB, false).await).await;
    }
    table.print();
    let cached = table.median(CACHED);
    promise("node to tab / bare data channel", cached / table.median(BARE), 0.9);
    promise("node to tab / Chromium to Chromium", cached / table.median(PLAIN), 1.5);
    let best = table.median(LIBTORRENT).max(table.median(NODE));
    promise("node to tab / WebTorrent's best", cached / best, 2.0);
    promise("bridge / node to tab", table.median(BRIDGED) / cached, 0.85);
}

async fn measure(table: &mut Table, name: &str, run: usize, what: impl AsyncFnOnce(&Scene) -> f64) {
    let mut figure = 0.0;
    let scene = format!("bench-{}-{run}", name.replace([' ', ',', '(', ')', '\'', '.'], "-"));
    scene::run_named(&scene, LIMIT, async |s| figure = what(s).await).await;
    table.add(name, figure);
}

/// The rate through the bridge from libtorrent over TCP (Transmission sends 17 MB/s at most), then that of a second tab from the node's cache.
///
/// The second tab is measured on the part of the torrent that fits into the cache.
async fn ours(s: &Scene, length: u64) -> (f64, f64) {
    let node = Anatomic::up(s).await;
    let home = s.folder("content");
    let bridged = one(s, &node, &home, "bridged", length, true).await;
    let cached = one(s, &node, &home, "cached", length.min(192 * MIB), false).await;
    (bridged, cached)
}

async fn one(s: &Scene, node: &Anatomic, home: &std::path::Path, name: &str, length: u64, cold: bool) -> f64 {
    let file = home.join(format!("{name}.bin"));
    content::file(&file, 1001 + u64::from(cold), length);
    let path = s.path(&format!("{name}.torrent"));
    let torrent = torrent::make(&file, &path, &[&node.announce()], 1024);
    let planted = node.plant(s, &torrent.path, &[]).await;
    let link = planted["link"].as_str().expect("a link").to_owned();
    let seed = format!("seed-{name}");
    let _seed = libtorrent::seed(s, &seed, &torrent.path, home, Transport::Tcp, &[]).await;
    if !cold {
        let browser = Browser::launch(s, &format!("warm-{name}")).await;
        let page = Page::open(s, &browser, &link).await;
        page.wait_complete(&torrent.info_hash, LIMIT).await;
        browser.kill().await;
    }
    let browser = Browser::launch(s, &format!("tab-{name}")).await;
    let page = Page::open_timed(s, &browser, &link).await;
    let rate = page.wait_timed(LIMIT).await.rate(length);
    browser.kill().await;
    rate
}

/// The rate of WebTorrent's page from libtorrent or from WebTorrent in Node, over the reference tracker.
async fn theirs(s: &Scene, length: u64, from_libtorrent: bool) -> f64 {
    let tracker = Tracker::start(s, "tracker", Duration::from_secs(25)).await;
    let home = s.folder("content");
    let file = home.join("t.bin");
    content::file(&file, 1003, length);
    let torrent = torrent::make(&file, &s.path("t.torrent"), &[&tracker.http()], 1024);
    let ws = tracker.websocket();
    let _seed = if from_libtorrent {
        libtorrent::seed(s, "libtorrent", &torrent.path, &home, Transport::WebRtc, &[&ws]).await
    } else {
        webtorrent::seed_in_node(s, "webtorrent", &torrent.path, &file, &[&ws]).await
    };
    let server = webtorrent::serve().await;
    let browser = Browser::launch(s, "browser").await;
    let page = WebPage::open(s, &browser, &server).await;
    page.add(&format!("magnet:?xt=urn:btih:{}", torrent.info_hash), &[&ws]).await;
    page.wait_complete(LIMIT).await;
    let state = page.state().await;
    let seconds = state["seconds"].as_f64().expect("an end") - state["first"].as_f64().expect("a start");
    length as f64 / 1e6 / seconds
}
