//! Peer exchange with libtorrent, without a tracker: who knows one peer downloads from another.
//!
//! The rules are tested in simulated swarms (`shared/sim/tests/exchange.rs`).

use anatomic_tests::libtorrent::{Setup, Transport};
use anatomic_tests::prelude::*;

/// What the one that is known downloads, in bytes a second: so little that the torrent would take it half an hour.
const LITTLE: u32 = 16 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_learns_of_a_seed_from_libtorrent() {
    scene::run(async |s| {
        let home = s.folder("content");
        let digest = content::file(&home.join("x.bin"), 95, 24 * MIB + 1);
        let torrent = torrent::make(&home.join("x.bin"), &s.path("x.torrent"), &[], 256);
        let (seed, known) = (ports::free(), ports::free());
        let setup = Setup { port: Some(seed), ..Setup::default() };
        let path = &torrent.path;
        let _seed = libtorrent::seed_with(s, "seed", path, &home, Transport::Tcp, &[], &setup).await;
        let peers = [format!("127.0.0.1:{seed}")];
        let setup = Setup {
            port: Some(known),
            peers: &[&peers[0]],
            download_limit: Some(LITTLE),
            ..Setup::default()
        };
        let (what, into) = (torrent.path.display().to_string(), s.folder("known"));
        let _known = libtorrent::leech_with(s, "known", &what, &into, Transport::Tcp, &[], &setup);

        let magnet = format!("magnet:?xt=urn:btih:{}&x.pe=127.0.0.1:{known}", torrent.info_hash);
        let into = s.folder("into");
        let to = into.display().to_string();
        let listen = format!("{}:0", ports::address());
        let args = ["get", &magnet, "-o", &to, "--no-seed", "--dht", "off", "--listen", &listen];
        let _ = anatomic::run_within(s, "get", &args, TRANSFER).await.success();
        assert_eq!(content::sha256(&into.join("x.bin")), digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libtorrent_learns_of_a_seed_from_get() {
    scene::run(async |s| {
        let home = s.folder("content");
        let digest = content::file(&home.join("x.bin"), 96, 24 * MIB + 1);
        let torrent = torrent::make(&home.join("x.bin"), &s.path("x.torrent"), &[], 256);
        let (seed, known) = (ports::free(), ports::free());
        let setup = Setup { port: Some(seed), ..Setup::default() };
        let path = &torrent.path;
        let _seed = libtorrent::seed_with(s, "seed", path, &home, Transport::Tcp, &[], &setup).await;

        let magnet = format!("magnet:?xt=urn:btih:{}&x.pe=127.0.0.1:{seed}", torrent.info_hash);
        let to = s.folder("known").display().to_string();
        let listen = format!("{}:{known}", ports::address());
        let limit = LITTLE.to_string();
        let args =
            ["get", &magnet, "-o", &to, "--dht", "off", "--listen", &listen, "--download-limit", &limit];
        let _known = anatomic::start(s, "get", &args);
        // libtorrent, refused, would not try again for a minute.
        let listens = async || tokio::net::TcpStream::connect(&listen).await.is_ok();
        ask::eventually("get listens", SHORT, listens).await;

        let setup = Setup { peers: &[&listen], ..Setup::default() };
        let (what, into) = (torrent.path.display().to_string(), s.folder("into"));
        let mut leech = libtorrent::leech_with(s, "leech", &what, &into, Transport::Tcp, &[], &setup);
        libtorrent::wait_done(&mut leech, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("x.bin")), digest);
    })
    .await;
}
