//! The DHT: peers and nodes are found where trackers and supernodes are gone. Other clients' nodes of it are real ones.
//!
//! A DHT of this machine alone: every process is told where to enter.

use anatomic_tests::libtorrent::{Setup, Transport};
use anatomic_tests::prelude::*;
use anatomic_tests::process::Process;
use std::path::Path;

/// libtorrent seeds as a node of the DHT, entered by another one if that is named.
async fn seed_in_dht(s: &Scene, name: &str, torrent: &Path, dir: &Path, dht: (u16, Option<&str>)) -> Process {
    let setup = Setup { dht: Some(dht), ..Setup::default() };
    libtorrent::seed_with(s, name, torrent, dir, Transport::Tcp, &[], &setup).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_without_any_tracker_finds_a_foreign_seed_by_the_dht() {
    scene::run(async |s| {
        let (first, second) = (ports::free(), ports::free());
        let home = s.folder("content");
        let digest = content::file(&home.join("d.bin"), 81, 2 * MIB);
        let made = torrent::make(&home.join("d.bin"), &s.path("d.torrent"), &[], 64);
        // Two nodes of libtorrent's; the one with the file enters by the other.
        content::file(&home.join("other.bin"), 82, 1000);
        let other = torrent::make(&home.join("other.bin"), &s.path("other.torrent"), &[], 64);
        let _one = seed_in_dht(s, "entrance", &other.path, &home, (first, None)).await;
        let entrance = format!("127.0.0.1:{first}");
        let _seed = seed_in_dht(s, "seed", &made.path, &home, (second, Some(&entrance))).await;
        let magnet = format!("magnet:?xt=urn:btih:{}", made.info_hash);
        let out = s.folder("out").display().to_string();
        let args = [
            "get",
            &magnet,
            "-o",
            &out,
            "--listen",
            "127.0.0.1:0",
            "--no-webrtc",
            "--dht",
            "on",
            "--dht-bootstrap",
            &entrance,
        ];
        let _ = anatomic::run(s, "get", &args).await.success();
        assert_eq!(content::sha256(&s.folder("out").join("d.bin")), digest);
        // Switched off, nobody is found.
        let off = s.folder("off").display().to_string();
        let args = ["get", &magnet, "-o", &off, "--listen", "127.0.0.1:0", "--no-webrtc", "--dht", "off"];
        let mut alone = anatomic::start(s, "alone", &args);
        tokio::time::sleep(Duration::from_secs(8)).await;
        alone.kill().await;
        assert!(!s.folder("off").join("d.bin").exists());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_knows_only_the_dht_finds_the_bridge_and_through_it_node_and_supernode() {
    scene::run(async |s| {
        let (first, foreign) = (ports::free(), ports::free());
        let entrance = format!("127.0.0.1:{first}");
        let home = s.folder("content");
        let digest = content::file(&home.join("b.bin"), 83, 2 * MIB);
        content::file(&home.join("other.bin"), 84, 1000);
        let other = torrent::make(&home.join("other.bin"), &s.path("other.torrent"), &[], 64);
        let _one = seed_in_dht(s, "entrance", &other.path, &home, (first, None)).await;
        let node = Anatomic::up_with(s, &["--dht", "on", "--dht-bootstrap", &entrance]).await;
        let made = torrent::make(&home.join("b.bin"), &s.path("b.torrent"), &[], 64);
        let planted = node.plant(s, &made.path, &[]).await;
        // Only a browser's peer has the file, and only the node's tracker knows it.
        let seeds = s.path("seeds.torrent");
        let file = web::get(&format!("{}api/v1/torrents/{}.torrent", node.url(), made.info_hash)).await;
        std::fs::write(&seeds, file.expect("an answer").bytes().await.expect("bytes")).expect("a file");
        let transport = Transport::WebRtc;
        let _seed = libtorrent::seed(s, "browser", &seeds, &home, transport, &[&node.websocket()]).await;

        let magnet = format!("magnet:?xt=urn:btih:{}", made.info_hash);
        let dir = s.folder("aria2");
        let mut aria2 = aria2::start_with_dht(s, "aria2", &magnet, &dir, foreign, &entrance);
        let status = aria2.wait(TRANSFER).await;
        assert!(status.success(), "aria2: {status}\n{}", aria2.log().tail());
        assert_eq!(content::sha256(&dir.join("b.bin")), digest);

        // Ours has no tracker either; the bridge tells it who tracks the torrent, which it verifies and remembers.
        let out = s.folder("out").display().to_string();
        let args = [
            "get",
            &magnet,
            "-o",
            &out,
            "--listen",
            "127.0.0.1:0",
            "--no-webrtc",
            "--dht",
            "on",
            "--dht-bootstrap",
            &entrance,
        ];
        let _ = anatomic::run(s, "get", &args).await.success();
        assert_eq!(content::sha256(&s.folder("out").join("b.bin")), digest);
        let known = anatomic::run(s, "supernodes", &["supernodes", "--json"]).await.success();
        assert!(known.stdout.contains(node.url().trim_end_matches('/')), "{known:?} {planted}");
    })
    .await;
}
