//! A tab downloads what only a classic client seeds: the main job.
//!
//! Transmission seeds over TCP and knows no WebSocket tracker; the tab has only WebRTC; the node
//! between them keeps nothing.

use anatomic_tests::ask::eventually;
use anatomic_tests::prelude::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tab_downloads_a_planted_torrent_that_only_transmission_seeds() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("film.bin"), 11, 48 * MIB + 12_345);
        let torrent =
            torrent::make(&home.join("film.bin"), &s.path("film.torrent"), &[&node.announce()], 256);

        let planted = node.plant(s, &torrent.path, &[]).await;
        let link = planted["link"].as_str().expect("a link");
        assert!(link.starts_with(&format!("{}#magnet:?", node.url())), "{link}");
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&torrent, &home).await;

        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, link).await;
        let hash = &torrent.info_hash;
        let half = page.wait_progress(hash, 0.1, TRANSFER).await;
        assert!(
            half.progress >= 1.0 || half.peers.iter().any(|peer| peer == "bridge"),
            "the way through the node is shown: {half:?}"
        );
        page.wait_complete(hash, TRANSFER).await;
        let (name, saved) = page.save(hash, 0, TRANSFER).await;
        assert_eq!(name, "film.bin");
        assert_eq!(content::sha256(&saved), digest, "the tab holds what Transmission seeds");

        // Only WebRTC: nobody but the node was contacted, and no content came over HTTP or WebSocket.
        let network = browser.network();
        assert_eq!(network.hosts().into_iter().collect::<Vec<_>>(), [node.host()], "one host only");
        assert!(network.websocket_bytes < 4 * MIB, "{} over WebSocket", network.websocket_bytes);
        let page_bytes = network.http_bytes;
        assert!(page_bytes < 24 * MIB, "{page_bytes} over HTTP is more than the page itself");

        // One connection, and perhaps a second and a third for a quick transfer; no offer is left behind.
        let opened = ask::metric(&node, "webrtc_opened").await.expect("a figure");
        assert!((1..=3).contains(&opened), "{opened} connections for one download");
        eventually("no connection is opening", SHORT, async || {
            ask::metric(&node, "webrtc_negotiating").await == Some(0)
        })
        .await;

        // The node kept nothing.
        assert_eq!(content::files_with_content(node.data()), Vec::<std::path::PathBuf>::new());
        let kept = content::size(node.data());
        assert!(kept < 4 * MIB, "the node's data folder holds {kept} bytes");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torrent_of_many_files_arrives_file_by_file() {
    scene::run(async |s| {
        let node = Anatomic::up(s).await;
        let home = s.folder("content");
        let mut digests = std::collections::BTreeSet::new();
        for (number, length) in [0, 1, 16_383, 16_384, 700_001, 3 * MIB].into_iter().enumerate() {
            let file = home.join("album").join(format!("{number}.bin"));
            digests.insert(content::file(&file, 20 + number as u64, length));
        }
        // Made by ours, since transmission-create leaves empty files out.
        let (album, out) = (home.join("album").display().to_string(), s.path("album.torrent"));
        let (out_text, announce) = (out.display().to_string(), node.announce());
        let args = ["create", &album, "-o", &out_text, "--piece-length", "32768", "--tracker", &announce];
        let _ = anatomic::run(s, "create", &args).await.success();
        let torrent = torrent::open(&out);
        let planted = node.plant(s, &torrent.path, &[]).await;
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&torrent, &home).await;

        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, planted["link"].as_str().expect("a link")).await;
        let shown = page.wait_complete(&torrent.info_hash, TRANSFER).await;
        assert_eq!(shown.files, 6, "each file can be saved: {shown:?}");
        let mut saved = std::collections::BTreeSet::new();
        for index in 0..6 {
            let (_, file) = page.save(&torrent.info_hash, index, SHORT).await;
            saved.insert(content::sha256(&file));
        }
        assert_eq!(saved, digests);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_stays_inside_its_cache_when_the_torrent_is_larger() {
    scene::run_within(Duration::from_secs(600), async |s| {
        let mut node = Anatomic::up(s).await;
        let home = s.folder("content");
        content::file(&home.join("large.bin"), 12, 448 * MIB);
        let torrent =
            torrent::make(&home.join("large.bin"), &s.path("large.torrent"), &[&node.announce()], 1024);
        let planted = node.plant(s, &torrent.path, &[]).await;
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&torrent, &home).await;
        let before = node.process().rss();

        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, planted["link"].as_str().expect("a link")).await;
        page.wait_complete(&torrent.info_hash, Duration::from_secs(400)).await;

        let grown = node.process().peak_rss().saturating_sub(before);
        // The cache, and a half of it for whatever the allocator and the connections hold: less than the torrent.
        let bound = (256 + 128) * MIB;
        assert!(grown < bound, "the node grew by {} MiB", grown / MIB);
        assert_eq!(content::files_with_content(node.data()), Vec::<std::path::PathBuf>::new());
    })
    .await;
}
