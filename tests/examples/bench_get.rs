//! Measures `anatomic get` from Transmission over TCP against other classic clients.
//!
//! All download the same torrent from the same seed, from the program's start to its end, over the
//! reference tracker. Transmission itself never dials a loopback address, so as a leech it is served by
//! libtorrent, which dials it; that row says so. Usage:
//! `cargo run --release -p anatomic-tests --example bench_get -- [RUNS] [MIB]`

use std::path::Path;
use std::time::Instant;

use anatomic_tests::bench::{Arguments, Table, promise};
use anatomic_tests::libtorrent::Transport;
use anatomic_tests::prelude::*;

const LIMIT: Duration = Duration::from_secs(300);
const OURS: &str = "anatomic get";
const ARIA2: &str = "aria2";
const LIBTORRENT: &str = "libtorrent 2.1";
const TRANSMISSION: &str = "Transmission (from libtorrent)";

#[tokio::main]
async fn main() {
    let arguments = Arguments::or(5, 512);
    let length = arguments.mib * MIB;
    let mut table = Table::new(&format!("Download {} MiB from Transmission over TCP", arguments.mib), "MB/s");
    scene::run_named("bench-get", Duration::from_secs(3600), async |s| {
        let tracker = Tracker::start(s, "tracker", Duration::from_secs(5)).await;
        let home = s.folder("content");
        content::file(&home.join("g.bin"), 1101, length);
        let torrent = torrent::make(&home.join("g.bin"), &s.path("g.torrent"), &[&tracker.http()], 1024);
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&torrent, &home).await;
        let rate = |start: Instant| length as f64 / 1e6 / start.elapsed().as_secs_f64();
        for run in 0..arguments.runs {
            let folder = |name: &str| s.folder(&format!("{name}-{run}"));
            let path = torrent.path.display().to_string();

            let into = folder("ours");
            let out = into.display().to_string();
            let start = Instant::now();
            let args = ["get", &path, "-o", &out, "--no-seed", "--json"];
            let _ = anatomic::run_within(s, "get", &args, LIMIT).await.success();
            table.add(OURS, rate(start));
            check(&home, &into);

            let into = folder("aria2");
            let start = Instant::now();
            aria2::download(s, "aria2", &path, &into, LIMIT).await;
            table.add(ARIA2, rate(start));
            check(&home, &into);

            let into = folder("libtorrent");
            let start = Instant::now();
            let tcp = Transport::Tcp;
            let mut leech = libtorrent::leech(s, "libtorrent", &path, &into, tcp, &[]);
            libtorrent::wait_done(&mut leech, LIMIT).await;
            table.add(LIBTORRENT, rate(start));
            drop(leech);
            check(&home, &into);
        }
        drop(seed);
        for run in 0..arguments.runs {
            let name = format!("leech-{run}");
            let leech = Transmission::start(s, &name).await;
            let start = Instant::now();
            leech.add(&torrent.path.display().to_string()).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            let dialler =
                libtorrent::seed(s, &format!("dialler-{run}"), &torrent.path, &home, Transport::Tcp, &[])
                    .await;
            leech.wait_complete(&torrent.info_hash, LIMIT).await;
            table.add(TRANSMISSION, rate(start));
            check(&home, leech.downloads());
            drop(dialler);
        }
    })
    .await;
    table.print();
    let ours = table.median(OURS);
    promise("anatomic get / aria2", ours / table.median(ARIA2), 1.0);
    promise("anatomic get / Transmission", ours / table.median(TRANSMISSION), 1.0);
}

/// The download has the right length; every program here verifies pieces itself. Makes room.
fn check(home: &Path, into: &Path) {
    let (want, have) = (home.join("g.bin"), into.join("g.bin"));
    let length = |path: &Path| path.metadata().expect("a file").len();
    assert_eq!(length(&want), length(&have));
    std::fs::remove_file(have).expect("a file");
}
