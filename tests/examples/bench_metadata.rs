//! Measures the time from opening a planted link to its metadata on the page.
//!
//! Each figure is of a fresh node and a fresh browser; "cold" loads the page for the first time,
//! "warm" has it in the browser's cache, "typed" adds the link on an open page, which is what
//! WebTorrent's figures (from its `add`) are to be compared with. Usage:
//! `cargo run --release -p anatomic-tests --example bench_metadata -- [RUNS] [MIB]`

use anatomic_tests::bench::{Arguments, Table};
use anatomic_tests::libtorrent::Transport;
use anatomic_tests::prelude::*;
use anatomic_tests::webtorrent::WebPage;

const LIMIT: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() {
    let arguments = Arguments::or(5, 4);
    let mut table = Table::new("Link opened to metadata", "s");
    for run in 0..arguments.runs {
        let length = arguments.mib * MIB;
        scene::run_named(&format!("bench-metadata-{run}"), LIMIT, async |s| {
            let (cold, warm, typed) = ours(s, length).await;
            table.add("our page: link typed into it", typed);
            table.add("our page: link opened, page cached", warm);
            table.add("our page: link opened, first time ever", cold);
        })
        .await;
        for (name, libtorrent) in
            [("WebTorrent's page from libtorrent 2.1", true), ("WebTorrent's page from another", false)]
        {
            scene::run_named(&format!("bench-metadata-theirs-{run}"), LIMIT, async |s| {
                table.add(name, theirs(s, length, libtorrent).await);
            })
            .await;
        }
    }
    table.print();
    println!("aim: under 0.3 s on loopback");
}

async fn ours(s: &Scene, length: u64) -> (f64, f64, f64) {
    let node = Anatomic::up(s).await;
    let home = s.folder("content");
    let seed = Transmission::start(s, "transmission").await;
    let mut links = Vec::new();
    for name in ["one", "two", "three"] {
        let file = home.join(format!("{name}.bin"));
        content::file(&file, 1200 + links.len() as u64, length);
        let path = s.path(&format!("{name}.torrent"));
        let torrent = torrent::make(&file, &path, &[&node.announce()], 64);
        let planted = node.plant(s, &torrent.path, &[]).await;
        seed.seed(&torrent, &home).await;
        links.push(planted["link"].as_str().expect("a link").to_owned());
    }
    let known = |link: &str| {
        let hash = torrent::info_hash_of(link);
        move |shown: &anatomic_tests::page::Shown| shown.info_hash == hash && shown.state != "metadata"
    };
    let browser = Browser::launch(s, "browser").await;
    let page = Page::open_timed(s, &browser, &links[0]).await;
    page.wait("metadata", LIMIT, known(&links[0])).await;
    let cold = page.times().await.metadata;
    page.wait_complete(&torrent::info_hash_of(&links[0]), LIMIT).await;
    page.press(&torrent::info_hash_of(&links[0]), "remove").await;
    page.press(&torrent::info_hash_of(&links[0]), "remove-delete").await;
    page.tab().go("about:blank").await;

    let page = Page::open_timed(s, &browser, &links[1]).await;
    page.wait("metadata", LIMIT, known(&links[1])).await;
    let warm = page.times().await.metadata;

    // From the press of the button: the page's clock, read inside the page.
    let hash = torrent::info_hash_of(&links[2]);
    page.tab().type_into("[data-testid=\"add-input\"]", &links[2]).await;
    let script = format!(
        "new Promise(done => {{
            const start = performance.now();
            document.querySelector('[data-testid=\"add-button\"]').click();
            const watch = setInterval(() => {{
                const e = document.querySelector('[data-info-hash=\"{hash}\"][data-state]');
                if (e && e.dataset.state !== 'metadata') {{
                    clearInterval(watch);
                    done((performance.now() - start) / 1000);
                }}
            }}, 4);
        }})"
    );
    let typed = page.tab().eval(&script).await.as_f64().expect("a time");
    (cold, warm, typed)
}

async fn theirs(s: &Scene, length: u64, from_libtorrent: bool) -> f64 {
    let tracker = Tracker::start(s, "tracker", Duration::from_secs(25)).await;
    let home = s.folder("content");
    let file = home.join("t.bin");
    content::file(&file, 1210, length);
    let ws = tracker.websocket();
    let server = webtorrent::serve().await;
    let (one, two) = (Browser::launch(s, "one").await, Browser::launch(s, "two").await);
    let (magnet, seed);
    if from_libtorrent {
        let torrent = torrent::make(&file, &s.path("t.torrent"), &[&tracker.http()], 64);
        seed = Some(libtorrent::seed(s, "libtorrent", &torrent.path, &home, Transport::WebRtc, &[&ws]).await);
        magnet = format!("magnet:?xt=urn:btih:{}", torrent.info_hash);
    } else {
        let page = WebPage::open(s, &one, &server).await;
        magnet = page.seed(&file, &[&ws]).await;
        seed = None;
    }
    // The seed's first announce must have reached the tracker.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let leech = WebPage::open(s, &two, &server).await;
    leech.add(&magnet, &[&ws]).await;
    leech.tab().wait_for("metadata", "window.state.metadata", LIMIT).await;
    drop(seed);
    leech.state().await["metadata"].as_f64().expect("a time")
}
