//! Measures uTP: ours against libtorrent's, on the same line and at the same work.
//!
//! Each client downloads from libtorrent, and libtorrent downloads from each, over uTP alone: along a line that only passes on,
//! and along one of 10 MB/s with a round trip of 40 ms that drops what its queue does not hold. Usage:
//! `cargo run --release -p anatomic-tests --example bench_utp -- [RUNS] [MIB]`

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use anatomic_tests::bench::{Arguments, Table, promise};
use anatomic_tests::libtorrent::Transport;
use anatomic_tests::link::{Link, Shape};
use anatomic_tests::prelude::*;
use anatomic_tests::process::Process;

const LIMIT: Duration = Duration::from_secs(600);
const NAME: &str = "u.bin";
const OURS: &str = "anatomic";
const THEIRS: &str = "libtorrent";

/// Where the bytes go along.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    shape: Shape,
}

const SHORT_LINE: Way =
    Way { name: "loopback", shape: Shape { delay: Duration::ZERO, rate: None, queue: usize::MAX } };
const LINE: Way = Way {
    name: "10 MB/s, 40 ms",
    shape: Shape { delay: Duration::from_millis(20), rate: Some(10e6), queue: 512 << 10 },
};

#[tokio::main]
async fn main() {
    let arguments = Arguments::or(3, 128);
    let length = arguments.mib * MIB;
    let mut table = Table::new(&format!("{} MiB over uTP", arguments.mib), "MB/s");
    scene::run_named("bench-utp", Duration::from_secs(3600), async |s| {
        let home = s.folder("content");
        content::file(&home.join(NAME), 1201, length);
        // Nobody answers there: who seeds is named in the magnet.
        let tracker = "http://127.0.0.1:9/announce";
        let torrent = torrent::make(&home.join(NAME), &s.path("u.torrent"), &[tracker], 1024);
        for run in 0..arguments.runs {
            for way in [SHORT_LINE, LINE] {
                for (seed, leech) in [(THEIRS, THEIRS), (THEIRS, OURS), (OURS, THEIRS)] {
                    let name = format!("{seed}-{leech}-{run}-{}", way.name.replace(['/', ' ', ','], ""));
                    let (_seeding, port) = seeding(s, seed, &format!("seed-{name}"), &torrent, &home).await;
                    let link = Link::start(way.shape);
                    link.towards(SocketAddr::from(([127, 0, 0, 1], port)));
                    let magnet = format!("magnet:?xt=urn:btih:{}&x.pe={}", torrent.info_hash, link.left);
                    let into = s.folder(&name);
                    let start = Instant::now();
                    download(s, leech, &name, &magnet, &into).await;
                    let rate = length as f64 / 1e6 / start.elapsed().as_secs_f64();
                    table.add(&row(way, seed, leech), rate);
                    let got = into.join(NAME);
                    assert_eq!(got.metadata().expect("a file").len(), length);
                    std::fs::remove_file(got).expect("a file");
                }
            }
        }
    })
    .await;
    table.print();
    for way in [SHORT_LINE, LINE] {
        let base = table.median(&row(way, THEIRS, THEIRS));
        let ratio = |seed, leech| table.median(&row(way, seed, leech)) / base;
        // Who fills a line can only be as fast as another who does.
        let least = if way.shape.rate.is_some() { 0.95 } else { 1.0 };
        promise(&format!("{}: our download / libtorrent's", way.name), ratio(THEIRS, OURS), least);
        promise(&format!("{}: our upload / libtorrent's", way.name), ratio(OURS, THEIRS), least);
    }
}

fn row(way: Way, seed: &str, leech: &str) -> String {
    format!("{}: {leech} from {seed}", way.name)
}

/// A seed that speaks uTP, and its port.
async fn seeding(
    s: &Scene,
    who: &str,
    name: &str,
    torrent: &torrent::Torrent,
    home: &Path,
) -> (Process, u16) {
    let path = torrent.path.display().to_string();
    if who == OURS {
        let port = ports::free();
        let listen = format!("127.0.0.1:{port}");
        let from = home.display().to_string();
        let args = ["seed", &path, "--from", &from, "--json", "--no-webrtc", "--listen", &listen];
        let mut process = anatomic::start(s, name, &args);
        let seeds = |line: &str| line.contains("\"seeding\"").then_some(());
        process.line_where("that it seeds", LIMIT, seeds).await;
        return (process, port);
    }
    libtorrent::seed_over_utp(s, name, &torrent.path, home).await
}

/// Downloads what the magnet names, from the program's start to its end.
async fn download(s: &Scene, who: &str, name: &str, magnet: &str, into: &Path) {
    if who == OURS {
        let out = into.display().to_string();
        let listen = "127.0.0.1:0";
        let args = ["get", magnet, "-o", &out, "--no-seed", "--no-webrtc", "--json", "--listen", listen];
        let _ = anatomic::run_within(s, name, &args, LIMIT).await.success();
        return;
    }
    let mut leech = libtorrent::leech(s, name, magnet, into, Transport::Utp, &[]);
    libtorrent::wait_done(&mut leech, LIMIT).await;
}
