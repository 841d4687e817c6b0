//! uTP with the clients that brought it about: libtorrent, and Transmission with libutp.
//!
//! Whoever says uTP here has TCP switched off, or is behind something that lets only datagrams through.

use anatomic_tests::libtorrent::{self, Transport};
use anatomic_tests::link::{Link, Shape};
use anatomic_tests::prelude::*;
use std::net::SocketAddr;

/// `anatomic get WHAT -o INTO`, to its end.
///
/// On all addresses, as people have it: the socket is IPv6's and carries IPv4 too.
async fn get(s: &Scene, what: &str, into: &std::path::Path) -> anatomic::Ended {
    let into = into.display().to_string();
    let args = ["get", what, "-o", &into, "--json", "--no-seed", "--no-webrtc"];
    anatomic::run_within(s, "get", &args, TRANSFER).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tab_downloads_what_only_a_utp_peer_seeds() {
    scene::run(async |s| {
        // Ports of equal number, as they are by default: uTP stands beside WebRTC on one socket.
        let address = format!("127.0.0.1:{}", ports::free());
        let node = Anatomic::up_with(s, &["--tcp", &address, "--udp", &address]).await;
        let home = s.folder("content");
        let length = 24 * MIB + 1;
        let digest = content::file(&home.join("u.bin"), 311, length);
        let torrent = torrent::make(&home.join("u.bin"), &s.path("u.torrent"), &[&node.announce()], 128);
        let planted = node.plant(s, &torrent.path, &[]).await;
        let announce = node.announce();
        let _seed =
            libtorrent::seed(s, "libtorrent", &torrent.path, &home, Transport::Utp, &[&announce]).await;

        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, planted["link"].as_str().expect("a link")).await;
        page.wait("the way to be named", TRANSFER, |shown| shown.text.contains("over uTP")).await;
        page.wait_complete(&torrent.info_hash, TRANSFER).await;
        let (_, saved) = page.save(&torrent.info_hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), digest);
        assert!(ask::metric(&node, "utp_received_bytes").await >= Some(length), "all of it came over uTP");
        let path = format!("/api/v1/health/{}", torrent.info_hash);
        ask::eventually("health to count the seed by its way", SHORT, async || {
            let health = ask::json(&node, &path).await.unwrap_or_default();
            let connected = &health["nodes"][0]["swarm"]["connected"];
            connected["utp"]["seeds"] == 1 && connected["tcp"]["seeds"] == 0
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_utp_peer_downloads_what_a_tab_seeds() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let length = 24 * MIB + 99;
        let digest = content::file(&s.path("t.bin"), 312, length);
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &node.url()).await;
        page.give(&[&s.path("t.bin")]).await;
        let planted = page.wait_planted(SHORT).await;
        let magnet = torrent::magnet_of(&planted.link);
        let into = s.folder("into");
        let mut leech =
            libtorrent::leech(s, "libtorrent", magnet, &into, Transport::Utp, &[&node.announce()]);
        libtorrent::wait_done(&mut leech, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("t.bin")), digest);
        assert!(ask::metric(&node, "utp_sent_bytes").await >= Some(length), "all of it went over uTP");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_and_seed_meet_libtorrent_over_utp_alone() {
    scene::run(async |s| {
        let tracker = Tracker::start(s, "tracker", Duration::from_secs(5)).await;
        let (theirs, ours) = (s.folder("theirs"), s.folder("ours"));
        let digests = [
            content::file(&theirs.join("a.bin"), 313, 24 * MIB),
            content::file(&ours.join("b.bin"), 314, 24 * MIB),
        ];
        let a = torrent::make(&theirs.join("a.bin"), &s.path("a.torrent"), &[&tracker.http()], 128);
        let b = torrent::make(&ours.join("b.bin"), &s.path("b.torrent"), &[&tracker.http()], 128);

        let _seed = libtorrent::seed(s, "seed", &a.path, &theirs, Transport::Utp, &[&tracker.http()]).await;
        let into = s.folder("into");
        let _ = get(s, a.path.to_str().expect("a path"), &into).await.success();
        assert_eq!(content::sha256(&into.join("a.bin")), digests[0]);

        // The tracker takes the address that it is asked from: that of the machine.
        let listen = "127.0.0.1:0";
        let (file, from) = (b.path.display().to_string(), ours.display().to_string());
        let seed = ["seed", &file, "--from", &from, "--json", "--no-webrtc", "--listen", listen];
        let _seeding = anatomic::start(s, "anatomic-seed", &seed);
        let into = s.folder("into-libtorrent");
        let mut leech = libtorrent::leech(
            s,
            "leech",
            b.path.to_str().expect("a path"),
            &into,
            Transport::Utp,
            &[&tracker.http()],
        );
        libtorrent::wait_done(&mut leech, TRANSFER).await;
        assert_eq!(content::sha256(&into.join("b.bin")), digests[1]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_downloads_from_transmission_over_utp_alone() {
    scene::run(async |s| {
        let home = s.folder("content");
        let digest = content::file(&home.join("x.bin"), 315, 12 * MIB + 5);
        let torrent =
            torrent::make(&home.join("x.bin"), &s.path("x.torrent"), &["http://127.0.0.1:9/announce"], 128);
        let seed = Transmission::start_with(s, "transmission", json!({ "utp-enabled": true })).await;
        seed.seed(&torrent, &home).await;
        // It passes datagrams and nothing else.
        let way = Link::start(Shape { delay: Duration::from_millis(5), rate: None, queue: 1 << 20 });
        way.towards(SocketAddr::from(([127, 0, 0, 1], seed.port())));
        let magnet = format!("magnet:?xt=urn:btih:{}&x.pe={}", torrent.info_hash, way.left);
        let into = s.folder("into");
        let _ = get(s, &magnet, &into).await.success();
        assert_eq!(content::sha256(&into.join("x.bin")), digest);
    })
    .await;
}
