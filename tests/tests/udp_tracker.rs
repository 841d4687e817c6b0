//! Classic clients that are given a UDP tracker and nothing else find each other through the node.
//!
//! The packets themselves are tested beside the tracker, in `relay/src/tracker`.

use anatomic_tests::prelude::*;

/// The node's UDP tracker, and a torrent that names no other.
async fn bed(s: &Scene, seed: u64) -> (Anatomic, Torrent, std::path::PathBuf, String) {
    let node = Anatomic::up_with(s, &["--open-bridge"]).await;
    let udp = node.ready()["udp_tracker"].as_str().expect("`udp_tracker` in the first line").to_owned();
    assert_eq!(udp, node.host(), "the same number as the HTTP port");
    let home = s.folder("content");
    let digest = content::file(&home.join("u.bin"), seed, 4 * MIB + 1);
    let tracker = format!("udp://{udp}/announce");
    let torrent = torrent::make(&home.join("u.bin"), &s.path("u.torrent"), &[&tracker], 64);
    (node, torrent, home, digest)
}

/// Waits until the tracker knows a seed: who asks before is told to come back in a minute.
async fn wait_seed(node: &Anatomic, info_hash: &str) {
    let escaped: String =
        info_hash.as_bytes().chunks(2).map(|hex| format!("%{}", String::from_utf8_lossy(hex))).collect();
    for _ in 0..600 {
        let scraped = web::get(&format!("{}scrape?info_hash={escaped}", node.url())).await.expect("a scrape");
        if String::from_utf8_lossy(&scraped.bytes().await.expect("a body")).contains("8:completei1e") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("Transmission never announced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libtorrent_finds_transmission_through_the_udp_tracker_alone() {
    scene::run(async |s| {
        let (node, torrent, home, digest) = bed(s, 91).await;
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&torrent, &home).await;
        wait_seed(&node, &torrent.info_hash).await;
        let into = s.folder("into");
        let what = torrent.path.display().to_string();
        let mut leech = libtorrent::leech(s, "libtorrent", &what, &into, libtorrent::Transport::Tcp, &[]);
        libtorrent::wait_done(&mut leech, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("u.bin")), digest);
        let metrics = web::get(&format!("{}metrics", node.url())).await.expect("metrics");
        let metrics = metrics.text().await.expect("text");
        let figure = |name: &str| {
            let line =
                metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}"));
            line.rsplit(' ').next().and_then(|figure| figure.parse::<u64>().ok()).expect("a figure")
        };
        assert!(figure("anatomic_udp_announces_total") >= 2, "{metrics}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_downloads_with_a_udp_tracker_alone() {
    scene::run(async |s| {
        let (node, torrent, home, digest) = bed(s, 92).await;
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&torrent, &home).await;
        wait_seed(&node, &torrent.info_hash).await;
        let path = torrent.path.display().to_string();
        let into = s.folder("into");
        let out = into.display().to_string();
        let ended = anatomic::run_within(s, "get", &["get", &path, "-o", &out, "--no-seed"], TRANSFER).await;
        assert_eq!(ended.code, 0, "{ended:#?}");
        assert_eq!(content::sha256(&into.join("u.bin")), digest);
    })
    .await;
}
