//! An ordinary torrent, of which Anatomic has never heard, works in the tab too.
//!
//! Its only tracker is another's and speaks HTTP, which no browser may ask.

use anatomic_tests::prelude::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_torrent_of_a_foreign_http_tracker_downloads_through_the_node() {
    scene::run(async |s| {
        let tracker = Tracker::start(s, "tracker", Duration::from_secs(5)).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("o.bin"), 81, 12 * MIB + 1);
        let torrent = torrent::make(&home.join("o.bin"), &s.path("o.torrent"), &[&tracker.http()], 128);
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&torrent, &home).await;

        let node = Anatomic::up(s).await;
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, &node.url()).await;
        page.give(&[&torrent.path]).await;
        page.plant_if_asked(&torrent.info_hash, SHORT).await;
        page.wait_complete(&torrent.info_hash, TRANSFER).await;
        let (_, saved) = page.save(&torrent.info_hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), digest);
        let hosts: Vec<String> = browser.network().hosts().into_iter().collect();
        assert_eq!(hosts, [node.host()], "the tab itself asks nobody but the node");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_downloads_an_ordinary_torrent_without_any_node() {
    scene::run(async |s| {
        let tracker = Tracker::start(s, "tracker", Duration::from_secs(5)).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("o.bin"), 82, 12 * MIB + 1);
        let torrent = torrent::make(&home.join("o.bin"), &s.path("o.torrent"), &[&tracker.http()], 128);
        let seed = Transmission::start(s, "transmission").await;
        seed.seed(&torrent, &home).await;
        let into = s.folder("into");
        let (path, out) = (torrent.path.display().to_string(), into.display().to_string());
        let ended = anatomic::run_within(s, "get", &["get", &path, "-o", &out, "--no-seed"], TRANSFER).await;
        assert_eq!(ended.code, 0, "{ended:#?}");
        assert_eq!(content::sha256(&into.join("o.bin")), digest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planted_magnet_becomes_a_planted_torrent_once_the_node_has_found_a_peer() {
    scene::run(async |s| {
        let tracker = Tracker::start(s, "tracker", Duration::from_secs(5)).await;
        let home = s.folder("content");
        let digest = content::file(&home.join("quince.bin"), 83, 2 * MIB + 1);
        let torrent = torrent::make(&home.join("quince.bin"), &s.path("o.torrent"), &[&tracker.http()], 64);
        let _seed = aria2::seed(s, "seed", &torrent.path, &home);

        let node = Anatomic::up(s).await;
        let tracker = tracker.http().replace(':', "%3A").replace('/', "%2F");
        let magnet = format!("magnet:?xt=urn:btih:{}&tr={tracker}", torrent.info_hash);
        let planted = node.plant(s, &magnet, &["--nodes", "1"]).await;
        let path = format!("/api/v1/torrents/{}.torrent", torrent.info_hash);
        let file = s.path("from-the-node.torrent");
        ask::eventually("the node has the metadata", TRANSFER, async || {
            ask::get(&node, &path)
                .await
                .is_some_and(|(status, bytes)| status == 200 && std::fs::write(&file, bytes).is_ok())
        })
        .await;
        assert_eq!(torrent::open(&file).info_hash, torrent.info_hash);
        ask::eventually("search finds it by the name that it turned out to have", SHORT, async || {
            let found = ask::json(&node, "/api/v1/search?q=quince").await.unwrap_or_default();
            found["hits"].as_array().map(Vec::len) == Some(1)
        })
        .await;
        let link = planted["link"].as_str().expect("a link");
        // The link names the node's trackers alone, which the seed does not know: the node names it to others.
        let (into, out) = (s.folder("into"), s.folder("into").display().to_string());
        let _ = anatomic::run(s, "get", &["get", link, "-o", &out, "--no-seed"]).await.success();
        assert_eq!(content::sha256(&into.join("quince.bin")), digest);
        let browser = Browser::launch(s, "browser").await;
        let page = Page::open(s, &browser, link).await;
        page.wait_complete(&torrent.info_hash, TRANSFER).await;
        let (_, saved) = page.save(&torrent.info_hash, 0, SHORT).await;
        assert_eq!(content::sha256(&saved), digest);
    })
    .await;
}
