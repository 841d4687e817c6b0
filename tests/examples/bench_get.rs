//! Measures `anatomic get` from Transmission over TCP against other classic clients.
//!
//! All download the same torrent from the same seed, from the program's start to its end, over the
//! reference tracker. Transmission itself never dials a loopback address, so as a leech it is served by
//! libtorrent, which dials it, and compared with ours from libtorrent too. Usage:
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
/// From libtorrent, as Transmission.
const BESIDE: &str = "anatomic get (from libtorrent)";
const TRANSMISSION: &str = "Transmission (from libtorrent)";

#[tokio::main]
async fn main() {
    let arguments = Arguments::or(3, 256);
    let length = arguments.mib * MIB;
    let mut table = Table::new(&format!("Download {} MiB from Transmission over TCP", arguments.mib), "MB/s");
    scene::run_named("bench-get", Duration::from_secs(3600), async |s| {
        let home = s.folder("content");
        content::file(&home.join("g.bin"), 1101, length);
        let rate = |start: Instant| length as f64 / 1e6 / start.elapsed().as_secs_f64();
        for run in 0..arguments.runs {
            for client in [OURS, ARIA2, LIBTORRENT] {
                // Tracker and seed are new for each: Transmission serves no address again that became a seed, and
                // a client that is told of seeds that are gone waits for them.
                let name = format!("{}-{run}", client.replace(' ', "-"));
                let torrent = tracked(s, &home, &name).await;
                let seed = Transmission::start(s, &format!("seed-{name}")).await;
                seed.seed(&torrent, &home).await;
                tokio::time::sleep(Duration::from_secs(2)).await;
                let into = s.folder(&name);
                let start = Instant::now();
                download(s, client, &torrent.path.display().to_string(), &into).await;
                table.add(client, rate(start));
                check(&home, &into);
            }
            let name = format!("transmission-{run}");
            let torrent = tracked(s, &home, &name).await;
            let leech = Transmission::start(s, &name).await;
            leech.add(&torrent.path.display().to_string()).await;
            // It must be with the tracker when the seed asks there.
            tokio::time::sleep(Duration::from_secs(3)).await;
            let start = Instant::now();
            let dialler = format!("dialler-{run}");
            let seed = libtorrent::seed(s, &dialler, &torrent.path, &home, Transport::Tcp, &[]).await;
            leech.wait_complete(&torrent.info_hash, LIMIT).await;
            table.add(TRANSMISSION, rate(start));
            check(&home, leech.downloads());
            drop(seed);

            let name = format!("beside-{run}");
            let torrent = tracked(s, &home, &name).await;
            let seed = format!("seed-{name}");
            let seed = libtorrent::seed(s, &seed, &torrent.path, &home, Transport::Tcp, &[]).await;
            let into = s.folder(&name);
            let start = Instant::now();
            download(s, OURS, &torrent.path.display().to_string(), &into).await;
            table.add(BESIDE, rate(start));
            check(&home, &into);
            drop(seed);
        }
    })
    .await;
    table.print();
    let ours = table.median(OURS);
    promise("anatomic get / aria2", ours / table.median(ARIA2), 1.0);
    promise("anatomic get / Transmission", table.median(BESIDE) / table.median(TRANSMISSION), 1.0);
}

/// A torrent of the content with a tracker of its own.
async fn tracked(s: &Scene, home: &Path, name: &str) -> torrent::Torrent {
    let tracker = Tracker::start(s, &format!("tracker-{name}"), Duration::from_secs(5)).await;
    let torrent =
        torrent::make(&home.join("g.bin"), &s.path(&format!("{name}.torrent")), &[&tracker.http()], 1024);
    s.keep(Box::new(tracker));
    torrent
}

/// Downloads with one of the clients, from its start to its end.
async fn download(s: &Scene, client: &str, torrent: &str, into: &Path) {
    match client {
        OURS => {
            let out = into.display().to_string();
            let args = ["get", torrent, "-o", &out, "--no-seed", "--json"];
            let _ = anatomic::run_within(s, "get", &args, LIMIT).await.success();
        }
        ARIA2 => aria2::download(s, "aria2", torrent, into, LIMIT).await,
        _ => {
            let mut leech = libtorrent::leech(s, "libtorrent", torrent, into, Transport::Tcp, &[]);
            libtorrent::wait_done(&mut leech, LIMIT).await;
        }
    }
}

/// The download has the right length; every program here verifies pieces itself. Makes room.
fn check(home: &Path, into: &Path) {
    let (want, have) = (home.join("g.bin"), into.join("g.bin"));
    let length = |path: &Path| path.metadata().expect("a file").len();
    assert_eq!(length(&want), length(&have));
    std::fs::remove_file(have).expect("a file");
}
